//! A store by itself: who finds again what of whom.

use std::fs;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use haul::content::{Geometry, merge, node_of, verify};
use haul::entry::{Entry, Version};
use haul::fault::{Call, Fault};
use haul::identity::Identity;
use haul::offer::{Offering, OnExisting};
use haul::store::local::LocalStaged;
use haul::store::{Claim, Durability, LocalStore, Missing, Staged, Store};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use crate::raw::{cut, entry, transfer};
use crate::rig::{noise, remote};
use crate::saboteur::Saboteur;

const LEN: usize = 3 * 4096;
const BLOCKS: Range<u64> = 0..12;

fn serve(root: &Path) -> LocalStore {
    LocalStore::serve(root, Durability::Batch, Fault::default()).unwrap()
}

fn bytes() -> Vec<u8> {
    noise(LEN)
}

fn stage(store: &LocalStore, what: &Entry) -> Arc<LocalStaged> {
    let offering = Offering {
        entry: what.clone(),
        base: 0,
    };
    let staged = store
        .stage(&[offering], OnExisting::Refuse.into())
        .remove(0);
    staged.unwrap()
}

fn x() -> Entry {
    entry("x", &bytes())
}

fn with_block<T>(of: &[u8], number: u64, then: impl FnOnce(Geometry, &[u8], u64) -> T) -> T {
    let index = cut(of).index(number).unwrap();
    let at = cut(of).offset(index) as usize;
    then(cut(of), &of[at..at + cut(of).len(index)], number)
}

fn put(staged: &LocalStaged, blocks: Range<u64>) {
    let of = bytes();
    for number in blocks {
        with_block(&of, number, |cut, block, number| {
            let index = cut.index(number).unwrap();
            let node = node_of(cut, index, block);
            staged
                .put(verify(cut, index, node, block).unwrap())
                .unwrap();
        });
    }
}

/// Puts some blocks, and lets go of them.
fn begin(store: &LocalStore, what: &Entry, blocks: Range<u64>) {
    put(&stage(store, what), blocks);
}

/// How many blocks are found again.
fn found(store: &LocalStore, what: &Entry) -> usize {
    let staged = stage(store, what);
    let found = staged.recover(BLOCKS).unwrap();
    found.iter().flatten().count()
}

fn claim() -> Claim {
    let of = bytes();
    let node = |number| {
        with_block(&of, number, |cut, block, number| {
            node_of(cut, cut.index(number).unwrap(), block)
        })
    };
    Claim {
        whole: merge(&BLOCKS.map(node).collect::<Vec<_>>()),
        second: None,
    }
}

#[test]
fn nobody_finds_what_another_has_sent() {
    let dir = tempfile::tempdir().unwrap();
    for restarts in [false, true] {
        let mut store = serve(dir.path());
        let [anna, ben] = [[1; 32], [2; 32]].map(Identity::Key);
        begin(&store.acting_for(anna.clone()), &x(), 0..4);
        if restarts {
            drop(store);
            store = serve(dir.path());
        }
        for other in [ben, Identity::Anyone, Identity::Owner] {
            let other = store.acting_for(other);
            assert!(!stage(&other, &x()).is_partly_here());
            assert_eq!(found(&other, &x()), 0);
        }
        assert_eq!(found(&store.acting_for(anna), &x()), 4);
    }
}

#[test]
fn a_part_of_the_tree_is_seen_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = serve(dir.path());
    let inbox = store.beneath(&remote("in/box"), Missing::Make).unwrap();
    begin(&inbox, &x(), 0..4);
    assert!(!stage(&store, &x()).is_partly_here(), "another x");
    let whole = entry("in/box/x", &bytes());
    assert_eq!(found(&store, &whole), 4);
    assert_eq!(found(&inbox, &x()), 4);
    assert_eq!(
        found(
            &store.beneath(&remote("in"), Missing::Leave).unwrap(),
            &entry("box/x", &bytes())
        ),
        4
    );
}

#[test]
fn what_is_fetched_goes_on_only_with_the_version_that_it_is_of() {
    let dir = tempfile::tempdir().unwrap();
    let receive = || LocalStore::receive(dir.path(), transfer(), Fault::default()).unwrap();
    let of_version = |version| Entry {
        version: Some(Version([version; 16])),
        ..x()
    };
    begin(&receive(), &of_version(1), 0..4);
    // One that is served finds nothing of what was fetched.
    assert!(!stage(&serve(dir.path()), &of_version(1)).is_partly_here());
    assert_eq!(found(&receive(), &of_version(1)), 4);
    assert_eq!(found(&receive(), &of_version(2)), 0);
    assert_eq!(found(&receive(), &of_version(1)), 0, "it is gone for good");
}

#[test]
fn what_decayed_of_a_download_or_was_never_written_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let receive = || LocalStore::receive(dir.path(), transfer(), Fault::default()).unwrap();
    begin(&receive(), &x(), 0..8);
    let partial = dir.path().join(".haul/partial");
    let files = fs::read_dir(partial)
        .unwrap()
        .map(|file| file.unwrap().path());
    let file = files.into_iter().find(|path| path.extension().is_none());
    let file = file.unwrap();
    let mut there = fs::read(&file).unwrap();
    there[2048] ^= 1;
    there[8 * 1024..].fill(7);
    fs::write(&file, there).unwrap();
    let staged = stage(&receive(), &x());
    let found = staged.recover(BLOCKS).unwrap();
    let found: Vec<u64> = BLOCKS.filter(|n| found[*n as usize].is_some()).collect();
    assert_eq!(found, [0, 1, 3, 4, 5, 6, 7]);
    assert_eq!(staged.missing(), [2..3, 8..12]);
}

#[test]
fn a_download_that_another_process_is_at_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let receive = || LocalStore::receive(dir.path(), transfer(), Fault::default()).unwrap();
    let (one, other) = (receive(), receive());
    let first = stage(&one, &x());
    put(&first, 0..4);
    let second = stage(&other, &x());
    let found = second.recover(BLOCKS).unwrap();
    assert!(found.iter().all(Option::is_none), "it is not to be had");
    put(&second, BLOCKS);
    put(&first, 4..12);
    for (store, staged) in [(&one, first), (&other, second)] {
        let result = store.commit(vec![(staged, claim())]).remove(0);
        assert!(result.is_ok(), "{result:?}");
    }
    assert_eq!(fs::read(dir.path().join("x")).unwrap(), bytes());
    drop((one, other));
    assert!(!dir.path().join(".haul").exists());
}

/// What is kept was written to two weeks ago.
fn grow_old(dir: &Path) {
    for file in fs::read_dir(dir.join(".haul/partial")).unwrap() {
        let file = fs::File::options().write(true).open(file.unwrap().path());
        let fortnight = Duration::from_secs(14 * 24 * 3600);
        let then = SystemTime::now() - fortnight;
        file.unwrap().set_modified(then).unwrap();
    }
}

#[test]
fn a_download_sweeps_what_is_old_and_in_nobody_s_hands() {
    let dir = tempfile::tempdir().unwrap();
    let receive = || LocalStore::receive(dir.path(), transfer(), Fault::default()).unwrap();
    let y = entry("y", &bytes());
    begin(&receive(), &x(), 0..4);
    let other = receive();
    let at_work = stage(&other, &y);
    put(&at_work, 0..4);
    grow_old(dir.path());
    assert_eq!(receive().sweep().files, 1);
    assert_eq!(found(&receive(), &x()), 0);
    let partial = dir.path().join(".haul/partial");
    assert_eq!(fs::read_dir(partial).unwrap().count(), 2, "the other's");
    put(&at_work, 4..12);
    let result = other.commit(vec![(at_work, claim())]).remove(0);
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn how_long_a_server_keeps_its_own_is_nothing_to_a_download_and_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    let receive = || LocalStore::receive(dir.path(), transfer(), Fault::default()).unwrap();
    let y = entry("y", &bytes());
    begin(&serve(dir.path()), &x(), 0..4);
    begin(&receive(), &y, 0..4);
    grow_old(dir.path());
    assert_eq!(receive().sweep().files, 1);
    assert_eq!(found(&serve(dir.path()), &x()), 4);
    begin(&receive(), &y, 0..4);
    grow_old(dir.path());
    assert_eq!(serve(dir.path()).sweep().files, 1);
    assert_eq!(found(&receive(), &y), 4);
}

#[test]
fn what_cannot_be_looked_at_now_is_there_for_whoever_comes_back_later() {
    const EMFILE: i32 = 24;
    let dir = tempfile::tempdir().unwrap();
    begin(&serve(dir.path()), &x(), 0..4);
    let saboteur = Saboteur::default();
    for call in [Call::Open, Call::Stat, Call::ReadAt] {
        for n in 0.. {
            let fault = saboteur.fault();
            let store = LocalStore::serve(dir.path(), Durability::Batch, fault).unwrap();
            saboteur.arm(Some((call, n, EMFILE)));
            let offering = Offering {
                entry: x(),
                base: 0,
            };
            let staged = store.stage(&[offering], OnExisting::Refuse.into());
            for staged in staged.into_iter().flatten() {
                let _ = staged.recover(BLOCKS);
            }
            store.sweep();
            let has_failed = saboteur.failed();
            saboteur.arm(None);
            drop(store);
            assert_eq!(found(&serve(dir.path()), &x()), 4, "{call:?} {n}");
            if !has_failed {
                assert!(n > 1, "{call:?} is hardly made");
                break;
            }
        }
    }
}

#[test]
fn a_directory_that_was_left_in_the_staging_is_in_nobody_s_way() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(".haul/staging/0");
    fs::create_dir_all(&left).unwrap();
    for ours in [".haul", ".haul/staging"] {
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(dir.path().join(ours), private).unwrap();
    }
    let store = serve(dir.path());
    let _staged = stage(&store, &entry("small", b"small"));
    assert!(!left.exists());
}

#[test]
fn a_directory_that_is_not_ours_is_not_used_once_ours_is_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join(".haul"), dir.path().join("theirs"));
    fs::create_dir_all(ours.join("partial/x")).unwrap();
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o777)).unwrap();
    let store = LocalStore::receive(dir.path(), transfer(), Fault::default()).unwrap();
    store.sweep();
    fs::rename(&ours, &theirs).unwrap();
    begin(&store, &x(), 0..4);
    let files = |of: &Path| fs::read_dir(of.join("partial")).unwrap().count();
    assert_eq!((files(&theirs), files(&ours)), (1, 2));
}

/// All that this process has open beneath a directory, once more: as a child has it that was
/// started by somebody else here, until it runs its program.
fn as_a_child_has_it(dir: &Path) -> Vec<OwnedFd> {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let all = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let beneath = all.filter(|file| fs::read_link(file.path()).is_ok_and(|at| at.starts_with(dir)));
    let number = |file: fs::DirEntry| file.file_name().to_str().unwrap().parse().unwrap();
    let copy = |file| pidfd_getfd(&this, number(file), PidfdGetfdFlags::empty()).unwrap();
    beneath.map(copy).collect()
}

#[test]
fn a_lock_ends_with_who_had_it_whatever_a_child_still_has_open() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let job = || LocalStore::receive(dir.path(), transfer(), Fault::default()).unwrap();
    let (store, y) = (job(), entry("y", &bytes()));
    let (put_to_server, fetched) = (stage(&server, &x()), stage(&store, &y));
    put(&put_to_server, 0..4);
    put(&fetched, 0..4);
    let open = as_a_child_has_it(dir.path());
    assert!(open.len() >= 6, "{open:?}");
    drop((put_to_server, fetched, server, store));
    assert_eq!(found(&serve(dir.path()), &x()), 4);
    assert_eq!(found(&job(), &y), 4);
}

#[test]
fn where_nothing_is_kept_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let store = serve(dir.path());
    begin(&store, &x(), 0..4);
    assert!(dir.path().join(".haul/partial").exists());
    store.keep_partials(Duration::ZERO);
    assert_eq!(store.sweep().files, 1);
    assert!(!dir.path().join(".haul/partial").exists());
    begin(&store, &x(), 0..4);
    assert!(!stage(&store, &x()).is_partly_here());
    assert!(!dir.path().join(".haul/partial").exists());
}

#[test]
fn what_is_received_at_this_moment_is_never_swept() {
    let dir = tempfile::tempdir().unwrap();
    let store = serve(dir.path());
    let staged = stage(&store, &x());
    put(&staged, 0..4);
    store.keep_partials(Duration::ZERO);
    assert_eq!(store.sweep().files, 0);
    put(&staged, 4..12);
    assert!(store.commit(vec![(staged, claim())]).remove(0).is_ok());
    assert_eq!(fs::read(dir.path().join("x")).unwrap(), bytes());
}

#[test]
fn more_than_is_held_open_is_still_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = serve(dir.path());
    let names: Vec<Entry> = (0..100)
        .map(|n| entry(&format!("f{n}"), &bytes()))
        .collect();
    for name in &names {
        begin(&store, name, 0..4);
    }
    let held = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let partial = dir.path().join(".haul/partial");
    let open = held.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(&partial)));
    // And the directory itself.
    assert!(open.count() <= 65);
    for name in &names {
        assert_eq!(found(&store, name), 4, "{:?}", name.path);
    }
}
