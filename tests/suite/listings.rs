//! What a listing leaves out, and how it says so.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::thread;

use haul::client::Summary;
use haul::wire::message::Entries;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::evil::{facing, page};
use crate::objects::objects;
use crate::place::Place;
use crate::program::Ended;
use crate::raw::{Raw, entry};
use crate::rig::outcome;
use crate::secrecy::{Keys, Secrecy, plain_and_encrypted};
use crate::unharmed::patient;

plain_and_encrypted! {
    counts_that_no_number_holds_are_no_panic,
}

/// A served directory with a file, a FIFO, a socket, and a name that is not UTF-8.
fn mixed() -> Place {
    let place = Place::serving("");
    let root = place.root();
    fs::write(root.join("a"), b"abc").unwrap();
    fs::create_dir(root.join("d")).unwrap();
    mknodat(CWD, root.join("d/fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    // The file stays when the listener goes.
    UnixListener::bind(root.join("socket")).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"\xff")), b"").unwrap();
    place
}

#[test]
fn what_cannot_be_listed_is_counted_by_kind() {
    let place = mixed();
    let one = "not listed: 1 special file (FIFO, device or socket), 1 name that cannot be sent\n";
    place.says("ls [ADDRESS]", 0, "a\nd/\n", one);
    place.says("ls -q [ADDRESS]", 0, "a\nd/\n", "");
    let two = "not listed: 2 special files (FIFOs, devices or sockets), *\n";
    place.says("ls -R [ADDRESS]", 0, "a\nd/\n", two);
    place.says("ls --json -R [ADDRESS]", 0, "*\"done\"*", "");
    let lacks = "haul: all: names there that cannot be sent: 1\n";
    let got = format!("*{lacks}*get 1 file, 3 B, * s: 1 fetched, 2 skipped, 1 failed; *");
    place.says("get [ADDRESS] all", 9, "", &got);
}

/// What `haul ls` comes to where the server could not read a directory: as a script has
/// it, since nothing on a disk is closed to root.
#[track_caller]
fn says_of_a_closed_directory(flags: &str) -> Ended {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::Builder::new().name("closed".to_owned());
    let server = server.spawn(move || {
        let mut raw = Raw::accepted(listener.accept().unwrap().0, &Keys::of(Secrecy::Plain));
        let request = raw.hear_list();
        raw.say(&Entries {
            unreadable: 1,
            ..page(request, vec![entry("a", b"abc")])
        });
        raw.finish();
    });
    let place = Place::serving("");
    let ended = place.run(&format!("ls --plaintext {flags} {address}"));
    server.unwrap().join().unwrap();
    ended
}

#[test]
fn a_directory_that_cannot_be_read_is_an_error_also_when_quiet() {
    let said = "haul: 1 directory or entry could not be read there\n";
    for flags in ["", "-q"] {
        let ended = says_of_a_closed_directory(flags);
        let seen = (ended.code, &*ended.stdout, &*ended.stderr);
        assert_eq!(seen, (Some(10), "a\n", said), "{flags}");
    }
    let ended = says_of_a_closed_directory("--json");
    let events: Vec<_> = objects(&ended.stdout)
        .iter()
        .map(|object| (object["event"].clone(), object.get("code").cloned()))
        .collect();
    let event = |name: &str, code: Option<&str>| (name.to_owned(), code.map(str::to_owned));
    let expected = [
        event("entry", None),
        event("error", Some("10")),
        event("done", None),
    ];
    assert_eq!(events, expected);
}

fn counts_that_no_number_holds_are_no_panic(secrecy: Secrecy) {
    let script = |raw: &mut Raw| {
        let request = raw.hear_list();
        for more in [true, false] {
            raw.say(&Entries {
                more,
                unnamed: u64::MAX,
                unreadable: u64::MAX,
                special: Some(u64::MAX),
                ..page(request, vec![])
            });
        }
    };
    facing(secrecy, patient(), script, |client| {
        let listing = client.list(None, None).unwrap();
        let counts = [listing.unnamed, listing.unreadable, listing.special];
        assert_eq!(counts, [u64::MAX; 3]);
        outcome(|_| Ok(Summary::default()))
    });
}
