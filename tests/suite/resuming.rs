//! An upload that was broken off goes on with what arrived: what the server keeps, what it
//! tells of it, and what it does not believe.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use haul::code::Code;
use haul::entry::{Entry, Kind, Mtime};
use haul::offer::EntryId;
use haul::wire::message::{Drop, Nodes, Range};

use crate::broken_off::{BLOCKS, Client, LEN, breaks_off, bytes, config, kept_files};
use crate::broken_off::{nodes, rig, spared, x};
use crate::putting::X;
use crate::raw::{block, entry, transfer};
use crate::rig::noise;
use crate::unharmed::{eventually, kept};

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn what_arrived_is_named_and_only_the_rest_is_needed() {
    for restarts in [false, true] {
        let (mut rig, of) = (rig(), bytes());
        breaks_off(&rig, x(&of), &of, &[0, 1, 4]);
        if restarts {
            rig.restart(config());
        }
        let mut again = Client::offers(&rig, x(&of));
        assert!(again.partly);
        assert_eq!(spared(&again.has(), &of), [0, 1, 4], "restarts: {restarts}");
        assert!(rig.visible().is_empty());
        again.finishes(&rig, &of, &[2, 3]);
    }
}

#[test]
fn it_goes_on_as_often_as_it_takes() {
    let (mut rig, of) = (rig(), bytes());
    for have in 0..BLOCKS {
        let mut client = Client::offers(&rig, x(&of));
        assert_eq!(client.partly, have > 0);
        let expected: Vec<u64> = (0..have).collect();
        assert_eq!(spared(&client.has(), &of), expected);
        client.send(&of, &[have]);
        drop(client);
        if have % 2 == 0 {
            rig.restart(config());
        } else {
            eventually("it is kept", || Client::offers(&rig, x(&of)).partly);
        }
    }
    let mut last = Client::offers(&rig, x(&of));
    assert_eq!(last.has(), nodes(&of, &[0, 1, 2, 3, 4]));
    last.finishes(&rig, &of, &[]);
}

#[test]
fn whoever_does_not_ask_sends_all_of_it_again_and_does_no_harm() {
    let (rig, of) = (rig(), bytes());
    breaks_off(&rig, x(&of), &of, &[0, 1, 4]);
    let mut again = Client::offers(&rig, x(&of));
    assert!(again.partly);
    again.finishes(&rig, &of, &[0, 1, 2, 3, 4]);
}

#[test]
fn what_its_sender_has_now_takes_the_place_of_what_was_there() {
    // The same size and time, and other bytes: nobody but the sender can tell.
    let (rig, of) = (rig(), bytes());
    let mut now = of.clone();
    now[1024] ^= 1;
    breaks_off(&rig, x(&of), &of, &[0, 1]);
    let mut again = Client::offers(&rig, x(&now));
    assert_eq!(again.has(), nodes(&of, &[0, 1]));
    // A block of before that is wrong is found out at the latest when it is committed.
    again.send(&now, &[2, 3, 4]);
    // Nobody but the sender knows which one: what was there before is named.
    let named = Range { first: 0, count: 2 };
    assert_eq!(again.commits(&now)[0].1, [named]);
    assert!(rig.visible().is_empty());
    again.send(&now, &[0]);
    let named = Range { first: 1, count: 1 };
    assert_eq!(again.commits(&now)[0].1, [named]);
    again.finishes(&rig, &now, &[1]);
}

#[test]
fn a_source_that_changed_begins_anew_and_its_old_part_goes() {
    let of = bytes();
    let longer = noise(LEN + 1);
    let other_time = Entry {
        mtime: Mtime::new(2, 0).unwrap(),
        ..x(&of)
    };
    let other_blocks = Entry {
        kind: Kind::file(3 << 20).unwrap(),
        ..x(&of)
    };
    for (what, is_gone_on_with) in [
        (x(&of), true),
        (x(&longer), false),
        (other_time, false),
        (other_blocks, false),
    ] {
        let rig = rig();
        breaks_off(&rig, x(&of), &of, &[0, 1]);
        let again = || Client::offers(&rig, what.clone());
        assert_eq!(again().partly, is_gone_on_with, "{what:?}");
        // It is let alone as long as its sender is not known to be gone.
        eventually("the old part goes", || {
            let is_partly = again().partly;
            is_gone_on_with && is_partly || kept(&rig) == 0
        });
        assert_eq!(kept(&rig), usize::from(is_gone_on_with), "{what:?}");
    }
}

#[test]
fn what_is_of_another_name_or_small_is_not_there() {
    let (rig, of) = (rig(), bytes());
    breaks_off(&rig, x(&of), &of, &[0, 1]);
    assert!(!Client::offers(&rig, entry("y", &of)).partly);
    assert!(!Client::offers(&rig, entry("x/x", &of)).partly);
    let one = noise(700);
    let mut small = Client::offers(&rig, entry("small", &one));
    small.send(&one, &[0]);
    drop(small);
    assert!(!Client::offers(&rig, entry("small", &one)).partly);
}

/// Does something to what is kept, while no server runs.
type Harm = fn(&Path, &Path);

/// What a bad disk, a power cut or a neighbour may leave, and the blocks that are believed
/// then: none means that there is nothing to go on with.
const HARMS: [(&str, Harm, Option<&[u64]>); 11] = [
    ("nothing", |_, _| {}, Some(&[0, 1, 4])),
    (
        "a byte is flipped",
        |file, _| {
            let mut all = fs::read(file).unwrap();
            all[5] ^= 1;
            write_at(file, 5, &all[5..6]);
        },
        Some(&[1, 4]),
    ),
    (
        "garbage where nothing had come",
        |file, _| write_at(file, 2 * 1024, &[0x55; 1500]),
        Some(&[0, 1, 4]),
    ),
    (
        "zeros where something had come",
        |file, _| write_at(file, 0, &[0; 2048]),
        Some(&[4]),
    ),
    (
        "all of it is a hole",
        |file, _| {
            let file = File::create(file).unwrap();
            file.set_len(LEN as u64).unwrap();
        },
        Some(&[]),
    ),
    ("it is shorter", |file, _| shorten(file, 1000), None),
    ("its label is cut off", |_, label| shorten(label, 40), None),
    ("its label is empty", |_, label| shorten(label, 0), None),
    (
        "its label is damaged",
        |_, label| write_at(label, 30, &[0xff]),
        None,
    ),
    (
        "its label is gone",
        |_, label| fs::remove_file(label).unwrap(),
        None,
    ),
    (
        "somebody else has a name for it",
        |file, _| {
            let outside = file.ancestors().nth(4).unwrap();
            fs::hard_link(file, outside.join("another")).unwrap();
        },
        None,
    ),
];

fn shorten(path: &Path, len: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(len).unwrap();
}

#[test]
fn whatever_is_left_on_the_disk_only_what_is_right_counts() {
    for (harm, act, believed) in HARMS {
        let (mut rig, of) = (rig(), bytes());
        breaks_off(&rig, x(&of), &of, &[0, 1, 4]);
        rig.stop();
        let (file, label) = kept_files(&rig);
        act(&file, &label);
        rig.restart(config());
        let mut again = Client::offers(&rig, x(&of));
        assert_eq!(again.partly, believed.is_some(), "{harm}");
        let spared = spared(&again.has(), &of);
        assert_eq!(spared, believed.unwrap_or_default(), "{harm}");
        let rest: Vec<u64> = (0..BLOCKS)
            .filter(|block| !spared.contains(block))
            .collect();
        again.finishes(&rig, &of, &rest);
    }
}

/// What somebody does to a file in place, its time set back.
type Touch = (&'static str, fn(&File));

const TOUCHES: [Touch; 3] = [
    ("a byte is another", |file| {
        file.write_all_at(b"!", 1024).unwrap();
    }),
    ("a byte is another, and it was flushed", |file| {
        file.write_all_at(b"!", 1024).unwrap();
        file.sync_all().unwrap();
    }),
    ("it was emptied and made as long again", |file| {
        file.set_len(10).unwrap();
        file.set_len(LEN as u64).unwrap();
    }),
];

#[test]
fn what_was_written_to_while_it_waited_is_read_again_by_the_server_that_wrote_it() {
    for (touch, act) in TOUCHES {
        let (rig, of) = (rig(), bytes());
        breaks_off(&rig, x(&of), &of, &[0, 1, 4]);
        let (path, _) = kept_files(&rig);
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        act(&file);
        file.set_modified(modified).unwrap();
        let mut again = Client::offers(&rig, x(&of));
        let spared = spared(&again.has(), &of);
        assert!(!spared.contains(&1), "{touch}: {spared:?}");
        let rest: Vec<u64> = (0..BLOCKS)
            .filter(|block| !spared.contains(block))
            .collect();
        again.finishes(&rig, &of, &rest);
    }
}

#[test]
fn a_link_in_the_place_of_what_is_kept_leads_nowhere() {
    let (mut rig, of) = (rig(), bytes());
    let victim = rig.file("victim", LEN);
    fs::write(&victim, vec![7; LEN]).unwrap();
    breaks_off(&rig, x(&of), &of, &[0, 1, 4]);
    rig.stop();
    let (file, _) = kept_files(&rig);
    fs::remove_file(&file).unwrap();
    symlink(&victim, &file).unwrap();
    rig.restart(config());
    let mut again = Client::offers(&rig, x(&of));
    assert!(!again.partly);
    again.finishes(&rig, &of, &[0, 1, 2, 3, 4]);
    assert_eq!(fs::read(victim).unwrap(), vec![7; LEN]);
}

#[test]
fn what_failed_is_not_kept() {
    let (rig, of) = (rig(), bytes());
    let mut client = Client::offers(&rig, x(&of));
    client.send(&of, &[0, 1]);
    let (header, mut body) = block(client.id, X, &of, 2);
    body[0] ^= 1;
    client.raw.send_block(&header, &body);
    assert_eq!(client.raw.hear_fail("another node").code, Code::Mismatch);
    assert_eq!(kept(&rig), 0);

    let mut client = Client::offers(&rig, x(&of));
    client.send(&of, &[0, 1]);
    let (transfer, entry) = (client.id, X);
    client.raw.say(&Drop { transfer, entry });
    client.raw.is_answered("dropped");
    assert_eq!(kept(&rig), 0);
}

#[test]
fn what_nobody_came_back_for_is_swept() {
    let (day, of) = (Duration::from_secs(24 * 3600), bytes());
    for (age, is_swept) in [(day, false), (6 * day, false), (8 * day, true)] {
        let mut rig = rig();
        breaks_off(&rig, x(&of), &of, &[0, 1]);
        rig.stop();
        let (file, _) = kept_files(&rig);
        let file = File::options().write(true).open(file).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        rig.restart(config());
        let directory = rig.root().join(".haul/partial");
        assert_eq!(!directory.exists(), is_swept, "{age:?}");
        assert_eq!(Client::offers(&rig, x(&of)).partly, !is_swept, "{age:?}");
    }
}

#[test]
fn what_has_no_meaning_is_swept_at_once() {
    let (mut rig, of) = (rig(), bytes());
    breaks_off(&rig, x(&of), &of, &[0, 1]);
    rig.stop();
    let (file, label) = kept_files(&rig);
    let beside = |name: &str| file.with_file_name(name);
    fs::copy(&label, beside("without-its-file.of")).unwrap();
    fs::copy(&file, beside("without-its-label")).unwrap();
    fs::write(beside("neither"), "x").unwrap();
    rig.restart(config());
    let mut left: Vec<_> = fs::read_dir(rig.root().join(".haul/partial"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    left.sort();
    assert_eq!(left, [file, label]);
    assert!(Client::offers(&rig, x(&of)).partly);
}

#[test]
fn nodes_of_what_is_not_there_are_refused_and_the_connection_goes_on() {
    let (rig, of) = (rig(), bytes());
    breaks_off(&rig, x(&of), &of, &[0, 1]);
    let mut client = Client::offers(&rig, x(&of));
    let mut refused = |case: &str, code, change: fn(&mut Nodes)| {
        let mut nodes = Nodes {
            request: 7,
            path: None,
            version: None,
            first: 0,
            count: BLOCKS,
            transfer: Some(client.id),
            entry: Some(X),
        };
        change(&mut nodes);
        client.raw.say(&nodes);
        let fail = client.raw.hear_fail(case);
        assert_eq!(
            (fail.request, fail.code),
            (Some(7), code),
            "{case}: {fail:?}"
        );
        client.raw.is_answered(case);
    };
    let unknown = Code::Connection;
    refused("another entry", unknown, |n| n.entry = Some(EntryId(99)));
    refused("another transfer", unknown, |n| {
        n.transfer = Some(transfer());
    });
    refused("beyond its end", Code::Protocol, |n| n.first = 1);
    refused("far beyond its end", Code::Protocol, |n| {
        (n.first, n.count) = (u64::MAX, u64::MAX);
    });
    refused("of nothing", Code::Usage, |n| n.transfer = None);
    client.finishes(&rig, &of, &[2, 3, 4]);
    let (transfer, one) = (transfer(), noise(700));
    let mut small = Client::of(&rig, transfer, EntryId(5), entry("small", &one));
    small.asks(0, 1);
    assert_eq!(small.hears_nodes(), [None]);
    assert!(small.ticket.is_none());
}
