//! Deep trees, up to as deep as a path can be: 2,047 directories of one letter.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

use haul::client::JobOptions;
use haul::fault::Fault;
use haul::server::Config;
use haul::store::{Changes, Durability, LocalStore, Removal};
use rustix::fs::{CWD, Mode, OFlags, Timespec, Timestamps, fstat, futimens, mkdirat, openat};

use crate::landscape::{get_tree, put_tree};
use crate::rig::{Rig, remote};
use crate::secrecy::{Secrecy, plain_and_encrypted};

plain_and_encrypted! {
    a_deep_tree_goes_up_and_comes_back,
}

/// With the file at the bottom a path has 4,095 bytes.
const DEEPEST: i64 = 2_047;

fn open(within: impl std::os::fd::AsFd, path: impl rustix::path::Arg) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    openat(within, path, flags, Mode::empty()).unwrap()
}

/// Makes it in `top`, with a file at the bottom, and gives each level its own time.
fn make(top: &Path, levels: i64) {
    std::fs::create_dir(top).unwrap();
    let mut at = open(CWD, top);
    let mut made = Vec::new();
    for level in 0..levels {
        mkdirat(&at, "a", Mode::RWXU).unwrap();
        at = open(&at, "a");
        // Its time moves once more, with what is made in it.
        made.push((level, at.try_clone().unwrap()));
        if let [(level, above), _] = &made[..] {
            set_time(above, *level);
            made.remove(0);
        }
    }
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let file = openat(&at, "f", flags, Mode::RUSR | Mode::WUSR).unwrap();
    File::from(file).write_all(b"the bottom").unwrap();
    set_time(&at, levels - 1);
}

fn set_time(directory: &OwnedFd, level: i64) {
    let tv_nsec = level;
    let time = |tv_sec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(0),
        last_modification: time(1_000_000 + level),
    };
    futimens(directory, &times).unwrap();
}

#[track_caller]
fn is_whole(top: &Path, levels: i64) {
    let mut at = open(CWD, top);
    for level in 0..levels {
        at = open(&at, "a");
        let stat = fstat(&at).unwrap();
        let time = (stat.st_mtime, stat.st_mtime_nsec.cast_signed());
        assert_eq!(time, (1_000_000 + level, level), "level {level}");
    }
    let mut bottom = String::new();
    let file = openat(&at, "f", OFlags::RDONLY, Mode::empty()).unwrap();
    File::from(file).read_to_string(&mut bottom).unwrap();
    assert_eq!(bottom, "the bottom");
}

/// Removes it where no server is.
fn remove(top: &Path) {
    let store = LocalStore::serve(top, Durability::None, Fault::default()).unwrap();
    store.remove(&remote("a"), Removal::Whole).unwrap();
}

#[track_caller]
fn goes_up_and_comes_back(secrecy: Secrecy, levels: i64) {
    let rig = Rig::guarded(secrecy, Config::default(), Fault::default());
    let [source, into] = ["source", "into"].map(|name| rig.dir.path().join(name));
    make(&source, levels);
    let (client, options) = (rig.client(2), JobOptions::default());
    let put = put_tree(&client, &source.join("a"), Some("a"), &options);
    let got = get_tree(&client, (Some("a"), Some("a")), &into, &options);
    let whole = [&source, &rig.root(), &into].map(|top| {
        let top = top.clone();
        let look = thread::Builder::new().spawn(move || is_whole(&top, levels));
        look.unwrap().join()
    });
    // Whatever came of it: nobody else removes what is so deep.
    remove(&source);
    remove(&into);
    client.remove(&remote("a"), Removal::Whole).unwrap();
    put.is_fine();
    got.is_fine();
    assert!(whole.iter().all(Result::is_ok));
    assert!(rig.visible().is_empty());
}

fn a_deep_tree_goes_up_and_comes_back(secrecy: Secrecy) {
    goes_up_and_comes_back(secrecy, 300);
}

/// The same with as many levels as there can be.
///
///     cargo test --release --test suite -- --ignored as_deep_as_a_path_can_be
#[test]
#[ignore = "takes up to a minute: each directory is flushed with all above it"]
fn as_deep_as_a_path_can_be_a_tree_goes_up_and_comes_back() {
    goes_up_and_comes_back(Secrecy::Encrypted, DEEPEST);
}
