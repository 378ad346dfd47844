//! One exchange in memory, so short that something can be done to each of its bytes.
//!
//! Blocks of 1 KiB make a whole put or get a few KiB long. Encrypted, it goes over sockets,
//! and what is done is done beneath the encryption.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use haul::client::{Client, Download, JobOptions, Options, Upload};
use haul::fault::Fault;
use haul::net::Transport;
use haul::offer::OnExisting;
use haul::server::{Config, Server};
use haul::store::{Durability, LocalStore, Tree};
use haul::transfer::Deadlines;

use crate::memory::{Damage, Side, Wire};
use crate::rig::{Outcome, noise, outcome, remote, visible};
use crate::secrecy::{Keys, Secrecy};
use crate::tampering::Tampered;
use crate::wrapped::{Deaf, Wrapped};

/// Three blocks, the last of them short.
const LEN: usize = 2 * 1024 + 300;

/// A server and a client that are joined by one connection at a time.
pub struct Exchange {
    pub dir: tempfile::TempDir,
    server: Server<Wrapped<LocalStore, Deaf>>,
    pub content: Vec<u8>,
    keys: Keys,
    setting: Setting,
}

/// What may be chosen of an exchange.
#[derive(Clone)]
pub struct Setting {
    pub secrecy: Secrecy,
    pub deadlines: Deadlines,
    /// How long the server keeps what was broken off.
    pub keep: Duration,
    /// Where the calls fail of the client and of the server.
    pub faults: [Fault; 2],
    pub on_existing: OnExisting,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            secrecy: Secrecy::Plain,
            deadlines: Deadlines::default(),
            keep: Duration::ZERO,
            faults: Default::default(),
            on_existing: OnExisting::Refuse,
        }
    }
}

/// What an exchange came to, and what each side has said.
pub struct Ran {
    pub outcome: Outcome,
    pub said: [Vec<u8>; 2],
}

/// Both ends of a connection, and what has passed between them.
struct Joined {
    client: Box<dyn Transport>,
    server: Box<dyn Transport>,
    said: Box<dyn Fn(Side) -> Vec<u8>>,
}

impl Exchange {
    /// One in which nothing is kept from one round to the next: they say the same.
    pub fn new(secrecy: Secrecy) -> Self {
        Self::with(Setting {
            secrecy,
            ..Setting::default()
        })
    }

    pub fn with(setting: Setting) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let content = noise(LEN);
        for name in ["root", "into"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("source"), &content).unwrap();
        fs::write(dir.path().join("root/there"), &content).unwrap();
        let root = dir.path().join("root");
        let store = LocalStore::serve(&root, Durability::Batch, setting.faults[1].clone());
        let store = store.unwrap();
        store.keep_partials(setting.keep);
        let store = Wrapped::new(store, 1024, Deaf);
        let keys = Keys::of(setting.secrecy);
        let config = keys.guard(Config {
            deadlines: setting.deadlines,
            fault: setting.faults[1].clone(),
            ..Config::default()
        });
        let server = Server::bind(store, &[], config).unwrap();
        Self {
            dir,
            server,
            content,
            keys,
            setting,
        }
    }

    /// A connection on which `damage` is done to what `from` says: in memory, or, where it
    /// is encrypted, over sockets, beneath the encryption.
    fn join(&self, from: Side, damage: Damage) -> Joined {
        if !self.keys.encrypt() {
            let (client, server, wire) = Wire::pair(from, damage);
            return Joined {
                client: Box::new(client),
                server: Box::new(server),
                said: Box::new(move |side| wire.said(side)),
            };
        }
        let tampered = Tampered::with(from, damage);
        let said = tampered.passed();
        Joined {
            client: self.keys.client_end(tampered.client),
            server: self.keys.server_end(tampered.server),
            said: Box::new(said),
        }
    }

    /// Runs `job` over a connection on which `damage` is done to what `from` says.
    fn run(&self, from: Side, damage: Damage, job: impl FnOnce(&Client) -> Outcome) -> Ran {
        let Joined {
            client,
            server,
            said,
        } = self.join(from, damage);
        let near = Mutex::new(Some(client));
        let connect = move || {
            let end = near.lock().unwrap().take();
            end.ok_or_else(|| std::io::Error::other("there is one connection"))
        };
        let options = Options {
            connections: 1,
            deadlines: self.setting.deadlines,
            fault: self.setting.faults[0].clone(),
            ..Options::default()
        };
        let client = Client::over(connect, options);
        let outcome = thread::scope(|scope| {
            scope.spawn(|| self.server.converse(server));
            let outcome = job(&client);
            drop(client);
            outcome
        });
        let said = [said(Side::Client), said(Side::Server)];
        Ran { outcome, said }
    }

    pub fn put(&self, from: Side, damage: Damage) -> Ran {
        let tree = Tree::open(self.dir.path(), self.setting.faults[0].clone());
        let source = |tree| {
            (
                Arc::new(Wrapped::new(tree, 1024, Deaf)),
                Some(remote("source")),
            )
        };
        let upload = Upload {
            from: tree.map(source),
            to: Some(remote("new")),
        };
        self.run(from, damage, |client| {
            outcome(|monitor| client.put(vec![upload], &self.options(), monitor))
        })
    }

    pub fn get(&self, from: Side, damage: Damage) -> Ran {
        let download = Download {
            from: Some(remote("there")),
            to: Some(remote("new")),
        };
        let into = self.dir.path().join("into");
        self.run(from, damage, |client| {
            outcome(|monitor| client.get(vec![download], &into, &self.options(), monitor))
        })
    }

    fn options(&self) -> JobOptions {
        JobOptions {
            on_existing: self.setting.on_existing,
            ..JobOptions::default()
        }
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
