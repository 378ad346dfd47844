//! How much somebody may have here that is not finished, where they may store at most so much.

use std::fs;
use std::os::unix::fs::MetadataExt;

use haul::code::Code;
use haul::offer::{EntryId, OnExisting, Reason, Ticket, TransferId, Verdict};
use haul::wire::message::Block;

use crate::quotas::{Counted, verdicts};
use crate::raw::{Raw, block};
use crate::rig::{Rig, noise, remote};

/// Bytes that what is not finished takes beneath a root.
fn unfinished(rig: &Rig) -> u64 {
    let mut bytes = 0;
    for name in ["staging", "partial"] {
        let directory = rig.root().join(".haul").join(name);
        for entry in fs::read_dir(directory).into_iter().flatten() {
            bytes += entry.unwrap().metadata().unwrap().blocks() * 512;
        }
    }
    bytes
}

/// Offers a file and returns its ticket, if it is taken.
fn ticket(raw: &mut Raw, path: &str, bytes: &[u8]) -> Option<Ticket> {
    match verdicts(raw, OnExisting::Refuse, &[(1, path, bytes)]).remove(0) {
        Verdict::Send(ticket) => ticket,
        Verdict::Partly(ticket) => Some(ticket),
        Verdict::Refused(Code::Limit, Reason::Quota(_)) => None,
        other => panic!("{path}: {other:?}"),
    }
}

/// The first block of a file, for whoever has its ticket.
fn with_ticket(id: TransferId, path: &str, bytes: &[u8], ticket: &Ticket) -> (Block, Vec<u8>) {
    let (mut header, body) = block(id, EntryId(1), bytes, 0);
    header.ticket = Some(ticket.clone());
    header.path = Some(remote(path));
    header.size = Some(bytes.len() as u64);
    (header, body)
}

#[test]
fn whoever_hands_tickets_on_and_drops_their_offers_stages_no_more_than_they_may() {
    const LEN: u64 = 64 << 10;
    let counted = Counted::new(3, Some(LEN), None);
    let bytes = noise(LEN as usize);
    let mut offering = Raw::open(&counted.rig);
    let mut keeping = Vec::new();
    for number in 0..20 {
        let path = format!("f{number}");
        let Some(ticket) = ticket(&mut offering, &path, &bytes) else {
            continue;
        };
        let mut keeper = Raw::open(&counted.rig);
        let id = TransferId([number; 16]);
        let (header, body) = with_ticket(id, &path, &bytes, &ticket);
        keeper.send_block(&header, &body);
        for index in 1..63 {
            let (header, body) = block(id, EntryId(1), &bytes, index);
            keeper.send_block(&header, &body);
        }
        keeper.is_answered("kept");
        // Its reception goes, and no drop is said: what is kept has another owner.
        offering.finish();
        offering = Raw::open(&counted.rig);
        keeping.push(keeper);
    }
    let bytes = unfinished(&counted.rig);
    assert!(bytes <= LEN + (16 << 10), "{bytes} bytes are staged");
    assert!(!keeping.is_empty());
}

#[test]
fn what_was_broken_off_takes_no_more_than_may_still_be_stored_and_the_oldest_goes_first() {
    const LEN: u64 = 64 << 10;
    let counted = Counted::new(3, Some(2 * LEN), None);
    let bytes = noise(LEN as usize);
    // Each is broken off before its end, and waits for its sender.
    for number in 0..5_u8 {
        let path = format!("f{number}");
        let mut raw = Raw::open(&counted.rig);
        let ticket = ticket(&mut raw, &path, &bytes).expect("nothing is stored yet");
        let (header, body) = with_ticket(TransferId([9; 16]), &path, &bytes, &ticket);
        raw.send_block(&header, &body);
        for index in 1..60 {
            let (header, body) = block(TransferId([9; 16]), EntryId(1), &bytes, index);
            raw.send_block(&header, &body);
        }
        raw.is_answered("sent");
        raw.finish();
        let kept = unfinished(&counted.rig);
        assert!(kept <= 2 * LEN + (64 << 10), "{number}: {kept} bytes");
    }
    // The latest is still there.
    let mut raw = Raw::open(&counted.rig);
    let came = verdicts(&mut raw, OnExisting::Refuse, &[(1, "f4", &bytes)]);
    assert!(matches!(came[..], [Verdict::Partly(_)]), "{came:?}");
    let mut raw = Raw::open(&counted.rig);
    let came = verdicts(&mut raw, OnExisting::Refuse, &[(2, "f0", &bytes)]);
    assert!(matches!(came[..], [Verdict::Send(_)]), "{came:?}");
}
