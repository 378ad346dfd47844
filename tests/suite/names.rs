//! Names from the other side, and what a local user plants under them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use haul::client::{JobOptions, Upload};
use haul::code::Code;
use haul::fault::Fault;
use haul::offer::EntryId;
use haul::server::Config;
use haul::wire::Message;

use crate::by_hand::{array, bytes, entry_map, frame, map, number, text};
use crate::raw::{Heard, Raw, block, commit, committed, transfer};
use crate::rig::{Rig, get, noise, outcome, put, remote};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::{is_unharmed, patient_server};

plain_and_encrypted! {
    a_bad_name_is_refused_in_every_request,
    a_good_name_passes_where_a_bad_one_is_refused,
    the_longest_names_work,
    odd_names_travel_faithfully,
    a_name_on_disk_that_is_not_utf8_is_left_out_and_counted,
    a_source_whose_name_is_not_utf8_fails_alone,
    set_user_id_bits_never_come_from_the_other_side,
}

/// An offer of such a file as entry 0, under these permission bits.
fn offer(id: &[u8; 16], name: &[u8], mode: u64) -> Vec<u8> {
    let refuse = array(&[number(0), vec![0xf6]]);
    let header = map(&[(0, number(1)), (1, bytes(id)), (2, refuse), (3, vec![0xf4])]);
    frame(
        5,
        &header,
        &map(&[(0, number(0)), (1, entry_map(name, (5, 1024), mode))]),
    )
}

/// Every request that carries a name, carrying this one.
fn requests(plain: &[u8]) -> [(&'static str, Vec<u8>); 10] {
    let (one, zero, name) = (|| number(1), || number(0), || text(plain));
    let id = bytes(&[9; 16]);
    let wanted = map(&[
        (0, zero()),
        (1, name()),
        (2, id.clone()),
        (3, number(1024)),
        (4, zero()),
        (5, one()),
    ]);
    let node = bytes(&[7; 32]);
    let block = map(&[
        (0, id.clone()),
        (1, zero()),
        (2, zero()),
        (3, node),
        (4, bytes(b"x")),
        (5, name()),
        (6, zero()),
    ]);
    let sum = map(&[(0, one()), (1, name()), (2, id.clone()), (3, one())]);
    let change = |kind, first, second| {
        let header = map(&[(0, one()), (1, first), (2, second)]);
        frame(kind, &header, b"")
    };
    [
        (
            "a list",
            frame(3, &map(&[(0, one()), (1, name()), (2, zero())]), b""),
        ),
        (
            "a place to go on from",
            frame(3, &map(&[(0, one()), (3, name())]), b""),
        ),
        ("a fetch", frame(13, &map(&[(0, one()), (1, id)]), &wanted)),
        ("a sum", frame(20, &sum, b"")),
        ("a directory", change(22, name(), vec![0xf4])),
        ("a rename from", change(23, name(), text(b"none/x"))),
        ("a rename to", change(23, text(b"none"), name())),
        ("a removal", change(24, name(), vec![0xf4])),
        ("a block", frame(7, &block, b"")),
        ("an offer", offer(&transfer().0, plain, 0o644)),
    ]
}

fn long(component: usize, components: usize) -> Vec<u8> {
    vec!["n".repeat(component); components]
        .join("/")
        .into_bytes()
}

fn a_bad_name_is_refused_in_every_request(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let names: [&[u8]; 17] = [
        b"../x",
        b"/x",
        b"a/../x",
        b"",
        b".",
        b"..",
        b"a/.",
        b"a//b",
        b"a\0b",
        b"\xff",
        b"\xc0\xae\xc0\xae/x",
        b".haul",
        b".haul/x",
        b"a/.haul",
        b"a/b/.haul/c",
        &long(256, 1),
        &[long(255, 15), b"/a/".to_vec(), long(254, 1)].concat(),
    ];
    for name in names {
        for (what, request) in requests(name) {
            let case = format!("{what} with {:.40}", name.escape_ascii().to_string());
            let mut raw = Raw::open(&rig);
            raw.send(&request);
            raw.is_ended(Code::Protocol, "malformed", &case);
        }
        is_unharmed(&rig, &name.escape_ascii().to_string());
    }
}

fn a_good_name_passes_where_a_bad_one_is_refused(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    for (what, request) in requests(b"fine") {
        let mut raw = Raw::open(&rig);
        raw.send(&request);
        match raw.hear() {
            Heard::Message(Message::Fail(fail)) => {
                assert!(
                    fail.request.is_some() || fail.entry.is_some(),
                    "{what}: {fail:?}"
                );
            }
            Heard::Message(
                Message::Entries(_) | Message::Sent(_) | Message::Want(_) | Message::Done(_),
            ) => {}
            other => panic!("{what}: {other:?}"),
        }
        raw.is_answered(what);
    }
    is_unharmed(&rig, "good names");
}

#[track_caller]
fn travel(secrecy: Secrecy, names: &[&str]) {
    let rig = Rig::guarded(secrecy, Config::default(), Fault::default());
    let sources: Vec<_> = (0..names.len())
        .map(|n| rig.file(&n.to_string(), n + 1))
        .collect();
    let files: Vec<_> = sources
        .iter()
        .map(std::path::PathBuf::as_path)
        .zip(names.iter().copied())
        .collect();
    put(&rig.client(1), &files, &JobOptions::default()).is_fine();

    let listing = rig.client(1).list(None, None).unwrap();
    let mut listed: Vec<_> = listing
        .entries
        .iter()
        .filter(|e| e.geometry().is_some())
        .collect();
    listed.sort_by_key(|entry| entry.size());
    let listed: Vec<_> = listed.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(listed, names);

    let into = rig.dir.path().join("back");
    let back: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
    get(&rig.client(1), &back, &into, &JobOptions::default()).is_fine();
    for (n, name) in names.iter().enumerate() {
        assert_eq!(
            fs::read(rig.root().join(name)).unwrap(),
            noise(n + 1),
            "{name:?}"
        );
        assert_eq!(fs::read(into.join(name)).unwrap(), noise(n + 1), "{name:?}");
    }
}

fn the_longest_names_work(secrecy: Secrecy) {
    let component = "n".repeat(255);
    // As deep as the tests' own absolute paths allow.
    let path = vec![component.as_str(); 15].join("/");
    travel(secrecy, &[&component.to_uppercase(), &path]);
}

fn odd_names_travel_faithfully(secrecy: Secrecy) {
    travel(
        secrecy,
        &[
            "two\nlines",
            "\u{1b}[31mred",
            "\u{202e}gnp.exe",
            "aux.c",
            "README",
            "readme",
            "...",
            "-rf",
            "~",
            " ",
            "a\\b",
            "%2e%2e",
            "*",
            "\u{e9}",
            "e\u{301}",
            ".haulage",
            "\u{7f}\r",
            "con/nul.txt",
        ],
    );
}

fn a_name_on_disk_that_is_not_utf8_is_left_out_and_counted(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    for name in [&b"\xff"[..], b"caf\xe9"] {
        fs::write(rig.root().join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let listing = rig.client(1).list(None, None).unwrap();
    let names: Vec<_> = listing
        .entries
        .iter()
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!((names, listing.unnamed), (vec!["old"], 2));
}

fn a_source_whose_name_is_not_utf8_fails_alone(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let odd = rig.dir.path().join(OsStr::from_bytes(b"\xff"));
    fs::write(&odd, "x").unwrap();
    let fine = rig.file("fine", 10);
    let uploads = vec![
        Upload::local(&odd, Some(remote("a"))),
        Upload::local(&fine, Some(remote("b"))),
    ];
    let outcome = outcome(|monitor| rig.client(1).put(uploads, &JobOptions::default(), monitor));
    assert_eq!(outcome.code(), 9);
    assert_eq!(rig.visible(), ["b", "old"]);
}

fn set_user_id_bits_never_come_from_the_other_side(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let mut raw = Raw::open(&rig);
    let id = transfer();
    raw.send(&offer(&id.0, b"tool", 0o6755));
    let (header, body) = block(id, EntryId(0), b"shell", 0);
    raw.send_block(&header, &body);
    let checksum = haul::content::merge(&[header.node]);
    raw.say(&commit(id, vec![committed(EntryId(0), checksum)]));
    assert!(matches!(raw.hear(), Heard::Message(Message::Want(_))));
    match raw.hear() {
        Heard::Message(Message::Receipt(receipt)) => assert_eq!(receipt.exceptions, []),
        other => panic!("{other:?}"),
    }
    let mode = fs::metadata(rig.root().join("tool"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
}
