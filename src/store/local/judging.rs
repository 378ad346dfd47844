//! How what is offered stands against what exists.
//!
//! Size and modification time decide, as rsync has it. Where only the time differs
//! the checksums do: the one on record, or, for a file that came here by other means
//! or was touched since, one that is computed now. A record holds for a size and a time: where
//! those are in doubt themselves, it is no witness, and the file is read.

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::tree::{Held, file_type, mtime_of, size_of, version_of};
use super::within::Within;
use crate::content::{Algorithm, Checksum, Pass};
use crate::entry::{Entry, Kind, LinkTarget, Version};
use crate::offer::{Compare, OnExisting, Terms};
use crate::path::RemotePath;
use crate::store::error::{Action, Error};
use crate::store::{Standing, Telling};

/// Bytes of a file that are read at once to hash it in order.
pub(super) const AT_ONCE: usize = 1 << 20;

/// How often a file is judged anew that is replaced while it is read.
const ATTEMPTS: usize = 4;

/// Judges one entry after the other. Those of one directory share a look for it.
pub(super) struct Judge<'t> {
    tree: &'t Held,
    telling: Telling,
    /// The directory that the last one was in, and what was found there.
    last: Option<(Option<RemotePath>, Found)>,
}

/// What has the name of a directory.
enum Found {
    Directory(Within),
    /// Nothing, and what there is above it are directories.
    Nothing,
}

impl<'t> Judge<'t> {
    /// Judges what is offered to `tree`.
    pub(super) fn new(tree: &'t Held, telling: Telling) -> Self {
        Self {
            tree,
            telling,
            last: None,
        }
    }

    /// Says how `entry` stands, and refuses what the terms do not allow.
    pub(super) fn judge(&mut self, entry: &Entry, terms: Terms) -> Result<Standing, Error> {
        for _ in 1..ATTEMPTS {
            match self.judge_once(entry, terms) {
                // Perhaps by an earlier commit of the very same, whose receipt was lost.
                Err(Error::Changed(_)) => {}
                other => return other,
            }
        }
        self.judge_once(entry, terms)
    }

    fn judge_once(&mut self, entry: &Entry, terms: Terms) -> Result<Standing, Error> {
        if let Kind::Link(target) = &entry.kind
            && !target.stays_within(entry.depth())
        {
            return Err(Error::LeadsOut(entry.path.clone()));
        }
        if self.telling == Telling::Nothing {
            return Ok(Standing::Absent);
        }
        match self.look(&entry.path)? {
            None => Ok(Standing::Absent),
            Some(stat) => judge_existing(self.tree, entry, terms, &stat),
        }
    }

    /// What has the name, if anything has.
    fn look(&mut self, path: &RemotePath) -> Result<Option<Stat>, Error> {
        let parent = path.parent();
        let found = match self.last.take() {
            Some((at, found)) if at == parent => found,
            _ => self.find(parent.as_ref(), path)?,
        };
        let stat = match &found {
            Found::Nothing => None,
            Found::Directory(within) => match within.stat(self.tree, path) {
                Err(Error::NotFound(_)) => None,
                other => Some(other?),
            },
        };
        self.last = Some((parent, found));
        Ok(stat)
    }

    fn find(&self, parent: Option<&RemotePath>, path: &RemotePath) -> Result<Found, Error> {
        match Within::open(self.tree, parent) {
            Ok(within) => Ok(Found::Directory(within)),
            // What should be a directory on the way may be a file.
            Err(Errno::NOENT | Errno::NOTDIR) => {
                are_directories(self.tree, path).map(|()| Found::Nothing)
            }
            Err(errno) => Err(Error::system(Action::Look, path, errno)),
        }
    }
}

fn judge_existing(
    tree: &Held,
    entry: &Entry,
    terms: Terms,
    stat: &Stat,
) -> Result<Standing, Error> {
    let path = &entry.path;
    match (&entry.kind, file_type(stat)) {
        (Kind::File(_), FileType::RegularFile) => judge_file(tree, entry, terms, stat),
        (Kind::Dir, FileType::Directory) => Ok(Standing::Same(version_of(stat))),
        (Kind::Link(target), FileType::Symlink) => judge_link(tree, entry, target, terms.on, stat),
        _ => Err(Error::Occupied(path.clone())),
    }
}

/// Refuses a path on which something else than a directory stands.
fn are_directories(tree: &Held, path: &RemotePath) -> Result<(), Error> {
    let mut above = path.parent();
    while let Some(directory) = above {
        match tree.stat(&directory) {
            Ok(stat) if file_type(&stat) == FileType::Directory => break,
            Ok(_) => return Err(Error::Occupied(path.clone())),
            Err(Error::NotFound(_)) => above = directory.parent(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn judge_file(tree: &Held, entry: &Entry, terms: Terms, stat: &Stat) -> Result<Standing, Error> {
    let there = version_of(stat);
    if matches!(terms.on, OnExisting::ReplaceVersion(expected) if expected != there) {
        return Err(Error::Exists(entry.path.clone()));
    }
    let is_as_long = size_of(stat) == entry.size();
    if is_as_long && mtime_of(stat) == entry.mtime && terms.compare == Compare::Quick {
        return Ok(Standing::Same(there));
    }
    let replaces = may_replace(entry, terms.on, stat);
    if !is_as_long || matches!(replaces, Err(Error::Newer(_))) {
        return replaces.map(|()| Standing::Replaces(there));
    }
    match checksum_of(tree, &entry.path, terms.compare) {
        // What the disk does not give any more is not the same, whatever is offered.
        Err(error) if error.is_of_the_disk() && replaces.is_ok() => Ok(Standing::Replaces(there)),
        other => other.map(|(version, checksum)| Standing::SameIf(version, checksum)),
    }
}

fn judge_link(
    tree: &Held,
    entry: &Entry,
    target: &LinkTarget,
    on: OnExisting,
    stat: &Stat,
) -> Result<Standing, Error> {
    let there = version_of(stat);
    if tree.link_target(&entry.path)? == *target {
        return Ok(Standing::Same(there));
    }
    may_replace(entry, on, stat).map(|()| Standing::Replaces(there))
}

fn may_replace(entry: &Entry, on: OnExisting, stat: &Stat) -> Result<(), Error> {
    let path = &entry.path;
    match on {
        OnExisting::IfNewer if entry.mtime <= mtime_of(stat) => Err(Error::Newer(path.clone())),
        OnExisting::Refuse => Err(Error::Exists(path.clone())),
        OnExisting::ReplaceVersion(expected) if expected != version_of(stat) => {
            Err(Error::Exists(path.clone()))
        }
        OnExisting::IfNewer | OnExisting::Replace | OnExisting::ReplaceVersion(_) => Ok(()),
    }
}

/// A file's version, and the checksum of that very version.
fn checksum_of(
    tree: &Held,
    path: &RemotePath,
    compare: Compare,
) -> Result<(Version, Checksum), Error> {
    let (file, stat) = tree.open_file(path)?;
    let version = version_of(&stat);
    let recorded = || tree.untouched(&file, &stat);
    if let Some(recorded) = compare.is_quick().then(recorded).flatten() {
        return Ok((version, recorded));
    }
    let mut pass = Pass::new(Algorithm::Blake3);
    let mut buffer = vec![0; AT_ONCE.min(size_of(&stat).max(1) as usize)];
    let mut offset = 0;
    loop {
        let n = tree
            .sys
            .read_at(&file, &mut buffer, offset)
            .map_err(|errno| Error::system(Action::Read, path, errno))?;
        if n == 0 {
            break;
        }
        pass.update(&buffer[..n]);
        offset += n as u64;
    }
    let after = tree
        .sys
        .stat(&file)
        .map_err(|errno| Error::system(Action::Look, path, errno))?;
    if version_of(&after) == version {
        Ok((version, pass.finish()))
    } else {
        Err(Error::Changed(path.clone()))
    }
}
