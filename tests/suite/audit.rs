//! A server that is told to record what is done, where that fails or a client is gone.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use haul::client::{Error, JobOptions};
use haul::code::Code;
use haul::content::Algorithm;
use haul::entry::{Entry, Kind};
use haul::fault::Fault;
use haul::offer::EntryId;
use haul::server::{Asked, Audit, Config, Record, Unrecorded};
use haul::store::{Parents, Removal};
use haul::wire::Message;
use haul::wire::message::{Fetch, Wanted};

use crate::raw::{Heard, PATIENCE, Raw, transfer};
use crate::rig::{Rig, get, noise, put, remote};

/// What was recorded: who asked for what, about what, how many bytes, and why not.
type Kept = (Asked, Option<String>, Option<u64>, Option<Code>);

/// Keeps so many records, and then none until it is told to.
#[derive(Debug)]
struct Notebook {
    left: AtomicUsize,
    /// Whether it says that it could keep more when it cannot.
    is_sanguine: AtomicBool,
    kept: Mutex<Sender<Kept>>,
    /// How many records it was asked to keep in vain.
    asked: AtomicUsize,
}

impl Audit for Notebook {
    fn is_ready(&self) -> bool {
        self.is_sanguine.load(Ordering::SeqCst) || self.left.load(Ordering::SeqCst) > 0
    }

    fn keep(&self, records: &[Record<'_>]) -> Result<(), Unrecorded> {
        let less = |left: usize| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.left.fetch_update(order, order, less).is_err() {
            self.asked.fetch_add(records.len(), order);
            return Err(Unrecorded);
        }
        for record in records {
            let path = record.path.clone();
            let kept = (record.asked, path, record.bytes, record.failed);
            let _ = self.kept.lock().unwrap().send(kept);
        }
        Ok(())
    }
}

/// Asks a server for something.
type Ask<'a> = dyn Fn() -> Result<(), Error> + 'a;

struct Recorded {
    rig: Rig,
    notebook: Arc<Notebook>,
    kept: Receiver<Kept>,
}

impl Recorded {
    fn new() -> Self {
        let (to, kept) = mpsc::channel();
        let notebook = Arc::new(Notebook {
            left: AtomicUsize::new(usize::MAX),
            is_sanguine: AtomicBool::new(false),
            kept: Mutex::new(to),
            asked: AtomicUsize::new(0),
        });
        let config = Config {
            audit: Some(Arc::clone(&notebook) as Arc<dyn Audit>),
            ..Config::default()
        };
        let rig = Rig::with(config, Fault::default());
        Self {
            rig,
            notebook,
            kept,
        }
    }

    /// From now on so many records can be kept.
    fn keeps(&self, count: usize) {
        self.notebook.left.store(count, Ordering::SeqCst);
    }

    /// What was recorded since this was asked last.
    fn recorded(&self) -> Vec<Kept> {
        self.kept.try_iter().collect()
    }

    fn put(&self, name: &str) -> u8 {
        let file = self.rig.file("source", 3);
        put(
            &self.rig.client(1),
            &[(&file, name)],
            &JobOptions::default(),
        )
        .code()
    }
}

fn kept(asked: Asked, path: &str, bytes: Option<u64>, failed: Option<Code>) -> Kept {
    (asked, Some(path.to_owned()), bytes, failed)
}

#[test]
fn what_was_done_and_cannot_be_recorded_is_no_success_and_nothing_is_done_after_it() {
    let recorded = Recorded::new();
    assert_eq!(recorded.put("before"), 0);
    // The offer's, and not that of the commit, of which it learns only then.
    recorded.keeps(1);
    recorded.notebook.is_sanguine.store(true, Ordering::SeqCst);
    assert_eq!(recorded.put("a"), Code::File.number());
    assert_eq!(recorded.rig.visible(), ["a", "before"]);
    recorded.notebook.is_sanguine.store(false, Ordering::SeqCst);
    let client = recorded.rig.client(1);
    assert_eq!(recorded.put("b"), Code::File.number());
    let (from, to) = (remote("before"), remote("after"));
    for error in [
        client.list(None, None).unwrap_err(),
        client.make_dir(&to, Parents::Expect).unwrap_err(),
        client.rename(&from, &to).unwrap_err(),
        client.remove(&from, Removal::Whole).unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::File, "{error}");
        assert!(error.to_string().contains("cannot be recorded"), "{error}");
    }
    assert_eq!(recorded.rig.visible(), ["a", "before"]);
    recorded.keeps(usize::MAX);
    assert_eq!(recorded.put("b"), 0);
    assert_eq!(recorded.rig.visible(), ["a", "b", "before"]);
}

#[test]
fn of_what_is_verified_those_bytes_count_that_were_read() {
    let recorded = Recorded::new();
    assert_eq!(recorded.put("a"), 0);
    assert_eq!(recorded.put("cut"), 0);
    fs::write(recorded.rig.root().join("cut"), "longer").unwrap();
    fs::write(recorded.rig.root().join("laid"), "by hand").unwrap();
    recorded.recorded();
    let client = recorded.rig.client(1);
    client.verify(None, |_, _| {}).unwrap();
    let all = recorded.recorded().into_iter();
    let verified: Vec<Kept> = all.filter(|kept| kept.0 == Asked::Verify).collect();
    let read = |path, bytes| kept(Asked::Verify, path, Some(bytes), None);
    assert_eq!(verified, [read("a", 3), read("cut", 0), read("laid", 0)]);
}

#[test]
fn an_answer_that_cannot_be_recorded_is_a_failure_whatever_was_done() {
    let recorded = Recorded::new();
    let client = recorded.rig.client(1);
    assert_eq!(recorded.put("a"), 0);
    recorded.notebook.is_sanguine.store(true, Ordering::SeqCst);
    let sum = || {
        let mut sums = Vec::new();
        let hear = |_, sum| sums.push(sum);
        let listed = client.sum(Some(&remote("a")), Algorithm::Blake3, hear);
        listed.and_then(|_| sums.remove(0)).map(drop)
    };
    let verify = || {
        let mut found = Vec::new();
        let hear = |_, it| found.push(it);
        let listed = client.verify(Some(&remote("a")), hear);
        listed.and_then(|_| found.remove(0)).map(drop)
    };
    let rows: [(&str, usize, &Ask<'_>); 7] = [
        ("list", 0, &|| client.list(None, None).map(drop)),
        // The listing before it is recorded.
        ("sum", 1, &sum),
        ("verify", 1, &verify),
        ("fetch", 1, &|| {
            let into = recorded.rig.dir.path().join("into");
            let options = JobOptions::default();
            let outcome = get(&client, &[("a", "a")], &into, &options);
            assert!(!into.join("a").exists(), "{outcome:?}");
            assert_eq!(outcome.code(), Code::File.number(), "{outcome:?}");
            client.list(None, None).map(drop)
        }),
        ("mkdir", 0, &|| {
            client.make_dir(&remote("d"), Parents::Expect)
        }),
        ("rename", 0, &|| client.rename(&remote("d"), &remote("e"))),
        ("remove", 0, &|| {
            client.remove(&remote("e"), Removal::Single)
        }),
    ];
    for (asked, before, ask) in rows {
        recorded.keeps(before);
        let error = ask().unwrap_err();
        assert_eq!(error.code(), Code::File, "{asked}: {error}");
        assert!(error.to_string().contains("recorded"), "{asked}: {error}");
    }
    assert_eq!(recorded.rig.visible(), ["a"]);
}

#[test]
fn no_byte_is_sent_that_could_not_be_recorded() {
    let recorded = Recorded::new();
    assert_eq!(recorded.put("a"), 0);
    let listing = recorded.rig.client(1).list(None, None).unwrap();
    recorded.keeps(0);
    let mut raw = Raw::open(&recorded.rig);
    raw.say(&fetch(&listing.entries[0]));
    match raw.hear() {
        Heard::Message(Message::Sent(sent)) => {
            let codes: Vec<_> = sent.exceptions.iter().map(|e| e.code).collect();
            assert_eq!(codes, [Code::File]);
        }
        other => panic!("{other:?}"),
    }
    recorded.keeps(usize::MAX);
    let into = recorded.rig.dir.path().join("into");
    get(
        &recorded.rig.client(1),
        &[("a", "a")],
        &into,
        &JobOptions::default(),
    )
    .is_fine();
    assert_eq!(fs::read(into.join("a")).unwrap(), noise(3));
}

/// All blocks of a file, as request 7.
fn fetch(entry: &Entry) -> Fetch {
    let Kind::File(geometry) = entry.kind else {
        panic!("{entry:?} is no file");
    };
    Fetch {
        request: 7,
        transfer: transfer(),
        files: vec![Wanted {
            entry: EntryId(1),
            path: entry.path.clone(),
            version: entry.version.unwrap(),
            block: geometry.block().bytes(),
            first: 0,
            count: geometry.blocks(),
        }],
    }
}

#[test]
fn a_client_that_leaves_before_the_end_has_read_what_it_has_read() {
    let recorded = Recorded::new();
    let large = fs::File::create(recorded.rig.root().join("large")).unwrap();
    large.set_len(1 << 30).unwrap();
    let listing = recorded.rig.client(1).list(None, None).unwrap();
    recorded.recorded();
    let mut raw = Raw::open(&recorded.rig);
    raw.say(&fetch(&listing.entries[0]));
    assert!(matches!(raw.hear(), Heard::Block(..)));
    raw.reset();
    let (asked, path, bytes, failed) = recorded.kept.recv_timeout(PATIENCE).unwrap();
    assert_eq!((asked, path.as_deref()), (Asked::Fetch, Some("large")));
    assert_eq!(failed, Some(Code::Connection));
    assert!((1..1 << 30).contains(&bytes.unwrap()), "{bytes:?}");
}

#[test]
fn each_file_of_a_batch_has_its_own_record_and_its_own_result() {
    let recorded = Recorded::new();
    fs::write(recorded.rig.root().join("b"), "other").unwrap();
    let file = recorded.rig.file("source", 3);
    let files = ["a", "b", "c"].map(|name| (&*file, name));
    put(&recorded.rig.client(1), &files, &JobOptions::default());
    let mut all = recorded.recorded();
    all.sort_by_key(|(asked, path, ..)| (asked.word(), path.clone()));
    let three = Some(3);
    let expected = [
        kept(Asked::Commit, "a", three, None),
        kept(Asked::Commit, "c", three, None),
        kept(Asked::Offer, "a", three, None),
        kept(Asked::Offer, "b", three, Some(Code::Exists)),
        kept(Asked::Offer, "c", three, None),
    ];
    assert_eq!(all, expected);
}

#[test]
fn who_asks_in_vain_while_nothing_can_be_recorded_crowds_out_no_record_of_what_was_done() {
    let recorded = Recorded::new();
    assert_eq!(recorded.put("a"), 0);
    recorded.recorded();
    let client = recorded.rig.client(1);
    recorded.keeps(0);
    for _ in 0..10 {
        client.list(None, None).unwrap_err();
        client.make_dir(&remote("d"), Parents::Expect).unwrap_err();
    }
    // It would have taken what came to it.
    let asked = recorded.notebook.asked.load(Ordering::SeqCst);
    assert_eq!(asked, 0, "records of nothing");
}
