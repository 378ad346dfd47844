//! Uploads that break the protocol, block by block, against a real server.

use std::fs;

use haul::code::Code;
use haul::content::{Checksum, merge};
use haul::offer::{EntryId, Reason, Verdict};
use haul::wire::message::{Answered, Block, Drop, Stop, Working};

use crate::putting::{ABSENT, Putting, X, grants};
use crate::raw::{block, commit, committed, offer, offered, transfer};
use crate::rig::Rig;
use crate::unharmed::{is_unharmed, patient_server};

/// What misbehaving comes to.
#[derive(Clone, Copy)]
enum Comes {
    /// The connection ends, and is told why.
    Ended(&'static str),
    /// The entry fails alone, before and at its commit; the connection goes on.
    Failed(EntryId, Code),
    /// The receipt has an exception; the connection goes on.
    Unstored(Code),
    /// It is harmless.
    Stored,
}
use crate::secrecy::{Secrecy, plain_and_encrypted};
use Comes::{Ended, Failed, Stored, Unstored};

plain_and_encrypted! {
    a_block_that_its_file_does_not_have_ends_the_connection,
    a_block_with_other_bytes_than_announced_fails_its_file_alone,
    a_block_of_what_is_not_under_way_is_forgotten,
    a_ticket_that_was_given_for_something_else_ends_the_connection,
    more_than_a_limit_allows_ends_the_connection,
    transfers_of_which_nothing_is_under_way_count_for_nothing,
    a_commit_that_proves_something_else_stores_nothing,
    a_commit_of_what_is_not_under_way_stores_nothing,
    odd_uploads_that_break_no_rule_are_stored,
    of_two_entries_with_one_number_the_second_is_refused,
    of_two_entries_with_one_name_the_second_is_not_stored,
}

#[track_caller]
fn check(rig: &Rig, case: &str, end: Comes, misbehave: impl FnOnce(&mut Putting)) {
    let mut putting = Putting::begin(rig);
    misbehave(&mut putting);
    match end {
        Ended(why) => putting.raw.is_ended(Code::Protocol, why, case),
        Failed(entry, code) => {
            let fail = putting.raw.hear_fail(case);
            assert_eq!(
                (fail.entry, fail.code),
                (Some(entry), code),
                "{case}: {fail:?}"
            );
            if entry == X {
                putting.commit_well();
                let codes: Vec<_> = putting.receipt(case).iter().map(|e| e.code).collect();
                assert_eq!(codes, [code], "{case}");
            }
            putting.raw.is_answered(case);
        }
        Unstored(code) => {
            let codes: Vec<_> = putting.receipt(case).iter().map(|e| e.code).collect();
            assert_eq!(codes, [code], "{case}");
            putting.raw.is_answered(case);
        }
        Stored => {
            assert_eq!(putting.receipt(case), [], "{case}");
            let x = rig.root().join("x");
            assert_eq!(fs::read(&x).unwrap(), putting.bytes, "{case}");
            fs::remove_file(x).unwrap();
        }
    }
    drop(putting);
    is_unharmed(rig, case);
}

fn a_block_that_its_file_does_not_have_ends_the_connection(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let check = |case, why, damage: fn(&mut Block, &mut Vec<u8>)| {
        check(&rig, case, Ended(why), |p| p.send(1, damage));
    };
    check("a block beyond the file", "does not have", |b, _| {
        b.index = 3;
    });
    check("block 2^64-1", "does not have", |b, _| b.index = u64::MAX);
    check("a byte too many", "another length", |_, body| body.push(0));
    check("a byte too few", "another length", |_, body| {
        body.truncate(1023);
    });
    check("no bytes", "another length", |_, body| body.clear());
    check("16 MiB", "another length", |_, body| {
        body.resize(1 << 24, 0);
    });
    check("bytes beyond the size", "another length", |b, _| {
        b.index = 2;
    });
}

fn a_block_with_other_bytes_than_announced_fails_its_file_alone(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let check = |case, damage: fn(&mut Block, &mut Vec<u8>)| {
        check(&rig, case, Failed(X, Code::Mismatch), |p| {
            p.send(0, |_, _| {});
            p.send(1, damage);
        });
    };
    check("a wrong node", |b, _| b.node.0[31] ^= 1);
    check("a flipped bit", |_, body| body[1023] ^= 1);
    check("another block's place", |b, _| b.index = 0);
    check("other content for a block that is there", |b, body| {
        let other = vec![7; 2500];
        (*b, *body) = block(b.transfer, X, &other, 0);
    });
}

fn a_block_of_what_is_not_under_way_is_forgotten(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let check = |case, code, say: fn(&mut Putting)| {
        check(&rig, case, Failed(ABSENT, code), say);
    };
    check("an entry that was not offered", Code::Protocol, |p| {
        p.send(0, |b, _| b.entry = ABSENT);
    });
    check("a transfer that was not named", Code::Protocol, |p| {
        p.send(0, |b, _| (b.transfer, b.entry) = (transfer(), ABSENT));
    });
    check("a forged ticket", Code::Connection, |p| {
        let mut forged = p.ticket.as_bytes().to_vec();
        forged[23] ^= 1;
        p.show(ABSENT, &forged, "x", 2500);
    });
    check("half a ticket", Code::Connection, |p| {
        let half = p.ticket.as_bytes()[..12].to_vec();
        p.show(ABSENT, &half, "x", 2500);
    });
    check("an empty ticket", Code::Connection, |p| {
        p.show(ABSENT, b"", "x", 2500);
    });
}

fn a_ticket_that_was_given_for_something_else_ends_the_connection(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let check = |case, (entry, path, size), why| {
        check(&rig, case, Ended(why), |p| {
            let bytes = p.bytes.clone();
            grants(&mut p.raw, p.id, vec![(EntryId(2), "y", &bytes)]);
            let ticket = p.ticket.as_bytes().to_vec();
            p.show(entry, &ticket, path, size);
        });
    };
    check(
        "another path",
        (X, "old", 2500),
        "a ticket for another file",
    );
    check("another size", (X, "x", 2501), "a ticket for another file");
    check(
        "another entry",
        (EntryId(2), "x", 2500),
        "a ticket for another entry",
    );
}

fn more_than_a_limit_allows_ends_the_connection(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    check(
        &rig,
        "bytes between messages",
        Ended("unknown flags"),
        |p| {
            p.send_all();
            p.raw.send(&[0xff; 16]);
        },
    );
    check(&rig, "transfers", Ended("too many transfers"), |p| {
        for _ in 0..3 {
            let bytes = p.bytes.clone();
            grants(&mut p.raw, transfer(), vec![(X, "y", &bytes)]);
        }
        let one = offered(X, "y", &p.bytes);
        p.raw.say(&offer(transfer(), vec![one]));
    });
    check(&rig, "commits", Ended("entries in a commit"), |p| {
        let one = committed(X, None);
        p.raw.say(&commit(p.id, vec![one; 1025]));
    });
    check(&rig, "offers", Ended("entries in an offer"), |p| {
        let one = offered(ABSENT, "y", b"y");
        p.raw.say(&offer(p.id, vec![one; 257]));
    });
}

fn transfers_of_which_nothing_is_under_way_count_for_nothing(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    check(&rig, "one after the other", Stored, |p| {
        let drop = |_| Drop {
            transfer: transfer(),
            entry: X,
        };
        (0..16).map(drop).for_each(|drop| p.raw.say(&drop));
        p.send_all();
        p.commit_well();
    });
}

fn a_commit_that_proves_something_else_stores_nothing(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let check = |case, claim: fn(&Putting) -> (Option<Checksum>, Option<Checksum>)| {
        check(&rig, case, Unstored(Code::Mismatch), |p| {
            p.send_all();
            let (whole, second) = claim(p);
            p.commit(X, whole, second);
        });
    };
    check("a wrong checksum", |_| {
        (Some(Checksum::Blake3([0; 32])), None)
    });
    check("no checksum", |_| (None, None));
    check("another algorithm", |p| {
        (Some(Checksum::Sha256(*p.checksum().bytes())), None)
    });
    check("a wrong second", |p| {
        (Some(p.checksum()), Some(Checksum::Sha256([0; 32])))
    });
    check("the checksum of another order", |p| {
        let nodes = [1, 0, 2].map(|n| block(p.id, X, &p.bytes, n).0.node);
        (merge(&nodes), None)
    });
}

fn a_commit_of_what_is_not_under_way_stores_nothing(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let unstored = || Unstored(Code::Connection);
    check(&rig, "an entry that was not offered", unstored(), |p| {
        p.commit(ABSENT, Some(p.checksum()), None);
    });
    check(&rig, "an entry that was dropped", unstored(), |p| {
        p.send_all();
        p.raw.say(&Drop {
            transfer: p.id,
            entry: X,
        });
        p.commit_well();
    });
}

fn odd_uploads_that_break_no_rule_are_stored(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let check = |case, say: fn(&mut Putting)| {
        check(&rig, case, Stored, |p| {
            say(p);
            p.commit_well();
        });
    };
    check("every block twice", |p| {
        p.send_all();
        p.send_all();
    });
    check("another order", |p| {
        for index in [2, 0, 1] {
            p.send(index, |_, _| {});
        }
    });
    check("a ticket again and again", |p| {
        p.send_all();
        let ticket = p.ticket.as_bytes().to_vec();
        (0..3).for_each(|_| p.show(X, &ticket, "x", 2500));
    });
    check("what may come at any time", |p| {
        p.send(0, |_, _| {});
        p.raw.say(&Working {});
        p.raw.say(&Stop { request: 99 });
        p.raw.say(&Drop {
            transfer: p.id,
            entry: ABSENT,
        });
        p.send_all();
    });
}

fn of_two_entries_with_one_number_the_second_is_refused(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    check(&rig, "one number", Stored, |p| {
        let verdicts = grants(&mut p.raw, p.id, vec![(X, "y", b"another")]);
        assert!(matches!(
            verdicts[..],
            [Answered {
                verdict: Verdict::Refused(Code::Protocol, Reason::Unsaid),
                ..
            }]
        ));
        p.send_all();
        p.commit_well();
    });
}

fn of_two_entries_with_one_name_the_second_is_not_stored(secrecy: Secrecy) {
    let (rig, second) = (patient_server(secrecy), EntryId(2));
    let mut p = Putting::begin(&rig);
    grants(&mut p.raw, p.id, vec![(second, "x", b"another")]);
    p.send_all();
    let (header, body) = block(p.id, second, b"another", 0);
    p.raw.send_block(&header, &body);
    let checksums = [(X, Some(p.checksum())), (second, merge(&[header.node]))];
    let entries = checksums.map(|(entry, checksum)| committed(entry, checksum));
    p.raw.say(&commit(p.id, entries.to_vec()));
    let failed = p.receipt("one name").into_iter().map(|e| (e.entry, e.code));
    assert_eq!(failed.collect::<Vec<_>>(), [(second, Code::Exists)]);
    assert_eq!(fs::read(rig.root().join("x")).unwrap(), p.bytes);
    fs::remove_file(rig.root().join("x")).unwrap();
    drop(p);
    is_unharmed(&rig, "one name");
}
