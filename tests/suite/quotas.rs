//! How much somebody may store: refused before a byte is sent, counted before anything has
//! its name, and given back where it comes to nothing.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use haul::client::JobOptions;
use haul::code::Code;
use haul::fault::{Call, Fault};
use haul::offer::{EntryId, OnExisting, Reason, TransferId, Verdict};
use haul::server::{Admit, Config, Grant, Refusal, Visitor};
use haul::trust::{Account, Amount, Ledger, Limit, Places, Quota, UsageFile, Variables};
use haul::wire::Message;
use haul::wire::message::{Drop, Offer, Rights};
use tempfile::TempDir;

use crate::raw::{Heard, Raw, block, commit, committed, offer, offered, sum, transfer};
use crate::rig::{Rig, put};
use crate::saboteur::Saboteur;

/// Lets everybody in, who all together may store so much.
#[derive(Debug)]
struct Door {
    rights: Rights,
    quota: Quota,
}

impl Admit for Door {
    fn grant(&self, _: &Visitor) -> Result<Grant, Refusal> {
        Ok(Grant {
            quota: Some(self.quota.clone()),
            ..Grant::of(self.rights)
        })
    }
}

/// A server and the files of its user.
pub struct Counted {
    pub rig: Rig,
    home: TempDir,
}

fn places(home: &TempDir) -> Places {
    let variables = Variables {
        home: Some(home.path().into()),
        ..Variables::default()
    };
    Places::find(&variables).unwrap()
}

fn used(home: &TempDir) -> Amount {
    let used = UsageFile::new(&places(home)).read().unwrap();
    used.into_values().next().unwrap_or_default()
}

impl Counted {
    pub fn new(rights: u32, bytes: Option<u64>, files: Option<u64>) -> Self {
        Self::with(rights, Limit { bytes, files }, |_| Fault::default())
    }

    fn with(rights: u32, limit: Limit, fault: impl FnOnce(&TempDir) -> Fault) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::new(&places(&home), "/srv".into()));
        let account = Account::Invitation("guests".to_owned());
        let door = Door {
            rights: Rights(rights),
            quota: Quota::new(&ledger, account, limit),
        };
        let config = Config {
            admit: Arc::new(door),
            ..Config::default()
        };
        let rig = Rig::with(config, fault(&home));
        Self { rig, home }
    }

    fn used(&self) -> (u64, u64) {
        let Amount { bytes, files } = used(&self.home);
        (bytes, files)
    }
}

/// What is decided of files of these sizes, each under a name of its own.
pub fn verdicts(raw: &mut Raw, on: OnExisting, files: &[(u64, &str, &[u8])]) -> Vec<Verdict> {
    let id = TransferId([9; 16]);
    let entry = |(number, path, bytes): &(u64, &str, &[u8])| offered(EntryId(*number), path, bytes);
    raw.say(&Offer {
        on,
        ..offer(id, files.iter().map(entry).collect())
    });
    match raw.hear() {
        Heard::Message(Message::Want(want)) => {
            want.verdicts.into_iter().map(|a| a.verdict).collect()
        }
        other => panic!("no verdicts but {other:?}"),
    }
}

/// The answer to what is too much, where so many bytes are left.
fn over(left: u64) -> Verdict {
    Verdict::Refused(Code::Limit, Reason::Quota(Some(left)))
}

#[test]
fn what_is_too_much_is_refused_when_it_is_offered_whatever_is_on_its_way_elsewhere() {
    let counted = Counted::new(3, Some(10), None);
    let (mut one, mut other) = (Raw::open(&counted.rig), Raw::open(&counted.rig));
    let send = Verdict::Send(None);
    let came = verdicts(
        &mut one,
        OnExisting::Refuse,
        &[(1, "a", b"123456"), (2, "b", b"12345")],
    );
    assert_eq!(came, [send.clone(), over(4)]);
    // The same transfer or another, this connection or another: it is one account.
    let came = verdicts(
        &mut other,
        OnExisting::Refuse,
        &[(3, "c", b"12345"), (4, "d", b"1234")],
    );
    assert_eq!(came, [over(4), send.clone()]);
    other.say(&Drop {
        transfer: TransferId([9; 16]),
        entry: EntryId(4),
    });
    let came = verdicts(
        &mut other,
        OnExisting::Refuse,
        &[(5, "c", b"12345"), (6, "c", b"1234")],
    );
    assert_eq!(came, [over(4), send.clone()]);
    // With the connections of its transfer goes what was on its way.
    one.finish();
    other.finish();
    let mut next = Raw::open(&counted.rig);
    let came = verdicts(&mut next, OnExisting::Refuse, &[(1, "a", b"1234567890")]);
    assert_eq!(came, [send]);
    assert_eq!(counted.used(), (0, 0));
}

#[test]
fn what_is_there_already_costs_nothing_and_what_may_replace_it_is_kept_room_for() {
    let counted = Counted::new(15, Some(12), Some(10));
    let (rig, options) = (&counted.rig, JobOptions::default());
    let replace = JobOptions {
        on_existing: OnExisting::Replace,
        ..JobOptions::default()
    };
    let (six, seven) = (rig.file("six", 6), rig.file("seven", 7));
    let touch = |path: &Path, seconds| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    };
    put(&rig.client(1), &[(&six, "x")], &options).is_fine();
    assert_eq!(counted.used(), (6, 1));
    put(&rig.client(1), &[(&six, "x")], &options).is_fine();
    // Touched, it has to be asked for by its checksum, and is not stored again either.
    touch(&six, 1);
    put(&rig.client(1), &[(&six, "x")], &options).is_fine();
    touch(&six, 2);
    put(&rig.client(1), &[(&six, "x")], &replace).is_fine();
    assert_eq!(counted.used(), (6, 1));
    assert_eq!(put(&rig.client(1), &[(&seven, "x")], &replace).code(), 8);
    let four = rig.file("four", 4);
    put(&rig.client(1), &[(&four, "x")], &replace).is_fine();
    assert_eq!(counted.used(), (10, 2));
    put(&rig.client(1), &[(&four, "x")], &replace).is_fine();
    touch(&four, 1);
    // Nothing is left to keep room for, should it have to be sent.
    assert_eq!(put(&rig.client(1), &[(&four, "x")], &replace).code(), 8);
    put(&rig.client(1), &[(&four, "x")], &options).is_fine();
    assert_eq!(counted.used(), (10, 2));
}

#[test]
fn it_is_counted_before_anything_has_its_name() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let limit = Limit {
        bytes: None,
        files: Some(7),
    };
    let counted = Counted::with(3, limit, move |home| {
        let at = places(home);
        Fault::watched(move |call| {
            if call == Call::Rename {
                let used = UsageFile::new(&at).read().unwrap();
                let files: u64 = used.into_values().map(|used| used.files).sum();
                told.lock().unwrap().push(files);
            }
            Ok(())
        })
    });
    let source = counted.rig.file("source", 5);
    for name in ["a", "b"] {
        put(
            &counted.rig.client(1),
            &[(&source, name)],
            &JobOptions::default(),
        )
        .is_fine();
    }
    assert_eq!(*seen.lock().unwrap(), [1, 2]);
}

#[test]
fn what_comes_to_nothing_is_given_back() {
    let saboteur = Saboteur::default();
    let limit = Limit {
        bytes: Some(10),
        files: Some(10),
    };
    let counted = Counted::with(3, limit, |_| saboteur.fault());
    let rig = &counted.rig;
    let source = rig.file("source", 10);
    let fails = |call| {
        saboteur.arm(Some((call, 0, rustix::io::Errno::IO.raw_os_error())));
        let outcome = put(&rig.client(1), &[(&source, "x")], &JobOptions::default());
        assert_ne!(outcome.code(), 0);
        assert!(saboteur.failed());
        saboteur.arm(None);
    };
    for call in [Call::Rename, Call::FlushData, Call::WriteAt] {
        fails(call);
        assert_eq!(counted.used(), (0, 0), "{call:?}");
    }
    // A name that was taken since the offer.
    let (mut raw, id) = (Raw::open(rig), transfer());
    raw.say(&offer(id, vec![offered(EntryId(1), "y", b"12345")]));
    raw.hear();
    let (header, body) = block(id, EntryId(1), b"12345", 0);
    raw.send_block(&header, &body);
    fs::write(rig.root().join("y"), "mine").unwrap();
    raw.say(&commit(
        id,
        vec![committed(EntryId(1), Some(sum(b"12345")))],
    ));
    let Heard::Message(Message::Receipt(receipt)) = raw.hear() else {
        panic!("no receipt")
    };
    assert_eq!(receipt.exceptions[0].code, Code::Exists);
    assert_eq!(counted.used(), (0, 0));
    put(&rig.client(1), &[(&source, "x")], &JobOptions::default()).is_fine();
    assert_eq!(counted.used(), (10, 1));
    // What is in place and perhaps not durable is there.
    let counted = Counted::with(3, limit, |_| saboteur.fault());
    let source = counted.rig.file("source", 10);
    let io = rustix::io::Errno::IO.raw_os_error();
    saboteur.arm(Some((Call::FlushDirectory, 0, io)));
    let outcome = put(
        &counted.rig.client(1),
        &[(&source, "x")],
        &JobOptions::default(),
    );
    assert_eq!(outcome.code(), 10);
    assert!(counted.rig.root().join("x").exists());
    assert_eq!(counted.used(), (10, 1));
}

/// Lets everybody in, with a limit that can be changed.
#[derive(Debug)]
struct Lowered(Arc<Ledger>, Mutex<u64>);
impl Admit for Lowered {
    fn grant(&self, _: &Visitor) -> Result<Grant, Refusal> {
        let limit = Limit {
            bytes: None,
            files: Some(*self.1.lock().unwrap()),
        };
        let account = Account::Invitation("guests".to_owned());
        Ok(Grant {
            quota: Some(Quota::new(&self.0, account, limit)),
            ..Grant::of(Rights(3))
        })
    }
}

#[test]
fn a_limit_that_is_lowered_holds_for_what_was_offered_before() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::new(&places(&home), "/srv".into()));
    let door = Arc::new(Lowered(ledger, Mutex::new(2)));
    let config = Config {
        admit: Arc::clone(&door) as Arc<dyn Admit>,
        ..Config::default()
    };
    let rig = Rig::with(config, Fault::default());
    let (mut raw, id) = (Raw::open(&rig), transfer());
    let files = [(1, "a"), (2, "b")];
    let entries = files.map(|(n, path)| offered(EntryId(n), path, b"12345"));
    raw.say(&offer(id, entries.to_vec()));
    raw.hear();
    for (n, _) in files {
        let (header, body) = block(id, EntryId(n), b"12345", 0);
        raw.send_block(&header, &body);
    }
    *door.1.lock().unwrap() = 1;
    let claims = files.map(|(n, _)| committed(EntryId(n), Some(sum(b"12345"))));
    raw.say(&commit(id, claims.to_vec()));
    let Heard::Message(Message::Receipt(receipt)) = raw.hear() else {
        panic!("no receipt")
    };
    let came: Vec<_> = receipt
        .exceptions
        .iter()
        .map(|e| (e.entry.0, e.code))
        .collect();
    assert_eq!(came, [(2, Code::Limit)]);
    let text = &receipt.exceptions[0].text;
    assert!(text.contains("0 files are left"), "{text}");
    assert_eq!(rig.visible(), ["a"]);
}

#[test]
fn a_box_with_a_limit_counts_what_is_sent_and_not_what_is_there() {
    let empty = Counted::new(2, Some(20), Some(4));
    let taken = Counted::new(2, Some(20), Some(4));
    for name in ["a", "b", "d"] {
        fs::write(taken.rig.root().join(name), "12345").unwrap();
    }
    let all = |counted: &Counted| {
        let source = counted.rig.file("source", 5);
        let names = ["a", "a", "d/x", "b", "c"];
        let put = |name| {
            put(
                &counted.rig.client(1),
                &[(&source, name)],
                &JobOptions::default(),
            )
        };
        names.map(|name| (put(name).code(), counted.used()))
    };
    let came = all(&empty);
    assert_eq!(
        came,
        [
            (0, (5, 1)),
            (0, (10, 2)),
            (0, (15, 3)),
            (0, (20, 4)),
            (8, (20, 4))
        ]
    );
    assert_eq!(all(&taken), came);
}
