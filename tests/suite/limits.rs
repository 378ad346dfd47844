//! Each limit of a server by its flag, as whoever comes up against it sees it.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use haul::code::Code;
use haul::wire::Message;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use crate::place::Place;
use crate::putting::X;
use crate::raw::{Heard, Raw, block, offer, offered, transfer};
use crate::rig::{noise, visible};
use crate::secrecy::{Keys, Secrecy};

/// Far below the usual deadlines, and far above those here.
const AT_ONCE: Duration = Duration::from_secs(9);

fn connect(place: &Place) -> Raw {
    let socket = TcpStream::connect(&place.server.address).unwrap();
    Raw::over(socket, &Keys::of(Secrecy::Plain))
}

fn open(place: &Place) -> Raw {
    connect(place).begin().expect("a welcome")
}

#[test]
fn who_does_not_open_in_time_is_let_go_of() {
    let place = Place::serving("--plaintext --opening-timeout 1");
    let began = Instant::now();
    let mut raw = connect(&place);
    raw.is_greeted();
    let why = "did not open the conversation in time";
    raw.is_ended(Code::Connection, why, "silent");
    // In all: a byte now and then is no excuse.
    let mut raw = connect(&place);
    raw.drip(&[b'h'; 1000]);
    assert!(began.elapsed() < AT_ONCE);
}

#[test]
fn who_asks_for_nothing_is_let_go_of_in_time() {
    let place = Place::serving("--plaintext --idle-timeout 1");
    let began = Instant::now();
    let why = "sent no request in time";
    open(&place).is_ended(Code::Connection, why, "idle");
    assert!(began.elapsed() < AT_ONCE);
}

#[test]
fn a_transfer_that_stalls_is_let_go_of_in_time() {
    let place = Place::serving("--plaintext --stall-timeout 1");
    let (mut raw, id) = (open(&place), transfer());
    raw.say(&offer(id, vec![offered(X, "x", &noise(2500))]));
    assert!(matches!(raw.hear(), Heard::Message(Message::Want(_))));
    let began = Instant::now();
    let why = "did not answer in time";
    raw.is_ended(Code::Connection, why, "it owes blocks");
    assert!(began.elapsed() < AT_ONCE);
    assert!(visible(&place.root()).is_empty());
}

#[test]
fn a_transfer_that_crawls_below_the_floor_is_let_go_of() {
    let place = Place::serving("--plaintext --stall-timeout 1 --min-rate 1MiB");
    let (mut raw, id) = (open(&place), transfer());
    raw.say(&offer(id, vec![offered(X, "x", &noise(2500))]));
    assert!(matches!(raw.hear(), Heard::Message(Message::Want(_))));
    let (header, body) = block(id, X, &noise(2500), 0);
    let mut whole = Vec::new();
    header.write(body.len(), &mut whole);
    whole.extend(body);
    let began = Instant::now();
    // Never silent for long, and in all far too slow: twenty seconds for a KiB.
    raw.drip(&whole);
    let why = "stalled in the middle of a message";
    raw.is_ended(Code::Connection, why, "it crawls");
    assert!(began.elapsed() < AT_ONCE);
    assert!(visible(&place.root()).is_empty());
}

#[test]
fn too_many_connections_are_told_so_at_once_in_all_and_from_one_source() {
    for (flags, why) in [
        ("--max-connections 1", "the server is full, try again later"),
        (
            "--max-per-source 1",
            "the server is full for this address, try again later",
        ),
    ] {
        let place = Place::serving(&format!("--plaintext {flags}"));
        let _only = open(&place);
        let began = Instant::now();
        let mut raw = connect(&place);
        raw.is_greeted();
        raw.is_ended(Code::Connection, why, flags);
        assert!(began.elapsed() < AT_ONCE, "{flags}");
    }
}

#[test]
fn a_file_that_is_larger_than_any_may_be_is_refused_and_the_rest_go_on() {
    let place = Place::serving("--max-file-bytes 3KiB");
    place.file("a/large", &noise(3073));
    place.file("a/most", &noise(3072));
    place.file("a/none", b"");
    let why =
        "haul: a/large: it is larger than a file may be there: 3072 bytes\n*2 stored, 1 failed*";
    let rehearsed =
        "would store a/\nwould refuse a/large\nwould store a/most\nwould store a/none\n";
    place.says("put -n a [ADDRESS]", 8, rehearsed, "*");
    assert!(visible(&place.root()).is_empty());
    place.says("put a [ADDRESS]", 8, "", why);
    assert_eq!(visible(&place.root().join("a")), ["most", "none"]);
    // What is there is there, whatever it takes to replace it.
    fs::copy(place.here().join("a/large"), place.root().join("a/large")).unwrap();
    place.says("put -c a/large [ADDRESS]/a/", 0, "", "*1 unchanged*");
    place.file("a/large", &noise(4000));
    place.says("put --overwrite a/large [ADDRESS]/a/", 8, "", "haul: *");
    place.says("get [ADDRESS]/a/large back", 0, "", "*1 fetched*");
}

#[test]
fn a_limit_from_the_environment_holds_and_one_that_is_none_is_named() {
    let place = Place::serving("");
    let line = "HAUL_MIN_FREE=lots serve --listen 127.0.0.1:0 [ROOT]";
    place.says(line, 2, "", "*HAUL_MIN_FREE*bytes are written as*");
    let line = "serve --tcp-keepalive 0 --listen 127.0.0.1:0 [ROOT]";
    place.says(line, 2, "", "*--tcp-keepalive*at least 1s*");
}

#[test]
fn without_a_descriptor_to_be_had_accepting_pauses_and_recovers() {
    let place = Place::serving("--plaintext");
    let server = &place.server.running;
    let pid = Pid::from_raw(server.id().cast_signed());
    // Those that every process has are in use.
    let none_left = Rlimit {
        current: Some(3),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let usual = prlimit(pid, Resource::Nofile, none_left).unwrap();
    let raw = connect(&place);
    // It waits to be accepted, and the server for a descriptor.
    assert!(!raw.hears_within(Duration::from_secs(1)));
    prlimit(pid, Resource::Nofile, usual).unwrap();
    raw.begin()
        .expect("a welcome")
        .is_answered("it was accepted");
    server.signal(Signal::TERM);
    let log = place.server.running.finish().stderr;
    let tries = log.matches("cannot accept").count();
    assert!((1..=12).contains(&tries), "{tries} tries: {log}");
}

#[test]
fn a_connection_that_leaves_before_it_is_told_costs_nothing() {
    let place = Place::serving("--plaintext --max-connections 1");
    let only = open(&place);
    for _ in 0..50 {
        let mut socket = TcpStream::connect(&place.server.address).unwrap();
        let mut said = Vec::new();
        // The word, or a reset that overtook it.
        let _ = socket.read_to_end(&mut said);
    }
    drop(only);
    place.file("x", b"abc");
    place.says("put --plaintext x [ADDRESS]", 0, "", "*1 stored*");
}
