//! Connections that ask for nothing: what each costs a server, and how many it can keep.
//!
//! The server is a process of its own; its clients' ends are here.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use haul::client::{Client, Idle, JobOptions, Options};
use haul::net::tls::{ClientSide, Expected};
use haul::trust::{Places, Variables};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::place::Place;
use crate::rig::{get, noise, put};
use crate::unharmed::eventually;

/// Whether connections are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secrecy {
    Plain,
    Encrypted,
}

/// Bytes of the file that is moved: every buffer of a connection grows on its way.
const FILE: usize = 3 << 19;

/// How a client of this place's user connects, and stays.
fn staying(place: &Place, secrecy: Secrecy) -> Options {
    let places = Places::find(&Variables {
        home: Some(OsString::from(place.home())),
        ..Variables::default()
    });
    let places = places.unwrap();
    let side = || {
        let key = places.identity().load().unwrap().unwrap();
        let server = places.server_key().load().unwrap().unwrap();
        ClientSide::new(&key, Expected::Key(server.public())).unwrap()
    };
    Options {
        connections: 1,
        encryption: (secrecy == Secrecy::Encrypted).then(side),
        idle: Idle::Keep {
            trust: Duration::from_secs(3600),
        },
        ..Options::default()
    }
}

/// Opens a connection that stays, and says whether it was let in.
fn open(place: &Place, options: &Options) -> Option<Client> {
    let client = Client::new(&place.server.address, options.clone());
    client.list(None, Some(0)).ok().map(|_| client)
}

/// So many connections that stay.
fn open_many(place: &Place, secrecy: Secrecy, count: usize) -> Vec<Client> {
    let options = staying(place, secrecy);
    let one = |_| open(place, &options).expect("it is let in");
    (0..count).map(one).collect()
}

/// Moves a file up and down over a connection.
fn use_it(place: &Place, client: &Client) {
    let (source, back) = (place.here().join("source"), place.here().join("back"));
    fs::write(&source, noise(FILE)).unwrap();
    let options = JobOptions::default();
    put(client, &[(&source, "x")], &options).is_fine();
    get(client, &[("x", "x")], &back, &options).is_fine();
    fs::remove_file(place.root().join("x")).unwrap();
    fs::remove_dir_all(back).unwrap();
}

/// Lets this process open as many files as it may.
pub fn many_files_may_be_open() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// Holds a server to so many KiB for each connection that asks for nothing, though one of
/// every `used` has moved a file up and down before.
#[track_caller]
fn cost(secrecy: Secrecy, (count, used): (usize, usize), told: &str, most: u64) {
    many_files_may_be_open();
    let plaintext = match secrecy {
        Secrecy::Plain => "--plaintext",
        Secrecy::Encrypted => "",
    };
    let flags = format!(
        "-q --durability none --idle-timeout 60m --max-connections {} {plaintext}",
        count + 1
    );
    // What a shell gives may be less than this needs.
    let place = Place::in_shell(&format!("ulimit -Sn 64; {told}"), &flags);
    use_it(&place, &open_many(&place, secrecy, 1)[0]);
    let before = place.server.running.resident().expect("the server lives");
    let clients = open_many(&place, secrecy, count);
    for client in clients.iter().step_by(used) {
        use_it(&place, client);
    }
    let count = count as u64;
    let each = || {
        let now = place.server.running.resident().expect("the server lives");
        now.saturating_sub(before) / count
    };
    eventually("what was in use is given back", || each() <= most);
    println!("{count} idle connections, {secrecy:?}: {} KiB each", each());
    assert!(each() > 0, "they are there");
    drop(clients);
}

#[test]
fn idle_connections_that_were_in_use_cost_little_memory() {
    // What the system's allocator keeps of a busy time is the same for ten thousand, and is
    // much of what a hundred cost. Yet one that kept its block would cost 1 MiB, and one that
    // kept what it decrypts from another 256 KiB.
    let told = "export MALLOC_ARENA_MAX=1";
    cost(Secrecy::Plain, (100, 1), told, 220);
    cost(Secrecy::Encrypted, (100, 1), told, 220);
}

/// Ten thousand of each: about a minute, and 15,000 descriptors for a process.
///
///     cargo test --release --test suite -- --ignored --nocapture ten_thousand_idle_connections
#[test]
#[ignore = "takes a minute, and a hard limit of 15,000 descriptors"]
fn ten_thousand_idle_connections_cost_little_memory() {
    cost(Secrecy::Plain, (10_000, 20), "true", 40);
    cost(Secrecy::Encrypted, (10_000, 20), "true", 80);
}

#[test]
fn a_server_that_may_open_few_files_keeps_fewer_connections_and_says_so() {
    let place = Place::in_shell("ulimit -n 60", "--max-connections 1000");
    let held = open_many(&place, Secrecy::Encrypted, 45);
    assert!(open(&place, &staying(&place, Secrecy::Encrypted)).is_none());
    place.run("ls --retries 0 [ADDRESS]").is_full();
    drop(held);
    place.server.running.signal(Signal::TERM);
    let ended = place.server.running.finish();
    let notice = "the system lets this process open 60 files, so it keeps 45 connections at once, \
                  not 1000";
    assert!(ended.stderr.contains(notice), "{ended:?}");
}
