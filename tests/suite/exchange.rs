//! One exchange in memory, damaged at every byte.
//!
//! Blocks of 1 KiB make a whole put or get a few KiB long, so that each of its
//! bytes can be flipped and each of its prefixes cut, in both directions.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use haul::client::{Client, Download, JobOptions, Options, Upload};
use haul::fault::Fault;
use haul::net::Transport;
use haul::server::{Config, Server};
use haul::store::{Durability, LocalStore, Tree};

use crate::memory::{Damage, Side, Wire};
use crate::rig::{Outcome, forget_partials, noise, outcome, remote, visible};
use crate::wrapped::{Deaf, Wrapped};

/// Three blocks, the last of them short.
const LEN: usize = 2 * 1024 + 300;

/// A server and a client that are joined by one connection in memory at a time.
pub struct Exchange {
    pub dir: tempfile::TempDir,
    server: Server<Wrapped<LocalStore, Deaf>>,
    content: Vec<u8>,
}

/// What an exchange came to, and how much each side has said.
pub struct Ran {
    pub outcome: Outcome,
    pub said: [usize; 2],
}

impl Exchange {
    /// One in which nothing is kept from one round to the next: they say the same.
    fn new() -> Self {
        Self::keeping(Duration::ZERO)
    }

    /// One whose server keeps what was broken off for so long.
    pub fn keeping(keep: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let content = noise(LEN);
        for name in ["root", "into"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("source"), &content).unwrap();
        fs::write(dir.path().join("root/there"), &content).unwrap();
        let root = dir.path().join("root");
        let store = LocalStore::serve(&root, Durability::Batch, Fault::default()).unwrap();
        store.keep_partials(keep);
        let store = Wrapped::new(store, 1024, Deaf);
        let server = Server::bind(store, &[], Config::default()).unwrap();
        Self {
            dir,
            server,
            content,
        }
    }

    /// Runs `job` over a connection on which `damage` is done to what `from` says.
    fn run(&self, from: Side, damage: Damage, job: impl FnOnce(&Client) -> Outcome) -> Ran {
        let (near, far, wire) = Wire::pair(from, damage);
        let near = Mutex::new(Some(near));
        let connect = move || {
            let end = near.lock().unwrap().take();
            end.map(|end| Box::new(end) as Box<dyn Transport>)
                .ok_or_else(|| std::io::Error::other("there is one connection"))
        };
        let options = Options {
            connections: 1,
            ..Options::default()
        };
        let client = Client::over(connect, options);
        let outcome = thread::scope(|scope| {
            scope.spawn(|| self.server.converse(far));
            let outcome = job(&client);
            drop(client);
            outcome
        });
        let said = [wire.written(Side::Client), wire.written(Side::Server)];
        Ran { outcome, said }
    }

    pub fn put(&self, from: Side, damage: Damage) -> Ran {
        let tree = Tree::open(self.dir.path(), Fault::default()).unwrap();
        let source = Arc::new(Wrapped::new(tree, 1024, Deaf));
        let upload = Upload {
            from: Ok((source, Some(remote("source")))),
            to: Some(remote("new")),
        };
        self.run(from, damage, |client| {
            outcome(|monitor| client.put(vec![upload], &JobOptions::default(), monitor))
        })
    }

    pub fn get(&self, from: Side, damage: Damage) -> Ran {
        let download = Download {
            from: Some(remote("there")),
            to: Some(remote("new")),
        };
        let into = self.dir.path().join("into");
        self.run(from, damage, |client| {
            outcome(|monitor| client.get(vec![download], &into, &JobOptions::default(), monitor))
        })
    }

    /// Takes away what an exchange has published, and says whether it was there:
    /// the whole right file, or nothing.
    #[track_caller]
    pub fn published(&self, directory: &str, beside: &[&str], what: &str) -> bool {
        let directory = self.dir.path().join(directory);
        let there = visible(&directory).iter().any(|name| name == "new");
        if there {
            let came = fs::read(directory.join("new")).unwrap();
            assert!(came == self.content, "{what}: a wrong file is visible");
            fs::remove_file(directory.join("new")).unwrap();
        }
        assert_eq!(visible(&directory), beside, "{what}");
        there
    }
}

/// Does every damage to what `from` says in a put.
fn put_is_damaged(from: Side) {
    let exchange = Exchange::new();
    let clean = exchange.put(from, Damage::None);
    clean.outcome.is_fine();
    assert!(exchange.published("root", &["there"], "undamaged"));
    let said = clean.said[from as usize];
    assert!(said > 100, "an exchange of {said} bytes is none");
    for at in 0..said {
        for damage in [Damage::Flip(at), Damage::Cut(at)] {
            let what = format!("{from:?} {damage:?} of {said}");
            let ran = exchange.put(from, damage);
            let published = exchange.published("root", &["there"], &what);
            assert_ne!(ran.outcome.code(), 0, "{what}: {:?}", ran.outcome);
            // The commit is the last that a client says: damaged, it was not read whole.
            assert!(
                from == Side::Server || !published,
                "{what}: published without a commit"
            );
            is_swept(&exchange.dir.path().join("root/.haul/staging"), &what);
        }
    }
    let after = exchange.put(from, Damage::Cut(said));
    assert!(exchange.published("root", &["there"], "after the last answer"));
    after.outcome.is_fine();
}

/// Does every damage to what `from` says in a get.
fn get_is_damaged(from: Side) {
    let exchange = Exchange::new();
    let clean = exchange.get(from, Damage::None);
    clean.outcome.is_fine();
    assert!(exchange.published("into", &[], "undamaged"));
    let said = clean.said[from as usize];
    assert!(said > 100, "an exchange of {said} bytes is none");
    for at in 0..said {
        for damage in [Damage::Flip(at), Damage::Cut(at)] {
            let what = format!("{from:?} {damage:?} of {said}");
            let ran = exchange.get(from, damage);
            let published = exchange.published("into", &[], &what);
            assert_ne!(ran.outcome.code(), 0, "{what}: {:?}", ran.outcome);
            assert!(!published, "{what}: published without an end");
            is_swept(&exchange.dir.path().join("into/.haul/staging"), &what);
            forget_partials(&exchange.dir.path().join("into"));
        }
    }
    exchange.get(from, Damage::None).outcome.is_fine();
}

/// Nothing is left of what was staged.
#[track_caller]
fn is_swept(staging: &Path, what: &str) {
    let left = fs::read_dir(staging).map_or(0, Iterator::count);
    assert_eq!(left, 0, "{what}: staging is left behind");
}

#[test]
fn no_damage_to_what_the_client_says_in_a_put_publishes_anything() {
    put_is_damaged(Side::Client);
}

#[test]
fn no_damage_to_what_the_server_says_in_a_put_passes_for_success() {
    put_is_damaged(Side::Server);
}

#[test]
fn no_damage_to_what_the_client_says_in_a_get_publishes_anything() {
    get_is_damaged(Side::Client);
}

#[test]
fn no_damage_to_what_the_server_says_in_a_get_publishes_anything() {
    get_is_damaged(Side::Server);
}
