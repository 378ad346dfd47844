//! The directory for what is not yet published.
//!
//! It lies in `.haul` at the root of the receiving tree, on the same file system,
//! so that publishing is a rename. Nothing in it has a meaning beyond the process
//! that made it: what an earlier one left is swept. What is worth more than that is
//! beside it: the [partials](super::partials), and [nodes](super::kept_nodes).

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::kept_nodes::NODES;
use super::partial_files::PARTIAL;
use super::sys::DIRECTORY;
use super::tree::{Held, file_type};
use super::unlocking::Unlocking;
use crate::entry::Mode;
use crate::path::RESERVED;
use crate::store::error::{Action, Error};

/// How often a directory that was removed meanwhile is made again.
const ATTEMPTS: usize = 16;

/// Nobody but its owner can enter it.
const PRIVATE: Mode = Mode::OWNERS_DIRECTORY;

/// Who stages in a tree, and so how the directory is called.
#[derive(Clone, Debug)]
pub(super) enum Keeper {
    /// The tree's only server.
    Server,
    /// One download into the tree, beside others and perhaps a server.
    Job(String),
}

/// A locked directory of staged files, removed with its last user.
#[derive(Debug)]
pub(super) struct Area {
    tree: Arc<Held>,
    ours: OwnedFd,
    pub(super) directory: Unlocking,
    name: String,
    next: AtomicU64,
}

impl Keeper {
    fn directory(&self) -> String {
        match self {
            Self::Server => "staging".to_owned(),
            Self::Job(id) => format!("get-{id}"),
        }
    }
}

impl Area {
    /// Makes the directory, takes its lock, and empties it.
    pub(super) fn open(tree: &Arc<Held>, keeper: &Keeper) -> Result<Self, Error> {
        // A job that begins or ends beside this one may remove `.haul`, or hold and
        // remove this directory between its making and its locking; then it is made
        // again.
        for _ in 0..ATTEMPTS {
            match Self::attempt(tree, keeper) {
                Err(Error::Root {
                    errno: Errno::NOENT | Errno::WOULDBLOCK,
                    ..
                }) => thread::yield_now(),
                other => return other,
            }
        }
        Self::attempt(tree, keeper)
    }

    fn attempt(tree: &Arc<Held>, keeper: &Keeper) -> Result<Self, Error> {
        let ours = open_ours(tree)?;
        let name = keeper.directory();
        make(tree, &ours, &name)?;
        let sys = &tree.sys;
        let directory = sys
            .open_in(&ours, &name, DIRECTORY)
            .and_then(|directory| {
                let directory = sys.lock(directory)?;
                let (held, named) = (sys.stat(&directory)?, sys.stat_in(&ours, &name)?);
                let same = held.st_ino == named.st_ino;
                same.then_some(directory).ok_or(Errno::NOENT)
            })
            .map_err(|errno| failed(tree, Action::Lock, errno))?;
        empty(tree, &directory);
        Ok(Self {
            tree: Arc::clone(tree),
            ours,
            directory,
            name,
            next: AtomicU64::new(0),
        })
    }

    /// A name that nothing staged here has or had.
    pub(super) fn next_name(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        empty(&self.tree, &self.directory);
        let _ = self.tree.sys.remove_dir(&self.ours, &self.name);
        // It stays where others still stage in it.
        let _ = self.tree.sys.remove_dir(&self.tree.root, RESERVED);
    }
}

/// Refuses a tree in which something else has the name of haul's own directory.
pub(super) fn check(tree: &Held) -> Result<(), Error> {
    match tree.sys.open_in(&tree.root, RESERVED, DIRECTORY) {
        Ok(ours) if is_private(tree, &ours).unwrap_or(false) => Ok(()),
        Err(Errno::NOENT) => Ok(()),
        _ => Err(Error::NotOurs(tree.path.join(RESERVED))),
    }
}

/// Removes what jobs that did not end well left behind and cannot go on with. What is
/// locked is alive.
pub(super) fn sweep(tree: &Held) {
    let Some(ours) = find_ours(tree) else {
        return;
    };
    for name in names(tree, &ours) {
        if name == PARTIAL || name == NODES {
            continue;
        }
        let Ok(directory) = tree.sys.open_in(&ours, &name, DIRECTORY) else {
            continue;
        };
        if let Ok(directory) = tree.sys.lock(directory) {
            empty(tree, &directory);
            let _ = tree.sys.remove_dir(&ours, &name);
        }
    }
    let _ = tree.sys.remove_dir(&tree.root, RESERVED);
}

/// Opens `.haul` where it is there. What has its name and is not ours is refused when it is to be
/// used, and not touched before.
pub(super) fn find_ours(tree: &Held) -> Option<OwnedFd> {
    let ours = tree.sys.open_in(&tree.root, RESERVED, DIRECTORY).ok()?;
    is_private(tree, &ours).unwrap_or(false).then_some(ours)
}

/// Opens `.haul`, making it where it is not there.
///
/// It is used only if it is a directory of this user that nobody else can enter:
/// whoever could write there would choose what is published.
pub(super) fn open_ours(tree: &Held) -> Result<OwnedFd, Error> {
    make(tree, &tree.root, RESERVED)?;
    let not_ours = || Error::NotOurs(tree.path.join(RESERVED));
    let ours = tree
        .sys
        .open_in(&tree.root, RESERVED, DIRECTORY)
        .map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => not_ours(),
            _ => failed(tree, Action::Open, errno),
        })?;
    match is_private(tree, &ours) {
        Ok(true) => Ok(ours),
        Ok(false) => Err(not_ours()),
        Err(errno) => Err(failed(tree, Action::Look, errno)),
    }
}

/// Whether a directory is this user's, and nobody else can enter it.
fn is_private(tree: &Held, directory: &OwnedFd) -> Result<bool, Errno> {
    let stat = tree.sys.stat(directory)?;
    Ok(stat.st_uid == rustix::process::geteuid().as_raw()
        && Mode::masked(stat.st_mode).is_private()
        && file_type(&stat) == FileType::Directory)
}

/// Makes a private directory where there is none.
pub(super) fn make(tree: &Held, within: &OwnedFd, name: &str) -> Result<(), Error> {
    match tree.sys.make_dir(within, name, PRIVATE) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(failed(tree, Action::MakeDir, errno)),
    }
}

pub(super) fn failed(tree: &Held, action: Action, errno: Errno) -> Error {
    Error::Root {
        action,
        path: tree.path.join(RESERVED),
        errno,
    }
}

/// Removes what is in a staging directory, as far as that goes: files, and directories that were
/// made for a moment.
fn empty(tree: &Held, directory: &OwnedFd) {
    for name in names(tree, directory) {
        if tree.sys.unlink(directory, &name).is_err() {
            let _ = tree.sys.remove_dir(directory, &name);
        }
    }
}

/// What is in a directory.
pub(super) fn names(tree: &Held, directory: &OwnedFd) -> Vec<String> {
    let Ok(items) = tree.sys.read_dir(directory) else {
        return Vec::new();
    };
    items
        .filter_map(Result::ok)
        .filter_map(|item| item.file_name().to_str().ok().map(str::to_owned))
        .filter(|name| name != "." && name != "..")
        .collect()
}
