//! stat and sum, as they are typed, and how far ahead sums are asked for.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use haul::client::{Error, Listing};
use haul::code::Code;
use haul::content::{Algorithm, Checksum};
use haul::entry::{Entry, Version};
use haul::path::RemotePath;
use haul::wire::Message;
use haul::wire::message::{Fail, Sum, SumIs};

use crate::evil::{facing, page};
use crate::objects::objects;
use crate::place::Place;
use crate::program::Running;
use crate::raw::{self, Raw, entry};
use crate::rig::{Outcome, noise, remote};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::patient;

plain_and_encrypted! {
    sums_are_asked_ahead_and_one_that_fails_stops_no_other,
    a_server_that_answers_with_something_else_is_not_believed,
}

/// Names that a line of sums has to escape, and some that look like it.
const ODD: [&str; 8] = [
    "plain",
    "two\nlines",
    "back\\slash",
    "re\rturn",
    "\\n",
    " space ",
    "*star",
    "d/\u{e4}\n",
];

fn b3(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// A server with the odd names in `t`, each with bytes of its own, one file above a block,
/// a link and an empty directory among them.
fn planted() -> Place {
    let place = Place::serving("");
    let top = place.root().join("t");
    fs::create_dir_all(top.join("d")).unwrap();
    fs::create_dir(top.join("empty")).unwrap();
    for name in ODD {
        fs::write(top.join(name), name).unwrap();
    }
    fs::write(top.join("large"), noise((1 << 20) + 5)).unwrap();
    symlink("plain", top.join("link")).unwrap();
    place
}

#[test]
fn stat_says_a_line_for_each_thing_that_is_known() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.says("put a [ADDRESS]/d/a", 0, "", "*");
    fs::write(place.root().join("bare"), "x").unwrap();
    symlink("../x\n", place.root().join("link")).unwrap();
    let moment = "20*-*-*T*:*:*Z\n";
    let file = format!(
        "path: d/a\nkind: file\nsize: 3\nmode: 0644\nmtime: {moment}checksum: blake3:{}\n",
        b3(b"abc")
    );
    place.says("stat [ADDRESS]/d/a", 0, &file, "");
    let directory = format!("path: d\nkind: directory\nmode: 07*\nmtime: {moment}");
    place.says("stat [ADDRESS]/d/", 0, &directory, "");
    place.says("stat [ADDRESS]/d/.", 0, &directory, "");
    let link = format!("path: link\nkind: link\nmode: 0777\nmtime: {moment}target: \"../x\\n\"\n");
    place.says("stat [ADDRESS]/link", 0, &link, "");
    // A file that haul did not publish has no recorded checksum.
    let bare = format!("path: bare\nkind: file\nsize: 1\nmode: 0*\nmtime: {moment}");
    place.says("stat [ADDRESS]/bare", 0, &bare, "");
    let root = "path: .\nkind: directory\n";
    place.says("stat [ADDRESS]", 0, root, "");
    place.says("stat haul://[ADDRESS]/.", 0, root, "");
    let both = format!("{file}\n{root}");
    let none = "haul: \"none\" is not there\n";
    let several = "stat [ADDRESS]/none [ADDRESS]/d/a [ADDRESS]/ [ADDRESS]/none";
    place.says(several, 5, &both, &format!("{none}{none}"));
    let through = "haul: \"link/x\" leads through a symbolic link, which is not followed\n";
    place.says("stat [ADDRESS]/link/x", 10, "", through);
    place.says("stat", 2, "", "*<REMOTE>*");
    place.says("stat [ADDRESS]/.haul", 9, "", "*haul's own*");

    let name = "n\n\u{1b}";
    fs::write(place.root().join(name), "").unwrap();
    place.says(
        &format!("stat [ADDRESS]/{name}"),
        0,
        "path: \"n\\n\\u{1b}\"\nkind: file\n*",
        "",
    );
}

#[test]
fn stat_tells_a_program_of_entries() {
    let place = planted();
    let ended = place.run("stat --json [ADDRESS]/t/two\nlines [ADDRESS] [ADDRESS]/none");
    assert_eq!(ended.code, Some(5), "{ended:?}");
    let read = objects(&ended.stdout);
    let seen: Vec<_> = read
        .iter()
        .map(|line| ["event", "path", "kind"].map(|key| line.get(key).map_or("", |text| text)))
        .collect();
    let expected = [
        ["entry", "t/two\nlines", "file"],
        ["entry", ".", "directory"],
        ["error", "", ""],
        ["done", "", ""],
    ];
    assert_eq!(seen, expected);
    assert_eq!((&*read[0]["size"], &*read[0]["mode"]), ("9", "0644"));
}

/// What `sha256sum` makes of these lines in a directory, or none where there is none.
fn checks(lines: &str, here: &Path) -> Option<(Option<i32>, String)> {
    let mut child = Command::new("sha256sum")
        .args(["-c", "--strict", "-"])
        .current_dir(here)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    Some((output.status.code(), said))
}

#[test]
fn what_sum_prints_of_a_tree_its_copy_is_checked_by() {
    let place = planted();
    let (top, line) = (place.root().join("t"), "sum --checksum sha256 [ADDRESS]/t");
    let ended = place.run(line);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    assert_eq!(
        ended.stdout.lines().count(),
        ODD.len() + 1,
        "{}",
        ended.stdout
    );
    let Some((code, said)) = checks(&ended.stdout, &top) else {
        return;
    };
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.lines().count(), ODD.len() + 1, "{said}");
    assert!(said.lines().all(|line| line.ends_with(": OK")), "{said}");
    fs::write(top.join("back\\slash"), "other").unwrap();
    assert_eq!(checks(&ended.stdout, &top).unwrap().0, Some(1));
}

#[test]
fn sums_are_those_of_b3sum_in_the_order_of_a_listing_and_relative_to_the_argument() {
    let place = planted();
    let line = |name: &str, bytes: &[u8]| {
        let escaped = name
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r");
        let mark = if escaped == name { "" } else { "\\" };
        format!("{mark}{}  {escaped}\n", b3(bytes))
    };
    let mut names: Vec<&str> = ODD.to_vec();
    names.push("large");
    names.sort_unstable();
    let of = |prefix: &str| {
        let each = names.iter().map(|name| {
            let bytes = fs::read(place.root().join("t").join(name)).unwrap();
            line(&format!("{prefix}{name}"), &bytes)
        });
        each.collect::<String>()
    };
    let check = |typed: &str, expected: &str| {
        let ended = place.run(typed);
        assert_eq!(
            (ended.code, &*ended.stderr),
            (Some(0), ""),
            "{typed}: {ended:?}"
        );
        assert_eq!(ended.stdout, expected, "{typed}");
    };
    check("sum [ADDRESS]/t", &of(""));
    check("sum [ADDRESS]/t/", &of(""));
    check("sum [ADDRESS]", &of("t/"));
    check("HAUL_REMOTE=[ADDRESS]/t sum :", &of(""));
    check("sum [ADDRESS]/t/d", &line("\u{e4}\n", ODD[7].as_bytes()));
    check("sum [ADDRESS]/t/empty", "");
    let plain = line("plain", b"plain");
    check("sum [ADDRESS]/t/plain", &plain);
    check(
        "-v sum [ADDRESS]/t/plain [ADDRESS]/t/plain",
        &plain.repeat(2),
    );
    // What was recorded is not believed: the bytes are read.
    place.file("a", b"abc");
    place.says("put a [ADDRESS]/u/a", 0, "", "*");
    check("sum [ADDRESS]/u", &line("a", b"abc"));
}

#[test]
fn a_sum_that_cannot_be_had_stops_no_other() {
    let place = planted();
    let plain = format!("{}  plain\n", b3(b"plain"));
    let none = "haul: \"none\" is not there\n";
    place.says("sum [ADDRESS]/none [ADDRESS]/t/plain", 5, &plain, none);
    let link = "haul: \"t/link\" is not a regular file\n";
    place.says("sum [ADDRESS]/t/link [ADDRESS]/t/plain", 10, &plain, link);
    let mixed = "sum [ADDRESS]/none [ADDRESS]/t/link";
    place.says(mixed, 11, "", &format!("{none}{link}"));
    place.says("sum --checksum md5 [ADDRESS]", 2, "", "*md5*");
    place.says("sum", 2, "", "*<REMOTE>*");

    let odd = place.root().join(OsStr::from_bytes(b"t/d/\xff"));
    fs::write(odd, "x").unwrap();
    place.says(
        "sum [ADDRESS]/t/d",
        0,
        "*",
        "not listed: 1 name that cannot be sent\n",
    );
}

#[test]
fn sum_tells_a_program_of_entries_with_their_checksums() {
    let place = planted();
    for (flag, algorithm) in [("", "blake3"), ("--checksum sha256 ", "sha256")] {
        let ended = place.run(&format!(
            "sum --json {flag}[ADDRESS]/t/two\nlines [ADDRESS]/none"
        ));
        assert_eq!(ended.code, Some(5));
        let read = objects(&ended.stdout);
        assert_eq!(read.len(), 3, "{read:?}");
        let seen = ["event", "path", "size"].map(|key| &*read[0][key]);
        assert_eq!(seen, ["entry", "t/two\nlines", "9"]);
        let (name, hex) = read[0]["checksum"].split_once(':').unwrap();
        assert_eq!((name, hex.len()), (algorithm, 64));
        assert_eq!((&*read[1]["event"], &*read[1]["code"]), ("error", "5"));
        let seen = ["event", "files", "failed"].map(|key| &*read[2][key]);
        assert_eq!(seen, ["done", "1", "1"]);
    }
}

#[test]
fn a_full_disk_behind_the_sums_is_an_error() {
    let place = planted();
    for line in ["sum [ADDRESS]", "stat [ADDRESS]/t"] {
        let mut full = place.haul(line);
        full.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
        let ended = Running::start(full).finish();
        assert_eq!(ended.code, Some(10), "{line}: {ended:?}");
    }
}

/// A file as a server lists it, with a name of 200 bytes.
fn listed(n: usize) -> Entry {
    Entry {
        version: Some(Version([1; 16])),
        ..entry(&format!("{n:0200}"), b"x")
    }
}

/// What was told of one file.
type Told = (RemotePath, Result<Checksum, Code>);

/// Has a server that follows `script` sum its root up, and says what came of it.
fn sums(
    secrecy: Secrecy,
    algorithm: Algorithm,
    script: impl FnOnce(&mut Raw) + Send + 'static,
) -> (Outcome, Vec<Told>) {
    let mut heard = Vec::new();
    let outcome = facing(secrecy, patient(), script, |client| Outcome {
        result: client
            .sum(None, algorithm, |entry, sum| {
                heard.push((entry.path, sum.map_err(|error: Error| error.code())));
            })
            .map(|_: Listing| haul::client::Summary::default()),
        events: Vec::new(),
    });
    (outcome, heard)
}

fn hear_sum(raw: &mut Raw) -> Sum {
    match raw.hear_message() {
        Message::Sum(sum) => sum,
        other => panic!("{other:?}"),
    }
}

fn sums_are_asked_ahead_and_one_that_fails_stops_no_other(secrecy: Secrecy) {
    // What fits into 12 KiB, a request being its path and 64 bytes.
    const AHEAD: usize = (12 << 10) / 264;
    const FILES: usize = 2 * AHEAD;
    let (outcome, heard) = sums(secrecy, Algorithm::Blake3, |raw| {
        let request = raw.hear_list();
        raw.say(&page(request, (0..FILES).map(listed).collect()));
        let mut asked: Vec<Sum> = (0..AHEAD).map(|_| hear_sum(raw)).collect();
        for n in 0..FILES {
            let request = asked[n].request;
            if n == 3 {
                raw.say(&Fail::request(request, Code::NotFound, "gone"));
            } else {
                let checksum = raw::sum(&n.to_be_bytes());
                raw.say(&SumIs { request, checksum });
            }
            if asked.len() < FILES {
                asked.push(hear_sum(raw));
            }
        }
    });
    outcome.is_fine();
    let expected: Vec<_> = (0..FILES)
        .map(|n| {
            let sum = raw::sum(&n.to_be_bytes());
            let sum = if n == 3 { Err(Code::NotFound) } else { Ok(sum) };
            (listed(n).path, sum)
        })
        .collect();
    assert_eq!(heard, expected);
}

fn a_server_that_answers_with_something_else_is_not_believed(secrecy: Secrecy) {
    for (case, algorithm, more) in [
        ("another request", Algorithm::Blake3, 1),
        ("another algorithm", Algorithm::Sha256, 0),
    ] {
        let (outcome, heard) = sums(secrecy, algorithm, move |raw| {
            let request = raw.hear_list();
            raw.say(&page(request, vec![listed(0)]));
            let request = hear_sum(raw).request + more;
            raw.say(&SumIs {
                request,
                checksum: raw::sum(b"x"),
            });
        });
        assert_eq!(outcome.code(), 9, "{case}: {outcome:?}");
        assert_eq!(heard, [], "{case}");
    }
    let (outcome, _) = sums(secrecy, Algorithm::Blake3, |raw| {
        let request = raw.hear_list();
        raw.say(&page(request, vec![entry("unversioned", b"x")]));
    });
    assert_eq!(outcome.code(), 9, "{outcome:?}");
    let beneath = || Entry {
        path: remote(&format!("{:0200}/x", 0)),
        ..listed(0)
    };
    for entries in [
        vec![],
        vec![listed(1)],
        vec![beneath()],
        vec![listed(0), beneath()],
    ] {
        let outcome = facing(
            secrecy,
            patient(),
            |raw| {
                let request = raw.hear_list();
                raw.say(&page(request, entries));
            },
            |client| Outcome {
                result: client
                    .stat(Some(&remote(&format!("{:0200}", 0))))
                    .map(|_| haul::client::Summary::default()),
                events: Vec::new(),
            },
        );
        assert_eq!(outcome.code(), 9, "{outcome:?}");
    }
}
