//! What is owed, what is forgiven, and who is refused.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn source(address: &str) -> Source {
    Source::of(address.parse().unwrap())
}

fn refused(sources: &Sources, source: Source, now: Instant) -> bool {
    matches!(sources.knocks(source, now), Repute::Refused { .. })
}

/// Spoils so many openings at one moment.
fn spoil(sources: &Sources, source: Source, count: u32, now: Instant) {
    for _ in 0..count {
        sources.spoiled(source, now);
    }
}

/// The first second after `from` in which a source that no longer tries is let in.
#[track_caller]
fn let_in_after(sources: &Sources, source: Source, from: Instant) -> u32 {
    let is_free = |seconds: &u32| {
        let table = sources.table();
        let mark = &table.marks[&source];
        mark.debt(from + SECOND * *seconds) <= sources.patience(mark.is_known(from))
    };
    (0..100_000).find(is_free).expect("it is never let in")
}

#[test]
fn an_ipv4_address_is_one_source_and_an_ipv6_network_another() {
    for (one, other, is_one) in [
        ("127.0.0.1", "127.0.0.2", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("2001:db8::1", "2001:db8::ffff:0:0:2", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("::1", "::2", true),
        ("::1", "127.0.0.1", false),
    ] {
        assert_eq!(source(one) == source(other), is_one, "{one} {other}");
    }
}

#[test]
fn a_source_that_spoils_too_many_openings_is_refused_and_no_other() {
    let (sources, now) = (Sources::new(OpeningLimits::default()), Instant::now());
    let (noisy, other) = (source("127.0.0.2"), source("127.0.0.1"));
    spoil(&sources, noisy, 256, now);
    assert_eq!(sources.knocks(noisy, now), Repute::Unknown);
    spoil(&sources, noisy, 1, now);
    assert_eq!(sources.knocks(noisy, now), Repute::Refused { anew: true });
    assert_eq!(sources.knocks(noisy, now), Repute::Refused { anew: false });
    assert_eq!(sources.knocks(other, now), Repute::Unknown);
}

#[test]
fn one_that_spoils_no_more_than_is_forgiven_is_never_refused() {
    let (sources, began) = (Sources::new(OpeningLimits::default()), Instant::now());
    let checker = source("192.0.2.1");
    for number in 0..10_000 {
        let now = began + Duration::from_millis(100) * number;
        assert!(!refused(&sources, checker, now), "{number}");
        sources.spoiled(checker, now);
    }
}

#[test]
fn the_longer_a_source_goes_on_the_longer_it_stays_out_up_to_a_bound() {
    let (sources, now) = (Sources::new(OpeningLimits::default()), Instant::now());
    let noisy = source("127.0.0.2");
    spoil(&sources, noisy, 257, now);
    let mut out = vec![let_in_after(&sources, noisy, now)];
    for attempts in [100, 1000, 10_000, 100_000] {
        for _ in 0..attempts {
            assert!(refused(&sources, noisy, now));
        }
        out.push(let_in_after(&sources, noisy, now));
    }
    assert_eq!(out, [1, 11, 111, 300, 300]);
    let later = now + SECOND * 300;
    assert_eq!(sources.knocks(noisy, later), Repute::Unknown);
    // What is left of the debt makes it short.
    spoil(&sources, noisy, 1, later);
    assert!(refused(&sources, noisy, later));
    assert!(!refused(&sources, noisy, later + SECOND * 400));
}

#[test]
fn one_that_somebody_was_let_in_from_may_spoil_more_and_not_without_end() {
    let (sources, now) = (Sources::new(OpeningLimits::default()), Instant::now());
    let office = source("192.0.2.1");
    sources.let_in(office, Acquaintance::Known, now);
    spoil(&sources, office, 8 * 256, now);
    assert_eq!(sources.knocks(office, now), Repute::Known);
    spoil(&sources, office, 1, now);
    for _ in 0..10_000 {
        assert!(refused(&sources, office, now));
    }
    let soon = now + Duration::from_millis(100);
    assert_eq!(sources.knocks(office, soon), Repute::Known);
    // Known no longer, it is as any other.
    let later = now + SECOND * 3600;
    assert_eq!(sources.knocks(office, later), Repute::Unknown);
    spoil(&sources, office, 257, later);
    assert!(refused(&sources, office, later));
}

#[test]
fn what_was_opened_beside_one_that_was_let_in_may_leave() {
    let (sources, now) = (Sources::new(OpeningLimits::default()), Instant::now());
    let (office, passing) = (source("192.0.2.1"), source("192.0.2.2"));
    for _ in 0..100 {
        sources.let_in(office, Acquaintance::Known, now);
        (0..BESIDE).for_each(|_| sources.left(office, now));
    }
    // None of them was a debt.
    spoil(&sources, office, 8 * 256, now);
    assert!(!refused(&sources, office, now));
    sources.left(office, now);
    assert!(refused(&sources, office, now));
    (0..257).for_each(|_| sources.left(passing, now));
    assert!(refused(&sources, passing, now));
}

#[test]
fn several_of_one_source_may_be_let_in_before_what_they_opened_leaves() {
    let (sources, now) = (Sources::new(OpeningLimits::default()), Instant::now());
    let office = source("192.0.2.1");
    for _ in 0..100 {
        (0..16).for_each(|_| sources.let_in(office, Acquaintance::Known, now));
        (0..16 * BESIDE).for_each(|_| sources.left(office, now));
    }
    assert!(sources.table().marks[&office].debt(now).is_zero());
    // However many they are, they may not leave without end.
    (0..1000).for_each(|_| sources.let_in(office, Acquaintance::Known, now));
    (0..BESIDE_MAX + 8 * 256).for_each(|_| sources.left(office, now));
    assert!(!refused(&sources, office, now));
    sources.left(office, now);
    assert!(refused(&sources, office, now));
}

#[test]
fn a_stranger_may_leave_with_what_it_opened_beside_and_is_trusted_with_no_more() {
    let (sources, now) = (Sources::new(OpeningLimits::default()), Instant::now());
    let guest = source("192.0.2.1");
    for _ in 0..100 {
        sources.let_in(guest, Acquaintance::Stranger, now);
        (0..BESIDE).for_each(|_| sources.left(guest, now));
    }
    assert_eq!(sources.knocks(guest, now), Repute::Unknown);
    spoil(&sources, guest, 256, now);
    assert!(!refused(&sources, guest, now));
    sources.left(guest, now);
    assert!(refused(&sources, guest, now));
}

#[test]
fn a_refused_source_that_is_let_in_by_another_way_is_known_again() {
    let (sources, now) = (Sources::new(OpeningLimits::default()), Instant::now());
    let office = source("192.0.2.1");
    spoil(&sources, office, 300, now);
    assert!(refused(&sources, office, now));
    // A connection that was there before has come through.
    sources.let_in(office, Acquaintance::Known, now);
    assert_eq!(sources.knocks(office, now), Repute::Known);
}

#[test]
fn a_million_sources_take_no_more_places_than_there_are() {
    let (sources, began) = (Sources::new(OpeningLimits::default()), Instant::now());
    let numbered = |number: u32| Source::of(IpAddr::V4(number.into()));
    let noisy = source("127.0.0.2");
    for number in 0..1_000_000 {
        // A hundred thousand a second, which is more than any server hears out.
        let now = began + Duration::from_micros(10) * number;
        sources.spoiled(numbered(number), now);
        assert!(sources.table().marks.len() <= MARKS_MAX);
    }
    // Among them one that matters is noted as soon as the others are forgiven.
    let now = began + SECOND * 12;
    spoil(&sources, noisy, 257, now);
    assert!(refused(&sources, noisy, now));
    assert_eq!(sources.table().marks.len(), 1);
}

#[test]
fn what_is_known_of_a_source_outlives_a_flood_of_others() {
    let (sources, now) = (Sources::new(OpeningLimits::default()), Instant::now());
    let (office, noisy) = (source("192.0.2.1"), source("127.0.0.2"));
    sources.let_in(office, Acquaintance::Known, now);
    spoil(&sources, noisy, 300, now);
    for number in 0..50_000_u32 {
        sources.spoiled(Source::of(IpAddr::V4(number.into())), now);
    }
    assert_eq!(sources.knocks(office, now), Repute::Known);
    assert!(refused(&sources, noisy, now));
}
