//! Who gets a place, who does not, and who loses theirs.

use super::*;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

fn slots(max: usize, max_per_source: usize) -> Arc<Slots> {
    let openings = OpeningLimits::default();
    Arc::new(Slots::new(max, max_per_source, openings))
}

/// Somebody from 192.0.2.`host`.
fn from(host: u8) -> Newcomer {
    Newcomer {
        source: Some(Source::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)))),
        ..Newcomer::default()
    }
}

fn take(slots: &Arc<Slots>, count: usize, host: u8) -> Vec<Slot> {
    (0..count)
        .map(|_| slots.take(from(host)).unwrap())
        .collect()
}

fn still_opening(held: &[Slot]) -> usize {
    let is_opening = |slot: &&Slot| slot.stage() == Stage::Opening;
    held.iter().filter(is_opening).count()
}

#[test]
fn those_who_are_in_are_never_dropped_for_others() {
    let slots = slots(256, 256);
    let inside = take(&slots, 150, 1);
    for slot in &inside {
        slot.let_in(Acquaintance::Known).unwrap();
    }
    let flood = take(&slots, 106, 2);
    assert_eq!(still_opening(&flood), 106);
    // For each of these one of the flood goes, and its thread has yet to end.
    let more = take(&slots, LEAVING, 3);
    assert_eq!(slots.take(from(4)).unwrap_err(), NoPlace::Full);
    assert_eq!(still_opening(&flood) + still_opening(&more), 106);
    assert!(inside.iter().all(|slot| slot.stage() == Stage::In));
    assert!(flood.iter().any(|slot| slot.stage() == Stage::Dropped));
}

#[test]
fn a_small_server_is_full_when_its_places_are_taken() {
    for max in [1, 2, 64] {
        let slots = slots(max, max);
        let mut held = take(&slots, max, 1);
        assert_eq!(slots.take(from(2)).unwrap_err(), NoPlace::Full);
        assert_eq!(still_opening(&held), max);
        held.pop();
        assert!(slots.take(from(2)).is_ok());
    }
}

#[test]
fn strangers_have_half_of_the_places() {
    for (max, theirs) in [(1, 1), (2, 1), (9, 5), (100, 50)] {
        let slots = slots(max, max);
        let mut held = take(&slots, theirs, 1);
        for slot in &held {
            slot.let_in(Acquaintance::Stranger).unwrap();
        }
        if theirs < max {
            let one_more = slots.take(from(1)).unwrap();
            let refused = one_more.let_in(Acquaintance::Stranger);
            assert_eq!(refused, Err(NoPlace::OfStrangers), "{max}");
            assert_eq!(one_more.stage(), Stage::Opening);
            assert_eq!(one_more.let_in(Acquaintance::Known), Ok(()));
        }
        held.pop();
        let again = slots.take(from(2)).unwrap();
        assert_eq!(again.let_in(Acquaintance::Stranger), Ok(()), "{max}");
    }
}

#[test]
fn a_source_has_no_more_places_than_it_may() {
    let slots = slots(10, 3);
    let mut held = take(&slots, 3, 1);
    assert_eq!(slots.take(from(1)).unwrap_err(), NoPlace::OfSource);
    assert!(slots.take(from(2)).is_ok());
    held.pop();
    assert!(slots.take(from(1)).is_ok());
    drop(held);
    assert!(
        slots.table().from.is_empty(),
        "nothing is kept of those who left"
    );
}

#[test]
fn what_is_dropped_is_ended() {
    let slots = slots(1024, 1024);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let newcomer = Newcomer {
        socket: Some(Arc::new(listener.accept().unwrap().0)),
        ..from(1)
    };
    let slot = slots.take(newcomer).unwrap();
    let mut others = Vec::new();
    while slot.stage() == Stage::Opening && others.len() < 100_000 {
        others.push(slots.take(from(1)).unwrap());
        // Each of them leaves at once.
        others.retain(|other| other.stage() == Stage::Opening);
    }
    assert_eq!(slot.stage(), Stage::Dropped);
    let patience = Some(Duration::from_secs(30));
    far.set_read_timeout(patience).unwrap();
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
}
