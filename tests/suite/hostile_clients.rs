//! Clients that send requests that cannot be, or in the wrong order.

use haul::code::Code;
use haul::content::Checksum;
use haul::entry::Version;
use haul::wire::message::{
    Done, Fetch, Finding, NodesAre, Receipt, Sent, State, SumIs, Want, Wanted,
};
use haul::wire::{Message, preface};

use crate::by_hand::frame;
use crate::evil::page;
use crate::putting::X;
use crate::raw::{Act, Heard, Raw, block, commit, hello, list, transfer};
use crate::rig::{Rig, remote};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::{is_unharmed, patient_server};

plain_and_encrypted! {
    a_message_out_of_order_ends_the_connection,
    nothing_may_come_before_hello,
    a_fetch_of_what_is_not_so_sends_nothing_and_says_why,
}

fn a_message_out_of_order_ends_the_connection(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let table: [(&str, Act); 9] = [
        ("Hello", |raw| raw.say(&hello())),
        ("Entries", |raw| raw.say(&page(1, vec![]))),
        ("Want", |raw| {
            raw.say(&Want {
                request: 1,
                verdicts: vec![],
            });
        }),
        ("Receipt", |raw| {
            raw.say(&Receipt {
                request: 1,
                exceptions: vec![],
            });
        }),
        ("Done", |raw| raw.say(&Done { request: 1 })),
        ("Sent", |raw| {
            raw.say(&Sent {
                request: 1,
                exceptions: vec![],
            });
        }),
        ("NodesAre", |raw| {
            raw.say(&NodesAre {
                request: 1,
                first: 0,
                more: false,
                nodes: vec![],
            });
        }),
        ("SumIs", |raw| {
            raw.say(&SumIs {
                request: 1,
                checksum: Checksum::Blake3([0; 32]),
            });
        }),
        ("Finding", |raw| {
            raw.say(&Finding {
                request: 1,
                state: State::Unrecorded,
                checksum: None,
                block: None,
                decayed: None,
                runs: vec![],
            });
        }),
    ];
    for (kind, say) in table {
        let mut raw = Raw::open(&rig);
        say(&mut raw);
        raw.is_ended(Code::Protocol, &format!("sent a {kind} where"), kind);
    }
    is_unharmed(&rig, "messages of the other side");
}

fn nothing_may_come_before_hello(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let table: [(&str, Act); 4] = [
        ("sent a Block where", |raw| {
            let (header, body) = block(transfer(), X, b"early", 0);
            raw.send_block(&header, &body);
        }),
        ("sent a List where", |raw| raw.say(&list(1))),
        ("sent a Commit where", |raw| {
            raw.say(&commit(transfer(), vec![]));
        }),
        ("must be a Hello", |raw| raw.send(&frame(99, &[0xa0], b""))),
    ];
    for (why, say) in table {
        let mut raw = Raw::connect(&rig);
        raw.send(&preface::encode(1));
        raw.is_greeted();
        say(&mut raw);
        raw.is_ended(Code::Protocol, why, why);
    }
    is_unharmed(&rig, "early messages");
}

#[track_caller]
fn fetches(rig: &Rig, case: &str, change: impl FnOnce(&mut Wanted), code: Option<Code>) {
    let mut raw = Raw::open(rig);
    raw.say(&list(1));
    let version = match raw.hear() {
        Heard::Message(Message::Entries(page)) => page.entries[0].version.unwrap(),
        other => panic!("{case}: {other:?}"),
    };
    let path = remote("old");
    let mut wanted = Wanted {
        entry: X,
        path,
        version,
        block: 1024,
        first: 0,
        count: 1,
    };
    change(&mut wanted);
    raw.say(&Fetch {
        request: 2,
        transfer: transfer(),
        files: vec![wanted],
    });
    let mut heard = raw.hear();
    if let Heard::Block(_, body) = &heard {
        assert_eq!((&body[..], code), (&b"old data"[..], None), "{case}");
        heard = raw.hear();
    }
    match heard {
        Heard::Message(Message::Sent(sent)) => {
            let codes: Vec<_> = sent.exceptions.iter().map(|e| e.code).collect();
            assert_eq!(codes, Vec::from_iter(code), "{case}: {sent:?}");
        }
        other => panic!("{case}: {other:?}"),
    }
    raw.is_answered(case);
}

fn a_fetch_of_what_is_not_so_sends_nothing_and_says_why(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let absent = remote("absent");
    fetches(&rig, "as it is", |_| {}, None);
    fetches(
        &rig,
        "a name that is not there",
        |w| w.path = absent,
        Some(Code::NotFound),
    );
    fetches(
        &rig,
        "another version",
        |w| w.version = Version([0; 16]),
        Some(Code::Mismatch),
    );
    fetches(
        &rig,
        "a block too far",
        |w| w.first = 1,
        Some(Code::Protocol),
    );
    fetches(
        &rig,
        "2^64-1 blocks",
        |w| w.count = u64::MAX,
        Some(Code::Protocol),
    );
    fetches(
        &rig,
        "block 2^64-1",
        |w| w.first = u64::MAX,
        Some(Code::Protocol),
    );
    for block in [0, 1, 1000, 1 << 25, u64::MAX] {
        fetches(
            &rig,
            "a block size",
            |w| w.block = block,
            Some(Code::Protocol),
        );
    }
    is_unharmed(&rig, "fetches");
}
