//! Making, renaming and removing in a directory of this machine.
//!
//! Whatever is done is done in a parent that was resolved beneath the root and is held
//! meanwhile, and is called done only once every directory whose flush that takes was
//! flushed. For something new these are all up to the root, however old they are: whether
//! whoever made them has flushed their names is nothing to rely on.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::PoisonError;

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::Shared;
use super::checksum_record::Record;
use super::directories::is_beneath;
use super::drop_box::DropBox;
use super::sys::{DIRECTORY, Sys};
use super::tree::file_type;
use super::tree_removal;
use crate::entry::Mode;
use crate::path::RemotePath;
use crate::store::error::{Action, Change, Error};
use crate::store::{Aside, Durability, Parents, Removal};

/// Makes the directory `path`.
pub(super) fn make_dir(
    shared: &Shared,
    drop_box: Option<&DropBox<'_>>,
    path: &RemotePath,
    parents: Parents,
) -> Result<Option<Aside>, Error> {
    if let Some(drop_box) = drop_box {
        return drop_box.make_one(path);
    }
    let made = match (make_one(shared, path), parents) {
        (Err(Error::Taken(_)), Parents::Make) if is_directory(shared, path)? => Ok(()),
        (Err(Error::NotFound(_)), Parents::Make) => make_all(shared, path),
        (other, _) => other,
    };
    made?;
    flush_up(shared, path.parent())
        .map(|()| None)
        .map_err(|errno| unflushed(path, Change::Made, errno))
}

fn make_one(shared: &Shared, path: &RemotePath) -> Result<(), Error> {
    let directory = open_parent(shared, path)?;
    match shared
        .tree
        .sys
        .make_dir(&directory, path.name(), Mode::EVERYTHING)
    {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(Error::Taken(path.clone())),
        Err(errno) => Err(Error::system(Action::MakeThis, path, errno)),
    }
}

/// Makes what is missing down to `path`; if that fails on the way, nothing new stays.
fn make_all(shared: &Shared, path: &RemotePath) -> Result<(), Error> {
    let mut made = Vec::new();
    let result = make_down(shared, path, &mut made);
    if result.is_err() {
        for path in made.iter().rev() {
            if let Ok(directory) = open_parent(shared, path) {
                // One that others have put something into is not empty, and stays.
                let _ = shared.tree.sys.remove_dir(&directory, path.name());
            }
        }
    }
    result
}

fn make_down(shared: &Shared, path: &RemotePath, made: &mut Vec<RemotePath>) -> Result<(), Error> {
    let sys = &shared.tree.sys;
    let mut above = open(shared, None)?;
    let mut at: Option<RemotePath> = None;
    for name in path.components() {
        // The components of a checked path joined again are a checked path.
        let next =
            RemotePath::beneath(at.as_ref(), name).map_err(|_| Error::NotFound(path.clone()))?;
        match sys.make_dir(&above, name, Mode::EVERYTHING) {
            Ok(()) => made.push(next.clone()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::system(Action::MakeThis, &next, errno)),
        }
        above = sys
            .open_beneath(&above, Path::new(name), DIRECTORY)
            .map_err(|errno| not_opened(shared, &next, errno))?;
        at = Some(next);
    }
    Ok(())
}

/// Renames `from` to `to`, where nothing has that name.
pub(super) fn rename(shared: &Shared, from: &RemotePath, to: &RemotePath) -> Result<(), Error> {
    let sys = &shared.tree.sys;
    let source = open_above(shared, from)?;
    // Where the system cannot refuse to replace, a look must do, and until the rename
    // nothing of haul's own may be published under the new name.
    let alone = shared
        .publishing
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let stat = sys
        .stat_in(&source, from.name())
        .map_err(|errno| Error::system(Action::Look, from, errno))?;
    // No link is followed on the way to either, so their spelling decides.
    if file_type(&stat) == FileType::Directory && is_beneath(to, Some(from)) {
        return Err(Error::IntoItself {
            from: from.clone(),
            to: to.clone(),
        });
    }
    let target = open_parent(shared, to)?;
    let on_record = untouched(sys, &source, from);
    match sys.rename_new((&source, from.name()), (&target, to.name())) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(Error::Taken(to.clone())),
        Err(errno) => return Err(Error::system(Action::Rename, from, errno)),
    }
    drop(alone);
    if let Some((file, stat, record)) = on_record {
        // The rename has moved its change time, and is no edit. Where this fails it looks
        // like one, and the name is what was asked for.
        let _ = record.again(&file, Mode::masked(stat.st_mode)).keep(sys);
        shared.follow_nodes(record.checksum, from, to);
    }
    // The new name first: where a file system orders nothing by itself, a power cut
    // between the two leaves both names, and never none.
    flush_up(shared, to.parent())
        .and_then(|()| flush(shared, &source))
        .map_err(|errno| unflushed(to, Change::Renamed, errno))
}

/// A file in a directory that has a record, and was not touched since.
fn untouched(sys: &Sys, within: &OwnedFd, path: &RemotePath) -> Option<(OwnedFd, Stat, Record)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let file = sys.open_in(within, path.name(), flags).ok()?;
    let stat = sys.stat(&file).ok()?;
    let record = Record::of(sys, &file)?;
    let is_file = file_type(&stat) == FileType::RegularFile;
    (is_file && record.is_untouched(&stat)).then_some((file, stat, record))
}

/// Removes what has the name `path`.
pub(super) fn remove(shared: &Shared, path: &RemotePath, removal: Removal) -> Result<(), Error> {
    let sys = &shared.tree.sys;
    let above = open_above(shared, path)?;
    let failed = |errno| Error::system(Action::Remove, path, errno);
    let stat = sys.stat_in(&above, path.name()).map_err(failed)?;
    if file_type(&stat) == FileType::Directory {
        remove_directory(sys, &above, path, removal)?;
    } else {
        let lost = shared.nodes_of((&above, path.name()), &stat);
        sys.unlink(&above, path.name()).map_err(failed)?;
        if let Some(lost) = lost {
            shared.nodes.reconsider(lost);
        }
    }
    // What was beneath it cannot be reached without its name, so no other flush counts.
    flush(shared, &above).map_err(|errno| unflushed(path, Change::Removed, errno))
}

fn remove_directory(
    sys: &Sys,
    above: &OwnedFd,
    path: &RemotePath,
    removal: Removal,
) -> Result<(), Error> {
    match (sys.remove_dir(above, path.name()), removal) {
        (Ok(()), _) => Ok(()),
        // Which of the two is said differs between file systems.
        (Err(Errno::NOTEMPTY | Errno::EXIST), Removal::Single) => {
            Err(Error::NotEmpty(path.clone()))
        }
        (Err(Errno::NOTEMPTY | Errno::EXIST), Removal::Whole) => {
            tree_removal::remove(sys, above, path)
        }
        (Err(errno), _) => Err(Error::system(Action::Remove, path, errno)),
    }
}

fn is_directory(shared: &Shared, path: &RemotePath) -> Result<bool, Error> {
    Ok(file_type(&shared.tree.stat(path)?) == FileType::Directory)
}

/// Opens the directory at a path, or the root.
fn open(shared: &Shared, at: Option<&RemotePath>) -> Result<OwnedFd, Error> {
    let name = at.map_or(".".as_ref(), RemotePath::as_path);
    let opened = shared
        .tree
        .sys
        .open_beneath(&shared.tree.root, name, DIRECTORY);
    opened.map_err(|errno| match at {
        Some(path) => not_opened(shared, path, errno),
        None => Error::Root {
            action: Action::Open,
            path: shared.tree.path.clone(),
            errno,
        },
    })
}

/// Opens the directory that `path` is to be in.
fn open_parent(shared: &Shared, path: &RemotePath) -> Result<OwnedFd, Error> {
    open(shared, path.parent().as_ref())
}

/// Opens the directory that `path` should be in. If that is none, `path` is not there.
fn open_above(shared: &Shared, path: &RemotePath) -> Result<OwnedFd, Error> {
    open_parent(shared, path).map_err(|error| match error {
        Error::NotFound(_) | Error::NotADirectory(_) => Error::NotFound(path.clone()),
        other => other,
    })
}

/// Why a directory could not be opened: where something else stands in its place or above
/// it, what that is. A link at the end is no directory to the system, and named like one
/// further up here.
fn not_opened(shared: &Shared, path: &RemotePath, errno: Errno) -> Error {
    if errno != Errno::NOTDIR {
        return Error::system(Action::Open, path, errno);
    }
    let mut at = path.clone();
    loop {
        match shared.tree.stat(&at).map(|stat| file_type(&stat)) {
            Ok(FileType::Symlink) => return Error::Link(at),
            Ok(_) => return Error::NotADirectory(at),
            Err(Error::NotFound(_)) => match at.parent() {
                Some(parent) => at = parent,
                None => return Error::NotFound(path.clone()),
            },
            Err(error) => return error,
        }
    }
}

/// Flushes every directory from `at` up to the root.
fn flush_up(shared: &Shared, at: Option<RemotePath>) -> Result<(), Errno> {
    let sys = &shared.tree.sys;
    let mut next = Some(at);
    while let Some(at) = next.filter(|_| shared.durability == Durability::Batch) {
        let name = at.as_ref().map_or(".".as_ref(), RemotePath::as_path);
        let directory = sys.open_beneath(&shared.tree.root, name, DIRECTORY)?;
        sys.flush_directory(&directory)?;
        next = at.map(|at| at.parent());
    }
    Ok(())
}

fn flush(shared: &Shared, directory: &OwnedFd) -> Result<(), Errno> {
    match shared.durability {
        Durability::Batch => shared.tree.sys.flush_directory(directory),
        Durability::None => Ok(()),
    }
}

fn unflushed(path: &RemotePath, change: Change, errno: Errno) -> Error {
    Error::Unflushed {
        path: path.clone(),
        change,
        errno,
    }
}
