//! Encrypted conversations: who may hold them, and what the others learn.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haul::client::{Client, Error, JobOptions, Options};
use haul::fault::Fault;
use haul::net::keys::{Keypair, PublicKey};
use haul::net::tls::{ClientSide, Expected, ServerSide};
use haul::path::RemotePath;
use haul::server::{Admit, Config, Grant, Refusal, Visitor};
use haul::token::Token;
use haul::transfer::Deadlines;
use haul::wire::message::Rights;

use crate::rig::{Outcome, Rig, get, put, remote};

fn key() -> Keypair {
    Keypair::generate().unwrap().0
}

/// A server that encrypts and admits one key, and the client that holds it.
struct Guarded {
    rig: Rig,
    server: PublicKey,
    guest: Keypair,
    door: Arc<Door>,
}

/// Admits one key, with rights that can be taken away.
#[derive(Debug)]
struct Door {
    key: PublicKey,
    rights: AtomicU32,
    under: Option<RemotePath>,
}

impl Admit for Door {
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        let grant = Grant {
            under: self.under.clone(),
            ..Grant::of(Rights(self.rights.load(Ordering::SeqCst)))
        };
        let is_guest = visitor.key == Some(self.key);
        is_guest.then_some(grant).ok_or(Refusal::Stranger)
    }
}

impl Guarded {
    fn new() -> Self {
        Self::opening_within(Duration::from_secs(30))
    }

    fn opening_within(opening: Duration) -> Self {
        Self::with(opening, None)
    }

    fn beneath(under: &str) -> Self {
        Self::with(Duration::from_secs(30), Some(remote(under)))
    }

    fn with(opening: Duration, under: Option<RemotePath>) -> Self {
        let (server, guest) = (key(), key());
        let door = Arc::new(Door {
            key: guest.public(),
            rights: AtomicU32::new(Rights::ALL.0),
            under,
        });
        let config = Config {
            admit: Arc::clone(&door) as Arc<dyn Admit>,
            encryption: Some(ServerSide::new(&server).unwrap()),
            max_connections: 8,
            deadlines: Deadlines {
                opening,
                ..Deadlines::default()
            },
            ..Config::default()
        };
        Self {
            rig: Rig::with(config, Fault::default()),
            server: server.public(),
            guest,
            door,
        }
    }

    fn client(&self, connections: usize, key: &Keypair, expected: Expected) -> Client {
        let options = Options {
            connections,
            encryption: Some(ClientSide::new(key, expected).unwrap()),
            ..Options::default()
        };
        Client::new(&self.rig.address, options)
    }

    fn guest(&self, connections: usize) -> Client {
        self.client(connections, &self.guest, Expected::Key(self.server))
    }
}

#[track_caller]
fn refused(outcome: &Outcome, code: u8, words: &str) {
    assert_eq!(outcome.code(), code, "{outcome:?}");
    let said = match &outcome.result {
        Err(error) => error.to_string(),
        Ok(_) => format!("{:?}", outcome.events),
    };
    assert!(said.contains(words), "{said}");
}

#[test]
fn files_go_up_and_come_back_over_several_connections() {
    let guarded = Guarded::new();
    let sizes = [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 20 << 20];
    let files: Vec<_> = sizes
        .iter()
        .map(|size| {
            (
                guarded.rig.file(&format!("s{size}"), *size),
                format!("f{size}"),
            )
        })
        .collect();
    let puts: Vec<_> = files.iter().map(|(p, n)| (&**p, n.as_str())).collect();
    let options = JobOptions::default();
    put(&guarded.guest(4), &puts, &options).is_fine();
    let into = guarded.rig.dir.path().join("into");
    let gets: Vec<_> = files
        .iter()
        .map(|(_, n)| (n.as_str(), n.as_str()))
        .collect();
    get(&guarded.guest(4), &gets, &into, &options).is_fine();
    for (path, name) in &files {
        assert!(
            fs::read(path).unwrap() == fs::read(into.join(name)).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn a_stranger_is_told_so_and_learns_no_more() {
    let guarded = Guarded::new();
    let source = guarded.rig.file("source", 5000);
    let stranger = guarded.client(1, &key(), Expected::Key(guarded.server));
    let outcome = put(&stranger, &[(&source, "x")], &JobOptions::default());
    refused(&outcome, 4, "this key is not admitted here");
    assert_eq!(guarded.rig.visible(), [""; 0]);
}

#[test]
fn a_server_that_is_not_the_known_one_hears_nothing() {
    let guarded = Guarded::new();
    let source = guarded.rig.file("source", 5000);
    for expected in [Expected::Key(key().public()), Expected::Nobody] {
        let client = guarded.client(2, &guarded.guest, expected);
        let outcome = put(&client, &[(&source, "x")], &JobOptions::default());
        refused(&outcome, 4, &guarded.server.fingerprint().to_string());
        assert!(matches!(
            outcome.result,
            Err(Error::Stranger { key, .. }) if key == guarded.server
        ));
    }
}

#[test]
fn a_right_that_is_taken_away_is_gone_at_once() {
    let guarded = Guarded::new();
    let source = guarded.rig.file("source", 5000);
    let client = guarded.guest(1);
    put(&client, &[(&source, "x")], &JobOptions::default()).is_fine();
    guarded.door.rights.store(Rights::READ.0, Ordering::SeqCst);
    let outcome = put(&client, &[(&source, "y")], &JobOptions::default());
    refused(&outcome, 4, "not allowed");
    let into = guarded.rig.dir.path().join("into");
    get(&client, &[("x", "x")], &into, &JobOptions::default()).is_fine();
}

#[test]
fn who_does_not_encrypt_is_told_to_and_the_other_way_round() {
    let guarded = Guarded::new();
    let source = guarded.rig.file("source", 5000);
    let options = JobOptions::default();
    let outcome = put(&guarded.rig.client(1), &[(&source, "x")], &options);
    refused(&outcome, 4, "encrypted only");

    let open = Rig::new();
    let encrypting = Options {
        encryption: Some(ClientSide::new(&key(), Expected::Nobody).unwrap()),
        ..Options::default()
    };
    let client = Client::new(&open.address, encrypting);
    let outcome = put(&client, &[(&source, "x")], &options);
    refused(&outcome, 9, "does not encrypt");
}

#[test]
fn what_is_no_handshake_is_answered_in_a_line_or_cut_in_time() {
    let guarded = Guarded::opening_within(Duration::from_millis(200));
    let mut http = TcpStream::connect(&guarded.rig.address).unwrap();
    http.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    http.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.lines().count(), 1, "{answer:?}");

    // A handshake that never begins, or never goes on, is cut when the opening's time is over.
    for said in [
        &b""[..],
        b"\x16",
        b"\x16\x03\x01\x02\x00",
        b"\x16\xff\xff\xff\xff\xff",
    ] {
        let mut slow = TcpStream::connect(&guarded.rig.address).unwrap();
        slow.set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        slow.write_all(said).unwrap();
        let mut rest = Vec::new();
        // An alert may come, and then the end.
        let ended = slow.read_to_end(&mut rest).map_err(|error| error.kind());
        assert_ne!(ended, Err(ErrorKind::WouldBlock), "{said:?} is not cut");
        assert!(rest.len() < 100, "{rest:?}");
    }
}

#[test]
fn a_full_server_says_so_to_those_who_encrypt_too() {
    let guarded = Guarded::new();
    let held: Vec<TcpStream> = (0..8)
        .map(|_| TcpStream::connect(&guarded.rig.address).unwrap())
        .collect();
    let source = guarded.rig.file("source", 5000);
    let outcome = put(&guarded.guest(1), &[(&source, "x")], &JobOptions::default());
    refused(&outcome, 3, "full");
    drop(held);
}

#[test]
fn who_is_confined_to_a_directory_sees_it_as_the_root_and_nothing_else() {
    let guarded = Guarded::beneath("inbox/of/guest");
    fs::write(guarded.rig.root().join("secret"), "secret").unwrap();
    let source = guarded.rig.file("source", 3 << 20);
    let client = guarded.guest(2);
    let options = JobOptions::default();
    put(&client, &[(&source, "a/x"), (&source, "secret")], &options).is_fine();
    let confined = guarded.rig.root().join("inbox/of/guest");
    assert!(fs::read(confined.join("a/x")).unwrap() == fs::read(&source).unwrap());
    assert_eq!(
        fs::read(guarded.rig.root().join("secret")).unwrap(),
        b"secret"
    );

    let listing = client.list(None, None).unwrap();
    let names: Vec<_> = listing.entries.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(names, ["a", "a/x", "secret"]);
    assert!(client.list(Some(&remote("inbox")), None).is_err());
    let into = guarded.rig.dir.path().join("into");
    get(&client, &[("secret", "x")], &into, &options).is_fine();
    assert!(fs::read(into.join("x")).unwrap() == fs::read(&source).unwrap());
    client.rename(&remote("a/x"), &remote("y")).unwrap();
    assert!(confined.join("y").exists());
    // What is staged for them is staged where it is for all.
    assert!(!confined.join(".haul").exists());
}

/// Admits everybody, and keeps what the last of them has shown.
#[derive(Debug, Default)]
struct Shown(Mutex<Option<Token>>);

impl Admit for Shown {
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        *self.0.lock().unwrap() = visitor.token;
        Rights::READ.grant(visitor)
    }
}

#[test]
fn a_token_is_shown_inside_encryption_and_nowhere_else() {
    let server = key();
    for encryption in [None, Some(ServerSide::new(&server).unwrap())] {
        let shown = Arc::new(Shown::default());
        let config = Config {
            admit: Arc::clone(&shown) as Arc<dyn Admit>,
            encryption: encryption.clone(),
            ..Config::default()
        };
        let rig = Rig::with(config, Fault::default());
        let token = Token::generate().unwrap();
        let expected = Expected::Key(server.public());
        let side = encryption.map(|_| ClientSide::new(&key(), expected).unwrap());
        let seen = side.is_some().then_some(token);
        let options = Options {
            encryption: side,
            token: Some(token),
            ..Options::default()
        };
        Client::new(&rig.address, options).list(None, None).unwrap();
        assert_eq!(*shown.0.lock().unwrap(), seen);
    }
}
