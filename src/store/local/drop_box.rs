//! Storing for somebody who is to learn nothing of what is there.
//!
//! Whoever writes and does not read could ask for one name after the other, and tell from
//! the answers which are taken, by what, and whether the bytes are theirs. So nothing is
//! looked up when they offer, and what is in the way of a name never keeps them from
//! storing: what they sent gets a name beside the taken one, with a suffix that nobody can
//! foresee. One that could be would be taken beforehand, and a search for a free one would
//! take longer the more there are.
//!
//! Directories that are there are used and not changed. Where something else has the name
//! of one, another takes its place, and is found again by the next put of the same
//! identity: what belongs together stays together.

use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::Shared;
use super::directories::Directories;
use super::publish::unlocked;
use super::sealing::Sealed;
use super::settling;
use super::staging::LocalStaged;
use super::staging_area::Area;
use crate::entry::Mode;
use crate::identity::Identity;
use crate::path::{COMPONENT_MAX, RemotePath};
use crate::store::error::{Action, Change, Error};
use crate::store::{Aside, Durability, Staged, Telling};

/// Names that are tried in one directory: the one that was asked for, and two beside it. The
/// second of these is needed where something has the first by chance, once in 2^64.
const ATTEMPTS: usize = 3;

/// All components are the destination's own: what is made has the usual mode, as the one
/// that is offered may be meant for something that was there before.
const ALL: u16 = u16::MAX;

/// A store on behalf of somebody who is told nothing.
pub(super) struct DropBox<'s> {
    shared: &'s Shared,
    by: &'s Identity,
}

impl<'s> DropBox<'s> {
    /// One for what this identity stores, if it is told nothing.
    pub(super) fn of(shared: &'s Shared, by: &'s Identity, telling: Telling) -> Option<Self> {
        (telling == Telling::Nothing).then_some(Self { shared, by })
    }

    /// Gives what was flushed the name that was asked for or, whatever keeps it from that,
    /// another one.
    ///
    /// # Errors
    ///
    /// What keeps it even from a new name in the root.
    pub(super) fn place(
        &self,
        directories: &mut Directories<'_>,
        staged: &LocalStaged,
        sealed: &Sealed,
    ) -> Result<Option<Aside>, Error> {
        let asked = &staged.entry().path;
        let within = self.reach(directories, asked.parent().as_ref(), asked);
        let first = asked.name().to_owned();
        let what = (staged, sealed);
        let placed = within.and_then(|at| self.give_name(directories, what, at, first));
        let placed = placed.or_else(|_| {
            let root = directories.reach(None, ALL, asked)?;
            let first = beside(asked.name(), random(asked)?);
            self.give_name(directories, what, (root, None), first)
        });
        placed.map(|stored| aside(asked, stored))
    }

    /// Makes directories that are not there; the answers are in the order of `paths`.
    pub(super) fn make(&self, paths: &[&RemotePath]) -> Vec<Result<Option<Aside>, Error>> {
        let area = match self.shared.area() {
            Ok(area) => area,
            Err(error) => {
                // Where the root is on this machine is told to nobody either.
                let errno = match error {
                    Error::Root { errno, .. } => errno,
                    _ => Errno::ACCESS,
                };
                let failed = |path: &&RemotePath| Error::system(Action::MakeThis, path, errno);
                return paths.iter().map(|path| Err(failed(path))).collect();
            }
        };
        let flush = || match self.shared.durability {
            Durability::Batch => self.shared.tree.sys.flush_directory(&area.directory),
            Durability::None => Ok(()),
        };
        settling::each((self.shared, self.by), paths, flush, |held, at| {
            let asked = paths[at];
            self.stir(&area)
                .map_err(|errno| Error::system(Action::MakeThis, asked, errno))?;
            let made = self.reach(held, Some(asked), asked).or_else(|_| {
                let name = beside(asked.name(), random(asked)?);
                let at = RemotePath::beneath(None, &name).ok();
                let directory = held.reach(at.as_ref(), ALL, asked)?;
                Ok((directory, at))
            });
            made.map(|(_, at)| aside(asked, at.unwrap_or_else(|| asked.clone())))
        })
    }

    /// Makes one directory.
    pub(super) fn make_one(&self, path: &RemotePath) -> Result<Option<Aside>, Error> {
        let made = self.make(&[path]).pop().unwrap_or(Ok(None));
        made.map_err(|error| match error {
            Error::PerhapsNotDurable { path, errno } => Error::Unflushed {
                path,
                change: Change::Made,
                errno,
            },
            other => other,
        })
    }

    /// Makes and removes a directory where nobody sees it. With that there is always
    /// something to be flushed, and no room where there is none: what is there already
    /// takes as long, and fails as well, as what has to be made.
    fn stir(&self, area: &Area) -> Result<(), Errno> {
        let sys = &self.shared.tree.sys;
        let name = format!("{:x}", area.next_name());
        sys.make_dir(&area.directory, &name, Mode::OWNERS_DIRECTORY)?;
        sys.remove_dir(&area.directory, &name)
    }

    /// The directory `at`, or the one that stands for it, and its name.
    fn reach(
        &self,
        directories: &mut Directories<'_>,
        at: Option<&RemotePath>,
        path: &RemotePath,
    ) -> Result<(Arc<OwnedFd>, Option<RemotePath>), Error> {
        match (directories.reach(at, ALL, path), at) {
            (Err(_), Some(at)) => directories.reach_past(at, path, |above, name| {
                beside(name, self.standing_for(above, name))
            }),
            (reached, at) => Ok((reached?, at.cloned())),
        }
    }

    /// Renames what is staged to `first` or, where that is taken, to a name beside it.
    fn give_name(
        &self,
        directories: &mut Directories<'_>,
        (staged, sealed): (&LocalStaged, &Sealed),
        (directory, at): (Arc<OwnedFd>, Option<RemotePath>),
        first: String,
    ) -> Result<RemotePath, Error> {
        let asked = &staged.entry().path;
        let mut name = first;
        for _ in 0..ATTEMPTS {
            let path = RemotePath::beneath(at.as_ref(), &name)
                .map_err(|_| Error::NotFound(asked.clone()))?;
            let rename = || staged.record(sealed, || self.rename(staged, &directory, &name));
            match unlocked(directories, at.as_ref(), &directory, rename) {
                Err(Error::Taken(_)) => name = beside(asked.name(), random(asked)?),
                other => return other.map(|()| path),
            }
        }
        Err(Error::Taken(asked.clone()))
    }

    fn rename(&self, staged: &LocalStaged, to: &OwnedFd, name: &str) -> Result<(), Error> {
        let asked = &staged.entry().path;
        // As any other name that is given here.
        let _alone = self
            .shared
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let from = (staged.directory(), staged.name());
        let sys = &self.shared.tree.sys;
        match sys.publish_new((from.0, &from.1), (to, name)) {
            Ok(()) => {
                staged.was_renamed();
                Ok(())
            }
            Err(Errno::EXIST) => Err(Error::Taken(asked.clone())),
            Err(errno) => Err(Error::system(Action::Publish, asked, errno)),
        }
    }

    /// The suffix of what takes a directory's place: always the same for one identity, so
    /// that a tree lands in one, and not to be foreseen by anybody.
    fn standing_for(&self, above: Option<&RemotePath>, name: &str) -> u64 {
        let by = self.by.as_bytes();
        let mut hasher = blake3::Hasher::new_keyed(&self.shared.key);
        hasher.update(&(by.len() as u64).to_be_bytes()).update(by);
        hasher.update(above.map_or("", RemotePath::as_str).as_bytes());
        hasher.update(b"/").update(name.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_be_bytes(first)
    }
}

/// The name beside a taken one. It is as long as a name can be at most, and never haul's
/// own, which has no suffix.
fn beside(name: &str, suffix: u64) -> String {
    let suffix = format!("~{suffix:016x}");
    let mut end = name.len().min(COMPONENT_MAX - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &name[..end])
}

fn random(path: &RemotePath) -> Result<u64, Error> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|errno| Error::system(Action::Publish, path, errno))?;
    Ok(u64::from_be_bytes(bytes))
}

fn aside(asked: &RemotePath, stored: RemotePath) -> Option<Aside> {
    (stored != *asked).then(|| Aside {
        asked: asked.clone(),
        stored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beside_another_is_always_a_name() {
        let long = "x".repeat(COMPONENT_MAX);
        let accents = format!("a{}", "\u{e9}".repeat(127));
        for name in ["a", ".haulage", &long, &accents, "~"] {
            let beside = beside(name, 7);
            assert!(beside.ends_with("~0000000000000007"), "{beside}");
            assert!(RemotePath::parse(&beside).is_ok(), "{beside}");
            assert!(name.starts_with(beside.split('~').next().unwrap()));
        }
        assert_eq!(beside(&long, 7).len(), COMPONENT_MAX);
        assert_eq!(beside(&accents, 7).len(), COMPONENT_MAX - 1);
        assert_eq!(beside("a", u64::MAX), "a~ffffffffffffffff");
    }
}
