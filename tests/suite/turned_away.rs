//! Who does not come in, or may not do something, and how little they learn of why.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;

use crate::encrypted_program::{Two, is, key};
use crate::person::{Person, chmod};
use crate::program::Running;
use crate::relay::Relay;
use crate::rig::visible;

/// What the guest might try.
const LINES: [&str; 7] = [
    "put a AT",
    "get AT/there back",
    "ls AT",
    "sum AT/there",
    "mkdir AT/d",
    "mv AT/there AT/x",
    "rm AT/there",
];

/// The fingerprint of somebody's key.
fn print(person: &Person) -> String {
    let printed = person.run("key").stdout;
    printed.lines().nth(1).unwrap().to_owned()
}

/// Writes what the owner's access file says of the guest, a line for each text.
fn says(two: &Two, texts: &[&str]) {
    let root = two.served("").canonicalize().unwrap();
    let line = |text: &&str| {
        let text = text.replace("ROOT", root.to_str().unwrap());
        text.replace("KEY", &key(&two.guest)) + "\n"
    };
    let lines: String = texts.iter().map(line).collect();
    two.owner.edits("access", &lines);
}

/// Notes on the owner's machine what time it was there once.
fn saw(two: &Two, moment: &str) {
    let seen = two.owner.state().join("latest_time");
    let directory = seen.parent().unwrap();
    fs::create_dir_all(directory).unwrap();
    chmod(directory, 0o700);
    fs::write(&seen, moment).unwrap();
    chmod(&seen, 0o600);
}

/// A server with a file `there`, and a guest who knows it.
fn two() -> Two {
    let two = Two::met("");
    fs::write(two.served("there"), b"there").unwrap();
    two.guest_trusts();
    two
}

/// Whatever the guest tries, they are told the same, and nothing has happened.
#[track_caller]
fn is_turned_away(two: &Two, case: &str) {
    for line in LINES {
        let ended = two.guest_is(line, 4, "this key is not admitted here");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let told = format!(
            "haul: this key is not admitted here: where it is served, haul authorize {} --root \
             DIR --read admits this key, with --write, --replace or --delete to do more\n",
            print(&two.guest)
        );
        assert_eq!(said, told, "{case}: {line}");
    }
    assert_eq!(fs::read(two.served("there")).unwrap(), b"there", "{case}");
    assert_eq!(fs::read_dir(two.served("")).unwrap().count(), 1, "{case}");
}

#[test]
fn whoever_is_not_admitted_hears_the_same_whatever_the_reason() {
    let (two, all) = (two(), "KEY root=ROOT rights=read,write,replace,delete");
    is_turned_away(&two, "an unknown key");

    says(&two, &[all]);
    two.guest_is("ls AT", 0, "there\n");
    let line = format!("revoke {}", key(&two.guest));
    is(two.owner.run(&line), &line, 0, "may no longer");
    is_turned_away(&two, "a key that was revoked");

    let with = |more: &str| format!("{all} {more}");
    for (case, lines) in [
        ("for another root", vec!["KEY root=/ rights=read,write"]),
        ("for a root beneath", vec!["KEY root=ROOT/d rights=read"]),
        ("expired", vec![&*with("expires=2001-01-01")]),
        ("a line that is broken", vec![&*with("once")]),
        (
            "lines that contradict each other",
            vec![all, "KEY root=ROOT rights=read"],
        ),
    ] {
        says(&two, &lines);
        is_turned_away(&two, case);
    }

    says(&two, &[all]);
    chmod(&two.owner.file("access"), 0o666);
    is_turned_away(&two, "a file that others can change");
    says(&two, &[all]);
    two.guest_is("ls AT", 0, "there\n");
}

#[test]
fn a_clock_that_is_set_back_brings_no_key_to_life_again() {
    let two = two();
    // Now it is earlier than it was: of the two that it has been, the later one counts.
    saw(&two, "9000-01-01T00:00:00Z\n");
    says(&two, &["KEY root=ROOT rights=read expires=8999-12-31"]);
    is_turned_away(&two, "expired by the latest time");
    says(&two, &["KEY root=ROOT rights=read expires=9001-12-31"]);
    two.guest_is("ls AT", 0, "there\n");
}

#[test]
fn where_the_latest_time_cannot_be_told_nobody_is_admitted_for_a_time() {
    let two = two();
    saw(&two, "yesterday\n");
    says(&two, &["KEY root=ROOT rights=read expires=9001-12-31"]);
    is_turned_away(&two, "no telling what has expired");
    says(&two, &["KEY root=ROOT rights=read"]);
    two.guest_is("ls AT", 0, "there\n");
}

#[test]
fn a_right_that_is_missing_is_missed_by_what_needs_it_and_nothing_else() {
    let two = two();
    let put_back = || {
        for name in visible(&two.served("")) {
            let path = two.served(&name);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        fs::write(two.served("there"), b"there").unwrap();
        let _ = fs::remove_dir_all(two.guest.root().join("back"));
    };
    for (rights, allowed) in [
        ("read", &["get AT/there back", "ls AT", "sum AT/there"][..]),
        ("write", &["put a AT", "mkdir AT/d"]),
        ("delete", &["rm AT/there"]),
        // A drop box: to replace or to remove would tell what was there.
        ("write,replace,delete", &["put a AT", "mkdir AT/d"]),
        (
            "read,write,delete",
            &[
                "get AT/there back",
                "ls AT",
                "sum AT/there",
                "put a AT",
                "mkdir AT/d",
                "mv AT/there AT/x",
                "rm AT/there",
            ],
        ),
        (
            "read,write,replace",
            &[
                "get AT/there back",
                "ls AT",
                "sum AT/there",
                "put a AT",
                "mkdir AT/d",
                "put --overwrite a AT/there",
            ],
        ),
    ] {
        says(&two, &[&format!("KEY root=ROOT rights={rights}")]);
        for line in LINES.iter().chain(&["put --overwrite a AT/there"]) {
            put_back();
            if allowed.contains(line) {
                two.guest_is(line, 0, "");
                continue;
            }
            let why = if rights == "read,write,delete" {
                // It may write, and what it was asked for is named.
                "haul: there: not allowed to replace here\n"
            } else {
                "not allowed to"
            };
            two.guest_is(line, 4, why);
            assert_eq!(
                fs::read(two.served("there")).unwrap(),
                b"there",
                "{rights}: {line}"
            );
            let names = visible(&two.served(""));
            assert_eq!(names, ["there"], "{rights}: {line}");
        }
    }
}

#[test]
fn no_body_leaves_before_the_server_has_said_that_it_takes_it() {
    let two = two();
    let relay = Relay::to(&two.address);
    let mut trust = two.guest.command("trust");
    trust.args([&relay.address, &two.print]);
    is(Running::start(trust).finish(), "trust", 0, "is known by");
    let big = two.guest.root().join("big");
    fs::File::create(&big).unwrap().set_len(64 << 20).unwrap();
    let puts = |name: &str| {
        let line = format!("put big {}/{name}", relay.address);
        Running::start(two.guest.command(&line)).finish()
    };
    let begin = relay.sent();
    is(puts("x"), "without a key", 4, "not admitted");
    says(&two, &["KEY root=ROOT rights=read"]);
    is(puts("x"), "without the right", 4, "not allowed to put");
    says(&two, &["KEY root=ROOT rights=read,write"]);
    is(puts("there"), "over another file", 6, "there");
    let sent = relay.sent() - begin;
    assert!(sent < 64 << 10, "{sent} bytes were sent for nothing");
    is(puts("x"), "where it is taken", 0, "1 stored");
    assert!(relay.sent() - begin > 64 << 20);
}

#[test]
fn a_server_that_hangs_up_is_a_lost_connection_and_said_in_plain_words() {
    let person = Person::new();
    for said in [&b""[..], b"\x16\x03\x03\0\x7a\x02"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = format!("ls {}", listener.local_addr().unwrap());
        let hangs_up = thread::Builder::new().spawn(move || {
            let mut client = listener.accept().unwrap().0;
            client.write_all(said).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let _ = client.read_to_end(&mut Vec::new());
        });
        person.fails(
            &line,
            3,
            "broke off: the other side closed the connection\n",
        );
        hangs_up.unwrap().join().unwrap();
    }
}
