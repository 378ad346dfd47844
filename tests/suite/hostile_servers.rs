//! Servers that break the protocol while a client gets a file from them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use haul::client::Summary;
use haul::code::Code;
use haul::content::{BlockSize, Checksum, Geometry};
use haul::entry::{Entry, Kind, LinkTarget, Recorded, Touched};
use haul::offer::{EntryId, Ticket};
use haul::transfer::Deadlines;
use haul::wire::message::{Block, Fail, SumIs, Unsent, Want, Working};
use haul::wire::preface;

use crate::by_hand::{frame, listed_map};
use crate::evil::{Giving, facing, file, gets, page, page_map, welcome};
use crate::raw::{Act, Raw, SOON, block, hello, transfer};
use crate::rig::{Outcome, noise, outcome, remote, visible};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::patient;

plain_and_encrypted! {
    what_does_not_speak_haul_is_not_listened_to,
    a_server_that_refuses_at_once_is_quoted,
    a_listing_of_something_else_is_not_believed,
    a_listing_that_cannot_be_is_not_believed,
    a_listing_out_of_order_or_of_another_place_is_refused,
    an_answer_to_something_else_ends_the_get,
    a_block_that_was_not_asked_for_ends_the_get,
    bytes_that_are_not_the_announced_ones_are_not_kept,
    an_end_that_does_not_vouch_for_all_blocks_stores_nothing,
    a_server_that_leaves_at_any_point_is_a_lost_connection,
    a_server_that_falls_silent_at_any_point_is_given_up,
    a_server_that_is_for_ever_working_is_given_up,
    set_user_id_bits_never_come_from_a_server,
}

/// A get that ends with `code`, after which nothing is to be seen in the directory that was
/// downloaded into, and the next get into it works.
#[track_caller]
fn ends_within(
    secrecy: Secrecy,
    deadlines: Deadlines,
    case: &str,
    code: u8,
    script: impl FnOnce(&mut Raw) + Send + 'static,
) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("into");
    let outcome = gets(secrecy, &into, deadlines, script);
    assert_eq!(outcome.code(), code, "{case}: {outcome:?}");
    if code == 3 {
        // What was verified before the connection was lost is kept.
        assert!(!into.exists() || visible(&into).is_empty(), "{case}");
    } else {
        let left = fs::read_dir(&into).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{case}: something is left behind");
    }
    let honest = |raw: &mut Raw| Giving::begin(raw).all();
    gets(secrecy, &into, patient(), honest).is_fine();
    assert_eq!(fs::read(into.join("f")).unwrap(), noise(2500), "{case}");
    assert!(!into.join(".haul").exists(), "{case}");
    outcome
}

#[track_caller]
fn ends(secrecy: Secrecy, case: &str, code: u8, script: impl FnOnce(&mut Raw) + Send + 'static) {
    ends_within(secrecy, patient(), case, code, script);
}

fn what_does_not_speak_haul_is_not_listened_to(secrecy: Secrecy) {
    for (case, said) in [
        (
            "HTTP",
            &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..],
        ),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("TLS", b"\x15\x03\x01\x00\x02\x02\x28"),
        ("haul, to something else", preface::NOT_HAUL),
        ("a frame without a preface", b"\x02\0\0\x10\0\0\0\0"),
    ] {
        ends(secrecy, case, 9, |raw| raw.send(said));
    }
    ends(secrecy, "another version", 9, |raw| {
        raw.send(&preface::encode(2));
    });
}

fn a_server_that_refuses_at_once_is_quoted(secrecy: Secrecy) {
    let outcome = ends_within(secrecy, patient(), "full", 3, |raw| {
        raw.send(&preface::encode(1));
        raw.say(&Fail::connection(Code::Connection, "full up"));
    });
    assert!(format!("{:?}", outcome.result).contains("full up"));
}

fn a_listing_of_something_else_is_not_believed(secrecy: Secrecy) {
    let check = |case, code, entries: Vec<Entry>| {
        ends(secrecy, case, code, |raw| {
            let request = raw.hear_list();
            raw.say(&page(request, entries));
        });
    };
    let named = |path| Entry {
        path: remote(path),
        ..file()
    };
    let kind = |kind| Entry { kind, ..file() };
    check("another name", 9, vec![named("g")]);
    check("a name beneath", 9, vec![named("f/g")]);
    check("more than was asked", 9, vec![file(), named("g")]);
    check("the same twice", 9, vec![file(), file()]);
    check("nothing", 9, vec![]);
    check(
        "no version",
        9,
        vec![Entry {
            version: None,
            ..file()
        }],
    );
    let beneath = |path| vec![kind(Kind::Dir), named(path)];
    check("a directory, and what is beside it", 9, beneath("g"));
    check("a directory, and what is above it", 9, beneath("e/f"));
    check("a directory beneath a file", 9, vec![file(), named("f/g")]);
    check(
        "a link",
        10,
        vec![kind(Kind::Link(LinkTarget::new("/etc/passwd").unwrap()))],
    );
    let huge = Geometry::new(1 << 62, BlockSize::new(1 << 24).unwrap()).unwrap();
    check(
        "more than there is room for",
        8,
        vec![kind(Kind::File(huge))],
    );
}

fn a_listing_that_cannot_be_is_not_believed(secrecy: Secrecy) {
    let check = |case, (name, size, block): (&'static [u8], u64, u64)| {
        ends(secrecy, case, 9, move |raw| {
            let header = page_map(raw.hear_list());
            raw.send(&frame(4, &header, &listed_map(name, (size, block), 0o644)));
        });
    };
    check("a name that leads up", (b"../f", 5, 1024));
    check("a name from the root", (b"/f", 5, 1024));
    check("haul's own name", (b".haul/f", 5, 1024));
    check("no name", (b"", 5, 1024));
    check("no block size", (b"f", 5, 1000));
    check("too many blocks", (b"f", (1 << 26) + 1, 1024));
    check("2^64-1 bytes", (b"f", u64::MAX, 1 << 24));
}

fn a_listing_out_of_order_or_of_another_place_is_refused(secrecy: Secrecy) {
    let check = |case, under: Option<&str>, names: &'static [&'static str]| {
        let script = move |raw: &mut Raw| {
            let request = raw.hear_list();
            let entry = |name: &&str| Entry {
                path: remote(name),
                ..file()
            };
            raw.say(&page(request, names.iter().map(entry).collect()));
        };
        let under = under.map(remote);
        let mut listed = None;
        facing(secrecy, patient(), script, |client| {
            listed = Some(client.list(under.as_ref(), None));
            outcome(|_| Ok(Summary::default()))
        });
        let error = listed.unwrap().expect_err(case);
        assert_eq!(error.code(), Code::Protocol, "{case}: {error}");
    };
    check("out of order", None, &["b", "a"]);
    check("twice", None, &["a", "a"]);
    check("elsewhere", Some("a"), &["b"]);
    check("beside it", Some("a"), &["a.txt"]);
}

fn an_answer_to_something_else_ends_the_get(secrecy: Secrecy) {
    ends(secrecy, "another listing's", 9, |raw| {
        let request = raw.hear_list();
        raw.say(&page(request + 1, vec![file()]));
    });
    ends(secrecy, "another fetch's", 9, |raw| {
        let mut giving = Giving::begin(raw);
        giving.fetch.request += 1;
        giving.all();
    });
    ends(secrecy, "a failure of another request", 9, |raw| {
        let request = raw.hear_list();
        raw.say(&Fail::request(request + 1, Code::Protocol, "no"));
    });
    ends(secrecy, "blocks instead of a listing", 9, |raw| {
        raw.hear_list();
        let (header, body) = block(transfer(), EntryId(0), b"x", 0);
        raw.send_block(&header, &body);
    });
    ends(secrecy, "verdicts", 9, |raw| {
        let request = Giving::begin(raw).fetch.request;
        raw.say(&Want {
            request,
            verdicts: vec![],
        });
    });
    ends(secrecy, "a checksum", 9, |raw| {
        let request = Giving::begin(raw).fetch.request;
        raw.say(&SumIs {
            request,
            checksum: Checksum::Sha256([0; 32]),
        });
    });
    ends(secrecy, "a greeting", 9, |raw| {
        Giving::begin(raw);
        raw.say(&hello());
    });
    ends(secrecy, "another welcome", 9, |raw| {
        Giving::begin(raw);
        raw.say(&welcome());
    });
}

fn a_block_that_was_not_asked_for_ends_the_get(secrecy: Secrecy) {
    let check = |case, damage: fn(&mut Block, &mut Vec<u8>)| {
        ends(secrecy, case, 9, move |raw| {
            let mut giving = Giving::begin(raw);
            giving.send(0, |_, _| {});
            giving.send(1, damage);
            giving.send(2, |_, _| {});
            giving.sent(vec![]);
        });
    };
    check("another entry's", |b, _| b.entry.0 += 1);
    check("another transfer's", |b, _| b.transfer = transfer());
    check("with a ticket", |b, _| b.ticket = Ticket::new(b"x"));
    check("the one before again", |b, _| b.index = 0);
    check("the one after", |b, _| b.index = 2);
    check("one beyond the file", |b, _| b.index = 3);
    check("2^64-1", |b, _| b.index = u64::MAX);
    check("a byte too long", |_, body| body.push(0));
    check("a byte too short", |_, body| body.truncate(1023));
    check("without bytes", |_, body| body.clear());
}

fn bytes_that_are_not_the_announced_ones_are_not_kept(secrecy: Secrecy) {
    let check = |case, damage: fn(&mut Block, &mut Vec<u8>)| {
        ends(secrecy, case, 7, move |raw| {
            let mut giving = Giving::begin(raw);
            giving.send(0, |_, _| {});
            giving.send(1, |_, _| {});
            giving.send(2, damage);
            giving.sent(vec![]);
        });
    };
    check("a flipped bit", |_, body| body[0] ^= 1);
    check("a wrong node", |b, _| b.node.0[0] ^= 1);
    ends(secrecy, "another checksum on record", 7, |raw| {
        let request = raw.hear_list();
        let checksum = Some(Recorded {
            checksum: Checksum::Blake3([0; 32]),
            touched: Touched::Never,
        });
        raw.say(&page(request, vec![Entry { checksum, ..file() }]));
        Giving::when_asked(raw).all();
    });
}

fn an_end_that_does_not_vouch_for_all_blocks_stores_nothing(secrecy: Secrecy) {
    let check = |case, code, blocks, unsent: Option<Code>| {
        ends(secrecy, case, code, move |raw| {
            let mut giving = Giving::begin(raw);
            (0..blocks).for_each(|index| giving.send(index, |_, _| {}));
            let entry = giving.fetch.files[0].entry;
            let why = |code| Unsent {
                entry,
                code,
                text: "why".to_owned(),
            };
            giving.sent(unsent.map(why).into_iter().collect());
        });
    };
    check("no blocks", 9, 0, None);
    check("fewer blocks", 9, 2, None);
    check("it is gone", 5, 0, Some(Code::NotFound));
    check("it cannot be read on", 10, 1, Some(Code::File));
    check("it changed at the end", 7, 3, Some(Code::Mismatch));
    ends(secrecy, "the request failed", 4, |raw| {
        let request = Giving::begin(raw).fetch.request;
        raw.say(&Fail::request(request, Code::NotAuthorised, "no"));
    });
    ends(secrecy, "the connection failed", 8, |raw| {
        Giving::begin(raw);
        raw.say(&Fail::connection(Code::Limit, "no"));
    });
}

/// How far a server comes before it says no more.
const STAGES: [(&str, Act); 8] = [
    ("nothing", |_| {}),
    ("half a preface", |raw| raw.send(b"haul")),
    ("a preface", |raw| raw.send(&preface::encode(1))),
    ("half a welcome", |raw| {
        raw.send(&preface::encode(1));
        raw.send(&[2, 0, 0, 99, 0, 0, 0, 0, 0xa6]);
    }),
    ("a welcome", |raw| assert!(raw.hear_list() > 0)),
    ("a listing", |raw| drop(Giving::begin(raw))),
    ("half a block", |raw| {
        let fetch = Giving::begin(raw).fetch;
        let (header, body) = block(fetch.transfer, fetch.files[0].entry, &noise(2500), 0);
        let mut bytes = Vec::new();
        header.write(body.len(), &mut bytes);
        raw.send(&bytes);
        raw.send(&body[..500]);
    }),
    ("all blocks and no end", |raw| {
        let mut giving = Giving::begin(raw);
        (0..3).for_each(|index| giving.send(index, |_, _| {}));
    }),
];

fn a_server_that_leaves_at_any_point_is_a_lost_connection(secrecy: Secrecy) {
    for (stage, act) in STAGES {
        ends(secrecy, stage, 3, act);
    }
}

fn a_server_that_falls_silent_at_any_point_is_given_up(secrecy: Secrecy) {
    let deadlines = Deadlines {
        opening: SOON,
        stall: SOON,
        ..patient()
    };
    for (stage, act) in STAGES {
        ends_within(secrecy, deadlines, stage, 3, move |raw| {
            act(raw);
            raw.outlast();
        });
    }
}

fn a_server_that_is_for_ever_working_is_given_up(secrecy: Secrecy) {
    let deadlines = Deadlines {
        working: SOON,
        ..patient()
    };
    ends_within(secrecy, deadlines, "for ever working", 3, |raw| {
        Giving::begin(raw);
        raw.say_for_ever(&Working {});
    });
}

fn set_user_id_bits_never_come_from_a_server(secrecy: Secrecy) {
    let dir = tempfile::tempdir().unwrap();
    let outcome = gets(secrecy, dir.path(), patient(), |raw| {
        let header = page_map(raw.hear_list());
        raw.send(&frame(4, &header, &listed_map(b"f", (2500, 1024), 0o6755)));
        Giving::when_asked(raw).all();
    });
    outcome.is_fine();
    let mode = fs::metadata(dir.path().join("f"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
}
