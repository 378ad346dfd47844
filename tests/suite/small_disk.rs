//! A disk that has room for little: what is taken, what is refused, and what goes for it.
//!
//! The disk is one of a few MiB in memory, which takes a mount of one's own: where the system
//! allows none, that is said, and nothing is tried.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use haul::code::Code;
use haul::offer::{Reason, TransferId, Verdict};
use haul::wire::Message;
use rustix::process::Signal;

use crate::place::Place;
use crate::program::{Ended, Running, wrapped};
use crate::putting::X;
use crate::raw::{Heard, Raw, block, offer, offered, transfer};
use crate::rig::noise;
use crate::secrecy::{Keys, Secrecy};
use crate::unharmed::eventually;

const MIB: usize = 1 << 20;

/// A place whose server has a disk of 8 MiB.
fn small(flags: &str) -> Option<Place> {
    Place::on_a_disk_of(8, &format!("--plaintext {flags}"))
}

/// What the server sees as its root.
fn root(place: &Place) -> PathBuf {
    let seen = format!("/proc/{}/root", place.server.running.id());
    PathBuf::from(seen + place.root().to_str().unwrap())
}

fn partials(place: &Place) -> usize {
    let files = fs::read_dir(root(place).join(".haul/partial"));
    files.map_or(0, Iterator::count) / 2
}

fn open(place: &Place) -> Raw {
    let socket = TcpStream::connect(&place.server.address).unwrap();
    let raw = Raw::over(socket, &Keys::of(Secrecy::Plain));
    raw.begin().expect("a welcome")
}

/// Offers so many bytes under a name, and says what came of it.
fn offers(raw: &mut Raw, id: TransferId, name: &str, len: usize) -> Verdict {
    raw.say(&offer(id, vec![offered(X, name, &noise(len))]));
    match raw.hear() {
        Heard::Message(Message::Want(mut want)) => want.verdicts.remove(0).verdict,
        other => panic!("no answer but {other:?}"),
    }
}

/// Leaves a file of `len` bytes behind, of which half has come.
fn breaks_off(place: &Place, name: &str, len: usize) {
    let (mut raw, id) = (open(place), transfer());
    let before = partials(place);
    let verdict = offers(&mut raw, id, name, len);
    assert!(matches!(verdict, Verdict::Send(Some(_))), "{verdict:?}");
    let bytes = noise(len);
    for index in 0..len as u64 / 2048 {
        let (header, body) = block(id, X, &bytes, index);
        raw.send_block(&header, &body);
    }
    raw.is_answered("it was read");
    drop(raw);
    eventually("it is kept", || partials(place) == before + 1);
}

#[track_caller]
fn finds_no_space(raw: &mut Raw, path: &str, len: usize) {
    let verdict = offers(raw, transfer(), path, len);
    let Verdict::Refused(Code::Limit, Reason::Space(Some(free))) = verdict else {
        panic!("{path}: {verdict:?}");
    };
    assert!(free < len as u64, "{path}: {free} bytes are left");
}

#[test]
fn an_offer_that_would_leave_less_free_than_was_said_is_refused() {
    let Some(place) = small("--min-free 3MiB") else {
        return;
    };
    place.file("a", &noise(4 * MIB));
    place.file("b", &noise(2 * MIB));
    place.file("c", &noise(MIB / 2));
    place.says("--plaintext put a [ADDRESS]", 0, "", "*1 stored*");
    let line = "--plaintext put b c [ADDRESS]/";
    place.says(
        line,
        8,
        "",
        "haul: b: there is no space for it on the server: * bytes are left\n*1 stored*",
    );
    let log = root(&place);
    assert!(!log.join("b").exists() && log.join("c").exists());
    place.says("--plaintext put a [ADDRESS]", 0, "", "*1 unchanged*");
}

#[test]
fn without_a_word_a_disk_is_filled_and_no_further() {
    let Some(place) = small("") else {
        return;
    };
    place.file("a", &noise(7 * MIB));
    place.file("b", &noise(2 * MIB));
    place.says("--plaintext put a [ADDRESS]", 0, "", "*1 stored*");
    let why = "haul: b: there is no space for it on the server: * bytes are left\n*1 failed*";
    place.says("--plaintext put b [ADDRESS]", 8, "", why);
    place.says("--plaintext rm [ADDRESS]/a", 0, "", "");
    place.says("--plaintext put b [ADDRESS]", 0, "", "*1 stored*");
}

#[test]
fn what_one_was_promised_nobody_else_is_until_its_last_connection_ends() {
    let Some(place) = small("") else {
        return;
    };
    let (mut first, mut second) = (open(&place), open(&place));
    let id = transfer();
    let taken = offers(&mut first, id, "a", 5 * MIB);
    assert!(matches!(taken, Verdict::Send(_)), "{taken:?}");
    finds_no_space(&mut second, "b", 5 * MIB);
    drop(first);
    eventually("it is given back", || {
        let mut third = open(&place);
        matches!(
            offers(&mut third, transfer(), "b", 5 * MIB),
            Verdict::Send(_)
        )
    });
}

#[test]
fn what_was_broken_off_the_longest_ago_goes_first_and_serve_says_so() {
    let Some(mut place) = small("--min-free 1MiB") else {
        return;
    };
    // Half of each is on the disk: 3.5 MiB of 8.
    for name in ["oldest", "older", "late"] {
        breaks_off(&place, name, 2 * MIB + MIB / 3);
    }
    let mut raw = open(&place);
    // More than would be free if all went: nothing is lost for it.
    finds_no_space(&mut raw, "vast", 8 * MIB);
    assert_eq!(partials(&place), 3);
    place.file("new", &noise(5 * MIB));
    place.says("--plaintext put new [ADDRESS]", 0, "", "*1 stored*");
    assert_eq!(partials(&place), 1);
    place.says("--plaintext rm [ADDRESS]/new", 0, "", "");
    let verdict = offers(&mut raw, transfer(), "late", 2 * MIB + MIB / 3);
    assert!(matches!(verdict, Verdict::Partly(_)), "{verdict:?}");
    drop(raw);
    place.server.running.signal(Signal::TERM);
    let ended = finish(&mut place);
    let told = "swept the oldest uploads that were broken off, to make room files=2 bytes=";
    assert!(ended.contains(told), "{ended}");
}

#[test]
fn what_is_received_now_never_goes_for_somebody_else() {
    let Some(place) = small("") else {
        return;
    };
    let (mut raw, id) = (open(&place), transfer());
    offers(&mut raw, id, "a", 5 * MIB);
    let (header, body) = block(id, X, &noise(5 * MIB), 0);
    raw.send_block(&header, &body);
    raw.is_answered("it was read");
    let mut other = open(&place);
    finds_no_space(&mut other, "b", 6 * MIB);
    assert_eq!(partials(&place), 1);
    // The same file from another job is no reason to refuse either of them.
    let again = offers(&mut other, transfer(), "a", 5 * MIB);
    assert!(
        matches!(again, Verdict::Partly(_) | Verdict::Send(_)),
        "{again:?}"
    );
}

#[test]
fn when_the_inodes_are_gone_what_needs_one_fails_alone_and_nothing_is_left_of_it() {
    let Some(place) = Place::on_a_disk("size=8m,nr_inodes=24", "--plaintext") else {
        return;
    };
    for number in 0..40 {
        place.file(&format!("many/{number}"), b"abc");
    }
    place.file("large", &noise(3 * MIB));
    // A directory that is to be made first would take one from them, and they would all fail.
    place.says("--plaintext mkdir [ADDRESS]/many", 0, "", "");
    let ended = place.run("--plaintext put many [ADDRESS]");
    assert_eq!(ended.code, Some(8), "{ended:?}");
    let there = |name: &str| fs::read_dir(root(&place).join(name)).map_or(0, Iterator::count);
    let stored = there("many");
    assert!((5..24).contains(&stored), "{stored}");
    let summary = format!("{stored} stored, {} failed", 40 - stored);
    assert!(ended.stderr.contains(&summary), "{ended:?}");
    // One is large enough that it would be kept, and there is none for that either.
    place.says("--plaintext put large [ADDRESS]", 8, "", "haul: *");
    eventually("nothing is left staged", || there(".haul/staging") == 0);
    assert_eq!((partials(&place), there("many")), (0, stored));
    for name in fs::read_dir(root(&place).join("many")).unwrap() {
        assert_eq!(fs::read(name.unwrap().path()).unwrap(), b"abc");
    }
    place.says("--plaintext rm -r [ADDRESS]/many", 0, "", "");
    place.says("--plaintext put large [ADDRESS]", 0, "", "*1 stored*");
    place.says("--plaintext get [ADDRESS]/large back", 0, "", "*1 fetched*");
}

/// Runs a get into a disk of this kind, where one file is, and returns what came of it and
/// all that is there afterwards.
fn gets_into(told: &str, place: &Place, line: &str) -> Ended {
    let script = format!(
        "mount -t tmpfs -o {told},mode=700 small . && cd \"$PWD\" && mkdir many && echo old > old
        \"$0\" \"$@\"; code=$?; find . -type f -size -1000k | sort; exit $code"
    );
    let inside = wrapped("sh", &["-c", &script], &place.haul(line));
    Running::start(wrapped("unshare", &["-rm"], &inside)).finish()
}

#[test]
fn a_get_into_a_disk_that_is_full_fails_and_leaves_what_was_there() {
    if small("").is_none() {
        return;
    }
    let place = Place::serving("--plaintext");
    fs::write(place.root().join("large"), noise(4 * MIB)).unwrap();
    fs::create_dir(place.root().join("many")).unwrap();
    for number in 0..40 {
        fs::write(place.root().join(format!("many/{number}")), b"abc").unwrap();
    }
    for (told, what) in [("size=2m", "large"), ("size=8m,nr_inodes=5", "large")] {
        let ended = gets_into(told, &place, &format!("--plaintext get [ADDRESS]/{what}"));
        assert_eq!(ended.code, Some(8), "{told}: {ended:?}");
        assert_eq!(ended.stdout, "./old\n", "{told}: {ended:?}");
    }
    let ended = gets_into(
        "size=8m,nr_inodes=24",
        &place,
        "--plaintext get [ADDRESS]/many",
    );
    assert_eq!(ended.code, Some(8), "{ended:?}");
    let fetched = ended.stdout.lines().count() - 1;
    assert!((5..24).contains(&fetched), "{ended:?}");
    let summary = format!("{fetched} fetched, {} failed", 40 - fetched);
    assert!(ended.stderr.contains(&summary), "{ended:?}");
    assert!(!ended.stdout.contains(".haul"), "{ended:?}");
}

/// What the server has said, once it has ended.
fn finish(place: &mut Place) -> String {
    let flags = "--plaintext";
    let running: Running = place.restart_with(flags);
    running.finish().stderr
}
