//! `haul serve --audit`: a line for each request, whole and in the right file, or nothing done.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::objects::{Object, objects};
use crate::person::{Person, chmod, mode};
use crate::program::{Ended, Running, as_given};

/// A server that records what is done, its owner, and somebody else.
struct Recorded {
    owner: Person,
    guest: Person,
    server: Running,
    address: String,
    print: String,
}

impl Recorded {
    fn new(flags: &str) -> Self {
        let owner = Person::new();
        let line = format!("serve --json --listen 127.0.0.1:0 --audit ../audit {flags} served");
        let command = owner.command(&line.replace("  ", " "));
        Self::of(command, owner)
    }

    fn of(command: Command, owner: Person) -> Self {
        let guest = Person::new();
        for person in [&owner, &guest] {
            fs::write(person.root().join("a"), b"abc").unwrap();
            fs::create_dir_all(person.root().join("tree/in")).unwrap();
            fs::write(person.root().join("tree/in/b"), b"de").unwrap();
        }
        fs::create_dir_all(owner.root().join("served/box")).unwrap();
        let server = Running::start(command);
        let ready = server.line();
        assert!(!ready.is_empty(), "{:?}", server.finish());
        let told = objects(&ready);
        Self {
            address: told[0]["address"].clone(),
            print: told[0]["fingerprint"].clone(),
            owner,
            guest,
            server,
        }
    }

    fn path(&self) -> PathBuf {
        self.owner.root().join("../audit")
    }

    fn lines(&self) -> Vec<Object> {
        objects(&fs::read_to_string(self.path()).unwrap())
    }

    #[track_caller]
    fn does(&self, who: &Person, line: &str, code: i32) -> Ended {
        let ended = who.run(&line.replace("AT", &self.address));
        assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
        ended
    }

    #[track_caller]
    fn guest_is_known(&self) {
        let mut trust = self.guest.command("trust");
        trust.args([&self.address, &self.print]);
        assert_eq!(Running::start(trust).finish().code, Some(0));
        let line = "authorize --name anna --root served --under box --read --write";
        let mut authorize = self.owner.command(line);
        authorize.arg(key(&self.guest));
        assert_eq!(Running::start(authorize).finish().code, Some(0));
    }
}

fn key(person: &Person) -> String {
    let printed = person.run("key").stdout;
    printed.lines().next().unwrap().to_owned()
}

fn fingerprint(person: &Person) -> String {
    let printed = person.run("key").stdout;
    printed.lines().nth(1).unwrap().to_owned()
}

/// What a line says, without what differs from run to run.
fn gist(line: &Object) -> String {
    let to = line.get("to").map(|to| format!(" to {to}"));
    format!(
        "{} {} {}{} {} {}",
        line["name"],
        line["request"],
        line["path"],
        to.unwrap_or_default(),
        line["bytes"],
        line["result"]
    )
}

#[test]
fn every_request_has_its_line_with_who_what_and_what_came_of_it() {
    let recorded = Recorded::new("");
    let Recorded { owner, guest, .. } = &recorded;
    let mut trust = guest.command("trust");
    trust.args([&recorded.address, &recorded.print]);
    assert_eq!(Running::start(trust).finish().code, Some(0));
    recorded.does(guest, "ls AT", 4);
    recorded.guest_is_known();
    for (who, line, code) in [
        (owner, "put tree AT", 0),
        (owner, "put -n a AT", 0),
        (owner, "ls AT/tree", 0),
        (owner, "get AT/tree/in/b back", 0),
        (owner, "sum AT/tree/in/b", 0),
        (owner, "mkdir AT/k", 0),
        (owner, "mv AT/k AT/l", 0),
        (owner, "rm AT/l", 0),
        (owner, "rm AT/none", 5),
        (guest, "put a AT", 0),
        (guest, "ls AT", 0),
        (guest, "rm AT/a", 4),
        (guest, "put --overwrite tree/in/b AT/a", 4),
    ] {
        recorded.does(who, line, code);
    }
    let lines = recorded.lines();
    let gists: Vec<String> = lines.iter().map(gist).collect();
    let expected = [
        "null open null null 4",
        "null offer tree/in/b 2 0",
        "null commit tree/in/b 2 0",
        "null end tree/in null 0",
        "null end tree null 0",
        "null offer a 3 0",
        "null list tree null 0",
        "null list tree/in/b null 0",
        "null fetch tree/in/b 2 0",
        "null list tree/in/b null 0",
        "null sum tree/in/b 2 0",
        "null mkdir k null 0",
        "null rename k to l null 0",
        "null remove l null 0",
        "null remove none null 5",
        "anna offer box/a 3 0",
        "anna commit box/a 3 0",
        "anna list box null 0",
        "anna remove box/a null 4",
        "anna offer box/a 2 4",
    ];
    assert_eq!(gists, expected);
    let (ours, theirs) = (fingerprint(owner), fingerprint(guest));
    for line in &lines {
        let is_guest = line["name"] == "anna" || line["request"] == "open";
        let expected = if is_guest { &theirs } else { &ours };
        assert_eq!(&line["fingerprint"], expected, "{line:?}");
        assert!(line["peer"].starts_with("127.0.0.1:"), "{line:?}");
        assert!(line["time"].starts_with("20") && line["time"].ends_with('Z'));
        let seconds: f64 = line["seconds"].parse().unwrap();
        assert!((0.0..60.0).contains(&seconds), "{line:?}");
    }
    let sum = format!("blake3:{}", blake3::hash(b"de").to_hex());
    let proved: BTreeSet<_> = lines
        .iter()
        .filter(|line| line["checksum"] == sum)
        .map(gist)
        .collect();
    let expected = ["null commit tree/in/b 2 0", "null sum tree/in/b 2 0"];
    assert_eq!(proved, BTreeSet::from(expected.map(str::to_owned)));
    assert_eq!(mode(&recorded.path()), 0o600);
}

#[test]
fn names_cannot_forge_a_line_or_act_on_a_screen() {
    let recorded = Recorded::new("");
    let name = "x\",\"result\":0}\n{\u{1b}[2J\u{9b}\u{202e}";
    let mut command = recorded.owner.command("put a");
    command.arg(format!("{}/{name}", recorded.address));
    assert_eq!(Running::start(command).finish().code, Some(0));
    let text = fs::read_to_string(recorded.path()).unwrap();
    let is_plain = |c: char| c == '\n' || (' '..='~').contains(&c);
    assert!(text.chars().all(is_plain), "{text:?}");
    let paths: Vec<_> = recorded.lines().iter().map(|l| l["path"].clone()).collect();
    assert_eq!(paths, [name, name]);
}

#[test]
fn lines_of_many_connections_are_whole() {
    let recorded = Recorded::new("");
    let many = recorded.owner.root().join("many");
    fs::create_dir(&many).unwrap();
    for n in 0..2000 {
        fs::write(many.join(format!("{n}")), format!("{n}")).unwrap();
    }
    recorded.does(&recorded.owner, "put --connections 8 many AT", 0);
    let commits: Vec<String> = recorded
        .lines()
        .iter()
        .filter(|line| line["request"] == "commit" && line["result"] == "0")
        .map(|line| line["path"].clone())
        .collect();
    assert_eq!(commits.len(), 2000);
    assert_eq!(commits.into_iter().collect::<BTreeSet<_>>().len(), 2000);
}

#[test]
fn a_file_that_was_renamed_away_gets_a_successor_and_the_server_serves_on() {
    let recorded = Recorded::new("");
    recorded.does(&recorded.owner, "ls AT", 0);
    let kept = recorded.owner.root().join("../audit.1");
    fs::rename(recorded.path(), &kept).unwrap();
    recorded.does(&recorded.owner, "ls AT", 0);
    assert_eq!(fs::read_to_string(&kept).unwrap().lines().count(), 2);
    recorded.server.signal(Signal::HUP);
    // When a signal is heard is up to the system; until then the old file has the lines.
    let mut asked = 0;
    while !recorded.path().exists() {
        recorded.does(&recorded.owner, "ls AT", 0);
        asked += 1;
        assert!(asked < 1000, "the file was not opened anew");
    }
    recorded.does(&recorded.owner, "ls AT", 0);
    assert!(!recorded.lines().is_empty());
    assert_eq!(mode(&recorded.path()), 0o600);
    // Nor does it stop with the next one, nor with a second.
    recorded.server.signal(Signal::HUP);
    recorded.does(&recorded.owner, "ls AT", 0);
    recorded.server.signal(Signal::TERM);
    let ended = recorded.server.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("open anew"), "{ended:?}");
}

#[test]
fn what_cannot_be_recorded_is_refused_until_it_can_be() {
    let owner = Person::new();
    let typed = owner.command("serve --json --listen 127.0.0.1:0 --audit ../audit served");
    // As a full disk would: no file may be longer than this, and nobody dies of it.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
    command.arg(typed.get_program()).args(typed.get_args());
    command.current_dir(owner.root());
    as_given(&typed, &mut command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let recorded = Recorded::of(command, owner);
    let mut listed = 0;
    let refused = loop {
        let ended = recorded.owner.run(&format!("ls {}", recorded.address));
        if ended.code != Some(0) {
            break ended;
        }
        listed += 1;
        assert!(listed < 100, "the file has no end");
    };
    assert_eq!(refused.code, Some(10), "{refused:?}");
    assert!(listed > 1, "{refused:?}");
    for (line, why) in [
        ("ls AT", "cannot be recorded"),
        ("put a AT", "cannot store it"),
        ("mkdir AT/d", "cannot be recorded"),
        ("get AT/box x", "cannot be recorded"),
    ] {
        let ended = recorded.does(&recorded.owner, line, 10);
        assert!(ended.stderr.contains(why), "{line}: {ended:?}");
    }
    let served = recorded.owner.root().join("served");
    assert_eq!(fs::read_dir(&served).unwrap().count(), 1);
    // Room is made by keeping what is there elsewhere; a line that broke off is whole then.
    let kept = recorded.owner.root().join("../audit.1");
    fs::rename(recorded.path(), &kept).unwrap();
    recorded.server.signal(Signal::HUP);
    let mut asked = 0;
    while recorded
        .owner
        .run(&format!("put a {}", recorded.address))
        .code
        != Some(0)
    {
        asked += 1;
        assert!(asked < 1000, "it does not recover");
    }
    assert_eq!(fs::read(served.join("a")).unwrap(), b"abc");
    let gists: Vec<String> = recorded.lines().iter().map(gist).collect();
    assert_eq!(gists[0], "null list null null 0", "{gists:?}");
    assert!(gists.contains(&"null commit a 3 0".to_owned()), "{gists:?}");
    let whole = fs::read_to_string(&kept).unwrap();
    let (whole, _cut) = whole.rsplit_once('\n').unwrap();
    assert_eq!(objects(whole).len(), listed);
    recorded.server.signal(Signal::TERM);
    let said = recorded.server.finish().stderr;
    for words in [
        "nothing is done while it cannot be recorded",
        "recorded again",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_file_that_others_could_change_or_see_is_not_written_to() {
    let person = Person::new();
    let at = |name: &str| person.root().join(name);
    for name in ["served", "directory"] {
        fs::create_dir(at(name)).unwrap();
    }
    for (name, bits) in [("open", 0o666), ("group", 0o620), ("fine", 0o640)] {
        fs::write(at(name), "").unwrap();
        chmod(&at(name), bits);
    }
    symlink("fine", at("link")).unwrap();
    fs::hard_link(at("fine"), at("second")).unwrap();
    for (file, code, why) in [
        ("open", 2, "others may change it"),
        ("group", 2, "others may change it"),
        ("link", 2, "symbolic link"),
        ("second", 2, "another name too"),
        ("directory", 2, "not a regular file"),
        ("/dev/full", 2, "not a regular file"),
        ("none/audit", 10, "cannot open"),
    ] {
        let line = format!("serve --listen 127.0.0.1:0 --audit {file} served");
        person.fails(&line, code, why);
    }
    let line = "serve --listen 127.0.0.1:0 --anonymous read --audit served/log served";
    person.fails(line, 2, "cannot be served to others");
    assert!(!at("served/log").exists());
}

#[test]
fn the_owner_s_own_record_is_hidden_where_it_lies_in_what_is_served() {
    let recorded = Recorded::new("");
    let inside = Recorded::of(
        recorded
            .owner
            .command("serve --json --listen 127.0.0.1:0 --audit tree/in/log tree"),
        Person::new(),
    );
    let ended = recorded.does(&recorded.owner, "ls AT", 0);
    assert_eq!(ended.stdout, "box/\n");
    let listed = recorded.owner.run(&format!("ls -R {}", inside.address));
    assert_eq!(listed.stdout, "in/\nin/b\n");
    assert!(
        !fs::read(recorded.owner.root().join("tree/in/log"))
            .unwrap()
            .is_empty()
    );
}
