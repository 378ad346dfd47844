//! Two puts of one name at once, and a get meanwhile, each over several connections: what is
//! there, and what is fetched, is always wholly somebody's.
//!
//! Most are of small files in blocks of 1 KiB, which one connection carries: there is more going
//! on in a second then. The others are large enough for two connections.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use haul::client::{Client, JobOptions, Options, Status, Upload};
use haul::fault::Fault;
use haul::net::Transport;
use haul::net::plain::Plain;
use haul::offer::{Compare, OnExisting};
use haul::server::{Config, Handle, OpeningLimits, Server};
use haul::store::{Durability, LocalStore, Tree};
use tempfile::TempDir;

use crate::landscape::set_time;
use crate::rig::{Outcome, get, outcome, remote, visible};
use crate::signed::Author;
use crate::unharmed::eventually;
use crate::watch::nodes;
use crate::wrapped::{Deaf, Wrapped};

/// How large files and their blocks are.
#[derive(Clone, Copy, Debug)]
struct Scale {
    block: usize,
    /// Blocks of the smaller of two files.
    blocks: usize,
}

const SMALL: Scale = Scale {
    block: 1 << 10,
    blocks: 9,
};

/// More than 8 MiB are worth a second connection.
const LARGE: Scale = Scale {
    block: 256 << 10,
    blocks: 36,
};

/// A served directory, and three who use it.
struct Arena {
    scale: Scale,
    dir: TempDir,
    address: String,
    /// Connections that carried a block.
    carried: Arc<AtomicUsize>,
    handle: Option<Handle>,
}

/// A connection that knows how much it has carried.
struct Weighed {
    inner: Plain,
    bytes: usize,
    carried: Arc<AtomicUsize>,
}

/// What two puts of one name have in common, and what they are told to do.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// Whether files have one size and one time.
    alike: bool,
    /// Whether something has the name before.
    replaces: bool,
}

const KINDS: [Kind; 4] = [
    Kind {
        alike: false,
        replaces: true,
    },
    Kind {
        alike: true,
        replaces: true,
    },
    Kind {
        alike: false,
        replaces: false,
    },
    Kind {
        alike: true,
        replaces: false,
    },
];

/// What one of the three does in a round.
type Job<'a> = &'a (dyn Fn() -> Outcome + Sync);

/// What all rounds came to.
#[derive(Debug, Default)]
struct Tally {
    /// Codes of the puts and gets of each kind.
    codes: BTreeMap<(&'static str, bool, bool, u8), usize>,
    /// Jobs that stored or fetched something.
    moved: usize,
    /// Rounds in which all three were under way at one time.
    together: usize,
    /// Files that were removed beside haul: what is kept of those stays until a sweep.
    removed: usize,
}

impl Arena {
    fn new(scale: Scale) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["root", "one", "two", "into"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let store = LocalStore::serve(&dir.path().join("root"), Durability::None, Fault::default())
            .unwrap();
        let config = Config {
            segment: 1 << 20,
            max_connections: 64,
            openings: OpeningLimits {
                // A get that is done leaves its early connections in mid-opening.
                spoiled: u32::MAX,
                ..OpeningLimits::default()
            },
            ..Config::default()
        };
        let store = Wrapped::new(store, scale.block as u64, Deaf);
        let server = Server::bind(store, &["127.0.0.1:0".to_owned()], config).unwrap();
        let address = server.addresses().unwrap()[0].to_string();
        Self {
            scale,
            dir,
            address,
            carried: Arc::default(),
            handle: Some(server.start().unwrap()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn client(&self) -> Client {
        let (address, carried) = (self.address.clone(), Arc::clone(&self.carried));
        let connect = move || -> io::Result<Box<dyn Transport>> {
            let inner = Plain::new(TcpStream::connect(&address)?)?;
            let carried = Arc::clone(&carried);
            Ok(Box::new(Weighed {
                inner,
                bytes: 0,
                carried,
            }))
        };
        Client::over(connect, Options::default())
    }

    fn put(&self, from: &str, options: &JobOptions) -> Outcome {
        let tree = Tree::open(&self.path(from), Fault::default()).unwrap();
        let tree = Wrapped::new(tree, self.scale.block as u64, Deaf);
        let upload = Upload {
            from: Ok((Arc::new(tree), Some(remote("x")))),
            to: Some(remote("x")),
        };
        let client = self.client();
        outcome(|monitor| client.put(vec![upload], options, monitor))
    }

    fn get(&self) -> Outcome {
        let options = JobOptions {
            on_existing: OnExisting::Replace,
            compare: Compare::Content,
            ..JobOptions::default()
        };
        get(&self.client(), &[("x", "x")], &self.path("into"), &options)
    }

    /// Two puts and a get begin at the same time, or nearly, and what is there afterwards is
    /// somebody's. A put that says that it stored something has, unless the other came later.
    #[track_caller]
    fn round(&self, round: u64, kind: Kind, tally: &mut Tally) {
        let Scale { block, blocks } = self.scale;
        let rivals = [1, 2].map(|who| {
            let more = if kind.alike { 0 } else { 2 * who };
            Author::of(who as u64, round, (blocks + more) * block)
        });
        for (rival, name) in rivals.iter().zip(["one/x", "two/x"]) {
            rival.write(&self.path(name));
            let time = if kind.alike {
                0
            } else {
                rival.who.cast_signed()
            };
            set_time(&self.path(name), (1_000_000_000 + time, 0));
        }
        let (stored, fetched) = (self.path("root/x"), self.path("into/x"));
        if !kind.replaces {
            tally.removed += usize::from(fs::remove_file(&stored).is_ok());
        }
        let before = Author::at(&stored);
        let _ = fs::remove_file(&fetched);

        let options = JobOptions {
            on_existing: if kind.replaces {
                OnExisting::Replace
            } else {
                OnExisting::Refuse
            },
            // Those that look alike are told apart only so, where one is there before.
            compare: if kind.alike && kind.replaces {
                Compare::Content
            } else {
                Compare::Quick
            },
            ..JobOptions::default()
        };
        let jobs: [Job<'_>; 3] = [
            &|| self.put("one", &options),
            &|| self.put("two", &options),
            &|| self.get(),
        ];
        let start = Barrier::new(jobs.len());
        let came: Vec<(Outcome, Instant, Instant)> = thread::scope(|scope| {
            let mut threads = Vec::new();
            for (number, job) in jobs.into_iter().enumerate() {
                let (start, lead) = (&start, lot(round, number, 8));
                let run = move || {
                    start.wait();
                    // A little later, each round another one.
                    (0..lead).for_each(|_| thread::yield_now());
                    let began = Instant::now();
                    (job(), began, Instant::now())
                };
                threads.push(thread::Builder::new().spawn_scoped(scope, run).unwrap());
            }
            threads.into_iter().map(|job| job.join().unwrap()).collect()
        });

        let first_end = came.iter().map(|(_, _, end)| *end).min().unwrap();
        let last_begin = came.iter().map(|(_, began, _)| *began).max().unwrap();
        tally.together += usize::from(last_begin < first_end);
        let told = || format!("round {round}, {kind:?}: {came:?}");
        let codes: Vec<u8> = came.iter().map(|(outcome, ..)| outcome.code()).collect();
        for (what, code) in ["put", "put", "get"].into_iter().zip(&codes) {
            *tally
                .codes
                .entry((what, kind.alike, kind.replaces, *code))
                .or_default() += 1;
        }

        let there = Author::at(&stored).unwrap_or_else(|| panic!("nothing: {}", told()));
        assert!(rivals.contains(&there), "neither of the two: {}", told());
        let is_stored = |outcome: &Outcome| outcome.statuses() == [Status::Stored];
        let is_moved =
            |outcome: &Outcome| is_stored(outcome) || outcome.statuses() == [Status::Fetched];
        tally.moved += came
            .iter()
            .filter(|(outcome, ..)| is_moved(outcome))
            .count();
        for (rival, (outcome, ..)) in rivals.iter().zip(&came) {
            assert!(
                is_stored(outcome) || there != *rival,
                "it is there unsaid: {}",
                told()
            );
            assert!(matches!(outcome.code(), 0 | 6), "{}", told());
        }
        let stored_both = came[..2].iter().all(|(outcome, ..)| is_stored(outcome));
        assert!(
            kind.replaces || !stored_both,
            "one was replaced: {}",
            told()
        );
        match codes[2] {
            0 => {
                let came = Author::at(&fetched).expect("it was fetched");
                let may = rivals.contains(&came) || before == Some(came);
                assert!(may, "what was fetched is old: {}", told());
            }
            // It changed while it was fetched, or was not there yet.
            7 => assert_eq!(Author::at(&fetched), None),
            5 => assert!(before.is_none(), "{}", told()),
            _ => panic!("{}", told()),
        }
    }
}

/// What is broken off without an end leaves threads behind, which go with the server.
impl Drop for Arena {
    fn drop(&mut self) {
        self.handle = None;
    }
}

impl Weighed {
    fn weigh(&mut self, bytes: usize) -> usize {
        self.bytes += bytes;
        bytes
    }
}

impl Drop for Weighed {
    fn drop(&mut self) {
        let carried = usize::from(self.bytes > SMALL.block);
        self.carried.fetch_add(carried, Ordering::SeqCst);
    }
}

impl Transport for Weighed {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        let n = self.inner.read(into, wait)?;
        Ok(self.weigh(n))
    }

    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize> {
        let n = self.inner.write(slices, wait)?;
        Ok(self.weigh(n))
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        self.inner.is_readable()
    }

    fn has_left(&mut self) -> io::Result<bool> {
        self.inner.has_left()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }

    fn peer(&self) -> String {
        self.inner.peer()
    }
}

/// A number below `end`, another one each time.
fn lot(round: u64, use_: usize, end: usize) -> usize {
    let hash = blake3::hash(&[round.to_le_bytes(), (use_ as u64).to_le_bytes()].concat());
    let (head, _) = hash.as_bytes().split_first_chunk().unwrap();
    usize::from_le_bytes(*head) % end
}

/// What is left in haul's own directory of that.
fn left(directory: &Path) -> usize {
    let areas = ["staging", "partial"].map(|area| directory.join(".haul").join(area));
    let files = areas
        .iter()
        .map(|area| fs::read_dir(area).map_or(0, Iterator::count));
    files.sum()
}

#[track_caller]
fn no_mixture(scale: Scale, rounds: u64) {
    let (arena, mut tally) = (Arena::new(scale), Tally::default());
    let began = Instant::now();
    for round in 0..rounds {
        let kind = KINDS[round as usize % KINDS.len()];
        arena.round(round, kind, &mut tally);
    }
    let carried = arena.carried.load(Ordering::SeqCst);
    println!(
        "{rounds} rounds of {scale:?} in {:?}: {} files were moved over {carried} connections; in \
         {} rounds all three were under way at one time; put or get, alike, replaces, code: {:?}",
        began.elapsed(),
        tally.moved,
        tally.together,
        tally.codes,
    );
    let are_two = scale.blocks == SMALL.blocks || carried > tally.moved * 3 / 2;
    assert!(are_two, "each job had one connection");
    assert!(tally.together as u64 > rounds / 10, "one after the other");
    for what in ["put", "get"] {
        let done = |(of, .., code): &(&str, bool, bool, u8)| *of == what && *code == 0;
        let all = tally.codes.iter().filter(|(key, _)| done(key));
        let all: usize = all.map(|(_, count)| count).sum();
        assert!(all as u64 > rounds / 10, "{what}: {all} went well");
    }
    assert_eq!(visible(&arena.path("root")), ["x"]);
    let root = arena.path("root");
    eventually("nothing is left staged", || left(&root) == 0);
    // Without a sweep: each went with its file.
    let (kept, removed) = (nodes(&root), tally.removed);
    assert!(
        kept <= 1 + removed,
        "nodes of {kept} files, {removed} were removed beside"
    );
}

#[test]
fn two_puts_of_one_name_and_a_get_meanwhile_never_mix() {
    no_mixture(SMALL, 400);
    no_mixture(LARGE, 8);
}

/// A hundred thousand rounds, each of two puts and a get.
///
///     TMPDIR=/dev/shm cargo test --release --test suite -- --ignored --nocapture a_hundred_thousand_rounds_of_rivals
#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_rounds_of_rivals_never_mix() {
    no_mixture(SMALL, 98_000);
    no_mixture(LARGE, 2_000);
}
