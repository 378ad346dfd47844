//! Trees to be moved: how they are made, and what is seen of them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use haul::client::{Client, Download, JobOptions, Upload};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use rustix::process::geteuid;

use crate::rig::{Outcome, noise, outcome, remote};

const MIB: usize = 1 << 20;

/// What there is to be seen of one thing in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub what: What,
    /// Its permission bits; a link has none of its own.
    pub mode: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    File(u64, blake3::Hash),
    Directory,
    Link(PathBuf),
    Other,
}

/// All that is in a tree, by its path from the top, which is an empty path; haul's own
/// directory at the top is no part of it.
pub fn seen(top: &Path) -> BTreeMap<PathBuf, Seen> {
    let (mut all, mut paths) = (BTreeMap::new(), vec![top.to_owned()]);
    while let Some(path) = paths.pop() {
        let seen = look(&path);
        if seen.what == What::Directory {
            let items = fs::read_dir(&path).unwrap();
            paths.extend(items.map(|item| item.unwrap().path()));
        }
        all.insert(path.strip_prefix(top).unwrap().to_owned(), seen);
        paths.retain(|path| *path != top.join(".haul"));
    }
    all
}

/// What there is to be seen of one thing.
pub fn look(path: &Path) -> Seen {
    let stat = fs::symlink_metadata(path).unwrap();
    let what = if stat.is_file() {
        let bytes = fs::read(path).unwrap();
        What::File(stat.len(), blake3::hash(&bytes))
    } else if stat.is_dir() {
        What::Directory
    } else if stat.is_symlink() {
        What::Link(fs::read_link(path).unwrap())
    } else {
        What::Other
    };
    let mode = if stat.is_symlink() {
        0
    } else {
        stat.mode() & 0o7777
    };
    let mtime = (stat.mtime(), stat.mtime_nsec());
    Seen { what, mode, mtime }
}

/// Checks that two trees are the same, naming what is not.
#[track_caller]
pub fn are_the_same(one: &Path, other: &Path) {
    let (mut one, other) = (seen(one), seen(other));
    for (path, there) in &other {
        let here = one.remove(path);
        assert_eq!(here.as_ref(), Some(there), "{}", path.display());
    }
    assert!(one.is_empty(), "only in one: {:?}", one.keys());
}

/// Makes a file of so many bytes of noise, and all directories above it.
pub fn file(path: &Path, len: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, noise(len)).unwrap();
}

pub fn link(text: &str, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(text, path).unwrap();
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives a thing this time, a link its own.
pub fn set_time(path: &Path, (seconds, nanos): (i64, i64)) {
    let (omit, modified) = (UTIME_OMIT, nanos);
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: omit,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: modified,
        },
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Whether nothing on a disk is closed to this process.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Names that one file system or another has its trouble with.
const ODD: [&str; 12] = [
    "README",
    "readme",
    "aux.c",
    "two\nlines",
    "\u{1b}[31m",
    "\u{202e}gnp",
    " ",
    "...",
    "-rf",
    "\u{e9}",
    "e\u{301}",
    "a\\b",
];

/// Makes a tree of all sorts at `top`: deep, with odd names, empty things, links, and
/// modes and times that are not the usual ones.
pub fn all_sorts(top: &Path) {
    for (n, name) in ODD.iter().enumerate() {
        file(&top.join("odd").join(name), n);
    }
    fs::create_dir_all(top.join("odd/con/nul.txt")).unwrap();
    let mut deep = top.join("deep");
    for level in 0..40 {
        deep.push(format!("{level}"));
    }
    file(&deep.join("bottom"), 3);
    file(&top.join("empty/file"), 0);
    fs::create_dir_all(top.join("empty/a/b/c")).unwrap();
    for (text, name) in [
        ("../empty/file", "links/file"),
        ("../empty", "links/directory"),
        ("nowhere", "links/nowhere"),
        ("../odd/two\nlines", "links/odd"),
        (".", "links/here"),
    ] {
        link(text, &top.join(name));
    }
    // In the order of names a directory comes behind what begins like it.
    for name in ["order/a.txt", "order/a/b", "order/a0", "order/a-"] {
        file(&top.join(name), 5);
    }
    file(&top.join("modes/closed/x"), 9);
    fs::create_dir(top.join("modes/private")).unwrap();
    for mode in [0o444, 0o600, 0o755, 0o666, 0o000] {
        // Only root reads what nobody may read.
        if is_root() || mode != 0 {
            let path = top.join(format!("modes/{mode:o}"));
            file(&path, mode);
            set_mode(&path, mode as u32);
        }
    }
    set_times(top);
    set_mode(&top.join("modes/closed"), 0o555);
    set_mode(&top.join("modes/private"), 0o700);
    set_mode(&top.join("modes"), 0o555);
}

/// Gives everything in a tree a time of its own, some before 1970, all with nanoseconds.
pub fn set_times(top: &Path) {
    for (n, path) in (0..).zip(seen(top).keys()) {
        let seconds = if n % 3 == 0 {
            -n - 1
        } else {
            1_600_000_000 + n
        };
        set_time(&top.join(path), (seconds, 999_999_999 - n));
    }
}

/// Makes files of some two hundred sizes around those that a block may have.
pub fn all_sizes(top: &Path) {
    let around = |size: usize| [size - 1, size, size + 1];
    let around_blocks = [1024, 64 << 10, MIB, 2 * MIB, 3 * MIB]
        .into_iter()
        .flat_map(around);
    for size in (0..180).map(|n| n * n).chain(around_blocks) {
        file(&top.join(size.to_string()), size);
    }
}

/// Opens all directories of a tree to their owner, so that it can be removed.
pub fn open_up(top: &Path) {
    let mut directories = vec![top.to_owned()];
    while let Some(directory) = directories.pop() {
        set_mode(&directory, 0o700);
        let items = fs::read_dir(&directory).unwrap().map(|item| item.unwrap());
        let inner = items.filter(|item| item.file_type().unwrap().is_dir());
        directories.extend(inner.map(|item| item.path()));
    }
}

/// Puts the tree at `from` as `to`, or all that is in it at the root.
pub fn put_tree(client: &Client, from: &Path, to: Option<&str>, options: &JobOptions) -> Outcome {
    let upload = Upload::local(from, to.map(remote));
    outcome(|monitor| client.put(vec![upload], options, monitor))
}

/// Gets the tree `from` as `to` in `into`.
pub fn get_tree(
    client: &Client,
    (from, to): (Option<&str>, Option<&str>),
    into: &Path,
    options: &JobOptions,
) -> Outcome {
    let download = Download {
        from: from.map(remote),
        to: to.map(remote),
    };
    outcome(|monitor| client.get(vec![download], into, options, monitor))
}
