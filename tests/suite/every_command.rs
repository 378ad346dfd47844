//! Every command in one table: what it says on a pipe, on a terminal and to a program, and
//! what it exits with, where all is well and where it is not.
//!
//! Each row is run in a place of its own, as what a command changes would be there for the
//! next: the server has `a/f` and `h`, where it is typed there is a file `new`, and whoever
//! types it has authorized `anna` and knows the server `nas`.

use std::fs;

use rustix::process::Signal;

use crate::objects::objects;
use crate::person::{PRINT, chmod};
use crate::place::{Place, is_like};
use crate::program::{Ended, Running, haul};

/// A typed line and what comes of it. `*` stands for anything, `[ADDRESS]` for the server.
struct Row {
    line: &'static str,
    code: i32,
    /// Standard output on a pipe: data and nothing else.
    out: &'static str,
    /// Standard error on a pipe, which is also the end of what a terminal shows.
    err: &'static str,
    /// What a program reads with `--json`: the members of each line that are named here.
    json: &'static str,
}

const SUM: &str = "876c0a823bb435aa1f57d940cad3511c80e58d383c06abce3dba217875557e3d";

/// The members of an event that the table shows, in this order.
const MEMBERS: [&str; 8] = [
    "event", "path", "kind", "size", "status", "code", "files", "failed",
];

#[rustfmt::skip]
const TABLE: [Row; 40] = [
    // put
    Row { line: "put new [ADDRESS]/d/", code: 0,
          out: "",
          err: "put 1 file, 3 B, * s: 1 stored; verified and durable on [ADDRESS]\n",
          json: "file d/new 3 stored null | done 1 0" },
    Row { line: "put new [ADDRESS]/a", code: 6,
          out: "",
          err: "haul: a: something of another kind *\nif a is a directory there, a/ is into it\n\
                put 0 files, 0 B, * s: 1 failed; left 1 as they are: *\n",
          json: "file a null failed 6 | done 0 1" },
    Row { line: "put -n . [ADDRESS]/a", code: 0,
          out: "would store a/new\n",
          err: "would put 1 file, 3 B, * s: 1 to move; nothing was done\n",
          json: "entry a directory would-skip | file a/new 3 would-store null | done 1 0" },
    // get
    Row { line: "get [ADDRESS]/a", code: 0,
          out: "",
          err: "get 1 file, 3 B, * s: 1 fetched; verified and durable in .\n",
          json: "file a/f 3 fetched null | entry a directory fetched | done 1 0" },
    Row { line: "get [ADDRESS]/none", code: 5,
          out: "",
          err: "haul: \"none\" is not there\nget 0 files, 0 B, * s: 1 failed\n",
          json: "file none null failed 5 | done 0 1" },
    // ls
    Row { line: "ls -R [ADDRESS]", code: 0,
          out: "a/\na/f\nh\n",
          err: "",
          json: "entry a directory null | entry a/f file 3 | entry h file 1 | done 2 0" },
    Row { line: "ls [ADDRESS]/none", code: 5,
          out: "",
          err: "haul: \"none\" is not there\n",
          json: "error 5 | done 0 0" },
    // stat
    Row { line: "stat [ADDRESS]/h", code: 0,
          out: "path: h\nkind: file\nsize: 1\nmode: 0*\nmtime: 20*Z\n",
          err: "",
          json: "entry h file 1 | done 1 0" },
    Row { line: "stat [ADDRESS]/none", code: 5,
          out: "",
          err: "haul: \"none\" is not there\n",
          json: "error 5 | done 0 1" },
    // rm
    Row { line: "rm [ADDRESS]/a/f [ADDRESS]/a", code: 0,
          out: "", err: "", json: "done 0 0" },
    Row { line: "rm [ADDRESS]/a", code: 2,
          out: "",
          err: "haul: \"a\" is a directory that is not empty: rm -r removes it with all that is in it\n",
          json: "error 2 | done 0 1" },
    // mv
    Row { line: "mv [ADDRESS]/h [ADDRESS]/a/", code: 0,
          out: "", err: "", json: "done 0 0" },
    Row { line: "mv [ADDRESS]/h [ADDRESS]/a/f", code: 6,
          out: "",
          err: "haul: \"a/f\" exists\nif a/f is a directory there, a/f/ is into it\n",
          json: "error 6 | done 0 1" },
    // mkdir
    Row { line: "mkdir -p [ADDRESS]/b/c", code: 0,
          out: "", err: "", json: "done 0 0" },
    Row { line: "mkdir [ADDRESS]/b/c", code: 5,
          out: "",
          err: "haul: \"b\" is not there\n",
          json: "error 5 | done 0 1" },
    // sum
    Row { line: "sum [ADDRESS]/a", code: 0,
          out: "[SUM]  f\n",
          err: "",
          json: "entry a/f file 3 | done 1 0" },
    Row { line: "sum [ADDRESS]/none", code: 5,
          out: "",
          err: "haul: \"none\" is not there\n",
          json: "error 5 | done 0 1" },
    // verify
    Row { line: "verify [ADDRESS]/a", code: 0,
          out: "",
          err: "verified 1 file, 3 B, * s: 1 without a record\n",
          json: "file a/f 3 skipped null | done 1 0" },
    Row { line: "verify [ADDRESS]/none", code: 5,
          out: "",
          err: "haul: \"none\" is not there\n",
          json: "error 5 | done 0 1" },
    // key
    Row { line: "key", code: 0,
          out: "ssh-ed25519 AAAA*\nSHA256:*\n",
          err: "",
          json: "key | done 0 0" },
    Row { line: "key mine", code: 2,
          out: "",
          err: "error: unexpected argument 'mine' found\n*",
          json: "error 2 | done 0 0" },
    // authorize
    Row { line: "authorize --read [PRINT]", code: 0,
          out: "",
          err: "[PRINT] may read in */here\n",
          json: "grant holds | done 0 0" },
    Row { line: "authorize [PRINT]", code: 2,
          out: "",
          err: "haul: say what they may do: --read, --write, --replace, --delete, or several of them\n",
          json: "error 2 | done 0 0" },
    // invite
    Row { line: "invite --read --address nas", code: 0,
          out: "haul get haul://*.*.*@nas:4285/ .\n",
          err: "whoever has invitation * may read in */here, until 20*Z\n\
                haul revoke * ends that before\n",
          json: "invitation open | done 0 0" },
    Row { line: "invite --address nas", code: 2,
          out: "",
          err: "haul: say what they may do: --read, --write, --replace, --delete, or several of them\n",
          json: "error 2 | done 0 0" },
    // access
    Row { line: "access", code: 0,
          out: "anna ([PRINT]) may read in /a, until 2001-01-02T00:00:00Z (expired)\n",
          err: "",
          json: "grant expired | done 0 0" },
    Row { line: "access new", code: 2,
          out: "",
          err: "error: unexpected argument 'new' found\n*",
          json: "error 2 | done 0 0" },
    // revoke
    Row { line: "revoke anna", code: 0,
          out: "",
          err: "anna ([PRINT]) may no longer read in /a\n",
          json: "grant revoked | done 0 0" },
    Row { line: "revoke bob", code: 5,
          out: "",
          err: "haul: no key is called bob here, and no invitation has that name or id: haul access lists them\n",
          json: "error 5 | done 0 0" },
    // trust
    Row { line: "trust new-one [PRINT]", code: 0,
          out: "",
          err: "new-one:4285 is known by [PRINT] from now on\n",
          json: "host known | done 0 0" },
    Row { line: "trust nas SHA256:AoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs", code: 6,
          out: "",
          err: "haul: nas:4285 is known by [PRINT]: *haul forget comes first\n",
          json: "error 6 | done 0 0" },
    // forget
    Row { line: "forget nas", code: 0,
          out: "",
          err: "nas:4285 is not known any more\n",
          json: "host forgotten | done 0 0" },
    Row { line: "forget new-one", code: 5,
          out: "",
          err: "haul: new-one:4285 is not a server that is known here\n",
          json: "error 5 | done 0 0" },
    // demo
    Row { line: "demo new", code: 0,
          out: "same: 1 file\n",
          err: "serving * on haul://127.0.0.1:*\nput 1 file, *\nget 1 file, *\ncomparing *\n",
          json: "file new 3 stored null | file new 3 fetched null | done 2 0" },
    Row { line: "demo none", code: 10,
          out: "",
          err: "serving *\nhaul: cannot open none: *\nput 0 files, 0 B, * s: 1 failed\n",
          json: "file none null failed 10 | done 0 1" },
    // completions
    Row { line: "completions bash", code: 0,
          out: "_haul() {\n*complete -F _haul *\n*",
          err: "",
          json: "completions | done 0 0" },
    Row { line: "completions tcsh", code: 2,
          out: "",
          err: "error: invalid value 'tcsh' for '<SHELL>'*",
          json: "error 2 | done 0 0" },
    // man
    Row { line: "man rm", code: 0,
          out: "*.SH SYNOPSIS\nhaul rm [OPTIONS] <REMOTE>...\n*",
          err: "",
          json: "man | done 0 0" },
    Row { line: "man fetch", code: 2,
          out: "",
          err: "haul: fetch is no command: haul --help has them\n",
          json: "error 2 | done 0 0" },
    // and none
    Row { line: "fetch", code: 2,
          out: "",
          err: "error: unrecognized subcommand 'fetch'\n*",
          json: "error 2 | done 0 0" },
];

/// A place as the table expects it.
fn planted() -> Place {
    let place = Place::serving("");
    fs::create_dir(place.root().join("a")).unwrap();
    fs::write(place.root().join("a/f"), "a/f").unwrap();
    fs::write(place.root().join("h"), "h").unwrap();
    place.file("new", b"new");
    let theirs = place.home().join(".config/haul");
    fs::create_dir_all(&theirs).unwrap();
    chmod(&theirs, 0o700);
    for (name, line) in [
        (
            "access",
            "[PRINT] root=/a rights=read name=anna expires=2001-01-01\n",
        ),
        ("known_hosts", "nas:4285 [PRINT]\n"),
    ] {
        fs::write(theirs.join(name), line.replace("[PRINT]", PRINT)).unwrap();
        chmod(&theirs.join(name), 0o600);
    }
    place
}

fn meant(place: &Place, text: &str) -> String {
    place
        .meant(text)
        .replace("[SUM]", SUM)
        .replace("[PRINT]", PRINT)
}

/// What a terminal has on its lines in the end, without what only draws.
fn plain(screen: &str) -> String {
    let mut plain = String::new();
    let mut rest = screen;
    while let Some((before, escape)) = rest.split_once('\u{1b}') {
        plain += before;
        let end = escape.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        rest = &escape[end + 1..];
    }
    plain += rest;
    let lines = plain.split_inclusive('\n').map(|line| {
        let line = line.replace("\r\n", "\n");
        // What a bar has drawn is drawn over.
        line.rsplit('\r').next().unwrap_or_default().to_owned()
    });
    lines.collect()
}

/// The members of each event that the table shows.
fn events(text: &str) -> String {
    let told = |object: &crate::objects::Object| {
        let members = MEMBERS
            .iter()
            .filter_map(|name| object.get(*name).map(String::as_str));
        members.collect::<Vec<&str>>().join(" ")
    };
    objects(text)
        .iter()
        .map(told)
        .collect::<Vec<String>>()
        .join(" | ")
}

#[track_caller]
fn ends_like(ended: &Ended, row: &Row) {
    assert_eq!(ended.code, Some(row.code), "{}: {ended:?}", row.line);
}

#[test]
fn every_command_has_rows() {
    let help = Running::start(haul(".".as_ref(), ["--help"]))
        .finish()
        .stdout;
    let listed = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    for line in listed.lines() {
        let name = line.split_whitespace().next().unwrap();
        // A server does not end by itself, and has tests of its own below; a shell is led
        // line by line in those of its own.
        let is_elsewhere = ["serve", "shell", "help"].contains(&name);
        let rows = TABLE
            .iter()
            .filter(|row| row.line.split(' ').next() == Some(name));
        let (fine, wrong): (Vec<&Row>, Vec<&Row>) = rows.partition(|row| row.code == 0);
        assert!(
            is_elsewhere || !fine.is_empty() && !wrong.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn on_a_pipe_data_goes_to_standard_output_and_all_else_to_standard_error() {
    for row in TABLE {
        let place = planted();
        let (line, err) = (meant(&place, row.line), meant(&place, row.err));
        place.says(&line, row.code, &meant(&place, row.out), &err);
    }
}

#[test]
fn a_terminal_shows_the_same_with_the_sentence_last() {
    for row in TABLE {
        let place = planted();
        let ended =
            Running::on_screen(place.haul(&meant(&place, &format!("TERM=xterm {}", row.line))))
                .finish();
        ends_like(&ended, &row);
        let screen = plain(&ended.stdout);
        // A demo compares before it says that all is the same; others say last what it came to.
        let both = if row.line.starts_with("demo") {
            [row.err, row.out]
        } else {
            [row.out, row.err]
        };
        let pattern = format!("*{}", meant(&place, &both.concat()));
        assert!(
            is_like(&screen, &pattern),
            "{}: {screen:?}\n{pattern:?}",
            row.line
        );
    }
}

#[test]
fn a_program_reads_events_and_errors_stand_on_standard_error_too() {
    for row in TABLE {
        let place = planted();
        let ended = place.run(&meant(&place, &format!("--json {}", row.line)));
        ends_like(&ended, &row);
        assert_eq!(events(&ended.stdout), row.json, "{}: {ended:?}", row.line);
        let is_error = row.json.contains("error ");
        assert_eq!(ended.stderr.starts_with("haul: "), is_error, "{ended:?}");
        assert_eq!(
            ended.stderr.lines().count(),
            usize::from(is_error),
            "{ended:?}"
        );
    }
}

#[test]
fn a_quiet_command_says_only_data_and_errors() {
    for row in TABLE {
        let place = planted();
        let ended = place.run(&meant(&place, &format!("-q {}", row.line)));
        ends_like(&ended, &row);
        assert!(
            is_like(&ended.stdout, &meant(&place, row.out)),
            "{}: {ended:?}",
            row.line
        );
        let has_errors = ended.stderr.is_empty() == (row.code == 0);
        assert!(has_errors, "{}: {ended:?}", row.line);
    }
}

const READY: &str = "listening on haul://127.0.0.1:*\n";
const TOLD: &str = "serving *\nyou may read from this machine\nnobody else is admitted*\nthe server's key is SHA256:*\n";

/// Serves until it is told to stop, and returns what was said.
#[track_caller]
fn served(line: &str, start: impl FnOnce(std::process::Command) -> Running) -> Ended {
    let place = planted();
    fs::create_dir(place.here().join("t")).unwrap();
    let running = start(place.haul(line));
    let mut said = String::new();
    while !said.contains("listening") {
        said += &(running.line() + "\n");
    }
    running.signal(Signal::TERM);
    let mut ended = running.finish();
    ended.stdout.insert_str(0, &said);
    assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
    ended
}

#[test]
fn a_server_prints_where_it_listens_and_tells_the_rest_beside() {
    let line = "serve --read-only --listen 127.0.0.1:0 t";
    let ended = served(line, Running::start);
    assert!(is_like(&ended.stdout, READY), "{ended:?}");
    assert!(is_like(&ended.stderr, TOLD), "{ended:?}");

    let ended = served(&format!("TERM=xterm {line}"), Running::on_screen);
    let screen = plain(&ended.stdout);
    assert!(is_like(&screen, &format!("{TOLD}{READY}")), "{screen:?}");

    let ended = served(&format!("--json {line}"), Running::start);
    let told = objects(&ended.stdout);
    let [ready] = told.as_slice() else {
        panic!("{ended:?}")
    };
    assert_eq!(ready["event"], "listening");
    assert!(ready["fingerprint"].starts_with("SHA256:"), "{ended:?}");
    assert!(ready["address"].starts_with("127.0.0.1:"), "{ended:?}");
}

#[test]
fn a_server_that_cannot_begin_says_why() {
    let place = planted();
    for (line, code, why) in [
        ("serve none", 10, "haul: cannot open none: *\n"),
        (
            "serve --listen [ADDRESS]",
            2,
            "haul: cannot listen on [ADDRESS]*\n",
        ),
        (
            "serve --listen 0.0.0.0:0",
            2,
            "haul: 0.0.0.0:0 can be reached by others, and none of them is admitted*\n",
        ),
        (
            "serve --plaintext --listen 0.0.0.0:0",
            2,
            "haul: 0.0.0.0:0 is not a loopback address*--trust-network\n",
        ),
        (
            "serve --listen 127.0.0.1:0 ../root",
            2,
            "haul: ../root is served already *\n",
        ),
    ] {
        place.says(line, code, "", why);
        let ended = place.run(&format!("--json {line}"));
        assert_eq!(
            events(&ended.stdout),
            format!("error {code} | done 0 0"),
            "{ended:?}"
        );
    }
}
