//! A store by itself: what it carries over from the file that is replaced, and what becomes of
//! that one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use haul::content::{merge, node_of, verify};
use haul::fault::{Call, Fault};
use haul::offer::{Offering, OnExisting};
use haul::store::local::LocalStaged;
use haul::store::{Claim, Durability, Limits, LocalStore, Published, Staged, Store};
use rustix::fs::fstat;

use crate::broken_off::{BLOCKS, bytes, nodes, spared, x};
use crate::differing::{Meanwhile, other};
use crate::raw::{PATIENCE, SOON, cut, entry};

fn stage(store: &LocalStore) -> Arc<LocalStaged> {
    let offering = Offering {
        entry: x(&bytes()),
        base: 0,
    };
    let staged = store.stage(&[offering], OnExisting::Replace.into());
    staged.into_iter().next().unwrap().unwrap()
}

fn put_block(staged: &LocalStaged, number: u64) {
    let of = bytes();
    let index = cut(&of).index(number).unwrap();
    let at = cut(&of).offset(index) as usize;
    let block = &of[at..at + cut(&of).len(index)];
    let node = node_of(cut(&of), index, block);
    staged
        .put(verify(cut(&of), index, node, block).unwrap())
        .unwrap();
}

fn publishes(store: &LocalStore, staged: Arc<LocalStaged>) -> Published {
    let nodes: Option<Vec<_>> = nodes(&bytes(), &[0, 1, 2, 3, 4]).into_iter().collect();
    let claim = Claim {
        whole: merge(&nodes.unwrap()),
        second: None,
    };
    let published = store.commit(vec![(staged, claim)]).remove(0).unwrap();
    assert!(fs::read(store.path().join("x")).unwrap() == bytes());
    published
}

#[test]
fn what_was_replaced_is_there_until_whoever_waits_can_have_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), other()).unwrap();
    let was = fs::metadata(dir.path().join("x")).unwrap().ino();
    let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default()).unwrap();
    let staged = stage(&store);
    staged.recover(0..BLOCKS).unwrap();
    put_block(&staged, 2);
    let replaced = publishes(&store, staged).replaced.unwrap();
    // Nobody else holds it: with this it is gone.
    assert_eq!(fstat(&replaced).unwrap().st_ino, was);
    let is_it = |file: &File| file.metadata().unwrap().ino() == was;
    let held = || beneath(dir.path()).filter(is_it);
    assert_eq!(held().count(), 1);
    drop(replaced);
    assert_eq!(held().count(), 0);
}

/// The files beneath a directory that this process has open.
fn beneath(dir: &Path) -> impl Iterator<Item = File> {
    let all = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is_beneath = move |at: &PathBuf| fs::read_link(at).is_ok_and(|to| to.starts_with(dir));
    let paths = all.map(|file| file.path()).filter(is_beneath);
    paths.filter_map(|at| File::open(at).ok())
}

/// A small file in the place of a large one, which was never read.
fn in_the_place_of_a_large_one(store: &LocalStore) -> Published {
    let large = File::create(store.path().join("small")).unwrap();
    large.set_len(64 << 20).unwrap();
    let offering = Offering {
        entry: entry("small", b"small"),
        base: 0,
    };
    let terms = OnExisting::Replace.into();
    let staged = store.stage(&[offering], terms).remove(0).unwrap();
    let (of, block) = (cut(b"small"), cut(b"small").index(0).unwrap());
    let node = node_of(of, block, b"small");
    staged
        .put(verify(of, block, node, b"small").unwrap())
        .unwrap();
    let claim = Claim {
        whole: merge(&[node]),
        second: None,
    };
    store.commit(vec![(staged, claim)]).remove(0).unwrap()
}

#[test]
fn an_offer_waits_for_the_space_of_what_was_replaced_a_moment_ago() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default()).unwrap();
    let replaced = in_the_place_of_a_large_one(&store).replaced;
    assert!(replaced.is_some(), "it is large");
    // There is none, whatever goes.
    store.limit(Limits {
        min_free: u64::MAX,
        ..Limits::default()
    });
    let (answer, answered) = mpsc::channel();
    thread::scope(|scope| {
        let store = &store;
        scope.spawn(move || {
            let offering = Offering {
                entry: entry("another", b"another"),
                base: 0,
            };
            let staged = store.stage(&[offering], OnExisting::Refuse.into());
            answer
                .send(staged.into_iter().all(|one| one.is_err()))
                .unwrap();
        });
        assert_eq!(answered.recv_timeout(SOON), Err(RecvTimeoutError::Timeout));
        drop(replaced);
        assert_eq!(answered.recv_timeout(PATIENCE), Ok(true));
    });
}

#[test]
fn a_block_that_comes_while_it_is_copied_takes_the_place_of_the_copy() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), other()).unwrap();
    let meanwhile = Meanwhile::default();
    let store = LocalStore::serve(dir.path(), Durability::Batch, meanwhile.fault()).unwrap();
    let staged = stage(&store);
    // The first of these is the label's.
    let (reached, is_reached) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    meanwhile.arm(
        Call::WriteAt,
        1,
        Box::new(move || {
            reached.send(()).unwrap();
            gate.recv_timeout(PATIENCE).map_err(io::Error::other)
        }),
    );
    thread::scope(|scope| {
        // Of one block, so that nothing else is copied beside it.
        let copying = scope.spawn(|| staged.recover(2..3).unwrap());
        is_reached.recv_timeout(PATIENCE).unwrap();
        let (come, has_come) = mpsc::channel();
        let staged = &staged;
        scope.spawn(move || {
            put_block(staged, 2);
            come.send(()).unwrap();
        });
        // It must not be written before the copy, which would take its place again.
        assert_eq!(has_come.recv_timeout(SOON), Err(RecvTimeoutError::Timeout));
        open.send(()).unwrap();
        has_come.recv_timeout(PATIENCE).unwrap();
        copying.join().unwrap();
    });
    let all = staged.recover(0..BLOCKS).unwrap();
    assert_eq!(all, nodes(&bytes(), &[0, 1, 2, 3, 4]));
    publishes(&store, staged);
}

#[test]
fn where_nothing_is_kept_blocks_are_spared_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), other()).unwrap();
    let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default()).unwrap();
    store.keep_partials(Duration::ZERO);
    let staged = stage(&store);
    let first = staged.recover(0..2).unwrap();
    assert_eq!(first, nodes(&bytes(), &[0, 1])[..2]);
    assert_eq!(
        spared(&staged.recover(0..BLOCKS).unwrap(), &bytes()),
        [0, 1, 3, 4]
    );
    assert!(!dir.path().join(".haul/partial").exists());
    put_block(&staged, 2);
    publishes(&store, staged);
}

#[test]
fn of_two_that_replace_a_file_at_once_neither_waits_and_both_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), other()).unwrap();
    let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default()).unwrap();
    let both = [stage(&store), stage(&store)];
    for staged in &both {
        let there = staged.recover(0..BLOCKS).unwrap();
        assert_eq!(spared(&there, &bytes()), [0, 1, 3, 4]);
    }
    for staged in both {
        put_block(&staged, 2);
        publishes(&store, staged);
    }
}
