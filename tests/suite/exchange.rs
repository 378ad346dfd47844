//! One exchange in memory, damaged at every byte.
//!
//! Blocks of 1 KiB make a whole put or get a few KiB long, so that each of its
//! bytes can be flipped and each of its prefixes cut, in both directions. Encrypted,
//! some bytes of each record stand for the others, which one seal protects.

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
use haul::transfer::Deadlines;

use crate::memory::{Damage, Side, Wire};
use crate::raw::SOON;
use crate::rig::{Outcome, forget_partials, noise, outcome, remote, visible};
use crate::secrecy::{Keys, Secrecy, plain_and_encrypted};
use crate::tampering::{Place, Tampered, place, places};
use crate::wrapped::{Deaf, Wrapped};

plain_and_encrypted! {
    no_damage_to_what_the_client_says_in_a_put_publishes_anything,
    no_damage_to_what_the_server_says_in_a_put_passes_for_success,
    no_damage_to_what_the_client_says_in_a_get_publishes_anything,
    no_damage_to_what_the_server_says_in_a_get_publishes_anything,
}

/// Three blocks, the last of them short.
const LEN: usize = 2 * 1024 + 300;

/// A server and a client that are joined by one connection at a time.
pub struct Exchange {
    pub dir: tempfile::TempDir,
    server: Server<Wrapped<LocalStore, Deaf>>,
    content: Vec<u8>,
    keys: Keys,
    deadlines: Deadlines,
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
    fn new(secrecy: Secrecy) -> Self {
        Self::within(secrecy, Deadlines::default(), Duration::ZERO)
    }

    /// One in clear whose server keeps what was broken off for so long.
    pub fn keeping(keep: Duration) -> Self {
        Self::within(Secrecy::Plain, Deadlines::default(), keep)
    }

    fn within(secrecy: Secrecy, deadlines: Deadlines, keep: Duration) -> Self {
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
        let keys = Keys::of(secrecy);
        let config = keys.guard(Config {
            deadlines,
            ..Config::default()
        });
        let server = Server::bind(store, &[], config).unwrap();
        Self {
            dir,
            server,
            content,
            keys,
            deadlines,
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
            deadlines: self.deadlines,
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

/// An exchange, and another in which nothing is waited for long: where a length was flipped
/// upwards, both sides wait.
struct Exchanges {
    secrecy: Secrecy,
    patient: Exchange,
    hasty: Exchange,
}

impl Exchanges {
    fn new(secrecy: Secrecy) -> Self {
        let hasty = Deadlines {
            opening: SOON,
            stall: SOON,
            ..Deadlines::default()
        };
        Self {
            secrecy,
            patient: Exchange::new(secrecy),
            hasty: Exchange::within(secrecy, hasty, Duration::ZERO),
        }
    }

    /// Each damage to what was said, and the exchange to do it in.
    fn damages(&self, said: &[u8]) -> Vec<(Damage, &Exchange)> {
        let places = match self.secrecy {
            Secrecy::Plain => (0..said.len()).collect(),
            Secrecy::Encrypted => places(said),
        };
        let each = |at| {
            let is_length = self.secrecy == Secrecy::Encrypted && place(said, at) == Place::Length;
            let exchange = if is_length {
                &self.hasty
            } else {
                &self.patient
            };
            [(Damage::Flip(at), exchange), (Damage::Cut(at), exchange)]
        };
        places.into_iter().flat_map(each).collect()
    }

    /// Whether damage had to be noticed, by what was said when it was done: whether there is
    /// a record more or less is the affair of the clock.
    fn must_fail(&self, damage: Damage, said: &[u8]) -> bool {
        match (self.secrecy, damage) {
            (_, Damage::None) => false,
            (Secrecy::Plain, Damage::Flip(_) | Damage::Cut(_)) => true,
            (Secrecy::Encrypted, Damage::Flip(at)) => {
                matches!(place(said, at), Place::Length | Place::Content)
            }
            (Secrecy::Encrypted, Damage::Cut(at)) => place(said, at) != Place::Goodbye,
        }
    }

    /// Holds what came of damage against what had to.
    #[track_caller]
    fn check(&self, ran: &Ran, (from, damage): (Side, Damage), published: bool, what: &str) {
        let code = ran.outcome.code();
        if self.must_fail(damage, &ran.said[from as usize]) {
            let is_noticed = match self.secrecy {
                // In clear a damaged block is one of other bytes.
                Secrecy::Plain => code != 0,
                Secrecy::Encrypted => matches!(code, 3 | 9),
            };
            assert!(is_noticed, "{what}: {:?}", ran.outcome);
        }
        assert!(code != 0 || published, "{what}: a success of nothing");
    }
}

/// Does every damage to what `from` says in a put.
fn put_is_damaged(secrecy: Secrecy, from: Side) {
    let exchanges = Exchanges::new(secrecy);
    let clean = exchanges.patient.put(from, Damage::None);
    clean.outcome.is_fine();
    assert!(exchanges.patient.published("root", &["there"], "undamaged"));
    let said = &clean.said[from as usize];
    assert!(said.len() > 100, "{said:?} is no exchange");
    for (damage, exchange) in exchanges.damages(said) {
        let what = format!("{from:?} {damage:?} of {}", said.len());
        let ran = exchange.put(from, damage);
        let published = exchange.published("root", &["there"], &what);
        exchanges.check(&ran, (from, damage), published, &what);
        // The commit is the last that a client says: damaged, it was not read whole.
        assert!(
            from == Side::Server || !published || ran.outcome.code() == 0,
            "{what}: published without a commit"
        );
        is_swept(&exchange.dir.path().join("root/.haul/staging"), &what);
    }
    let after = exchanges.patient.put(from, Damage::Cut(usize::MAX));
    assert!(
        exchanges
            .patient
            .published("root", &["there"], "after the last answer")
    );
    after.outcome.is_fine();
}

/// Does every damage to what `from` says in a get.
fn get_is_damaged(secrecy: Secrecy, from: Side) {
    let exchanges = Exchanges::new(secrecy);
    let clean = exchanges.patient.get(from, Damage::None);
    clean.outcome.is_fine();
    assert!(exchanges.patient.published("into", &[], "undamaged"));
    let said = &clean.said[from as usize];
    assert!(said.len() > 100, "{said:?} is no exchange");
    for (damage, exchange) in exchanges.damages(said) {
        let what = format!("{from:?} {damage:?} of {}", said.len());
        let ran = exchange.get(from, damage);
        let published = exchange.published("into", &[], &what);
        exchanges.check(&ran, (from, damage), published, &what);
        assert_eq!(
            published,
            ran.outcome.code() == 0,
            "{what}: published without an end"
        );
        is_swept(&exchange.dir.path().join("into/.haul/staging"), &what);
        forget_partials(&exchange.dir.path().join("into"));
    }
    exchanges.patient.get(from, Damage::None).outcome.is_fine();
}

/// Nothing is left of what was staged.
#[track_caller]
fn is_swept(staging: &Path, what: &str) {
    let left = fs::read_dir(staging).map_or(0, Iterator::count);
    assert_eq!(left, 0, "{what}: staging is left behind");
}

fn no_damage_to_what_the_client_says_in_a_put_publishes_anything(secrecy: Secrecy) {
    put_is_damaged(secrecy, Side::Client);
}

fn no_damage_to_what_the_server_says_in_a_put_passes_for_success(secrecy: Secrecy) {
    put_is_damaged(secrecy, Side::Server);
}

fn no_damage_to_what_the_client_says_in_a_get_publishes_anything(secrecy: Secrecy) {
    get_is_damaged(secrecy, Side::Client);
}

fn no_damage_to_what_the_server_says_in_a_get_publishes_anything(secrecy: Secrecy) {
    get_is_damaged(secrecy, Side::Server);
}
