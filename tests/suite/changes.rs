//! A file is of one version from its first block to its last, or it is an error.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use haul::client::{Client, Download, JobOptions, Options, Upload};
use haul::fault::Fault;
use haul::offer::OnExisting;
use haul::server::{Config, Handle, Server};
use haul::store::{Durability, LocalStore, Tree};

use crate::rig::{Outcome, Rig, get, noise, outcome, put, remote, visible};
use crate::wrapped::{Listener, Wrapped};

const KIB: usize = 1 << 10;
/// Sixteen blocks of 1 KiB.
const LEN: usize = 16 * KIB;

type Meddling = fn(&fs::File);

/// Does something to a file before its n-th block is read.
struct Meddler {
    file: PathBuf,
    before: usize,
    reads: AtomicUsize,
    what: Meddling,
}

impl Meddler {
    fn new(file: PathBuf, before: usize, what: Meddling) -> Self {
        let reads = AtomicUsize::new(0);
        Self {
            file,
            before,
            reads,
            what,
        }
    }
}

impl Listener for Meddler {
    fn reading(&self) {
        if self.reads.fetch_add(1, Ordering::SeqCst) == self.before {
            (self.what)(&OpenOptions::new().write(true).open(&self.file).unwrap());
        }
    }
}

/// What is done to a file while it is read.
const MEDDLINGS: [(&str, Meddling); 4] = [
    ("a block that was sent changes", |file| {
        file.write_all_at(b"other", 0).unwrap();
    }),
    ("a block that is to come changes", |file| {
        file.write_all_at(b"other", (LEN - KIB) as u64).unwrap();
    }),
    ("it shrinks", |file| file.set_len(LEN as u64 / 2).unwrap()),
    ("it grows", |file| file.set_len(LEN as u64 * 2).unwrap()),
];

fn options(connections: usize) -> Options {
    Options {
        connections,
        ..Options::default()
    }
}

#[test]
fn a_source_that_changes_while_it_is_put_is_not_published() {
    for (what, meddle) in MEDDLINGS {
        let rig = Rig::new();
        let source = rig.file("source", LEN);
        let meddler = Meddler::new(source, 8, meddle);
        let tree = Tree::open(rig.dir.path(), Fault::default()).unwrap();
        let upload = Upload {
            from: Ok((
                Arc::new(Wrapped::new(tree, KIB as u64, meddler)),
                Some(remote("source")),
            )),
            to: Some(remote("there")),
        };
        let client = Client::new(&rig.address, options(4));
        let outcome = outcome(|monitor| client.put(vec![upload], &JobOptions::default(), monitor));
        assert_eq!(outcome.code(), 7, "{what}: {outcome:?}");
        assert!(rig.visible().is_empty(), "{what}");
    }
}

/// A server whose file is meddled with while it is read.
fn meddled(meddle: Meddling, recorded: bool) -> (tempfile::TempDir, String, Handle) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let store = LocalStore::serve(&root, Durability::Batch, Fault::default()).unwrap();
    fs::write(root.join("there"), noise(LEN)).unwrap();
    if recorded {
        // A file that haul published has a checksum on record; one that a person
        // copied there has none, and only its version speaks for it.
        publish(&root, &store);
    }
    let meddler = Meddler::new(root.join("there"), 8, meddle);
    let store = Wrapped::new(store, KIB as u64, meddler);
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default()).unwrap();
    let address = server.addresses().unwrap()[0].to_string();
    (dir, address, server.start().unwrap())
}

/// Puts the file at `there` anew, so that its checksum is recorded.
fn publish(root: &std::path::Path, store: &LocalStore) {
    fs::rename(root.join("there"), root.with_file_name("source")).unwrap();
    let server = Server::bind(
        store.clone(),
        &["127.0.0.1:0".to_owned()],
        Config::default(),
    )
    .unwrap();
    let client = Client::new(&server.addresses().unwrap()[0].to_string(), options(1));
    let _handle = server.start().unwrap();
    let source = root.with_file_name("source");
    put(&client, &[(&source, "there")], &JobOptions::default()).is_fine();
}

#[test]
fn a_file_that_changes_while_it_is_fetched_is_not_published() {
    for (what, meddle) in MEDDLINGS {
        for recorded in [false, true] {
            let (dir, address, _handle) = meddled(meddle, recorded);
            let into = dir.path().join("into");
            let download = Download {
                from: Some(remote("there")),
                to: Some(remote("here")),
            };
            let client = Client::new(&address, options(4));
            let outcome = outcome(|monitor| {
                client.get(vec![download], &into, &JobOptions::default(), monitor)
            });
            assert_eq!(
                outcome.code(),
                7,
                "{what}, recorded {recorded}: {outcome:?}"
            );
            assert!(visible(&into).is_empty(), "{what}");
            assert!(!into.join(".haul").exists(), "{what}");
        }
    }
}

#[test]
fn a_get_beside_overwrites_is_wholly_old_or_wholly_new_or_an_error() {
    let rig = Rig::new();
    let len = 3 << 20;
    let versions = [vec![1; len], vec![2; len]];
    let sources = [rig.file("old", 0), rig.file("new", 0)];
    for (path, version) in sources.iter().zip(&versions) {
        fs::write(path, version).unwrap();
    }
    let options = JobOptions {
        on_existing: OnExisting::Replace,
        ..JobOptions::default()
    };
    put(&rig.client(1), &[(&sources[0], "x")], &options).is_fine();
    thread::scope(|scope| {
        let overwriting = scope.spawn(|| {
            for round in 0..20 {
                put(&rig.client(2), &[(&sources[round % 2], "x")], &options).is_fine();
            }
        });
        let mut whole = 0;
        for round in 0..20 {
            let into = rig.dir.path().join(format!("into-{round}"));
            let outcome = get(&rig.client(3), &[("x", "x")], &into, &JobOptions::default());
            match outcome.code() {
                0 => {
                    let came = fs::read(into.join("x")).unwrap();
                    assert!(versions.contains(&came), "a mixture");
                    whole += 1;
                }
                7 => assert!(!into.join("x").exists()),
                other => panic!("{other}: {outcome:?}"),
            }
        }
        overwriting.join().unwrap();
        assert!(whole > 0, "no get came through at all");
    });
}

#[test]
fn of_two_puts_of_one_name_one_wins_whole() {
    for _ in 0..10 {
        let rig = Rig::new();
        let sources = [rig.file("a", 3 << 20), rig.file("b", (3 << 20) + 1)];
        let codes: Vec<u8> = thread::scope(|scope| {
            let puts: Vec<_> = sources
                .iter()
                .map(|source| {
                    let client = rig.client(2);
                    scope.spawn(move || put(&client, &[(source, "x")], &JobOptions::default()))
                })
                .collect();
            puts.into_iter()
                .map(|p| Outcome::code(&p.join().unwrap()))
                .collect()
        });
        let came = fs::read(rig.root().join("x")).unwrap();
        let winner = sources.iter().position(|s| fs::read(s).unwrap() == came);
        let winner = winner.expect("one of them, whole");
        assert_eq!(codes[winner], 0);
        assert_eq!(codes[1 - winner], 6);
    }
}
