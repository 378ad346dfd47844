//! A server that is short of what the system gives: descriptors, threads, memory. Whoever
//! needs it then is told so, nobody else notices, and it goes on when there is more.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use haul::code::Code;
use haul::wire::{Message, preface};
use rustix::process::{Resource, Signal, getrlimit};

use crate::place::Place;
use crate::putting::X;
use crate::raw::{Heard, Raw, block, commit, committed, offer, offered, sum, transfer};
use crate::rig::{noise, visible};
use crate::secrecy::{Keys, Secrecy};

/// Far below every deadline.
const AT_ONCE: Duration = Duration::from_secs(9);

const BUSY: &str = "the server is busy, try again later";

/// Bytes of addresses that a server may reserve: less than one of the lengths that are
/// announced to it, and more than it needs with all its connections.
const ADDRESSES: u64 = 192 << 20;

/// A header as long as can be said, and a body of 4 GiB.
const ANNOUNCED: [[u8; 8]; 2] = [
    [5, 0, 0xff, 0xff, 0, 0, 0, 0],
    [7, 0, 0, 16, 0xff, 0xff, 0xff, 0xff],
];

/// Of three blocks.
const LEN: usize = 2500;

/// Sets a limit of a server that runs, as its user would.
fn limit(place: &Place, what: &str, most: Option<u64>) {
    let most = most.map_or("unlimited".to_owned(), |most| most.to_string());
    let mut command = Command::new("prlimit");
    command
        .arg("--pid")
        .arg(place.server.running.id().to_string());
    command.arg(format!("--{what}={most}:"));
    let mut command = place.as_user(command);
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn connect(place: &Place) -> Raw {
    let socket = TcpStream::connect(&place.server.address).unwrap();
    Raw::over(socket, &Keys::of(Secrecy::Plain))
}

fn open(place: &Place) -> Raw {
    connect(place).begin().expect("a welcome")
}

/// The server has neither panicked nor ended, and takes a put and gives it back.
#[track_caller]
fn goes_on(place: Place) {
    place.file("next", &noise(3000));
    place.says(
        "--plaintext put next [ADDRESS]/next-here",
        0,
        "",
        "*1 stored*",
    );
    place.says(
        "--plaintext get [ADDRESS]/next-here back",
        0,
        "",
        "*1 fetched*",
    );
    let running = place.server.running;
    running.signal(Signal::TERM);
    let ended = running.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

/// Offers a file, which is taken, and returns its blocks one after the other.
fn begin(raw: &mut Raw, name: &str) -> impl FnMut(&mut Raw, u64) + use<> {
    let (id, bytes) = (transfer(), noise(LEN));
    raw.say(&offer(id, vec![offered(X, name, &bytes)]));
    assert!(matches!(raw.hear(), Heard::Message(Message::Want(_))));
    move |raw, index| {
        if index < 3 {
            let (header, body) = block(id, X, &bytes, index);
            raw.send_block(&header, &body);
        } else {
            raw.say(&commit(id, vec![committed(X, Some(sum(&bytes)))]));
        }
    }
}

#[test]
fn without_a_descriptor_for_a_file_its_put_fails_alone_and_nothing_is_left_of_it() {
    let place = Place::serving("--plaintext --drain 0");
    let (mut raw, mut other) = (open(&place), open(&place));
    let mut sends = begin(&mut raw, "x");
    let usual = getrlimit(Resource::Nofile).maximum;
    limit(&place, "nofile", Some(3));
    sends(&mut raw, 0);
    let fail = raw.hear_fail("no descriptor");
    assert_eq!((fail.entry, fail.code), (Some(X), Code::File), "{fail:?}");
    limit(&place, "nofile", usual);
    for raw in [&mut raw, &mut other] {
        raw.is_answered("the connection goes on");
    }
    let mut sends = begin(&mut other, "x");
    (0..=3).for_each(|index| sends(&mut other, index));
    assert!(matches!(other.hear(), Heard::Message(Message::Receipt(_))));
    assert_eq!(visible(&place.root()), ["x"]);
    goes_on(place);
}

#[test]
fn without_a_thread_to_be_had_a_server_is_busy_and_recovers() {
    let Some(place) = Place::of_nobody_with("--plaintext --drain 0") else {
        return;
    };
    let mut held = open(&place);
    let mut sends = begin(&mut held, "x");
    (0..3).for_each(|index| sends(&mut held, index));
    held.is_answered("all blocks were read");
    // The one that there is counts already.
    let usual = getrlimit(Resource::Nproc).current;
    limit(&place, "nproc", Some(1));
    let began = Instant::now();
    for _ in 0..20 {
        let mut raw = connect(&place);
        raw.is_greeted();
        raw.is_ended(Code::Connection, BUSY, "no thread for a connection");
    }
    // A commit has one of its own.
    sends(&mut held, 3);
    held.is_ended(Code::Connection, "busy", "no thread for a commit");
    assert!(began.elapsed() < AT_ONCE);
    assert!(visible(&place.root()).is_empty());
    limit(&place, "nproc", usual);
    goes_on(place);
}

/// A limit of a process that ends it, where it is too little for the connections that it is to
/// keep, is a matter of whoever sets both. What a stranger announces is not.
#[test]
fn in_little_memory_nothing_that_strangers_announce_is_allocated() {
    let told = format!("export MALLOC_ARENA_MAX=1; ulimit -v {}", ADDRESSES >> 10);
    let place = Place::in_shell(&told, "--plaintext --drain 0 --max-connections 24");
    let mut held = open(&place);
    let mut sends = begin(&mut held, "x");
    sends(&mut held, 0);
    for round in 0..20 {
        // More than there are places: whoever has none is told so.
        let strangers: Vec<_> = (0..30).map(|_| connect(&place)).collect();
        for (number, mut stranger) in strangers.into_iter().enumerate() {
            stranger.send(&preface::encode(preface::VERSION));
            stranger.send(&ANNOUNCED[number % ANNOUNCED.len()]);
            let said = String::from_utf8_lossy(&stranger.everything()).into_owned();
            let is_told = ["header of 65535", "body of 4294967295", "full"]
                .iter()
                .any(|why| said.contains(why));
            assert!(is_told, "{round}, {number}: {said}");
        }
    }
    (1..=3).for_each(|index| sends(&mut held, index));
    assert!(matches!(held.hear(), Heard::Message(Message::Receipt(_))));
    assert_eq!(fs::read(place.root().join("x")).unwrap(), noise(LEN));
    goes_on(place);
}
