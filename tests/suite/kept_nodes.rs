//! What a server keeps to place decay: of which files, for how long, and what takes it away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use haul::client::{Client, JobOptions, Options};
use haul::content::{BlockSize, Checksum, Geometry, Node, merge, node_of, verify};
use haul::entry::{Entry, Kind, Mode, Mtime};
use haul::fault::{Call, Fault};
use haul::offer::{Offering, OnExisting};
use haul::server::{Config, Server};
use haul::store::local::LocalStaged;
use haul::store::{
    Changes, Claim, Durability, Limits, LocalStore, Missing, Removal, Staged, Store,
};

use crate::decay::{LARGE, MIB};
use crate::raw::{PATIENCE, SOON};
use crate::rig::{Rig, noise, put, remote};
use crate::saboteur::Saboteur;
use crate::unharmed::eventually;

fn serve(root: &Path) -> LocalStore {
    serve_with(root, Fault::default())
}

fn serve_with(root: &Path, fault: Fault) -> LocalStore {
    LocalStore::serve(root, Durability::Batch, fault).unwrap()
}

/// Begins to store a file, and returns what proves it.
fn stage(store: &LocalStore, name: &str, bytes: &[u8], block: u64) -> (Arc<LocalStaged>, Claim) {
    let block = BlockSize::new(block).unwrap();
    let geometry = Geometry::new(bytes.len() as u64, block).unwrap();
    let entry = Entry {
        path: remote(name),
        kind: Kind::File(geometry),
        mode: Mode::masked(0o644),
        mtime: Mtime::new(1, 0).unwrap(),
        version: None,
        checksum: None,
    };
    let offering = Offering { entry, base: 0 };
    let terms = OnExisting::Replace.into();
    let staged = store.stage(&[offering], terms).remove(0).unwrap();
    let nodes = (0..geometry.blocks()).map(|number| {
        let index = geometry.index(number).unwrap();
        let at = geometry.offset(index) as usize;
        let bytes = &bytes[at..at + geometry.len(index)];
        let node = node_of(geometry, index, bytes);
        let block = verify(geometry, index, node, bytes).unwrap();
        staged.put(block).unwrap();
        node
    });
    let nodes: Vec<Node> = nodes.collect();
    let whole = merge(&nodes);
    (
        staged,
        Claim {
            whole,
            second: None,
        },
    )
}

fn store(store: &LocalStore, name: &str, bytes: &[u8], block: u64) {
    let staged = stage(store, name, bytes, block);
    store.commit(vec![staged]).remove(0).unwrap();
}

/// A large file, another one with each number.
fn version(number: u8) -> Vec<u8> {
    noise(LARGE + usize::from(number))
}

fn checksum(bytes: &[u8]) -> Checksum {
    Checksum::Blake3(*blake3::hash(bytes).as_bytes())
}

fn kept(root: &Path) -> Vec<PathBuf> {
    let nodes = fs::read_dir(root.join(".haul/nodes"));
    let nodes = nodes.into_iter().flatten();
    nodes.map(|node| node.unwrap().path()).collect()
}

#[test]
fn nodes_go_with_the_file_that_haul_replaces_or_removes() {
    let dir = tempfile::tempdir().unwrap();
    let top = serve(dir.path());
    let beneath = top.beneath(&remote("d"), Missing::Make).unwrap();
    for root in [&top, &beneath] {
        for number in 0..5 {
            store(root, "x", &version(number), MIB as u64);
            assert_eq!(kept(dir.path()).len(), 1, "{number}");
            assert!(root.kept_nodes(checksum(&version(number))).is_some());
        }
        root.remove(&remote("x"), Removal::Single).unwrap();
        assert_eq!(kept(dir.path()).len(), 0);
    }
    // By a file that has none itself.
    store(&top, "x", &version(0), MIB as u64);
    store(&top, "x", b"small", MIB as u64);
    assert_eq!(kept(dir.path()).len(), 0);
}

#[test]
fn nodes_of_two_files_with_the_same_bytes_go_with_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let top = serve(dir.path());
    for name in ["first", "last"] {
        store(&top, name, &version(0), MIB as u64);
    }
    store(&top, "first", b"small", MIB as u64);
    assert!(top.kept_nodes(checksum(&version(0))).is_some());
    top.remove(&remote("last"), Removal::Single).unwrap();
    assert_eq!(kept(dir.path()).len(), 0);
}

#[test]
fn nodes_that_bring_little_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let top = serve(dir.path());
    for (len, block, are_kept) in [
        (MIB + 1, 1 << 10, false),
        (MIB + 1, 32 << 10, false),
        (MIB + 1, 64 << 10, true),
        (MIB + 1, MIB, true),
        (MIB, 64 << 10, false),
        (2 * MIB, 2 * MIB, false),
    ] {
        store(&top, "x", &noise(len), block as u64);
        let nodes = top.kept_nodes(checksum(&noise(len)));
        assert_eq!(nodes.is_some(), are_kept, "{len} {block}");
        assert_eq!(kept(dir.path()).len(), usize::from(are_kept));
        top.remove(&remote("x"), Removal::Single).unwrap();
    }
}

#[test]
fn nodes_leave_free_what_is_to_stay_free() {
    let dir = tempfile::tempdir().unwrap();
    let top = serve(dir.path());
    let staged = stage(&top, "x", &version(0), MIB as u64);
    top.limit(Limits {
        min_free: u64::MAX,
        ..Limits::default()
    });
    top.commit(vec![staged]).remove(0).unwrap();
    assert_eq!(kept(dir.path()).len(), 0);
    assert_eq!(fs::read(dir.path().join("x")).unwrap(), version(0));
}

#[test]
fn nodes_that_are_swept_and_kept_at_once_are_kept() {
    let (decided, decision) = sync_channel(0);
    let (stored, until_stored) = sync_channel::<()>(1);
    let held = Mutex::new(Some((decided, until_stored)));
    // Whoever sweeps has seen that they are lost, and is slow to remove them.
    let fault = Fault::watched(move |call| {
        if thread::current().name() == Some("sweep")
            && call == Call::Unlink
            && let Some((decided, until_stored)) = held.lock().unwrap().take()
        {
            decided.send(()).unwrap();
            // Nobody could have stored anything as long as this is not over.
            let _ = until_stored.recv_timeout(SOON);
        }
        Ok(())
    });
    let (dir, top) = with_one(fault);
    fs::remove_file(dir.path().join("x")).unwrap();
    thread::scope(|scope| {
        let sweep = thread::Builder::new().name("sweep".to_owned());
        let sweep = sweep.spawn_scoped(scope, || top.sweep_nodes(|| true));
        decision.recv_timeout(PATIENCE).unwrap();
        store(&top, "again", &version(0), MIB as u64);
        let _ = stored.try_send(());
        sweep.unwrap().join().unwrap();
    });
    assert!(top.kept_nodes(checksum(&version(0))).is_some());
}

#[test]
fn what_a_crash_leaves_of_nodes_goes_with_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = Arc::<Mutex<bool>>::default();
    let crash = Arc::clone(&crashed);
    // From the name of the nodes on, which come before their file, nothing is done any more.
    let fault = Fault::watched(move |call| {
        let mut crashed = crash.lock().unwrap();
        *crashed |= call == Call::Rename;
        if *crashed && matches!(call, Call::Rename | Call::Unlink) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    });
    {
        let top = serve_with(dir.path(), fault);
        let staged = stage(&top, "x", &version(0), MIB as u64);
        assert!(top.commit(vec![staged]).remove(0).is_err());
        assert!(*crashed.lock().unwrap());
        assert_eq!(kept(dir.path()).len(), 0);
    }
    let left = fs::read_dir(dir.path().join(".haul/staging")).unwrap();
    assert_eq!(left.count(), 1, "what was written of them");
    drop(serve(dir.path()));
    assert!(!dir.path().join(".haul/staging").exists());
}

#[test]
fn what_is_replaced_as_soon_as_it_has_its_name_leaves_no_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let (stored, rival) = (dir.path().join("x"), Arc::<Mutex<Vec<_>>>::default());
    let next = Arc::clone(&rival);
    let fault = Fault::watched(move |call| {
        if matches!(call, Call::Open | Call::FlushDirectory) && stored.exists() {
            let rival = next.lock().unwrap().pop();
            if let Some((top, staged)) = rival {
                LocalStore::commit(&top, vec![staged]).remove(0).unwrap();
            }
        }
        Ok(())
    });
    let top = serve_with(dir.path(), fault);
    let [first, second] = [0, 1].map(|at| stage(&top, "x", &version(at), MIB as u64));
    rival.lock().unwrap().push((top.clone(), second));
    top.commit(vec![first]).remove(0).unwrap();
    assert!(rival.lock().unwrap().is_empty(), "both were put");
    assert_eq!(fs::read(dir.path().join("x")).unwrap(), version(1));
    assert_eq!(kept(dir.path()).len(), 1);
}

/// A store with one large file, `x`.
fn with_one(fault: Fault) -> (tempfile::TempDir, LocalStore) {
    let dir = tempfile::tempdir().unwrap();
    let top = serve_with(dir.path(), fault);
    store(&top, "x", &version(0), MIB as u64);
    (dir, top)
}

#[test]
fn an_error_that_passes_sweeps_no_nodes() {
    let saboteur = Saboteur::default();
    let (dir, top) = with_one(saboteur.fault());
    for (call, errno, least) in [
        (Call::Open, 24, 4),
        (Call::Open, 13, 4),
        (Call::Stat, 5, 3),
        (Call::ReadAt, 5, 2),
        (Call::GetAttribute, 5, 1),
        (Call::ReadDir, 12, 1),
    ] {
        for at in 0.. {
            saboteur.arm(Some((call, at, errno)));
            top.sweep_nodes(|| true);
            assert_eq!(kept(dir.path()).len(), 1, "{call:?} {at}");
            if !saboteur.failed() {
                assert!(at >= least, "{call:?} {at}");
                break;
            }
        }
    }
}

#[test]
fn nodes_are_swept_when_their_file_is_another_or_they_are_none() {
    let spoil: [fn(&Path); 6] = [
        |root| fs::remove_file(root.join("x")).unwrap(),
        |root| {
            fs::remove_file(root.join("x")).unwrap();
            fs::create_dir(root.join("x")).unwrap();
        },
        |root| {
            fs::remove_file(root.join("x")).unwrap();
            std::os::unix::fs::symlink("y", root.join("x")).unwrap();
        },
        |root| {
            fs::remove_file(root.join("x")).unwrap();
            fs::write(root.join("x"), "unrecorded").unwrap();
        },
        |root| fs::write(&kept(root)[0], "haulnode").unwrap(),
        |root| {
            let name = kept(root).remove(0);
            fs::remove_file(&name).unwrap();
            std::os::unix::fs::symlink("x", name).unwrap();
        },
    ];
    for (case, spoil) in spoil.into_iter().enumerate() {
        let (dir, top) = with_one(Fault::default());
        spoil(dir.path());
        top.sweep_nodes(|| true);
        assert_eq!(kept(dir.path()).len(), 0, "{case}");
    }
}

/// Holds the first thing that the sweeping thread removes until it is told to go on.
fn held_sweep() -> (Fault, Receiver<()>, impl FnMut()) {
    let (begun, beginning) = sync_channel(0);
    let (go, until_told) = sync_channel(0);
    let held = Mutex::new(Some((begun, until_told)));
    let fault = Fault::watched(move |call| {
        let sweeps = thread::current().name() == Some("sweep");
        if sweeps
            && call == Call::Unlink
            && let Some((begun, until_told)) = held.lock().unwrap().take()
        {
            begun.send(()).unwrap();
            until_told.recv().unwrap();
        }
        Ok(())
    });
    (fault, beginning, move || go.send(()).unwrap())
}

/// A served directory in which files had nodes kept and are gone.
fn of_files_that_are_gone(count: u8) -> Rig {
    let mut rig = Rig::new();
    let source = rig.dir.path().join("source");
    for number in 0..count {
        fs::write(&source, version(number)).unwrap();
        let name = format!("f{number}");
        put(&rig.client(1), &[(&source, &name)], &JobOptions::default()).is_fine();
    }
    rig.stop();
    for number in 0..count {
        fs::remove_file(rig.root().join(format!("f{number}"))).unwrap();
    }
    assert_eq!(kept(&rig.root()).len(), usize::from(count));
    rig
}

/// A server that sweeps at once.
fn sweeping() -> Config {
    Config {
        sweep: Duration::from_millis(1),
        ..Config::default()
    }
}

#[test]
fn a_server_answers_while_it_sweeps_nodes_and_stops_between_two() {
    let rig = of_files_that_are_gone(3);
    let (fault, begins, mut go_on) = held_sweep();
    let store = serve_with(&rig.root(), fault);
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], sweeping()).unwrap();
    let address = server.addresses().unwrap()[0].to_string();
    let running = server.start().unwrap();
    begins.recv_timeout(PATIENCE).unwrap();
    let client = Client::new(&address, Options::default());
    assert_eq!(client.list(None, None).unwrap().entries, []);
    running.stopper().stop();
    go_on();
    running.wait();
    assert_eq!(kept(&rig.root()).len(), 2);
}

#[test]
fn a_server_that_starts_sweeps_nodes() {
    let mut rig = of_files_that_are_gone(2);
    rig.restart(sweeping());
    eventually("nodes are swept", || kept(&rig.root()).is_empty());
}
