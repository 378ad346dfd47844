//! Clients that leave, fall silent or are too many, and a server that goes on.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use haul::client::JobOptions;
use haul::code::Code;
use haul::fault::{Call, Fault};
use haul::offer::{EntryId, Reason, TransferId, Verdict};
use haul::server::Config;
use haul::transfer::Deadlines;
use haul::wire::Message;
use haul::wire::message::{Drop, Fetch, Offer, Range, Rights, Wanted, Working, write};

use crate::putting::X;
use crate::raw::transfer;
use crate::raw::{Heard, PATIENCE, Raw, SOON, block, commit, committed, offer, offered, sum};
use crate::rig::{Rig, forget_partials, get, noise, put, remote};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::{eventually, is_unharmed, is_untouched, patient, patient_server};
use crate::unharmed::{kept, served, with_deadlines};

plain_and_encrypted! {
    a_block_that_went_down_with_a_connection_is_named_and_can_be_sent_again,
    a_block_that_never_comes_is_named_within_the_stall_deadline,
    a_client_that_is_for_ever_working_has_not_answered_in_time,
    a_client_that_leaves_at_any_point_leaves_nothing_that_is_seen,
    a_full_server_says_so_at_once,
    a_server_that_is_read_only_takes_nothing_and_gives,
    a_panic_in_a_handler_ends_that_connection_only,
    a_client_that_fetches_and_reads_nothing_is_cut,
}

/// An offer of a file of three blocks.
fn an_offer(id: TransferId) -> Offer {
    offer(id, vec![offered(X, "x", &noise(2500))])
}

/// Offers a file of three blocks, and sends those of them.
fn sends(rig: &Rig, id: TransferId, blocks: &[u64]) -> Raw {
    let mut raw = Raw::open(rig);
    raw.say(&an_offer(id));
    assert!(matches!(raw.hear(), Heard::Message(Message::Want(_))));
    send(&mut raw, id, blocks);
    raw
}

fn send(raw: &mut Raw, id: TransferId, blocks: &[u64]) {
    for index in blocks {
        let (header, body) = block(id, X, &noise(2500), *index);
        raw.send_block(&header, &body);
    }
}

/// Commits the file, and returns the receipt's code and missing blocks.
#[track_caller]
fn commits(raw: &mut Raw, id: TransferId) -> Vec<(Code, Vec<Range>)> {
    let entry = committed(X, Some(sum(&noise(2500))));
    raw.say(&commit(id, vec![entry]));
    receipt(raw)
}

#[track_caller]
fn receipt(raw: &mut Raw) -> Vec<(Code, Vec<Range>)> {
    match raw.hear() {
        Heard::Message(Message::Receipt(receipt)) => receipt
            .exceptions
            .into_iter()
            .map(|e| (e.code, e.missing))
            .collect(),
        other => panic!("no receipt but {other:?}"),
    }
}

const SECOND: Range = Range { first: 1, count: 1 };

fn a_block_that_went_down_with_a_connection_is_named_and_can_be_sent_again(secrecy: Secrecy) {
    let (rig, id) = (patient_server(secrecy), transfer());
    let mut other = Raw::open(&rig);
    other.say(&Drop {
        transfer: id,
        entry: EntryId(9),
    });
    other.is_answered("the other connection takes part");
    let mut raw = sends(&rig, id, &[0, 2]);
    drop(other);
    assert_eq!(commits(&mut raw, id), [(Code::Connection, vec![SECOND])]);
    assert_eq!(rig.visible(), ["old"]);
    send(&mut raw, id, &[1]);
    assert_eq!(commits(&mut raw, id), []);
    assert_eq!(fs::read(rig.root().join("x")).unwrap(), noise(2500));
}

fn a_block_that_never_comes_is_named_within_the_stall_deadline(secrecy: Secrecy) {
    let rig = with_deadlines(
        secrecy,
        Deadlines {
            stall: SOON,
            ..patient()
        },
    );
    // In one flight, so that a slow machine does not stall in between.
    let (mut raw, id, mut flight) = (Raw::open(&rig), transfer(), Vec::new());
    write(&an_offer(id), &mut flight);
    for index in [0, 2] {
        let (header, body) = block(id, X, &noise(2500), index);
        header.write(body.len(), &mut flight);
        flight.extend(body);
    }
    write(&commit(id, vec![committed(X, None)]), &mut flight);
    raw.send(&flight);
    assert!(matches!(raw.hear(), Heard::Message(Message::Want(_))));
    assert_eq!(receipt(&mut raw), [(Code::Connection, vec![SECOND])]);
    raw.is_ended(Code::Connection, "did not answer in time", "still silent");
    is_untouched(&rig, "a block that never comes");
}

fn a_client_that_is_for_ever_working_has_not_answered_in_time(secrecy: Secrecy) {
    let deadlines = Deadlines {
        working: SOON,
        ..patient()
    };
    let rig = with_deadlines(secrecy, deadlines);
    let mut raw = sends(&rig, transfer(), &[0]);
    // More often would leave the server more to read than it does after an error.
    let end = Instant::now() + PATIENCE;
    while !raw.hears_within(SOON / 30) {
        assert!(Instant::now() < end, "it is heard for ever");
        raw.say(&Working {});
    }
    raw.is_ended(Code::Connection, "did not answer in time", "for ever");
}

fn a_client_that_leaves_at_any_point_leaves_nothing_that_is_seen(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let id = transfer();
    let (header, body) = block(id, X, &noise(2500), 1);
    let mut whole = Vec::new();
    header.write(body.len(), &mut whole);
    whole.extend(body);
    for (case, said) in [
        ("before a block", 0),
        ("in a prefix", 5),
        ("in a header", 30),
        ("before a body", whole.len() - 1024),
        ("in a body", whole.len() - 500),
        ("after a block", whole.len()),
    ] {
        for reset in [false, true] {
            forget_partials(&rig.root());
            let mut raw = sends(&rig, id, &[0]);
            // It is made with the first block, once the server has read that.
            eventually(&format!("{case}: something is staged"), || kept(&rig) == 1);
            raw.send(&whole[..said]);
            if reset {
                raw.reset();
            } else {
                drop(raw);
            }
            is_unharmed(&rig, case);
        }
    }
    Raw::connect(&rig).reset();
    is_unharmed(&rig, "before a preface");
}

fn a_full_server_says_so_at_once(secrecy: Secrecy) {
    let rig = served(
        secrecy,
        Config {
            max_connections: 1,
            deadlines: patient(),
            ..Config::default()
        },
    );
    let only = Raw::open(&rig);
    // Without a thread there is no handshake either.
    let mut raw = Raw::connect_in_clear(&rig);
    raw.is_greeted();
    raw.is_ended(
        Code::Connection,
        "the server is full",
        "a second connection",
    );
    let source = rig.file("source", 10);
    let again = || put(&rig.client(1), &[(&source, "x")], &JobOptions::default());
    let outcome = again();
    assert_eq!(outcome.code(), 3, "{outcome:?}");
    assert!(
        format!("{outcome:?}").contains("the server is full"),
        "{outcome:?}"
    );
    drop(only);
    eventually("there is room again", || again().code() == 0);
}

fn a_server_that_is_read_only_takes_nothing_and_gives(secrecy: Secrecy) {
    let rig = served(
        secrecy,
        Config {
            admit: Arc::new(Rights::READ),
            ..Config::default()
        },
    );
    let source = rig.file("source", 10);
    let outcome = put(&rig.client(1), &[(&source, "x")], &JobOptions::default());
    assert_eq!(outcome.code(), 4, "{outcome:?}");
    let mut raw = Raw::open(&rig);
    raw.say(&an_offer(transfer()));
    match raw.hear() {
        Heard::Message(Message::Want(want)) => {
            let refused = Verdict::Refused(Code::NotAuthorised, Reason::Unsaid);
            assert!(
                want.verdicts.iter().all(|a| a.verdict == refused),
                "{want:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    let into = rig.dir.path().join("back");
    get(
        &rig.client(1),
        &[("old", "old")],
        &into,
        &JobOptions::default(),
    )
    .is_fine();
    is_untouched(&rig, "read only");
    assert!(!rig.root().join(".haul").exists());
}

fn a_panic_in_a_handler_ends_that_connection_only(secrecy: Secrecy) {
    let armed = Arc::new(AtomicBool::new(false));
    let trigger = Arc::clone(&armed);
    let fault = Fault::watched(move |call| {
        let now = call == Call::WriteAt && trigger.swap(false, Ordering::SeqCst);
        assert!(!now, "a panic that the test asked for");
        Ok(())
    });
    let rig = Rig::guarded(secrecy, Config::default(), fault);
    fs::write(rig.root().join("old"), "old data").unwrap();
    let mut other = Raw::open(&rig);
    let id = transfer();
    let mut raw = sends(&rig, id, &[]);
    armed.store(true, Ordering::SeqCst);
    send(&mut raw, id, &[0]);
    assert!(matches!(raw.hear(), Heard::End | Heard::Lost));
    assert!(!armed.load(Ordering::SeqCst));
    other.is_answered("another connection");
    is_unharmed(&rig, "a panic");
}

fn a_client_that_fetches_and_reads_nothing_is_cut(secrecy: Secrecy) {
    let rig = served(
        secrecy,
        Config {
            max_connections: 1,
            deadlines: Deadlines {
                stall: SOON,
                ..patient()
            },
            ..Config::default()
        },
    );
    let huge = fs::File::create(rig.root().join("huge")).unwrap();
    huge.set_len(64 << 20).unwrap();
    let listing = rig.client(1).list(Some(&remote("huge")), Some(0)).unwrap();
    let mut raw = None;
    eventually("the listing's place is free", || {
        raw = Raw::try_open(&rig);
        raw.is_some()
    });
    let mut raw = raw.unwrap();
    let wanted = Wanted {
        entry: X,
        path: remote("huge"),
        version: listing.entries[0].version.unwrap(),
        block: 1 << 20,
        first: 0,
        count: 64,
    };
    raw.say(&Fetch {
        request: 1,
        transfer: transfer(),
        files: vec![wanted],
    });
    let source = rig.file("source", 10);
    eventually("its place is free again", || {
        put(&rig.client(1), &[(&source, "x")], &JobOptions::default()).code() == 0
    });
    drop(raw);
}
