//! Removing trees: of any depth and with any names, while others change them, and beside
//! a client that waits or has gone.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use haul::fault::{Call, Fault};
use haul::server::Config;
use haul::store::{Changes, Durability, LocalStore, Removal};
use haul::wire::Message;
use haul::wire::message::Remove;
use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat};
use rustix::io::Errno;

use crate::raw::{Heard, Raw};
use crate::rig::{Rig, remote, visible};
use crate::tree_changes::{came, fifo, planted};
use crate::unharmed::eventually;

const WHOLE: Removal = Removal::Whole;

#[test]
fn a_tree_is_removed_with_names_that_cannot_be_sent_and_links_and_fifos_in_it() {
    let rig = planted();
    let a = rig.root().join("a");
    for name in [&b"\xff"[..], b"caf\xe9", b"two\nlines", b" "] {
        let directory = a.join(OsStr::from_bytes(name));
        fs::create_dir_all(directory.join(OsStr::from_bytes(b"\xfe/\xfd"))).unwrap();
        fs::write(directory.join(OsStr::from_bytes(b"\xfc")), "x").unwrap();
    }
    symlink(rig.dir.path().join("outside"), a.join("b/out")).unwrap();
    symlink("..", a.join("b/up")).unwrap();
    fifo(&a.join("b/fifo"));
    rig.client(1).remove(&remote("a"), WHOLE).unwrap();
    assert!(!a.exists());
    assert_eq!(visible(&rig.dir.path().join("outside")), ["secret"]);
    assert_eq!(fs::read(rig.root().join("full/x")).unwrap(), b"full/x");
}

#[test]
fn what_is_haul_s_own_is_left_with_the_directories_around_it_and_said_so() {
    let rig = planted();
    let a = rig.root().join("a");
    fs::create_dir_all(a.join("b/.haul/staging")).unwrap();
    fs::create_dir_all(a.join("c/d")).unwrap();
    let (code, text) = came(rig.client(1).remove(&remote("a"), WHOLE));
    assert_eq!(code, 10);
    let said = "cannot remove all of \"a\": 1 left, the first because \".haul\" is haul's own: \
                \"a/b/.haul\"";
    assert_eq!(text, said);
    assert!(a.join("b/.haul/staging").is_dir());
    assert_eq!(
        (visible(&a), visible(&a.join("b"))),
        (vec!["b".into()], vec![])
    );
}

/// A directory `top` with `depth` levels in it, deeper than any path that the system takes.
fn deep(root: &Path, depth: usize) {
    mkdirat(CWD, root.join("top"), Mode::RWXU).unwrap();
    let open = |at: &OwnedFd| openat(at, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut at = openat(CWD, root.join("top"), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(&at, "d", Mode::RWXU).unwrap();
        mkdirat(&at, "e", Mode::RWXU).unwrap();
        mknodat(&at, "f", FileType::RegularFile, Mode::RWXU, 0).unwrap();
        at = open(&at);
    }
}

/// Whether a descriptor of this process is open on something in `directory`. Other tests
/// run in this process, and hold others.
fn leads_into(descriptor: &fs::DirEntry, directory: &Path) -> bool {
    match fs::read_link(descriptor.path()) {
        Ok(path) => path.starts_with(directory),
        // What is that deep is in no other test's directory.
        Err(error) => error.raw_os_error() == Some(Errno::NAMETOOLONG.raw_os_error()),
    }
}

#[test]
fn a_tree_deeper_than_a_stack_or_a_path_is_removed_without_a_descriptor_a_level() {
    for depth in [2047, 3000] {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().to_owned();
        let held = move || {
            let all = fs::read_dir("/proc/self/fd").unwrap();
            all.filter(|fd| leads_into(fd.as_ref().unwrap(), &here))
                .count()
        };
        deep(dir.path(), depth);
        let most = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&most);
        let calls = AtomicUsize::new(0);
        let watch = Fault::watched(move |_| {
            // Looking at all of them each time takes longer than the removal.
            if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(16) {
                seen.fetch_max(held(), Ordering::Relaxed);
            }
            Ok(())
        });
        let store = LocalStore::serve(dir.path(), Durability::Batch, watch).unwrap();
        store.remove(&remote("top"), WHOLE).unwrap();
        assert_eq!(visible(dir.path()), [""; 0]);
        let most = most.load(Ordering::Relaxed);
        assert!((1..100).contains(&most), "{most} descriptors at once");
    }
    // The same by way of a server, whose threads have small stacks.
    let rig = Rig::new();
    deep(&rig.root(), 2047);
    rig.client(1).remove(&remote("top"), WHOLE).unwrap();
    assert_eq!(rig.visible(), [""; 0]);
}

#[test]
fn a_directory_that_is_moved_away_meanwhile_leads_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    for directory in ["root/top/x/y", "root/top/z", "outside/z"] {
        fs::create_dir_all(dir.path().join(directory)).unwrap();
    }
    for file in ["root/top/x/y/leaf", "outside/z/leaf"] {
        fs::write(dir.path().join(file), "leaf").unwrap();
    }
    let moved = (root.join("top/x"), outside.join("x"));
    let readings = AtomicUsize::new(0);
    let fault = Fault::watched(move |call| {
        // `top`, `x`, `y`: whoever goes up from `x` then comes out elsewhere.
        if call == Call::ReadDir && readings.fetch_add(1, Ordering::Relaxed) == 2 {
            fs::rename(&moved.0, &moved.1)?;
        }
        Ok(())
    });
    let store = LocalStore::serve(&root, Durability::Batch, fault).unwrap();
    let error = store.remove(&remote("top"), WHOLE).unwrap_err();
    assert_eq!(error.code().number(), 10);
    assert!(error.to_string().contains("1 left"), "{error}");
    assert_eq!(visible(&outside), ["x", "z"]);
    assert_eq!(fs::read(outside.join("z/leaf")).unwrap(), b"leaf");
    assert_eq!(visible(&root), ["top"]);
}

/// A fault point at which removals wait until the sender is gone.
fn gate() -> (Fault, mpsc::Sender<()>) {
    let (open, closed) = mpsc::channel();
    let closed = Mutex::new(closed);
    let fault = Fault::watched(move |call| {
        if call == Call::Unlink {
            let _ = closed.lock().unwrap().recv();
        }
        Ok(())
    });
    (fault, open)
}

#[test]
fn a_removal_that_takes_long_is_being_worked_on_and_done_though_its_client_has_gone() {
    let (fault, open) = gate();
    let rig = Rig::with(Config::default(), fault);
    for name in ["stays", "leaves"] {
        fs::create_dir_all(rig.root().join(name).join("x/y")).unwrap();
    }
    let remove = |path| Remove {
        request: 7,
        path: remote(path),
        tree: true,
    };
    let (mut stays, mut leaves) = (Raw::open(&rig), Raw::open(&rig));
    leaves.say(&remove("leaves"));
    stays.say(&remove("stays"));
    assert!(matches!(leaves.hear(), Heard::Message(Message::Working(_))));
    leaves.reset();
    assert!(matches!(stays.hear(), Heard::Message(Message::Working(_))));
    assert_eq!(rig.visible(), ["leaves", "stays"]);
    drop(open);
    let done = loop {
        match stays.hear() {
            Heard::Message(Message::Working(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(done, Heard::Message(Message::Done(done)) if done.request == 7));
    eventually("it is removed", || rig.visible().is_empty());
}
