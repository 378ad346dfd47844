//! From staged to stored: prove, flush, rename, flush the directories.
//!
//! The order is the promise. A name appears only after its bytes are durable, and
//! a file is called stored only after its name is. What fails before the rename
//! leaves nothing; what fails after it is reported as in place, perhaps not
//! durable, and is neither undone nor called stored.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::Shared;
use super::flush::{Needs, flush_batch};
use super::staging::LocalStaged;
use super::sys::{DIRECTORY, Sys};
use super::tree::{Held, file_type, mtime_of, size_of, version_of};
use crate::content::Checksum;
use crate::offer::OnExisting;
use crate::path::RemotePath;
use crate::store::error::{Action, Error};
use crate::store::{Claim, Durability, Published, Staged, Standing};

/// Directories that are held open during one batch.
const HELD_MAX: usize = 64;

/// One file of a batch that is proved and ready to be flushed.
struct Ready {
    /// Its place in the batch.
    place: usize,
    staged: Arc<LocalStaged>,
    /// The descriptor that saw its writes; for what is here already, the file itself.
    file: Option<OwnedFd>,
    name: String,
    checksum: Option<Checksum>,
}

impl Ready {
    /// Whether a flush of the whole file system may stand for its own.
    fn is_small(&self) -> bool {
        matches!(self.staged.standing(), Standing::Same(_)) || self.staged.is_single()
    }
}

/// Publishes a batch; the answers are in its order.
pub(super) fn commit(
    shared: &Shared,
    batch: Vec<(Arc<LocalStaged>, Claim)>,
) -> Vec<Result<Published, Error>> {
    let mut results: Vec<Option<Result<Published, Error>>> = Vec::new();
    results.resize_with(batch.len(), || None);
    let mut ready = Vec::new();
    for (place, (staged, claim)) in batch.into_iter().enumerate() {
        match prove(shared, place, staged, &claim) {
            Ok(file) => ready.push(file),
            Err(error) => results[place] = Some(Err(error)),
        }
    }
    if let Err(errno) = flush_data(shared, &ready) {
        for file in ready.drain(..) {
            results[file.place] = Some(Err(Error::Flush(errno)));
        }
    }
    let mut directories = Directories::new(&shared.tree);
    for file in ready {
        let placed = place(shared, &mut directories, &file);
        results[file.place] = Some(placed.map(|()| Published {
            checksum: file.checksum,
        }));
        if directories.are_many() {
            directories.flush(shared, &mut results);
        }
    }
    if results.iter().any(|result| matches!(result, Some(Err(_)))) {
        directories.take_back();
    }
    directories.flush(shared, &mut results);
    results
        .into_iter()
        .map(|result| result.unwrap_or(Err(Error::NoStaging)))
        .collect()
}

fn prove(
    shared: &Shared,
    place: usize,
    staged: Arc<LocalStaged>,
    claim: &Claim,
) -> Result<Ready, Error> {
    let name = staged.name();
    if let Standing::Same(version) = staged.standing() {
        let path = &staged.entry().path;
        let (file, stat) = shared.tree.open_file(path)?;
        if version_of(&stat) != version {
            return Err(Error::Changed(path.clone()));
        }
        let checksum = shared.tree.recorded(&file, &stat);
        return Ok(Ready {
            place,
            file: Some(file),
            name,
            checksum,
            staged,
        });
    }
    let (file, whole) = staged.seal(claim)?;
    Ok(Ready {
        place,
        file,
        name,
        checksum: Some(whole),
        staged,
    })
}

fn flush_data(shared: &Shared, ready: &[Ready]) -> Result<(), Errno> {
    if shared.durability == Durability::None {
        return Ok(());
    }
    let needs: Vec<Needs<'_>> = ready
        .iter()
        .map(|ready| match &ready.file {
            Some(file) if !ready.is_small() => Needs::Own(file),
            file => Needs::Covered {
                file: file.as_ref(),
                directory: &ready.staged.area.directory,
                name: &ready.name,
                point: &ready.staged.flush,
            },
        })
        .collect();
    flush_batch(&shared.tree.sys, &needs, shared.reporting)
}

/// Gives a flushed file its name.
fn place(shared: &Shared, directories: &mut Directories<'_>, ready: &Ready) -> Result<(), Error> {
    let entry = ready.staged.entry();
    if matches!(ready.staged.standing(), Standing::Same(_)) {
        // Its name may be as young as its bytes were: both are vouched for.
        return directories.of(&entry.path, ready.place).map(drop);
    }
    let directory = directories.of(&entry.path, ready.place)?;
    let from = (&ready.staged.area.directory, ready.name.as_str());
    let to = (&*directory, entry.path.name());
    let sys = &shared.tree.sys;
    // Only haul's own puts are kept apart by this; what another local process does
    // between the look and the rename is out of reach.
    let _alone = shared
        .publishing
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let renamed = if may_replace(sys, to, &ready.staged)? {
        sys.publish_over(from, to)
    } else {
        sys.publish_new(from, to)
    };
    match renamed {
        Ok(()) => {
            ready.staged.was_renamed();
            Ok(())
        }
        // The very same file: put by an earlier commit whose receipt was lost.
        Err(Errno::EXIST) if is_the_same(shared, ready) => Ok(()),
        Err(Errno::EXIST) => Err(Error::Exists(entry.path.clone())),
        Err(errno) => Err(Error::system(Action::Publish, &entry.path, errno)),
    }
}

/// Whether what has the name meanwhile is what was to get it, by its own record.
fn is_the_same(shared: &Shared, ready: &Ready) -> bool {
    let entry = ready.staged.entry();
    let Ok((file, stat)) = shared.tree.open_file(&entry.path) else {
        return false;
    };
    let equal = size_of(&stat) == entry.size() && mtime_of(&stat) == entry.mtime;
    equal && ready.checksum.is_some() && shared.tree.recorded(&file, &stat) == ready.checksum
}

/// Whether there is a file that the policy allows to replace: any, or the one that was
/// judged at the offer, unchanged since.
fn may_replace(
    sys: &Sys,
    (directory, name): (&OwnedFd, &str),
    staged: &LocalStaged,
) -> Result<bool, Error> {
    let path = &staged.entry().path;
    let judged = match (staged.on_existing(), staged.standing()) {
        (OnExisting::Replace, _) => None,
        (_, Standing::Replaces(version)) => Some(version),
        _ => return Ok(false),
    };
    match sys.stat_in(directory, name) {
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::system(Action::Look, path, errno)),
        Ok(stat) if file_type(&stat) != FileType::RegularFile => Err(Error::Occupied(path.clone())),
        Ok(stat) if judged.is_some_and(|judged| version_of(&stat) != judged) => {
            Err(Error::Exists(path.clone()))
        }
        Ok(_) => Ok(true),
    }
}

/// The directories that a batch publishes into.
struct Directories<'s> {
    tree: &'s Held,
    held: HashMap<Option<RemotePath>, Receiving>,
    /// Those that were made for this batch, outermost first.
    made: Vec<RemotePath>,
}

/// One directory, and which files of the batch rely on its flush.
struct Receiving {
    /// Held where files are published into it. One that is only above such a one is
    /// opened for its flush: a deep path has more of them than there are descriptors.
    directory: Option<Arc<OwnedFd>>,
    relying: Vec<(usize, RemotePath)>,
}

impl<'s> Directories<'s> {
    fn new(tree: &'s Held) -> Self {
        Self {
            tree,
            held: HashMap::new(),
            made: Vec::new(),
        }
    }

    fn are_many(&self) -> bool {
        let held = self.held.values().filter(|r| r.directory.is_some());
        held.count() >= HELD_MAX
    }

    /// The directory of `path`, made with all above it where it is not there.
    ///
    /// The file at `place` relies on the flush of every directory from its own up to
    /// the root: any of them may be so young, made by this batch, by another, or by
    /// one whose flush failed, that its name is not durable yet.
    fn of(&mut self, path: &RemotePath, place: usize) -> Result<Arc<OwnedFd>, Error> {
        let parent = path.parent();
        let directory = match self.open(parent.as_ref(), path) {
            Err(Error::NotFound(_)) => self.make(path)?,
            other => other?,
        };
        let receiving = self.rely(parent.clone(), (place, path.clone()));
        receiving.directory = Some(Arc::clone(&directory));
        let mut below = parent;
        while let Some(directory) = below {
            below = directory.parent();
            self.rely(below.clone(), (place, path.clone()));
        }
        Ok(directory)
    }

    /// Resolves a directory anew beneath the root, or takes the one this batch resolved.
    fn open(&self, at: Option<&RemotePath>, path: &RemotePath) -> Result<Arc<OwnedFd>, Error> {
        let known = self.held.get(&at.cloned());
        if let Some(directory) = known.and_then(|known| known.directory.as_ref()) {
            return Ok(Arc::clone(directory));
        }
        let name = at.map_or(".".as_ref(), RemotePath::as_path);
        match self.tree.sys.open_beneath(&self.tree.root, name, DIRECTORY) {
            Ok(directory) => Ok(Arc::new(directory)),
            Err(Errno::NOTDIR) => Err(Error::Occupied(path.clone())),
            Err(errno) => Err(Error::system(Action::Open, path, errno)),
        }
    }

    /// Makes what is missing above `path`, private until its sender says otherwise.
    fn make(&mut self, path: &RemotePath) -> Result<Arc<OwnedFd>, Error> {
        let mut above: Option<RemotePath> = None;
        let mut directory = self.open(None, path)?;
        let names: Vec<&str> = path.components().collect();
        for name in &names[..names.len() - 1] {
            let made = match self.tree.sys.make_dir(&directory, name) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(Error::system(Action::MakeDir, path, errno)),
            };
            // The components of a checked path joined again are a checked path.
            let next = RemotePath::beneath(above.as_ref(), name)
                .map_err(|_| Error::NotFound(path.clone()))?;
            if made {
                self.made.push(next.clone());
            }
            directory = self.open(Some(&next), path)?;
            above = Some(next);
        }
        Ok(directory)
    }

    fn rely(&mut self, at: Option<RemotePath>, file: (usize, RemotePath)) -> &mut Receiving {
        let receiving = self.held.entry(at).or_insert_with(|| Receiving {
            directory: None,
            relying: Vec::new(),
        });
        receiving.relying.push(file);
        receiving
    }

    /// Takes back directories that were made for files that failed. What got a file
    /// is not empty, and stays.
    fn take_back(&self) {
        for path in self.made.iter().rev() {
            if let Ok(above) = self.open(path.parent().as_ref(), path) {
                let _ = self.tree.sys.remove_dir(&above, path.name());
            }
        }
    }

    /// Flushes and lets go of all. A file that relies on a flush that failed is in
    /// place, but is not called stored.
    fn flush(&mut self, shared: &Shared, results: &mut [Option<Result<Published, Error>>]) {
        let sys = &self.tree.sys;
        for (at, receiving) in self.held.drain() {
            if shared.durability == Durability::None {
                continue;
            }
            let flushed = if let Some(directory) = &receiving.directory {
                sys.flush_directory(directory)
            } else {
                let name = at.as_ref().map_or(".".as_ref(), RemotePath::as_path);
                sys.open_beneath(&self.tree.root, name, DIRECTORY)
                    .and_then(|directory| sys.flush_directory(&directory))
            };
            if let Err(errno) = flushed {
                for (place, path) in receiving.relying {
                    if matches!(results[place], Some(Ok(_))) {
                        results[place] = Some(Err(Error::PerhapsNotDurable { path, errno }));
                    }
                }
            }
        }
    }
}
