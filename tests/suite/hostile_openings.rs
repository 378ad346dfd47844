//! What reaches the server before and beneath its messages: other protocols, other
//! versions, lengths, counts, damage, and silence.

use haul::client::JobOptions;
use haul::code::Code;
use haul::offer::EntryId;
use haul::transfer::Deadlines;
use haul::wire::message::write;
use haul::wire::{Message, preface};

use crate::by_hand::{array, bytes, frame, head, map, number, text};
use crate::raw::{Heard, Raw, SOON, block, offer, offered, transfer};
use crate::rig::{Rig, noise, put};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::with_deadlines;
use crate::unharmed::{eventually, is_unharmed, is_untouched, patient, patient_server};

plain_and_encrypted! {
    other_protocols_get_one_clear_line,
    another_version_gets_the_server_s_own_and_a_failure_that_names_it,
    a_length_beyond_its_limit_is_refused_before_the_message_has_come,
    a_header_that_breaks_a_rule_of_its_form_is_refused,
    a_list_that_breaks_a_rule_of_its_form_is_refused,
    a_damaged_message_is_refused,
    a_message_of_an_unknown_kind_is_skipped_and_the_connection_goes_on,
    a_peer_that_does_not_open_in_time_is_told_and_cut,
    an_upload_that_stalls_or_crawls_is_cut,
    a_connection_that_asks_nothing_is_told_and_ended,
}

fn other_protocols_get_one_clear_line(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let garbage = noise(100_000);
    for (case, said) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nHost: haul\r\n\r\n"[..]),
        ("the first byte of HTTP", b"G"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("a NUL", b"\0"),
        ("a line end that was translated", b"haul\n\0\x01"),
        ("another case", b"HAUL\r\n\0\x01"),
        ("garbage", &garbage),
    ] {
        // In place of a handshake, and after it.
        let is_handshake = secrecy == Secrecy::Encrypted && case == "TLS";
        let in_clear = (!is_handshake).then(|| Raw::connect_in_clear(&rig));
        for mut raw in in_clear.into_iter().chain([Raw::connect(&rig)]) {
            raw.send(said);
            let line = String::from_utf8(raw.everything()).unwrap();
            let expected = "This is a haul server: it talks to haul clients only.\r\n";
            assert_eq!(line, expected, "{case}");
        }
        is_unharmed(&rig, case);
    }
}

fn another_version_gets_the_server_s_own_and_a_failure_that_names_it(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    for version in [0, 2, u16::MAX] {
        let mut raw = Raw::connect(&rig);
        raw.send(&preface::encode(version));
        raw.is_greeted();
        let why = format!("speaks version {version} ");
        raw.is_ended(Code::Protocol, &why, &why);
    }
    is_unharmed(&rig, "other versions");
}

fn a_length_beyond_its_limit_is_refused_before_the_message_has_come(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    for (prefix, why) in [
        ([5, 0, 0xff, 0xff, 0, 0, 0, 0], "header of 65535"),
        ([5, 0, 0x40, 0x01, 0, 0, 0, 0], "header of 16385"),
        ([5, 0, 0, 16, 0xff, 0xff, 0xff, 0xff], "body of 4294967295"),
        ([5, 0, 0, 16, 0, 1, 0, 1], "body of 65537"),
        ([7, 0, 0, 16, 0xff, 0xff, 0xff, 0xff], "body of 4294967295"),
        ([7, 0, 0, 16, 1, 0, 0, 1], "body of 16777217"),
        ([99, 0, 0, 16, 0, 1, 0, 1], "body of 65537"),
        ([3, 0, 0, 16, 0, 0, 0, 1], "body of 1 "),
        ([3, 0, 0, 7, 0, 0, 0, 0], "header of 7"),
        ([3, 1, 0, 16, 0, 0, 0, 0], "unknown flags"),
    ] {
        let mut raw = Raw::connect(&rig);
        raw.send(&preface::encode(1));
        raw.is_greeted();
        raw.send(&prefix);
        raw.is_ended(Code::Protocol, why, "before hello");
        let mut raw = Raw::open(&rig);
        raw.send(&prefix);
        raw.is_ended(Code::Protocol, why, "after hello");
        is_unharmed(&rig, why);
    }
}

fn a_header_that_breaks_a_rule_of_its_form_is_refused(secrecy: Secrecy) {
    const MOST: u64 = u64::MAX;
    let rig = patient_server(secrecy);
    let with = |key: i64, value: Vec<u8>| map(&[(0, number(1)), (key, value)]);
    for (case, header, why) in [
        ("a map of 2^64-1 pairs", head(5, MOST), "malformed"),
        ("an array of 2^64-1", with(9, head(4, MOST)), "malformed"),
        (
            "a map of as many in a map",
            with(9, head(5, MOST)),
            "malformed",
        ),
        (
            "a name of 2^64-1 bytes",
            with(1, head(3, MOST)),
            "malformed",
        ),
        ("as many bytes", with(9, head(2, MOST)), "malformed"),
        ("a depth of 2^64-1", with(2, number(MOST)), "malformed"),
        (
            "arrays in arrays",
            with(9, vec![0x81; 16_000]),
            "nests deeper",
        ),
        ("tags in tags", with(9, vec![0xc1; 16_000]), "nests deeper"),
        (
            "an array without end",
            with(9, vec![0x9f, 0xff]),
            "indefinite",
        ),
        (
            "a text without end",
            with(1, vec![0x7f, 0xff]),
            "indefinite",
        ),
        ("a key twice", with(0, number(2)), "not above"),
        (
            "keys that fall",
            map(&[(2, number(1)), (0, number(1))]),
            "not above",
        ),
        (
            "a text as key",
            [head(5, 1), text(b"a"), number(1)].concat(),
            "malformed",
        ),
        (
            "bytes behind the map",
            [with(2, number(1)), vec![0]].concat(),
            "left over",
        ),
        ("no map", number(1), "malformed"),
        ("nothing", vec![], "malformed"),
        ("no request number", map(&[]), "malformed"),
        ("half a map", head(5, 1), "malformed"),
        (
            "a critical key",
            map(&[(-7, number(1)), (0, number(1))]),
            "critical key -7",
        ),
        (
            "one in a map",
            with(9, map(&[(-7, number(1))])),
            "critical key -7",
        ),
    ] {
        let mut raw = Raw::open(&rig);
        raw.send(&frame(3, &header, b""));
        raw.is_ended(Code::Protocol, why, case);
        is_unharmed(&rig, case);
    }
    let mut raw = Raw::open(&rig);
    let root = [(0, number(1)), (2, number(1)), (9, array(&[text(b"new")]))];
    raw.send(&frame(3, &map(&root), b""));
    assert!(
        matches!(raw.hear(), Heard::Message(Message::Entries(_))),
        "a key that is skipped"
    );
}

fn a_list_that_breaks_a_rule_of_its_form_is_refused(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let fetch = map(&[(0, number(1)), (1, bytes(&transfer().0))]);
    for (case, list, why) in [
        ("a count of 2^64-1", head(5, u64::MAX), "malformed"),
        ("half an item", head(5, 1), "malformed"),
        ("no map", number(1), "malformed"),
        ("a critical key", map(&[(-1, number(1))]), "critical key -1"),
    ] {
        let mut raw = Raw::open(&rig);
        raw.send(&frame(13, &fetch, &list));
        raw.is_ended(Code::Protocol, why, case);
        is_unharmed(&rig, case);
    }
}

fn a_damaged_message_is_refused(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let good = frame(3, &map(&[(0, number(1)), (2, number(1))]), b"");
    // The lengths decide how much is awaited: the in-memory exchange flips those.
    for at in [0].into_iter().chain(8..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let mut raw = Raw::open(&rig);
        raw.send(&bad);
        raw.is_ended(Code::Protocol, "damaged", &format!("a bit of byte {at}"));
    }
    is_unharmed(&rig, "damage");
}

fn a_message_of_an_unknown_kind_is_skipped_and_the_connection_goes_on(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let mut raw = Raw::open(&rig);
    for len in [0, 65_536] {
        raw.send(&frame(99, &map(&[(-1, number(1))]), &noise(len)));
        let fail = raw.hear_fail("an unknown kind");
        assert_eq!(fail.code, Code::Protocol);
        assert!(fail.text.contains("unknown kind 99"), "{fail:?}");
        raw.is_answered("an unknown kind");
    }
    is_unharmed(&rig, "an unknown kind");
}

/// The server is its own again; where a client of the test is slower than the short
/// deadline, it tries again.
#[track_caller]
fn goes_on_in_time(rig: &Rig, case: &str) {
    is_untouched(rig, case);
    let next = rig.file("next", 3000);
    eventually(case, || {
        let outcome = put(&rig.client(1), &[(&next, "next")], &JobOptions::default());
        assert!(matches!(outcome.code(), 0 | 3), "{case}: {outcome:?}");
        outcome.code() == 0
    });
}

fn a_peer_that_does_not_open_in_time_is_told_and_cut(secrecy: Secrecy) {
    let hello = frame(1, &map(&[(0, number(0)), (1, text(&[b'a'; 16_000]))]), b"");
    let opening = [&preface::encode(1)[..], &hello].concat();
    for (case, said, dripped) in [
        ("silence", 0, 0),
        ("half a preface", 4, 0),
        ("a preface", 8, 0),
        ("half a hello", 1000, 0),
        ("a preface byte by byte", 0, 7),
        ("a hello byte by byte", 8, opening.len()),
    ] {
        let rig = with_deadlines(
            secrecy,
            Deadlines {
                opening: SOON,
                ..patient()
            },
        );
        let mut raw = Raw::connect(&rig);
        raw.send(&opening[..said]);
        raw.drip(&opening[said..dripped.max(said)]);
        raw.is_greeted();
        raw.is_ended(
            Code::Connection,
            "did not open the conversation in time",
            case,
        );
        goes_on_in_time(&rig, case);
    }
}

/// Has offered a file and said so much of its block in one flight, then is silent or
/// drips; hears that it was cut.
#[track_caller]
fn is_cut(
    secrecy: Secrecy,
    deadlines: Deadlines,
    (said, drips): (usize, bool),
    why: &str,
    case: &str,
) {
    let rig = with_deadlines(secrecy, deadlines);
    let (mut raw, id, body) = (Raw::open(&rig), transfer(), noise(1024));
    let mut flight = Vec::new();
    write(
        &offer(id, vec![offered(EntryId(1), "x", &body)]),
        &mut flight,
    );
    let (header, body) = block(id, EntryId(1), &body, 0);
    let said = flight.len() + said;
    header.write(body.len(), &mut flight);
    flight.extend(body);
    let said = said.min(flight.len());
    raw.send(&flight[..said]);
    assert!(
        matches!(raw.hear(), Heard::Message(Message::Want(_))),
        "{case}"
    );
    if drips {
        raw.drip(&flight[said..]);
    }
    raw.is_ended(Code::Connection, why, case);
    goes_on_in_time(&rig, case);
}

fn an_upload_that_stalls_or_crawls_is_cut(secrecy: Secrecy) {
    let stall = Deadlines {
        stall: SOON,
        ..patient()
    };
    let (silent, halts) = (
        "did not answer in time",
        "stalled in the middle of a message",
    );
    is_cut(secrecy, stall, (0, false), silent, "no block");
    is_cut(secrecy, stall, (20, false), halts, "half a header");
    is_cut(secrecy, stall, (600, false), halts, "half a body");
    is_cut(secrecy, stall, (2000, false), silent, "no commit");
    // Each byte comes long before the stall deadline, all of them too late.
    let crawl = Deadlines {
        floor: 1 << 20,
        ..stall
    };
    is_cut(secrecy, crawl, (300, true), halts, "a body byte by byte");
}

fn a_connection_that_asks_nothing_is_told_and_ended(secrecy: Secrecy) {
    let rig = with_deadlines(
        secrecy,
        Deadlines {
            idle: SOON,
            ..patient()
        },
    );
    let mut raw = Raw::open(&rig);
    raw.is_ended(Code::Connection, "sent no request in time", "idle");
    goes_on_in_time(&rig, "idle");
}
