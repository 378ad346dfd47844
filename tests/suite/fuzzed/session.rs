//! A server's whole conversation with a client that says anything at all.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Cursor as Bytes, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haul::content::Checksum;
use haul::entry::{Entry, LinkTarget, Version};
use haul::fault::Fault;
use haul::net::Transport;
use haul::path::RemotePath;
use haul::server::{Config, Server};
use haul::store::{Durability, LocalStore, Source};
use haul::transfer::Deadlines;
use haul::wire::message::Rights;
use haul::wire::{Error, Frames, Incoming, Message};

use super::client::Client;

/// What is served, and what lies beside it: no fuzzer finds either by itself.
const OLD: [u8; 64] = *b"old data that only those who may read it should ever get to see.";
const SECRET: [u8; 64] = *b"what lies beside the root and so is nobody's business at all....";

const WRITE: Rights = Rights(2);
const REPLACE: Rights = Rights(4);
const DELETE: Rights = Rights(8);

/// Connections one after the other: no panic, no end of patience, every answer well formed.
/// What is visible afterwards was there before or has a checksum that a commit named;
/// nothing beside the root was touched or told, and nothing was done without the right to.
pub fn session(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let (root, beside) = (dir.path().join("root"), dir.path().join("beside"));
    furnish(&root, &beside);
    let store = LocalStore::serve(&root, Durability::None, Fault::default()).expect("a store");
    let mut client = Client::new(bytes, versions(&store));
    let rights = Rights(u32::from(client.byte() % 16));
    let config = Config {
        admit: Arc::new(rights),
        deadlines: Deadlines {
            // A commit waits so long for blocks that could come over other connections.
            stall: Duration::from_millis(5),
            ..Deadlines::default()
        },
        ..Config::default()
    };
    let server = Server::bind(store, &[], config).expect("a server");
    let mut claims = HashSet::new();
    while let Some(said) = client.next_connection() {
        claims.extend(claimed(&said));
        let answer = Arc::new(Mutex::new(Vec::new()));
        server.converse(Script {
            said,
            at: 0,
            answer: Arc::clone(&answer),
        });
        let answer = std::mem::take(&mut *answer.lock().expect("nobody has panicked"));
        is_well_formed(&answer);
        let holds = |bytes: &[u8]| answer.windows(bytes.len()).any(|part| part == bytes);
        assert!(!holds(&SECRET), "what lies beside was told");
        assert!(
            rights.include(Rights::READ) || !holds(&OLD),
            "read without the right"
        );
    }
    drop(server);
    assert_eq!(fs::read(beside.join("secret")).expect("the secret"), SECRET);
    assert_eq!(fs::read_dir(&beside).expect("what lies beside").count(), 1);
    is_as_it_may_be(&root, rights, &claims);
}

fn furnish(root: &Path, beside: &Path) {
    for directory in [&root.join("dir"), beside] {
        fs::create_dir_all(directory).expect("a directory");
    }
    for (path, bytes) in [
        (root.join("old"), OLD),
        (root.join("dir/in"), OLD),
        (beside.join("secret"), SECRET),
    ] {
        fs::write(path, bytes).expect("a file");
    }
    std::os::unix::fs::symlink("../beside", root.join("link")).expect("a link");
}

fn versions(store: &LocalStore) -> Vec<(RemotePath, Version)> {
    let listed = store.walk(None, None, None).expect("a listing");
    let version = |entry: Entry| Some((entry.path, entry.version?));
    listed.filter_map(|entry| version(entry.ok()?)).collect()
}

/// What can be seen under the root now, held against what was claimed.
fn is_as_it_may_be(root: &Path, rights: Rights, claims: &HashSet<Checksum>) {
    let mut names = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).expect("a directory") {
            let path = item.expect("a name").path();
            if path == root.join(".haul") {
                continue;
            }
            names.push(path.clone());
            let kind = path.symlink_metadata().expect("what is listed").file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                leads_nowhere(root, &path);
            } else {
                let bytes = fs::read(&path).expect("a file");
                let sum = Checksum::Blake3(*blake3::hash(&bytes).as_bytes());
                let is_known = bytes == OLD || claims.contains(&sum);
                assert!(is_known, "{} was never proved", path.display());
            }
        }
    }
    let before = ["old", "dir", "dir/in", "link"].map(|name| root.join(name));
    if !rights.include(WRITE) {
        assert!(names.iter().all(|name| before.contains(name)), "{names:?}");
    }
    if !rights.include(DELETE) {
        assert!(before.iter().all(|name| names.contains(name)), "{names:?}");
        let is_old = |name| fs::read(root.join(name)).expect("a file") == OLD;
        assert!(rights.include(REPLACE) || is_old("old") && is_old("dir/in"));
    }
}

/// The link that was there, or one that stays within the root wherever it was moved.
fn leads_nowhere(root: &Path, link: &Path) {
    let text = fs::read_link(link).expect("a link");
    let depth = link
        .strip_prefix(root)
        .expect("beneath")
        .components()
        .count()
        - 1;
    let target = LinkTarget::new(text.to_str().expect("text")).expect("a target");
    let is_ours = text == Path::new("../beside");
    assert!(is_ours || target.stays_within(depth), "{}", text.display());
}

/// The checksums that commits name in what a client said.
fn claimed(said: &[u8]) -> Vec<Checksum> {
    let mut frames = Frames::new(Bytes::new(said.to_vec()));
    let mut claimed = Vec::new();
    assert_eq!(frames.read_preface().expect("ours"), 1);
    while let Ok(Some(prefix)) = frames.prefix() {
        match frames.message(prefix) {
            Ok(Incoming::Message(Message::Commit(commit))) => {
                claimed.extend(commit.entries.iter().filter_map(|one| one.checksum));
            }
            Ok(Incoming::Block(_, len)) if frames.skip(len).is_ok() => {}
            Ok(Incoming::Message(_) | Incoming::Unknown(..)) => {}
            Ok(Incoming::Block(..)) | Err(_) => break,
        }
    }
    claimed
}

/// A server never says what a client could not read. On a machine that is busy meanwhile, its
/// time may run out and its answer be cut.
fn is_well_formed(answer: &[u8]) {
    let mut frames = Frames::new(Bytes::new(answer.to_vec()));
    let mut said = || {
        frames.read_preface()?;
        while let Some(prefix) = frames.prefix()? {
            match frames.message(prefix)? {
                Incoming::Message(_) => {}
                Incoming::Block(_, len) => frames.skip(len)?,
                Incoming::Unknown(kind, _) => panic!("the server says a message of kind {kind}"),
            }
        }
        Ok(())
    };
    assert!(matches!(said(), Ok(()) | Err(Error::Cut)), "{answer:?}");
}

/// A connection on which everything was said before the first answer.
struct Script {
    said: Vec<u8>,
    at: usize,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Transport for Script {
    fn read(&mut self, into: &mut [u8], _wait: Duration) -> io::Result<usize> {
        let left = &self.said[self.at..];
        let len = left.len().min(into.len());
        into[..len].copy_from_slice(&left[..len]);
        self.at += len;
        Ok(len)
    }

    fn write(&mut self, slices: &[IoSlice<'_>], _wait: Duration) -> io::Result<usize> {
        let mut answer = self.answer.lock().expect("nobody has panicked");
        for slice in slices {
            answer.extend_from_slice(slice);
        }
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn has_left(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer(&self) -> String {
        "fuzzer".to_owned()
    }
}
