//! A neighbour on the same machine who puts a link in the place of a directory and takes it
//! away again, all the time, while files go into that directory and come out of it.
//!
//! It happens between any two calls that a store makes, and during them too. Where the link
//! leads to is watched: it is never opened, read or written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use haul::client::{Client, Idle, JobOptions, Options, Upload};
use haul::fault::Fault;
use haul::offer::{Compare, OnExisting};
use haul::server::{Config, Handle, Server};
use haul::store::{Durability, LocalStore, Tree};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::fs::{RenameFlags, renameat_with};
use tempfile::TempDir;

use crate::rig::{Outcome, get, outcome, remote, visible};
use crate::signed::Author;
use crate::wrapped::{Deaf, Wrapped};

const BLOCK: usize = 1 << 10;

/// Who wrote what nobody is to see.
const CANARY: u64 = 9;

/// One of so many calls is preceded by a swap.
const SELDOM: usize = 12;

/// Whoever swaps a directory `d` with a link `l` beside it.
struct Neighbour {
    top: OwnedFd,
    /// The directory itself, wherever it is.
    directory: OwnedFd,
    calls: AtomicUsize,
    swaps: AtomicUsize,
}

/// What is not to be touched, and who would tell.
struct Canary {
    path: PathBuf,
    told: OwnedFd,
}

impl Neighbour {
    /// Of a directory in which there are to be two, one of them a link to `outside`.
    fn in_place(top: &Path, outside: &Path) -> Arc<Self> {
        fs::create_dir_all(top.join("d")).unwrap();
        symlink(outside, top.join("l")).unwrap();
        Arc::new(Self {
            top: File::open(top).unwrap().into(),
            directory: File::open(top.join("d")).unwrap().into(),
            calls: AtomicUsize::new(0),
            swaps: AtomicUsize::new(0),
        })
    }

    fn swap(&self) {
        // In the end there is nothing left to swap.
        let swapped = renameat_with(&self.top, "d", &self.top, "l", RenameFlags::EXCHANGE);
        let is_done = usize::from(swapped.is_ok());
        self.swaps.fetch_add(is_done, Ordering::SeqCst);
    }

    /// Swaps before some of the calls that ask this.
    fn fault(self: &Arc<Self>) -> Fault {
        let neighbour = Arc::clone(self);
        Fault::watched(move |_| {
            let call = neighbour.calls.fetch_add(1, Ordering::SeqCst);
            let hash = blake3::hash(&call.to_le_bytes());
            if usize::from(hash.as_bytes()[0]) % SELDOM == 0 {
                neighbour.swap();
            }
            Ok(())
        })
    }

    /// What is in the directory, whatever its name is now.
    fn inside(&self, name: &str) -> PathBuf {
        PathBuf::from(format!(
            "/proc/self/fd/{}/{name}",
            self.directory.as_raw_fd()
        ))
    }
}

impl Canary {
    fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        Author::of(CANARY, 0, 4 * BLOCK).write(&path.join("x"));
        let told = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&told, &path, WatchFlags::ALL_EVENTS).unwrap();
        Self { path, told }
    }

    /// Whether anybody has opened, read, written, made or removed anything there.
    fn was_touched(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        Reader::new(&self.told, &mut buffer).next().is_ok()
    }

    /// Nobody has, until we do ourselves, which is told.
    #[track_caller]
    fn sings(&self) {
        assert!(!self.was_touched(), "somebody was there");
        assert_eq!(visible(&self.path), ["x"]);
        assert!(self.was_touched(), "nobody would have been noticed");
        let author = Author::at(&self.path.join("x")).unwrap();
        assert_eq!(author, Author::of(CANARY, 0, 4 * BLOCK));
    }
}

/// A served directory and one to download into, with a neighbour in each.
struct Street {
    _handle: Handle,
    client: Client,
    /// At the server's, and at the client's.
    neighbours: [Arc<Neighbour>; 2],
    canary: Canary,
    dir: TempDir,
}

impl Street {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        let canary = Canary::at(place("outside"));
        for name in ["root", "into", "from"] {
            fs::create_dir(place(name)).unwrap();
        }
        let neighbour = |name: &str| Neighbour::in_place(&place(name), Path::new("../outside"));
        let neighbours = [neighbour("root"), neighbour("into")];
        let fault = neighbours[0].fault();
        let store = LocalStore::serve(&place("root"), Durability::None, fault).unwrap();
        let store = Wrapped::new(store, BLOCK as u64, Deaf);
        let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default()).unwrap();
        let options = Options {
            fault: neighbours[1].fault(),
            idle: Idle::Keep {
                trust: Duration::from_secs(3600),
            },
            ..Options::default()
        };
        Self {
            client: Client::new(&server.addresses().unwrap()[0].to_string(), options),
            _handle: server.start().unwrap(),
            neighbours,
            canary,
            dir,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options() -> JobOptions {
        JobOptions {
            on_existing: OnExisting::Replace,
            compare: Compare::Content,
            ..JobOptions::default()
        }
    }

    fn put(&self, name: &str) -> Outcome {
        let tree = Tree::open(&self.path("from"), Fault::default()).unwrap();
        let upload = Upload {
            from: Ok((
                Arc::new(Wrapped::new(tree, BLOCK as u64, Deaf)),
                Some(remote("x")),
            )),
            to: Some(remote(&format!("d/{name}"))),
        };
        outcome(|monitor| self.client.put(vec![upload], &Self::options(), monitor))
    }

    fn get(&self, name: &str) -> Outcome {
        let name = format!("d/{name}");
        let files = [(name.as_str(), name.as_str())];
        get(&self.client, &files, &self.path("into"), &Self::options())
    }

    /// A put and a get of the same name, each of which ends well or is refused.
    #[track_caller]
    fn round(&self, round: u64, tally: &mut BTreeMap<(&'static str, u8), usize>) {
        // Of one block or of several, in a directory that is there or is to be made.
        let blocks = if round.is_multiple_of(2) { 1 } else { 5 };
        let ours = Author::of(1, round, blocks * BLOCK);
        ours.write(&self.path("from/x"));
        let number = round % 4 / 2 * (1 + round % 5);
        let name = match number {
            0 => "x".to_owned(),
            number => format!("new-{number}/x"),
        };
        let [there, here] = [0, 1].map(|side| self.neighbours[side].inside(&name));
        let (before, put) = (Author::at(&there), self.put(&name));
        let after = Author::at(&there);
        let get = self.get(&name);
        let fetched = Author::at(&here);
        let case = || format!("round {round}: {put:?}, {get:?}");
        for (what, outcome) in [("put", &put), ("get", &get)] {
            *tally.entry((what, outcome.code())).or_default() += 1;
            assert!(CODES.contains(&outcome.code()), "{}", case());
        }
        match put.code() {
            0 => assert_eq!(after, Some(ours), "{}", case()),
            _ => assert!(after == before || after == Some(ours), "{}", case()),
        }
        assert!(get.code() != 0 || fetched == after, "{}", case());
        assert!(fetched.is_none_or(|author| author.who == 1), "{}", case());
        assert!(!self.canary.was_touched(), "{}", case());
        if number != 0 {
            for neighbour in &self.neighbours {
                let made = neighbour.inside(&format!("new-{number}"));
                let _ = fs::remove_dir_all(made);
            }
        }
    }
}

/// Done, not there, something of another kind is there, and a link in the way.
const CODES: [u8; 4] = [0, 5, 6, 10];

#[track_caller]
fn no_escape(rounds: u64) {
    let (street, is_over) = (Street::new(), AtomicBool::new(false));
    let (began, mut tally) = (Instant::now(), BTreeMap::new());
    thread::scope(|scope| {
        let restless = || {
            while !is_over.load(Ordering::SeqCst) {
                street
                    .neighbours
                    .iter()
                    .for_each(|neighbour| neighbour.swap());
                (0..50).for_each(|_| thread::yield_now());
            }
        };
        let restless = thread::Builder::new().spawn_scoped(scope, restless);
        let work = || (0..rounds).for_each(|round| street.round(round, &mut tally));
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        is_over.store(true, Ordering::SeqCst);
        restless.unwrap().join().unwrap();
        if let Err(why) = worked {
            std::panic::resume_unwind(why);
        }
    });
    street.canary.sings();
    let swaps = [0, 1].map(|side| street.neighbours[side].swaps.load(Ordering::SeqCst));
    println!(
        "{rounds} rounds in {:?} beside {swaps:?} swaps; job, code: {tally:?}",
        began.elapsed()
    );
    assert!(
        swaps.iter().all(|swaps| *swaps as u64 > rounds),
        "{swaps:?}"
    );
    for what in ["put", "get"] {
        for code in [0, 10] {
            let count = tally.get(&(what, code)).copied().unwrap_or(0);
            assert!(count > 0, "{what} {code} never was");
        }
    }
}

#[test]
fn a_directory_that_is_swapped_with_a_link_all_the_time_leads_nowhere() {
    no_escape(300);
}

/// A hundred thousand rounds, each of a put and a get.
///
///     TMPDIR=/dev/shm cargo test --release --test suite -- --ignored --nocapture a_hundred_thousand_rounds_of_swaps
#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_rounds_of_swaps_lead_nowhere() {
    no_escape(100_000);
}
