//! A store by itself: what is decided at the offer holds at the commit, or is an error.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use haul::content::{merge, node_of, verify};
use haul::entry::{Entry, Kind, Mode, Mtime};
use haul::fault::Fault;
use haul::offer::{Offering, OnExisting};
use haul::store::local::LocalStaged;
use haul::store::{Claim, Durability, Error, LocalStore, Published, Staged, Standing, Store};

use crate::rig::{noise, remote};
use crate::rot::{age, flip};

fn store(root: &Path) -> LocalStore {
    LocalStore::serve(root, Durability::Batch, Fault::default()).unwrap()
}

fn entry(name: &str, bytes: &[u8], seconds: i64) -> Entry {
    Entry {
        path: remote(name),
        kind: Kind::file(bytes.len() as u64).unwrap(),
        mode: Mode::masked(0o644),
        mtime: Mtime::new(seconds, 0).unwrap(),
        version: None,
        checksum: None,
    }
}

fn offering(entry: Entry) -> Offering {
    Offering { entry, base: 0 }
}

fn stage(store: &LocalStore, entry: &Entry, on: OnExisting) -> Result<Arc<LocalStaged>, Error> {
    store.stage(&[offering(entry.clone())], on.into()).remove(0)
}

/// Writes a file of one block, and returns what proves it.
fn fill(staged: &LocalStaged, bytes: &[u8]) -> Claim {
    let geometry = staged.entry().geometry().unwrap();
    let index = geometry.index(0).unwrap();
    let node = node_of(geometry, index, bytes);
    staged
        .put(verify(geometry, index, node, bytes).unwrap())
        .unwrap();
    Claim {
        whole: merge(&[node]),
        second: None,
    }
}

fn commit(store: &LocalStore, staged: Arc<LocalStaged>, claim: Claim) -> Result<Published, Error> {
    store.commit(vec![(staged, claim)]).remove(0)
}

fn put(store: &LocalStore, name: &str, bytes: &[u8], on: OnExisting) -> Result<Published, Error> {
    let staged = stage(store, &entry(name, bytes, 1), on)?;
    let claim = fill(&staged, bytes);
    commit(store, staged, claim)
}

#[test]
fn what_was_here_at_the_offer_and_changed_since_is_not_vouched_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    put(&store, "x", b"bytes", OnExisting::Refuse).unwrap();
    let staged = stage(&store, &entry("x", b"bytes", 1), OnExisting::Refuse).unwrap();
    assert!(matches!(staged.standing(), Standing::Same(_)));
    fs::write(dir.path().join("x"), "other").unwrap();
    let result = commit(&store, staged, Claim::default());
    assert_eq!(result.unwrap_err(), Error::Overtaken(remote("x")));
}

#[test]
fn what_is_here_and_was_touched_since_has_no_checksum_in_its_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let proved = put(&store, "x", b"bytes", OnExisting::Refuse).unwrap();
    let again = || {
        let staged = stage(&store, &entry("x", b"bytes", 1), OnExisting::Refuse).unwrap();
        assert!(matches!(staged.standing(), Standing::Same(_)));
        commit(&store, staged, Claim::default()).unwrap().checksum
    };
    assert_eq!(again(), proved.checksum);
    age(&dir.path().join("x"));
    flip(&dir.path().join("x"), &[2]);
    assert_eq!(again(), None);
}

#[test]
fn a_file_that_changed_since_the_offer_is_replaced_only_by_who_replaces_any() {
    for (on, kept) in [(OnExisting::IfNewer, true), (OnExisting::Replace, false)] {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let path = dir.path().join("x");
        fs::write(&path, "old").unwrap();
        // Newer than anything: the year 2100.
        let offered = entry("x", b"bytes", 4_102_444_800);
        let staged = stage(&store, &offered, on).unwrap();
        let claim = fill(&staged, b"bytes");
        fs::write(&path, "newer").unwrap();
        let result = commit(&store, staged, claim);
        assert_eq!(result.is_err(), kept, "{result:?}");
        let expected: &[u8] = if kept { b"newer" } else { b"bytes" };
        assert_eq!(fs::read(&path).unwrap(), expected);
    }
}

#[test]
fn the_very_same_file_that_came_in_between_is_no_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let staged = stage(&store, &entry("x", b"bytes", 1), OnExisting::Refuse).unwrap();
    let claim = fill(&staged, b"bytes");
    // An earlier commit of the same file whose receipt was lost.
    put(&store, "x", b"bytes", OnExisting::Refuse).unwrap();
    assert!(commit(&store, staged, claim).is_ok());

    let staged = stage(&store, &entry("y", b"bytes", 1), OnExisting::Refuse).unwrap();
    let claim = fill(&staged, b"bytes");
    put(&store, "y", b"other", OnExisting::Refuse).unwrap();
    let result = commit(&store, staged, claim);
    assert_eq!(result.unwrap_err(), Error::Exists(remote("y")));
}

#[test]
fn an_older_file_gives_way_to_a_newer_one_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let path = dir.path().join("x");
    fs::write(&path, "there").unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    file.set_modified(at).unwrap();
    let judge = |seconds| store.judge(&entry("x", b"bytes!", seconds), OnExisting::IfNewer.into());
    assert_eq!(judge(99), Err(Error::Newer(remote("x"))));
    assert_eq!(judge(100), Err(Error::Newer(remote("x"))));
    assert!(matches!(judge(101), Ok(Standing::Replaces(_))));
}

#[test]
fn a_wrong_claim_publishes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let staged = stage(&store, &entry("x", b"bytes", 1), OnExisting::Refuse).unwrap();
    let _right = fill(&staged, b"bytes");
    let wrong = Claim {
        whole: merge(&[haul::content::Node([7; 32])]),
        second: None,
    };
    let result = commit(&store, staged, wrong);
    assert_eq!(result.unwrap_err(), Error::Mismatch(remote("x")));
    assert!(!dir.path().join("x").exists());
}

#[test]
fn a_root_has_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let first = store(dir.path());
    let second = LocalStore::serve(dir.path(), Durability::Batch, Fault::default());
    assert_eq!(second.err(), Some(Error::Served(dir.path().to_owned())));
    drop(first);
    store(dir.path());
}

#[test]
fn what_is_only_offered_takes_no_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let offers: Vec<Offering> = (0..200)
        .map(|n| offering(entry(&format!("f{n}"), &noise(3 << 20), 1)))
        .collect();
    let staged = store.stage(&offers, OnExisting::Refuse.into());
    assert!(staged.iter().all(Result::is_ok));
    let left = fs::read_dir(dir.path().join(".haul/staging"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "files are made with their first block");
}

#[test]
fn a_deep_path_takes_no_descriptor_a_level() {
    let dir = tempfile::tempdir().unwrap();
    let held = || fs::read_dir("/proc/self/fd").unwrap().count();
    let deep = format!("{}x", "d/".repeat(1500));
    let most = Arc::new(std::sync::Mutex::new(0));
    let seen = Arc::clone(&most);
    // Other tests run in this process: what they hold is far below what would fail.
    let watch = Fault::watched(move |call| {
        if call == haul::fault::Call::FlushDirectory {
            let mut most = seen.lock().unwrap();
            *most = held().max(*most);
        }
        Ok(())
    });
    let store = LocalStore::serve(dir.path(), Durability::Batch, watch).unwrap();
    put(&store, &deep, b"bytes", OnExisting::Refuse).unwrap();
    assert_eq!(fs::read(dir.path().join(&deep)).unwrap(), b"bytes");
    let most = *most.lock().unwrap();
    assert!(most < 1000, "{most} descriptors at once");
}
