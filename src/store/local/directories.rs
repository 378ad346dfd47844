//! The directories that a batch publishes into: found or made, held, flushed.
//!
//! A file is durable only with its name, and its name only with the names of all
//! directories above it: any of them may be so young, made by this batch, by another,
//! or by one whose flush failed, that its own name is not durable yet. So all of them
//! are flushed.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::Shared;
use super::flush::FlushPoint;
use super::sys::DIRECTORY;
use crate::entry::Mode;
use crate::identity::Identity;
use crate::path::RemotePath;
use crate::store::Durability;
use crate::store::error::{Action, Error};

/// From so many directories on, one flush of the file system costs less than one each: a
/// deep path has all that are above it.
const MANY: usize = 16;

/// Directories that are held open during one batch.
const HELD_MAX: usize = 64;

/// The directories that a batch publishes into.
pub(super) struct Directories<'s> {
    shared: &'s Shared,
    /// For whom they are made.
    by: &'s Identity,
    held: HashMap<Option<RemotePath>, Receiving>,
    /// Those that were made for this batch, outermost first.
    made: Vec<RemotePath>,
    /// What flushes all of them at once, where that is to be trusted.
    point: Option<FlushPoint>,
}

/// One directory of a batch.
#[derive(Default)]
struct Receiving {
    /// Held where something is published into it. One that is only above such a one is
    /// opened for its flush: a deep path has more of them than there are descriptors.
    directory: Option<Arc<OwnedFd>>,
    /// The mode that it gets back: its owner may not write to it otherwise.
    restore: Option<Mode>,
}

impl<'s> Directories<'s> {
    /// For a batch that has changed nothing yet.
    pub(super) fn new(shared: &'s Shared, by: &'s Identity) -> Self {
        let tree = &shared.tree;
        let trusted = shared.reporting && shared.durability == Durability::Batch;
        let point = trusted.then(|| FlushPoint::on(&tree.sys, &tree.root));
        Self {
            shared,
            by,
            held: HashMap::new(),
            made: Vec::new(),
            // Without it each directory is flushed by itself.
            point: point.and_then(Result::ok),
        }
    }

    pub(super) fn are_many(&self) -> bool {
        let held = self.held.values().filter(|r| r.directory.is_some());
        held.count() >= HELD_MAX
    }

    /// The directory `at`, made with all above it where it is not there.
    ///
    /// What is missing among the first `base` components is made with the usual mode,
    /// the rest private, until its sender says what it is to be. Errors name `path`,
    /// for whose sake it is.
    pub(super) fn reach(
        &mut self,
        at: Option<&RemotePath>,
        base: u16,
        path: &RemotePath,
    ) -> Result<Arc<OwnedFd>, Error> {
        let directory = match (self.open(at, path), at) {
            (Err(Error::NotFound(_)), Some(at)) => self.make(at, base, path)?,
            (other, _) => other?,
        };
        self.hold(at.cloned()).directory = Some(Arc::clone(&directory));
        Ok(directory)
    }

    /// Has a directory resolved anew, as the one that is held is gone.
    pub(super) fn forget(&mut self, at: Option<&RemotePath>) {
        self.hold(at.cloned()).directory = None;
    }

    /// Resolves a directory anew beneath the root, or takes the one this batch resolved.
    fn open(&self, at: Option<&RemotePath>, path: &RemotePath) -> Result<Arc<OwnedFd>, Error> {
        let known = self.held.get(&at.cloned());
        if let Some(directory) = known.and_then(|known| known.directory.as_ref()) {
            return Ok(Arc::clone(directory));
        }
        let name = at.map_or(".".as_ref(), RemotePath::as_path);
        self.open_in(&self.shared.tree.root, name, path)
            .map(Arc::new)
    }

    fn open_in(&self, within: &OwnedFd, name: &Path, path: &RemotePath) -> Result<OwnedFd, Error> {
        let opened = self.shared.tree.sys.open_beneath(within, name, DIRECTORY);
        opened.map_err(|errno| match errno {
            Errno::NOTDIR => Error::Occupied(path.clone()),
            errno => Error::system(Action::Open, path, errno),
        })
    }

    /// Counts a directory, and all above it, among those to be flushed.
    fn hold(&mut self, at: Option<RemotePath>) -> &mut Receiving {
        let mut above = at.as_ref().and_then(RemotePath::parent);
        let mut is_root = at.is_none();
        while !is_root && !self.held.contains_key(&above) {
            is_root = above.is_none();
            let next = above.as_ref().and_then(RemotePath::parent);
            self.held.insert(above, Receiving::default());
            above = next;
        }
        self.held.entry(at).or_default()
    }

    /// The directory `at`, or the one that stands for it: where what has a name on the way
    /// is no directory, or none to be used, `beside` names one that takes its place.
    pub(super) fn reach_past(
        &mut self,
        at: &RemotePath,
        path: &RemotePath,
        beside: impl Fn(Option<&RemotePath>, &str) -> String,
    ) -> Result<(Arc<OwnedFd>, Option<RemotePath>), Error> {
        let mut here = (None, self.open(None, path)?);
        for name in at.components() {
            let next = self.step(&here, name, Mode::EVERYTHING, path);
            here = next.or_else(|_| {
                let name = beside(here.0.as_ref(), name);
                self.step(&here, &name, Mode::EVERYTHING, path)
            })?;
        }
        let (at, directory) = here;
        self.hold(at.clone()).directory = Some(Arc::clone(&directory));
        Ok((directory, at))
    }

    fn make(
        &mut self,
        at: &RemotePath,
        base: u16,
        path: &RemotePath,
    ) -> Result<Arc<OwnedFd>, Error> {
        let mut here = (None, self.open(None, path)?);
        for (depth, name) in at.components().enumerate() {
            let mode = if depth < usize::from(base) {
                Mode::EVERYTHING
            } else {
                Mode::OWNERS_DIRECTORY
            };
            here = self.step(&here, name, mode, path)?;
        }
        Ok(here.1)
    }

    /// The directory `name` in another, made where it is not there.
    fn step(
        &mut self,
        (above, directory): &(Option<RemotePath>, Arc<OwnedFd>),
        name: &str,
        mode: Mode,
        path: &RemotePath,
    ) -> Result<(Option<RemotePath>, Arc<OwnedFd>), Error> {
        // What it is joined to may have become too long for a name beside.
        let next =
            RemotePath::beneath(above.as_ref(), name).map_err(|_| Error::NotFound(path.clone()))?;
        let is_new = match self.make_in((above.as_ref(), directory), name, mode) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(Error::system(Action::MakeDir, path, errno)),
        };
        if is_new {
            self.made.push(next.clone());
        }
        let opened = self.open_in(directory, Path::new(name), path)?;
        if is_new {
            let stat = self.shared.tree.sys.stat(&opened);
            let stat = stat.map_err(|errno| Error::system(Action::MakeDir, path, errno))?;
            self.shared.made.note(&stat, self.by);
        }
        Ok((Some(next), Arc::new(opened)))
    }

    fn make_in(
        &mut self,
        (above, directory): (Option<&RemotePath>, &OwnedFd),
        name: &str,
        mode: Mode,
    ) -> Result<(), Errno> {
        let sys = &self.shared.tree.sys;
        match sys.make_dir(directory, name, mode) {
            Err(Errno::ACCESS) if self.unlock(above, directory) => {
                sys.make_dir(directory, name, mode)
            }
            other => other,
        }
    }

    /// Lets the owner write to a directory of theirs until the next flush. `false`
    /// where that is not what keeps them from it.
    pub(super) fn unlock(&mut self, at: Option<&RemotePath>, directory: &OwnedFd) -> bool {
        let sys = &self.shared.tree.sys;
        let Ok(stat) = sys.stat(directory) else {
            return false;
        };
        let old = Mode::masked(stat.st_mode);
        let is_ours = stat.st_uid == rustix::process::geteuid().as_raw();
        let new = Mode::masked(old.bits() | Mode::OWNERS_DIRECTORY.bits());
        if !is_ours {
            return false;
        }
        if new == old {
            // Another batch has opened it meanwhile, and shuts it again.
            return true;
        }
        if sys.set_directory_mode(directory, new).is_err() {
            return false;
        }
        self.hold(at.cloned()).restore.get_or_insert(old);
        true
    }

    /// A directory has got the mode that it is to keep.
    pub(super) fn keeps_mode(&mut self, at: &RemotePath) {
        self.hold(Some(at.clone())).restore = None;
    }

    /// Takes back directories that were made for files that failed. What got a file
    /// is not empty, and stays.
    pub(super) fn take_back(&self) {
        for path in self.made.iter().rev() {
            if let Ok(above) = self.open(path.parent().as_ref(), path) {
                let _ = self.shared.tree.sys.remove_dir(&above, path.name());
            }
        }
    }

    /// Flushes and lets go of all. `failed` hears of each whose flush failed: what is
    /// in it, and beneath it, is in place, but not to be called stored.
    pub(super) fn flush(&mut self, mut failed: impl FnMut(Option<&RemotePath>, Errno)) {
        let sys = &self.shared.tree.sys;
        let point = self.point.as_ref().filter(|_| self.held.len() >= MANY);
        let each = match point {
            None => self.shared.durability,
            Some(_) => Durability::None,
        };
        let mut relying = Vec::new();
        for (at, receiving) in self.held.drain() {
            let opened;
            let directory = if let Some(directory) = &receiving.directory {
                Ok(&**directory)
            } else if receiving.restore.is_some() || each == Durability::Batch {
                let name = at.as_ref().map_or(".".as_ref(), RemotePath::as_path);
                opened = sys.open_beneath(&self.shared.tree.root, name, DIRECTORY);
                opened.as_ref().map_err(|errno| *errno)
            } else {
                relying.push(at);
                continue;
            };
            let flushed = directory.and_then(|directory| {
                receiving
                    .restore
                    .map_or(Ok(()), |mode| sys.set_directory_mode(directory, mode))?;
                match each {
                    Durability::Batch => sys.flush_directory(directory),
                    Durability::None => Ok(()),
                }
            });
            match flushed {
                Ok(()) => relying.push(at),
                Err(errno) => failed(at.as_ref(), errno),
            }
        }
        if let Some(Err(errno)) = point.map(|point| point.flush(sys)) {
            for at in &relying {
                failed(at.as_ref(), errno);
            }
        }
    }
}

/// Whether `path` is in or beneath `directory`, or the root.
pub(super) fn is_beneath(path: &RemotePath, directory: Option<&RemotePath>) -> bool {
    directory.is_none_or(|directory| {
        path.as_str()
            .strip_prefix(directory.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    })
}
