//! From staged to stored: prove, flush, rename, flush the directories.
//!
//! The order is the promise. A name appears only after its bytes are durable, and
//! a file is called stored only after its name is. What fails before the rename
//! leaves nothing; what fails after it is reported as in place, perhaps not
//! durable, and is neither undone nor called stored.
//!
//! A file's record comes after its bytes and right before its name, as the moment that it
//! tells is that of the rename. It becomes durable with that: a file system with a journal
//! writes what came earlier no later than the flushed directory. Where one does not, a power
//! cut costs the record and nothing else.

use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::Shared;
use super::core::Writer;
use super::directories::{Directories, is_beneath};
use super::drop_box::DropBox;
use super::flush::{Needs, flush_batch};
use super::sealing::{At, Sealed};
use super::staging::LocalStaged;
use super::sys::Sys;
use super::tree::{file_type, mtime_of, size_of, version_of};
use crate::entry::Kind;
use crate::offer::OnExisting;
use crate::path::RemotePath;
use crate::store::error::{Action, Error};
use crate::store::{Aside, Claim, Durability, Published, Staged, Standing};

/// Bytes from which on it takes a while until a file is gone.
const LARGE: u64 = 16 << 20;

/// How often a directory that its owner may not write to is opened for one name.
const ATTEMPTS: usize = 16;

/// One entry of a batch that is proved and ready to be flushed.
struct Ready {
    /// Its place in the batch.
    place: usize,
    staged: Arc<LocalStaged>,
    sealed: Sealed,
    name: String,
    /// Where it is, if not under the name that was asked for.
    aside: Option<Aside>,
}

/// Publishes a batch; the answers are in its order.
pub(super) fn commit(
    shared: &Shared,
    writer: Writer<'_>,
    batch: Vec<(Arc<LocalStaged>, Claim)>,
) -> Vec<Result<Published, Error>> {
    let drop_box = DropBox::of(shared, writer.by, writer.telling);
    let mut results: Vec<Option<Result<Published, Error>>> = Vec::new();
    results.resize_with(batch.len(), || None);
    let mut ready = Vec::new();
    for (place, (staged, claim)) in batch.into_iter().enumerate() {
        let sealed = match &drop_box {
            // It was held against what is there while whoever sends it could see that.
            Some(_) if staged.standing() != Standing::Absent => Err(Error::NotAllowed("read")),
            _ => staged.seal(&claim, writer.touching),
        };
        match sealed {
            Ok(sealed) => ready.push(Ready {
                place,
                name: staged.name(),
                staged,
                sealed,
                aside: None,
            }),
            Err(error) => results[place] = Some(Err(error)),
        }
    }
    if let Err(errno) = flush_data(shared, &ready) {
        for entry in ready.drain(..) {
            results[entry.place] = Some(Err(Error::Flush(errno)));
        }
    }
    let mut directories = Directories::new(shared, writer.by);
    let mut relying = Vec::new();
    for mut entry in ready {
        let placed = match &drop_box {
            None => place_with_nodes(shared, &mut directories, &entry).map(|()| None),
            Some(drop_box) => {
                let placed = drop_box.place(&mut directories, &entry.staged, &entry.sealed);
                // Only now is it known under which name, which nobody replaces.
                placed.inspect(|aside| {
                    let asked = &entry.staged.entry().path;
                    let stored = aside.as_ref().map_or(asked, |aside| &aside.stored);
                    entry.staged.keep_nodes(stored);
                })
            }
        };
        if placed.is_err() {
            // On a full disk, what it has taken is what the next one lacks.
            entry.sealed.file = None;
            entry.staged.give_up_name();
        }
        results[entry.place] = Some(placed.map(|aside| {
            entry.aside.clone_from(&aside);
            Published {
                checksum: entry.sealed.checksum,
                aside,
                replaced: entry
                    .staged
                    .has_replaced()
                    .map(|file| shared.leaving.expect(file)),
            }
        }));
        relying.push(entry);
        if directories.are_many() {
            flush_names(&mut directories, &mut relying, &mut results);
        }
    }
    if results.iter().any(|result| matches!(result, Some(Err(_)))) {
        directories.take_back();
    }
    flush_names(&mut directories, &mut relying, &mut results);
    results
        .into_iter()
        .map(|result| result.unwrap_or(Err(Error::NoStaging)))
        .collect()
}

fn flush_data(shared: &Shared, ready: &[Ready]) -> Result<(), Errno> {
    if shared.durability == Durability::None {
        return Ok(());
    }
    let needs: Vec<Needs<'_>> = ready
        .iter()
        // A link's text is written with the directory that names it.
        .filter(|ready| !matches!(ready.staged.entry().kind, Kind::Link(_)))
        .map(|ready| match (&ready.sealed.file, ready.sealed.at) {
            (Some(file), At::Staging) if ready.staged.is_large() => Needs::Own(file),
            (file, _) => Needs::Covered {
                file: file.as_ref(),
                directory: ready.staged.directory(),
                name: &ready.name,
                point: &ready.staged.flush,
            },
        })
        .collect();
    flush_batch(&shared.tree.sys, &needs, shared.reporting)
}

/// Flushes the directories. What relies on one that could not be flushed is in place,
/// but is not called stored.
fn flush_names(
    directories: &mut Directories<'_>,
    relying: &mut Vec<Ready>,
    results: &mut [Option<Result<Published, Error>>],
) {
    directories.flush(|at, errno| {
        for entry in relying.iter() {
            let asked = &entry.staged.entry().path;
            let path = entry.aside.as_ref().map_or(asked, |aside| &aside.stored);
            if is_beneath(path, at) && matches!(results[entry.place], Some(Ok(_))) {
                let path = asked.clone();
                results[entry.place] = Some(Err(Error::PerhapsNotDurable { path, errno }));
            }
        }
    });
    relying.clear();
}

/// Gives what was flushed its name, once its nodes are kept: whoever replaces it then finds
/// those that are to go with it.
fn place_with_nodes(
    shared: &Shared,
    directories: &mut Directories<'_>,
    ready: &Ready,
) -> Result<(), Error> {
    let is_new = ready.sealed.at == At::Staging;
    let keep = || ready.staged.keep_nodes(&ready.staged.entry().path);
    let kept = is_new.then(keep).flatten();
    let placed = place(shared, directories, ready);
    if let (Err(_), Some(checksum)) = (&placed, kept) {
        shared.nodes.reconsider(checksum);
    }
    placed
}

/// Gives what was flushed its name.
fn place(shared: &Shared, directories: &mut Directories<'_>, ready: &Ready) -> Result<(), Error> {
    let entry = ready.staged.entry();
    let parent = entry.path.parent();
    let base = ready.staged.base();
    let attempt = |directories: &mut Directories<'_>| {
        let directory = directories.reach(parent.as_ref(), base, &entry.path)?;
        if ready.sealed.at == At::Home {
            // Its name may be as young as its bytes were: both are vouched for.
            return Ok(());
        }
        unlocked(directories, parent.as_ref(), &directory, || {
            let name = || give_name(shared, ready, &directory);
            ready.staged.record(&ready.sealed, name)
        })
    };
    match attempt(directories) {
        // Another batch had made the directory, and took it back with what failed there.
        Err(Error::NotFound(_)) => {
            directories.forget(parent.as_ref());
            attempt(directories)
        }
        placed => placed,
    }
}

/// Does something in a directory, which its owner may not be allowed to write to for now.
pub(super) fn unlocked(
    directories: &mut Directories<'_>,
    at: Option<&RemotePath>,
    directory: &OwnedFd,
    what: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        match what() {
            // Another batch may shut the directory again before this one is done.
            Err(Error::System {
                errno: Errno::ACCESS,
                ..
            }) if directories.unlock(at, directory) => {}
            other => return other,
        }
    }
    what()
}

fn give_name(shared: &Shared, ready: &Ready, directory: &OwnedFd) -> Result<(), Error> {
    let path = &ready.staged.entry().path;
    let from = (ready.staged.directory(), ready.name.as_str());
    let to = (directory, path.name());
    let sys = &shared.tree.sys;
    // Only haul's own puts are kept apart by this; what another local process does
    // between the look and the rename is out of reach.
    let _alone = shared
        .publishing
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let mut lost = None;
    let renamed = match may_replace(sys, to, &ready.staged) {
        Ok(Some(stat)) => {
            lost = shared.nodes_of(to, &stat);
            if size_of(&stat) >= LARGE {
                // Held, it gives its space back once nobody waits any more.
                ready.staged.replaced();
            }
            sys.publish_over(from, to)
        }
        Ok(None) => sys.publish_new(from, to),
        Err(Error::Exists(_)) => Err(Errno::EXIST),
        Err(error) => return Err(error),
    };
    match renamed {
        Ok(()) => {
            ready.staged.was_renamed();
            if let Some(lost) = lost {
                shared.nodes.reconsider(lost);
            }
            Ok(())
        }
        // The very same: put by an earlier commit whose receipt was lost.
        Err(Errno::EXIST) if is_the_same(shared, ready) => Ok(()),
        Err(Errno::EXIST) => Err(Error::Exists(path.clone())),
        Err(errno) => Err(Error::system(Action::Publish, path, errno)),
    }
}

/// Whether what has the name meanwhile is what was to get it, by its own record.
fn is_the_same(shared: &Shared, ready: &Ready) -> bool {
    let entry = ready.staged.entry();
    if let Kind::Link(target) = &entry.kind {
        let there = shared.tree.link_target(&entry.path);
        return there.is_ok_and(|there| there == *target);
    }
    let Ok((file, stat)) = shared.tree.open_file(&entry.path) else {
        return false;
    };
    let proved = ready.sealed.checksum;
    let equal = size_of(&stat) == entry.size() && mtime_of(&stat) == entry.mtime;
    equal && proved.is_some() && shared.tree.untouched(&file, &stat) == proved
}

/// What there is that the policy allows to replace: any of its kind, or the one that was
/// judged at the offer, unchanged since.
fn may_replace(
    sys: &Sys,
    (directory, name): (&OwnedFd, &str),
    staged: &LocalStaged,
) -> Result<Option<Stat>, Error> {
    let path = &staged.entry().path;
    let judged = match (staged.on_existing(), staged.standing()) {
        (OnExisting::Replace, _) => None,
        (OnExisting::ReplaceVersion(version), _)
        | (_, Standing::Replaces(version) | Standing::SameIf(version, _)) => Some(version),
        _ => return Ok(None),
    };
    let kind = match staged.entry().kind {
        Kind::File(_) => FileType::RegularFile,
        Kind::Dir => FileType::Directory,
        Kind::Link(_) => FileType::Symlink,
    };
    match sys.stat_in(directory, name) {
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::system(Action::Look, path, errno)),
        Ok(stat) if file_type(&stat) != kind => Err(Error::Occupied(path.clone())),
        Ok(stat) if judged.is_some_and(|judged| version_of(&stat) != judged) => {
            Err(Error::Exists(path.clone()))
        }
        Ok(stat) => Ok(Some(stat)),
    }
}
