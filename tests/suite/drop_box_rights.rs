//! Who has a drop box, what it says of itself, and what becomes of what is under way when
//! somebody gets one in place of more.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use haul::code::Code;
use haul::fault::Fault;
use haul::offer::{EntryId, Offering, OnExisting, Terms};
use haul::server::{Admit, Config, Grant, Refusal, Visitor};
use haul::store::{Claim, Durability, Error, LocalStore, Staged, Standing, Store, Telling};
use haul::wire::Message;
use haul::wire::message::{Offer, Rights};

use crate::broken_off::{self, BLOCKS, Client};
use crate::raw::{Heard, Raw, block, commit, committed, entry, offer, offered, sum, transfer};
use crate::rig::Rig;

const BOX: Rights = Rights(2);

fn letting(rights: Rights) -> Rig {
    let config = Config {
        admit: Arc::new(rights),
        ..Config::default()
    };
    Rig::with(config, Fault::default())
}

#[test]
fn a_box_says_of_itself_only_that_it_is_one() {
    let rig = letting(BOX);
    let whole = Rig::new();
    let welcome = |rig: &Rig| Raw::welcomed(rig).unwrap().1;
    assert!(!welcome(&whole).above.0.is_empty());
    assert_eq!(welcome(&whole).store, welcome(&whole).store);
    // Not even which of two boxes it is.
    assert_ne!(welcome(&rig).store, welcome(&rig).store);
    assert_eq!(
        (welcome(&rig).above.0.len(), welcome(&rig).rights),
        (0, BOX)
    );
    for (granted, told) in [(2 | 4 | 8, 2), (1 | 2, 1 | 2), (4 | 8, 4 | 8), (15, 15)] {
        let rig = letting(Rights(granted));
        assert_eq!(welcome(&rig).rights, Rights(told));
    }
}

/// Lets everyone in, with rights that can be changed.
#[derive(Debug)]
struct Door(AtomicU32);

impl Admit for Door {
    fn grant(&self, _: &Visitor) -> Result<Grant, Refusal> {
        Ok(Grant::of(Rights(self.0.load(Ordering::SeqCst))))
    }
}

#[test]
fn who_may_read_no_more_learns_no_more_of_what_they_offered_before() {
    const FILES: [(&str, &[u8]); 3] = [("absent", b"new"), ("same", b"same"), ("other", b"new")];
    let door = Arc::new(Door(AtomicU32::new(15)));
    let config = Config {
        admit: Arc::clone(&door) as Arc<dyn Admit>,
        ..Config::default()
    };
    let rig = Rig::with(config, Fault::default());
    let (mut raw, id) = (Raw::open(&rig), transfer());
    let same = fs::File::create(rig.root().join("same")).unwrap();
    fs::write(rig.root().join("same"), "same").unwrap();
    same.set_modified(UNIX_EPOCH + Duration::from_secs(1))
        .unwrap();
    fs::write(rig.root().join("other"), "another").unwrap();
    let entries = (1..)
        .zip(FILES)
        .map(|(n, (path, bytes))| offered(EntryId(n), path, bytes));
    raw.say(&Offer {
        on: OnExisting::Replace,
        ..offer(id, entries.collect())
    });
    let Heard::Message(Message::Want(want)) = raw.hear() else {
        panic!()
    };
    assert!(format!("{want:?}").contains("Here"), "{want:?}");
    for (n, (_, bytes)) in (1..).zip(FILES).filter(|(n, _)| *n != 2) {
        let (header, body) = block(id, EntryId(n), bytes, 0);
        raw.send_block(&header, &body);
    }
    door.0.store(2, Ordering::SeqCst);
    let claim =
        |(n, (_, bytes)): (u64, (_, &[u8]))| committed(EntryId(n), (n != 2).then(|| sum(bytes)));
    raw.say(&commit(id, (1..).zip(FILES).map(claim).collect()));
    let Heard::Message(Message::Receipt(receipt)) = raw.hear() else {
        panic!()
    };
    let codes: Vec<_> = receipt
        .exceptions
        .iter()
        .map(|e| (e.entry.0, e.code))
        .collect();
    let refused = Code::NotAuthorised;
    assert_eq!(codes, [(1, refused), (2, refused), (3, refused)]);
    assert_eq!(fs::read(rig.root().join("other")).unwrap(), b"another");
}

#[test]
fn who_may_read_no_more_is_told_nothing_of_what_they_would_have_replaced() {
    let door = Arc::new(Door(AtomicU32::new(15)));
    let config = Config {
        admit: Arc::clone(&door) as Arc<dyn Admit>,
        ..Config::default()
    };
    let rig = Rig::with(config, Fault::default());
    let bytes = broken_off::bytes();
    fs::write(rig.root().join("x"), &bytes[1024..]).unwrap();
    let mut client = Client::replaces(&rig, entry("x", &bytes));
    assert!(client.partly);
    door.0.store(2 | 4 | 8, Ordering::SeqCst);
    client.asks(0, BLOCKS);
    let fail = client.raw.hear_fail("nodes");
    assert_eq!((fail.request, fail.code), (Some(7), Code::NotAuthorised));
    assert!(!rig.root().join(".haul/partial").exists());
}

#[test]
fn what_was_offered_in_the_open_is_not_published_where_nothing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "mine").unwrap();
    let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default()).unwrap();
    let blind = store.telling(Telling::Nothing);
    let offering = |path: &str| Offering {
        entry: entry(path, b"more"),
        base: 0,
    };
    let staged = |store: &LocalStore, path| {
        let terms = Terms::from(OnExisting::Replace);
        store
            .stage(&[offering(path)], terms)
            .pop()
            .unwrap()
            .unwrap()
    };
    let open = staged(&store, "x");
    assert!(matches!(open.standing(), Standing::SameIf(..)));
    let claim = Claim {
        whole: Some(sum(b"mine")),
        second: None,
    };
    let result = blind.commit(vec![(open, claim)]).pop().unwrap();
    assert_eq!(result.unwrap_err(), Error::NotAllowed("read"));
    assert_eq!(staged(&blind, "x").standing(), Standing::Absent);
}
