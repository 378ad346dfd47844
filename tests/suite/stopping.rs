//! A server that is told to stop: who is told so, who may finish, and who goes on elsewhere.

use std::fs;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use haul::client::JobOptions;
use haul::code::Code;
use haul::offer::TransferId;
use haul::server::Config;
use haul::wire::Message;
use haul::wire::message::{Fetch, Wanted};
use rustix::process::Signal;

use crate::both_ways::{WAYS, Way};
use crate::place::Place;
use crate::program::Running;
use crate::putting::X;
use crate::raw::{Heard, Raw, block, commit, committed, offer, offered, sum, transfer};
use crate::relay::Relay;
use crate::rig::{Rig, noise, put, remote};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::{patient, served};
use crate::watch::Watch;

plain_and_encrypted! {
    whoever_asks_for_nothing_is_told_and_keeps_no_server_up,
    a_put_that_runs_may_finish,
    a_get_that_runs_may_ask_for_more,
    a_transfer_that_takes_too_long_is_cut_with_a_word_and_its_part_is_kept,
    all_connections_of_a_transfer_that_is_cut_are_told,
    who_sends_without_a_pause_is_told_too,
    a_second_word_ends_all_at_once,
}

const STOPPED: &str = "the server is being stopped";

/// What no test here comes near unless it is to.
const HOUR: Duration = Duration::from_secs(3600);

/// Well below any deadline there is.
const AT_ONCE: Duration = Duration::from_secs(20);

fn draining(secrecy: Secrecy, drain: Duration) -> Rig {
    let config = Config {
        deadlines: patient(),
        drain,
        ..Config::default()
    };
    served(secrecy, config)
}

/// Offers a file of three blocks, and sends the first.
fn begins(rig: &Rig, id: TransferId) -> Raw {
    let mut raw = Raw::open(rig);
    raw.say(&offer(id, vec![offered(X, "x", &noise(2500))]));
    assert!(matches!(raw.hear(), Heard::Message(Message::Want(_))));
    sends(&mut raw, id, 0);
    raw.is_answered("the first block was read");
    raw
}

fn sends(raw: &mut Raw, id: TransferId, index: u64) {
    let (header, body) = block(id, X, &noise(2500), index);
    raw.send_block(&header, &body);
}

fn whoever_asks_for_nothing_is_told_and_keeps_no_server_up(secrecy: Secrecy) {
    let mut rig = draining(secrecy, HOUR);
    let (mut idle, mut asked) = (Raw::open(&rig), Raw::open(&rig));
    // Whoever has not even begun holds nothing up either.
    let _silent = TcpStream::connect(&rig.address).unwrap();
    asked.is_answered("it answers before");
    rig.stopper().stop();
    assert!(rig.ends() < AT_ONCE);
    for raw in [&mut idle, &mut asked] {
        raw.is_ended(Code::Connection, STOPPED, "idle");
    }
    assert!(TcpStream::connect(&rig.address).is_err());
}

fn a_put_that_runs_may_finish(secrecy: Secrecy) {
    let (mut rig, id) = (draining(secrecy, HOUR), transfer());
    let mut raw = begins(&rig, id);
    rig.stopper().stop();
    for index in [1, 2] {
        sends(&mut raw, id, index);
    }
    raw.say(&commit(id, vec![committed(X, Some(sum(&noise(2500))))]));
    match raw.hear() {
        Heard::Message(Message::Receipt(receipt)) => assert_eq!(receipt.exceptions, []),
        other => panic!("no receipt but {other:?}"),
    }
    assert!(rig.ends() < AT_ONCE);
    raw.is_ended(Code::Connection, STOPPED, "it has finished");
    assert_eq!(fs::read(rig.root().join("x")).unwrap(), noise(2500));
}

fn a_get_that_runs_may_ask_for_more(secrecy: Secrecy) {
    let mut rig = draining(secrecy, HOUR);
    let listing = rig.client(1).list(Some(&remote("old")), Some(0)).unwrap();
    let version = listing.entries[0].version.unwrap();
    let mut raw = Raw::open(&rig);
    let fetches = |raw: &mut Raw, request| {
        let wanted = Wanted {
            entry: X,
            path: remote("old"),
            version,
            block: 1024,
            first: 0,
            count: 1,
        };
        raw.say(&Fetch {
            request,
            transfer: transfer(),
            files: vec![wanted],
        });
        assert!(matches!(raw.hear(), Heard::Block(..)));
        assert!(matches!(raw.hear(), Heard::Message(Message::Sent(_))));
    };
    fetches(&mut raw, 1);
    rig.stopper().stop();
    thread::scope(|scope| {
        let ends = thread::Builder::new().spawn_scoped(scope, || rig.ends());
        // It takes its time, as over a slow link.
        assert!(!raw.hears_within(Duration::from_millis(300)));
        fetches(&mut raw, 2);
        assert!(!raw.hears_within(Duration::from_millis(300)));
        fetches(&mut raw, 3);
        assert!(ends.unwrap().join().unwrap() < AT_ONCE);
    });
    raw.is_ended(Code::Connection, STOPPED, "nothing more was asked");
}

fn a_transfer_that_takes_too_long_is_cut_with_a_word_and_its_part_is_kept(secrecy: Secrecy) {
    let (mut rig, id) = (draining(secrecy, Duration::from_millis(300)), transfer());
    let mut raw = begins(&rig, id);
    rig.stopper().stop();
    assert!(rig.ends() < AT_ONCE);
    raw.is_ended(Code::Connection, STOPPED, "it has taken too long");
    assert_eq!(rig.visible(), ["old"]);
    let kept = fs::read_dir(rig.root().join(".haul/partial")).unwrap();
    assert_eq!(kept.count(), 2, "a part and its label");
}

fn all_connections_of_a_transfer_that_is_cut_are_told(secrecy: Secrecy) {
    let (mut rig, id) = (draining(secrecy, Duration::from_millis(300)), transfer());
    let mut all = [begins(&rig, id), Raw::open(&rig), Raw::open(&rig)];
    for raw in &mut all[1..] {
        sends(raw, id, 1);
        raw.is_answered("it takes part");
    }
    rig.stopper().stop();
    assert!(rig.ends() < AT_ONCE);
    for raw in &mut all {
        raw.is_ended(Code::Connection, STOPPED, "one of several");
    }
}

fn who_sends_without_a_pause_is_told_too(secrecy: Secrecy) {
    let (mut rig, id) = (draining(secrecy, Duration::from_millis(300)), transfer());
    let mut raw = begins(&rig, id);
    rig.stopper().stop();
    thread::scope(|scope| {
        let ends = thread::Builder::new().spawn_scoped(scope, || rig.ends());
        let end = Instant::now() + AT_ONCE;
        while !raw.hears_within(Duration::ZERO) {
            assert!(Instant::now() < end, "it is heard for ever");
            sends(&mut raw, id, 0);
        }
        raw.is_ended(Code::Connection, STOPPED, "it never pauses");
        ends.unwrap().join().unwrap();
    });
}

fn a_second_word_ends_all_at_once(secrecy: Secrecy) {
    let (mut rig, id) = (draining(secrecy, HOUR), transfer());
    let _raw = begins(&rig, id);
    let stopper = rig.stopper();
    stopper.stop();
    stopper.stop_now();
    assert!(rig.ends() < AT_ONCE);
    assert_eq!(rig.visible(), ["old"]);
}

#[test]
fn a_server_that_has_stopped_serves_the_next_time_what_it_kept() {
    let (mut rig, id) = (
        draining(Secrecy::Plain, Duration::from_millis(300)),
        transfer(),
    );
    let mut raw = begins(&rig, id);
    rig.stopper().stop();
    rig.ends();
    raw.is_ended(Code::Connection, STOPPED, "it has taken too long");
    rig.restart(Config::default());
    let source = rig.file("source", 2500);
    put(&rig.client(1), &[(&source, "x")], &JobOptions::default()).is_fine();
    assert_eq!(fs::read(rig.root().join("x")).unwrap(), noise(2500));
}

#[test]
fn sigterm_lets_a_put_finish_and_ends_with_0() {
    let place = Place::serving("--drain 60m");
    place.file("x", &noise(64 << 20));
    let watch = Watch::on(&place.root());
    let put = Running::start(place.haul("put --retries 0 x [ADDRESS]"));
    watch.until_staged(1 << 20, &put);
    place.server.running.signal(Signal::TERM);
    let ended = put.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let served = place.server.running.finish_within(AT_ONCE);
    assert_eq!((served.code, &*served.stdout), (Some(0), ""), "{served:?}");
}

#[test]
fn a_second_sigterm_stops_at_once_and_ends_with_0() {
    let place = Place::serving("--drain 60m --plaintext --idle-timeout 60m");
    place.sparse("x", 4 << 30);
    let watch = Watch::on(&place.root());
    let put = Running::start(place.haul("put --plaintext --retries 0 x [ADDRESS]"));
    watch.until_staged(1 << 20, &put);
    place.server.running.signal(Signal::TERM);
    place.server.running.signal(Signal::INT);
    let served = place.server.running.finish_within(AT_ONCE);
    assert_eq!(served.code, Some(0), "{served:?}");
    let ended = put.finish();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let same = ": the same command goes on with what is missing: ";
    assert!(ended.stderr.contains(same), "{ended:?}");
}

#[test]
fn a_job_that_is_cut_by_a_stop_goes_on_when_the_server_is_back() {
    for way in WAYS {
        let mut place = Place::serving("--drain 0");
        let relay = Relay::to(&place.server.address);
        let (from, to) = match way {
            Way::Put => (place.here(), place.root()),
            Way::Get => (place.root(), place.here()),
        };
        fs::write(from.join("x"), noise(96 << 20)).unwrap();
        let watch = Watch::on(&to);
        let line = match way {
            Way::Put => format!("put x {}", relay.address),
            Way::Get => format!("get {}/x .", relay.address),
        };
        let job = Running::start(place.haul(&line));
        watch.until_staged(32 << 20, &job);
        place.server.running.signal(Signal::TERM);
        let served = place.restart_with("").finish();
        assert_eq!(served.code, Some(0), "{way:?}: {served:?}");
        relay.lead_to(&place.server.address);
        let ended = job.finish();
        assert_eq!(ended.code, Some(0), "{way:?}: {ended:?}");
        assert!(ended.stderr.contains("trying again"), "{way:?}: {ended:?}");
        assert!(fs::read(to.join("x")).unwrap() == noise(96 << 20));
    }
}
