//! What a local user plants under a name, or as haul's own directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use haul::client::JobOptions;
use haul::offer::{EntryId, OnExisting, Verdict};
use haul::wire::Message;
use haul::wire::message::{Answered, Offer};

use crate::raw::{Heard, Raw, block, commit, committed, offer, offered, transfer};
use crate::rig::{Outcome, get, put, visible};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::{patient_server, staged};

plain_and_encrypted! {
    what_is_planted_under_a_name_is_neither_followed_nor_waited_for,
    what_is_planted_between_offer_and_commit_is_not_followed_either,
    a_reserved_directory_that_is_not_private_and_ours_is_not_used,
}

fn plant(kind: &str, at: &Path, outside: &Path) {
    match kind {
        "a link to a file" => symlink(outside.join("secret"), at).unwrap(),
        "a link to nothing" => symlink(outside.join("absent"), at).unwrap(),
        "a link to a directory" => symlink(outside, at).unwrap(),
        "a directory" => fs::create_dir(at).unwrap(),
        "a FIFO" => {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, at, FileType::Fifo, Mode::RWXU, 0).unwrap();
        }
        other => panic!("{other}"),
    }
}

/// What is planted as `x`, the name that is used, and what ends a put, a get, and a
/// put that was offered before.
const PLANTED: [(&str, &str, u8, u8, u8); 7] = [
    ("a link to a file", "x", 6, 10, 6),
    ("a link to nothing", "x", 6, 10, 6),
    ("a link to a directory", "x", 6, 10, 6),
    ("a link to a directory", "x/secret", 10, 10, 6),
    ("a link to a directory", "x/new/file", 10, 10, 10),
    ("a directory", "x", 6, 0, 6),
    ("a FIFO", "x", 6, 10, 6),
];

#[track_caller]
fn comes_to(outcome: &Outcome, code: u8, outside: &Path, case: &str) {
    assert_eq!(outcome.code(), code, "{case}: {outcome:?}");
    assert_eq!(visible(outside), ["secret"], "{case}");
    assert_eq!(
        fs::read(outside.join("secret")).unwrap(),
        b"secret",
        "{case}"
    );
}

fn what_is_planted_under_a_name_is_neither_followed_nor_waited_for(secrecy: Secrecy) {
    let replace = OnExisting::Replace;
    let (puts, gets) = (
        JobOptions {
            on_existing: replace,
            ..JobOptions::default()
        },
        JobOptions {
            on_existing: replace,
            ..JobOptions::default()
        },
    );
    for (kind, name, put_code, get_code, _) in PLANTED {
        let case = format!("{kind} under {name}");
        let rig = patient_server(secrecy);
        let (outside, into) = (rig.dir.path().join("outside"), rig.dir.path().join("into"));
        fs::create_dir(&outside).unwrap();
        fs::create_dir(&into).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        let source = rig.file("source", 5000);
        let client = rig.client(1);

        plant(kind, &rig.root().join("x"), &outside);
        let outcome = put(&client, &[(&source, name)], &puts);
        comes_to(&outcome, put_code, &outside, &case);
        let outcome = get(&client, &[(name, "y")], &into, &gets);
        comes_to(&outcome, get_code, &outside, &case);
        // A directory is as good to be fetched as a file.
        let fetched: &[&str] = if get_code == 0 { &["y"] } else { &[] };
        assert_eq!(visible(&into), fetched, "{case}");

        plant(kind, &into.join("x"), &outside);
        let outcome = get(&client, &[("old", name)], &into, &gets);
        comes_to(&outcome, put_code, &outside, &case);
        assert!(!into.join(".haul").exists(), "{case}");
    }
}

fn what_is_planted_between_offer_and_commit_is_not_followed_either(secrecy: Secrecy) {
    for (kind, name, _, _, code) in PLANTED {
        let case = format!("{kind} under {name}, later");
        let rig = patient_server(secrecy);
        let outside = rig.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        let (mut raw, id) = (Raw::open(&rig), transfer());
        let offered = vec![offered(EntryId(0), name, b"new")];
        let on = OnExisting::Replace;
        raw.say(&Offer {
            on,
            ..offer(id, offered)
        });
        match raw.hear() {
            Heard::Message(Message::Want(want)) => {
                let verdict = Verdict::Send(None);
                assert_eq!(
                    want.verdicts,
                    [Answered {
                        entry: EntryId(0),
                        verdict
                    }]
                );
            }
            other => panic!("{case}: {other:?}"),
        }
        plant(kind, &rig.root().join("x"), &outside);
        let (header, body) = block(id, EntryId(0), b"new", 0);
        raw.send_block(&header, &body);
        let checksum = haul::content::merge(&[header.node]);
        raw.say(&commit(id, vec![committed(EntryId(0), checksum)]));
        match raw.hear() {
            Heard::Message(Message::Receipt(receipt)) => {
                let codes: Vec<_> = receipt.exceptions.iter().map(|e| e.code.number()).collect();
                assert_eq!(codes, [code], "{case}");
            }
            other => panic!("{case}: {other:?}"),
        }
        assert_eq!(visible(&outside), ["secret"], "{case}");
        assert_eq!(
            fs::read(outside.join("secret")).unwrap(),
            b"secret",
            "{case}"
        );
        assert_eq!(staged(&rig), 0, "{case}");
    }
}

#[track_caller]
fn is_not_used(secrecy: Secrecy, what: &str, plant: impl Fn(&Path, &Path)) {
    let rig = patient_server(secrecy);
    let (outside, into) = (rig.dir.path().join("outside"), rig.dir.path().join("into"));
    for directory in [&outside, &into] {
        fs::create_dir(directory).unwrap();
    }
    plant(&rig.root().join(".haul"), &outside);
    plant(&into.join(".haul"), &outside);
    let source = rig.file("source", 5000);
    let outcome = put(&rig.client(1), &[(&source, "x")], &JobOptions::default());
    assert_eq!(outcome.code(), 2, "{what}: {outcome:?}");
    let outcome = get(
        &rig.client(1),
        &[("old", "x")],
        &into,
        &JobOptions::default(),
    );
    assert_eq!(outcome.code(), 2, "{what}: {outcome:?}");
    assert_eq!(rig.visible(), ["old"], "{what}");
    assert_eq!(visible(&into), [""; 0], "{what}");
    assert_eq!(visible(&outside), [""; 0], "{what}");
}

fn a_reserved_directory_that_is_not_private_and_ours_is_not_used(secrecy: Secrecy) {
    let directory = |mode: u32| {
        move |at: &Path, _: &Path| {
            fs::create_dir(at).unwrap();
            fs::write(at.join("theirs"), "").unwrap();
            fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    is_not_used(secrecy, "a link", |at, outside| {
        symlink(outside, at).unwrap();
    });
    is_not_used(secrecy, "a file", |at, _| fs::write(at, "").unwrap());
    is_not_used(secrecy, "writable by its group", directory(0o770));
    is_not_used(secrecy, "readable by all", directory(0o755));
}
