//! The files of what arrived and is not finished, and the directory that they are in.
//!
//! Whoever writes to one holds its lock: it may be another process, and so it may be
//! another that removes one, or the whole directory while it is empty.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::blocks::Blocks;
use super::partial_label::{Label, noted};
use super::staging_area::{Keeper, failed, find_ours, make, names, open_ours};
use super::sys::DIRECTORY;
use super::tree::{Held, file_type, is_gone, mtime_of, size_of, version_of};
use super::unlocking::Unlocking;
use crate::entry::Version;
use crate::identity::Identity;
use crate::path::RESERVED;
use crate::store::Swept;
use crate::store::error::{Action, Error};

/// The directory of partials, in haul's own.
pub(super) const PARTIAL: &str = "partial";

/// What ends the name of a label.
const OF: &str = ".of";

/// How often the directory is made again that another process has removed.
const ATTEMPTS: usize = 16;

/// Of what something is a part, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partial {
    pub(super) label: Label,
    pub(super) name: String,
}

/// An open file that is being received.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) file: Unlocking,
    /// Where the nodes of its blocks are noted. Whoever puts a file knows them, whoever
    /// fetches one has nobody to ask.
    pub(super) notes: Option<OwnedFd>,
}

/// A part that nobody may have come back for.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) name: String,
    /// What it takes on the disk.
    pub(super) bytes: u64,
}

/// What there is of a partial.
pub(super) enum Found {
    /// A part of it, and which blocks may be there.
    Part(Body, Blocks),
    /// Something that is of something else, or damaged.
    Useless,
    /// Another process receives it, or nobody can tell now what it is.
    Busy,
    Nothing,
}

/// What has the name of a partial is of something else, or damaged.
pub(super) struct Useless;

/// The files of one store's partials.
#[derive(Debug)]
pub(super) struct PartialFiles {
    tree: Arc<Held>,
    keeper: Keeper,
    directory: Mutex<Option<Arc<OwnedFd>>>,
}

impl PartialFiles {
    pub(super) fn new(tree: &Arc<Held>, keeper: &Keeper) -> Self {
        Self {
            tree: Arc::clone(tree),
            keeper: keeper.clone(),
            directory: Mutex::default(),
        }
    }

    /// A part of what has this label.
    pub(super) fn part(&self, label: Label) -> Partial {
        let way = match self.keeper {
            Keeper::Server => "put",
            Keeper::Job(_) => "get",
        };
        let name = label.name(way);
        Partial { label, name }
    }

    fn are_noted(&self) -> bool {
        matches!(self.keeper, Keeper::Job(_))
    }

    fn remember(&self, found: OwnedFd) -> Arc<OwnedFd> {
        let found = Arc::new(found);
        let mut known = self
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::clone(&found));
        found
    }

    /// The directory, if it is there.
    pub(super) fn existing(&self) -> Option<Arc<OwnedFd>> {
        let known = self
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return Some(Arc::clone(known));
        }
        drop(known);
        let ours = find_ours(&self.tree)?;
        let found = self.tree.sys.open_in(&ours, PARTIAL, DIRECTORY).ok()?;
        Some(self.remember(found))
    }

    fn made(&self) -> Result<Arc<OwnedFd>, Error> {
        let tree = &self.tree;
        let ours = open_ours(tree)?;
        make(tree, &ours, PARTIAL)?;
        let found = tree.sys.open_in(&ours, PARTIAL, DIRECTORY);
        Ok(self.remember(found.map_err(|errno| failed(tree, Action::Open, errno))?))
    }

    /// What the disk has of it: how many bytes, if it can be gone on with.
    pub(super) fn stands(&self, of: &Partial) -> Result<Option<u64>, Useless> {
        let Some(directory) = self.existing() else {
            return Ok(None);
        };
        let sys = &self.tree.sys;
        let Ok(stat) = sys.stat_in(&directory, &of.name) else {
            return Ok(None);
        };
        let Ok(label) = Label::read(sys, &directory, &label_name(&of.name)) else {
            return Ok(None);
        };
        if is_whole_of(&stat, of) && label.is_some_and(|(label, _)| label == of.label) {
            return Ok(Some(bytes_of(&stat)));
        }
        Err(Useless)
    }

    /// Takes what an earlier process has left, if nobody else does.
    pub(super) fn find(&self, of: &Partial) -> Found {
        let Some(directory) = self.existing() else {
            return Found::Nothing;
        };
        let sys = &self.tree.sys;
        let flags = OFlags::RDWR | OFlags::NONBLOCK;
        let file = match sys.open_in(&directory, &of.name, flags) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Found::Nothing,
            Err(errno) if is_gone(errno) => return Found::Useless,
            Err(_) => return Found::Busy,
        };
        let Ok(file) = sys.lock(file) else {
            return Found::Busy;
        };
        match sys.stat(&file) {
            // Whoever had the lock has removed it, and another may have its name.
            Ok(stat) if stat.st_nlink == 0 => return Found::Busy,
            Ok(stat) if is_whole_of(&stat, of) => {}
            Ok(_) => return Found::Useless,
            Err(_) => return Found::Busy,
        }
        match Label::read(sys, &directory, &label_name(&of.name)) {
            Ok(Some((label, notes))) if label == of.label => {
                let notes = self.are_noted().then_some(notes);
                let body = Body { file, notes };
                let blocks = self.blocks_of(&body, &of.label);
                blocks.map_or(Found::Busy, |blocks| Found::Part(body, blocks))
            }
            Ok(_) => Found::Useless,
            Err(_) => Found::Busy,
        }
    }

    /// What may be there of a file that another process has written, or somebody else to.
    pub(super) fn blocks_of(&self, body: &Body, label: &Label) -> Result<Blocks, Errno> {
        let count = label.blocks();
        let mut blocks = Blocks::expected(count as u64);
        blocks.track(count);
        let sys = &self.tree.sys;
        match &body.notes {
            Some(notes) => {
                for (number, node) in noted(sys, notes, count)?.into_iter().enumerate() {
                    if let Some(node) = node {
                        blocks.find_noted(number, node);
                    }
                }
            }
            None => {
                for extent in sys.extents(&body.file, label.size)? {
                    blocks.find(label.blocks_in(&extent));
                }
            }
        }
        Ok(blocks)
    }

    /// The version of what this process holds; none where that is no part of it any more.
    pub(super) fn version(&self, body: &Body, of: &Partial) -> Option<Version> {
        let stat = self.tree.sys.stat(&body.file).ok();
        stat.filter(|stat| is_whole_of(stat, of))
            .map(|stat| version_of(&stat))
    }

    /// Makes a new one; none where another process was faster.
    pub(super) fn begin(&self, of: &Partial) -> Result<Option<(Arc<OwnedFd>, Body)>, Error> {
        let mut directory = match self.existing() {
            Some(known) => known,
            None => self.made()?,
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.make(&directory, of) {
                Ok(body) => return Ok(body.map(|body| (directory, body))),
                // Another process has removed the directory, which was empty.
                Err(Errno::NOENT) if attempts < ATTEMPTS => directory = self.made()?,
                Err(errno) => {
                    self.remove(&directory, &of.name);
                    return Err(failed(&self.tree, Action::Stage, errno));
                }
            }
        }
    }

    fn make(&self, directory: &OwnedFd, of: &Partial) -> Result<Option<Body>, Errno> {
        let sys = &self.tree.sys;
        let file = match sys.create(directory, &of.name) {
            Err(Errno::EXIST) => return Ok(None),
            file => file?,
        };
        let Ok(file) = sys.lock(file) else {
            self.remove(directory, &of.name);
            return Ok(None);
        };
        // Whoever looks for what is of no use may have had it before the lock.
        if sys.stat(&file)?.st_nlink == 0 {
            return Ok(None);
        }
        sys.resize(&file, of.label.size)?;
        let beside = label_name(&of.name);
        // One that has lost its file is of no use.
        let _ = sys.unlink(directory, &beside);
        let notes = of.label.write(sys, directory, &beside)?;
        let notes = self.are_noted().then_some(notes);
        Ok(Some(Body { file, notes }))
    }

    /// It is published, or given up: nothing of it is kept.
    pub(super) fn end(&self, directory: &OwnedFd, name: &str, is_named: bool) {
        if is_named {
            self.remove(directory, name);
        } else {
            let _ = self.tree.sys.unlink(directory, label_name(name));
        }
    }

    fn remove(&self, directory: &OwnedFd, name: &str) {
        let _ = self.tree.sys.unlink(directory, name);
        let _ = self.tree.sys.unlink(directory, label_name(name));
    }

    /// Removes one, unless another process receives it. Says whether it is gone.
    pub(super) fn remove_unused(&self, name: &str) -> bool {
        let Some(directory) = self.existing() else {
            return true;
        };
        let sys = &self.tree.sys;
        // Its lock is let go of only when all is removed.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let _locked = match sys
            .open_in(&directory, name, flags)
            .map(|file| sys.lock(file))
        {
            Ok(Ok(locked)) => Some(locked),
            Err(errno) if is_gone(errno) => None,
            Ok(Err(_)) | Err(_) => return false,
        };
        self.remove(&directory, name);
        true
    }

    /// All there are, or all of an identity, those first that were written to the longest ago.
    pub(super) fn oldest(&self, of: Option<&Identity>) -> Vec<Old> {
        let Some(directory) = self.existing() else {
            return Vec::new();
        };
        let sys = &self.tree.sys;
        let files = names(&self.tree, &directory).into_iter();
        let is_for = |by: &Identity, name: &str| {
            let label = Label::read(sys, &directory, &label_name(name));
            matches!(label, Ok(Some((label, _))) if label.is_for(by))
        };
        let look = |name: String| {
            let stat = sys.stat_in(&directory, &name).ok()?;
            let bytes = bytes_of(&stat);
            Some((mtime_of(&stat), Old { name, bytes }))
        };
        let mut all: Vec<_> = files
            .filter(|name| !name.ends_with(OF) && of.is_none_or(|by| is_for(by, name)))
            .filter_map(look)
            .collect();
        all.sort_by_key(|(written, _)| (written.seconds(), written.nanos()));
        all.into_iter().map(|(_, old)| old).collect()
    }

    /// Removes those that were written to for the last time so long ago, and what has no
    /// meaning, unless it is in use. How long a server keeps its own is nothing to a download,
    /// and the other way round.
    pub(super) fn sweep(&self, keep: Duration, is_taken: impl Fn(&str) -> bool) -> Swept {
        let mut swept = Swept::default();
        let Some(directory) = self.existing() else {
            return swept;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let sys = &self.tree.sys;
        let all: HashSet<String> = names(&self.tree, &directory).into_iter().collect();
        for name in &all {
            if let Some(of) = name.strip_suffix(OF) {
                if !all.contains(of) && !is_taken(of) {
                    let _ = sys.unlink(&directory, name);
                }
                continue;
            }
            let Ok(stat) = sys.stat_in(&directory, name) else {
                continue;
            };
            let written = u64::try_from(mtime_of(&stat).seconds()).unwrap_or(0);
            let is_old = now.saturating_sub(written) >= keep.as_secs();
            let goes = match Label::read(sys, &directory, &label_name(name)) {
                Ok(Some((label, _))) => is_old && self.part(label).name == *name,
                Ok(None) => true,
                Err(_) => is_old,
            };
            if goes && !is_taken(name) && self.remove_unused(name) {
                swept.files += 1;
                swept.bytes += bytes_of(&stat);
            }
        }
        self.leave();
        swept
    }

    /// Removes the directory if nothing is in it: it is made again when it is needed.
    fn leave(&self) {
        let mut known = self
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let sys = &self.tree.sys;
        if let Ok(ours) = sys.open_in(&self.tree.root, RESERVED, DIRECTORY) {
            if sys.remove_dir(&ours, PARTIAL).is_ok() {
                *known = None;
            }
            // It stays where something is in it.
            let _ = sys.remove_dir(&self.tree.root, RESERVED);
        }
    }
}

impl Drop for PartialFiles {
    fn drop(&mut self) {
        self.leave();
    }
}

fn label_name(name: &str) -> String {
    format!("{name}{OF}")
}

/// Whether a file can be a part of this: nobody else has a name for it, or could have
/// written to it.
fn is_whole_of(stat: &Stat, of: &Partial) -> bool {
    file_type(stat) == FileType::RegularFile
        && stat.st_nlink == 1
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && size_of(stat) == of.label.size
}

/// What a file takes on the disk.
fn bytes_of(stat: &Stat) -> u64 {
    stat.st_blocks.cast_unsigned().saturating_mul(512)
}
