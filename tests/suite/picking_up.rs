//! A client that picks up by itself: where its server comes back, where it does not, and
//! where it never was.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::both_ways::{WAYS, Way};
use crate::objects::objects;
use crate::place::Place;
use crate::program::{Ended, Running};
use crate::relay::Relay;
use crate::rig::noise;
use crate::watch::Watch;

const MIB: usize = 1 << 20;
const LEN: usize = 64 * MIB + 5;
const HALF: u64 = 32 * MIB as u64;

/// A server that clients reach at one address, wherever it is.
struct Away {
    place: Place,
    relay: Relay,
}

impl Away {
    fn new(flags: &str) -> Self {
        let place = Place::serving(flags);
        let relay = Relay::to(&place.server.address);
        Self { place, relay }
    }

    /// Starts a typed line, in which `[AWAY]` is the server.
    fn start(&self, line: &str) -> Running {
        let line = line.replace("[AWAY]", &self.relay.address);
        Running::start(self.place.haul(&line))
    }

    /// Kills the server, and starts it again somewhere else.
    fn restart(&mut self) {
        self.place.server.running.signal(Signal::KILL);
        self.place.restart_with("");
        self.relay.lead_to(&self.place.server.address);
    }
}

#[track_caller]
fn is_whole(source: &Path, target: &Path) {
    assert!(fs::read(source).unwrap() == fs::read(target).unwrap());
}

/// How often it was said that there is another try.
fn tries(ended: &Ended) -> usize {
    let lines = ended.stderr.lines();
    lines
        .filter(|line| line.contains(": trying again in "))
        .count()
}

#[test]
fn a_server_that_is_restarted_in_the_middle_is_a_pause() {
    for way in WAYS {
        let mut away = Away::new("");
        let (root, here) = (away.place.root(), away.place.here());
        let (from, to, line) = match way {
            Way::Put => (&here, &root, "put x small [AWAY]"),
            Way::Get => (&root, &here, "get [AWAY]/x [AWAY]/small ."),
        };
        fs::write(from.join("x"), noise(LEN)).unwrap();
        for name in 0..300 {
            let path = from.join("small").join(name.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, noise(name)).unwrap();
        }
        let watch = Watch::on(to);
        let job = away.start(line);
        watch.until_staged(HALF, &job);
        away.restart();
        let ended = job.finish();
        assert_eq!(ended.code, Some(0), "{way:?}: {ended:?}");
        assert!(tries(&ended) > 0, "{way:?}: {ended:?}");
        // Each is counted once, whatever had to be done for it.
        let summary = ended.stderr.lines().last().unwrap();
        assert!(summary.contains(" 301 files, 64.0 MiB, "), "{summary}");
        assert!(summary.contains("verified and durable"), "{summary}");
        is_whole(&from.join("x"), &to.join("x"));
        for name in 0..300 {
            let name = format!("small/{name}");
            is_whole(&from.join(&name), &to.join(&name));
        }
    }
}

#[test]
fn a_server_that_does_not_come_back_is_given_up_after_as_many_tries() {
    for (retries, tried) in [(0, 0), (1, 1), (2, 2)] {
        let away = Away::new("");
        away.place.file("x", &noise(LEN));
        let watch = Watch::on(&away.place.root());
        let job = away.start(&format!("put --retries {retries} x [AWAY]"));
        watch.until_staged(HALF, &job);
        away.place.server.running.signal(Signal::KILL);
        let ended = job.finish();
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert_eq!(tries(&ended), tried, "{ended:?}");
        for number in 1..=tried {
            let said = format!(", {number} of {retries}\n");
            assert!(ended.stderr.contains(&said), "{ended:?}");
        }
    }
}

#[test]
fn an_address_where_nobody_ever_answered_is_given_up_at_once() {
    let place = Place::serving("");
    place.file("x", b"abc");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    for line in ["put x [NOBODY]", "get [NOBODY]/x", "ls [NOBODY]"] {
        let began = Instant::now();
        let ended = place.run(&line.replace("[NOBODY]", &address));
        assert_eq!(ended.code, Some(3), "{line}: {ended:?}");
        assert_eq!(tries(&ended), 0, "{line}: {ended:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "{line}");
    }
}

#[test]
fn ctrl_c_ends_the_wait_for_a_server_and_json_tells_of_it() {
    let away = Away::new("");
    away.place.file("x", &noise(LEN));
    let watch = Watch::on(&away.place.root());
    let job = away.start("put --json --retries 1000 x [AWAY]");
    watch.until_staged(HALF, &job);
    away.place.server.running.signal(Signal::KILL);
    let mut seen = Vec::new();
    // The pauses grow, so that sooner or later it waits when it is told to end.
    for number in 1..=3 {
        let line = job.line();
        let event = objects(&line).remove(0);
        assert_eq!(event["event"], "retry", "{line}");
        assert_eq!(event["attempt"], number.to_string(), "{line}");
        assert_eq!(event["retries"], "1000", "{line}");
        assert!(
            event["message"].contains("broke off") || number > 1,
            "{line}"
        );
        seen.push(event["pause"].parse::<f64>().unwrap());
    }
    assert!(
        seen[0] <= 1.0 && seen[2] >= 2.0 && seen[2] <= 4.0,
        "{seen:?}"
    );
    job.signal(Signal::INT);
    let ended = job.finish();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let read = objects(&ended.stdout);
    assert_eq!(read.last().unwrap()["event"], "done");
    assert!(!read.last().unwrap().contains_key("attempt"));
}

#[test]
fn quiet_does_not_tell_of_tries() {
    let mut away = Away::new("");
    away.place.file("x", &noise(LEN));
    let watch = Watch::on(&away.place.root());
    let job = away.start("-q put x [AWAY]");
    watch.until_staged(HALF, &job);
    away.restart();
    let ended = job.finish();
    let seen = (ended.code, &*ended.stdout, &*ended.stderr);
    assert_eq!(seen, (Some(0), "", ""));
}

#[test]
fn a_full_server_is_asked_again_until_there_is_room() {
    for line in ["put x [ADDRESS]", "get [ADDRESS]/there", "ls [ADDRESS]"] {
        let place = Place::serving("--max-connections 1");
        place.file("x", b"abc");
        fs::write(place.root().join("there"), "there").unwrap();
        // It says nothing, and is let go of when the opening deadline has passed.
        let only = std::net::TcpStream::connect(&place.server.address).unwrap();
        let ended = place.run(&format!("--retries 0 {line}"));
        assert_eq!(ended.code, Some(3), "{line}: {ended:?}");
        assert!(ended.stderr.contains("the server is full"), "{ended:?}");
        let asking = Running::start(place.haul(&format!("{line} --json")));
        let event = objects(&asking.line()).remove(0);
        assert_eq!(event["event"], "retry", "{line}");
        assert!(event["message"].contains("the server is full"), "{line}");
        drop(only);
        let ended = asking.finish();
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
    }
}
