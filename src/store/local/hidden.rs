//! What lies beneath a root and is as if it were not there.
//!
//! Whoever serves their home serves haul's own keys with it, and a copy of all that is
//! there must not carry those away. A directory is known by its number, wherever it is
//! moved meanwhile; and a place, a name in a directory, stays hidden whatever comes to be
//! there. What is hidden keeps the directories above it where they are: moved, they would
//! take it along.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::path::Arg;

use super::LocalStore;
use super::sys::Sys;
use super::tree::{Held, Inode, inode_of};
use crate::fault::Fault;
use crate::store::Durability;
use crate::store::error::{Action, Error};

type Result<T> = std::result::Result<T, Errno>;

/// Only to look things up from.
const HELD: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The hidden places beneath a root. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Hidden(Arc<[Place]>);

#[derive(Debug)]
struct Place {
    within: OwnedFd,
    inode: Inode,
    name: Box<[u8]>,
    /// Which directory is there; files are replaced by new ones too often to be known so.
    directory: Option<Inode>,
}

impl LocalStore {
    /// Opens the directory at `path` as [`serve`](Self::serve) does, where some of what is
    /// beneath it is for nobody: as if it were not there, it is neither listed nor read,
    /// written, moved or removed.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve); [`Error::Root`] also where nothing can be found out about
    /// what is to be hidden.
    pub fn serve_without(
        path: &Path,
        own: &[PathBuf],
        durability: Durability,
        fault: Fault,
    ) -> std::result::Result<Self, Error> {
        let hidden = Hidden::find(own).map_err(|(path, errno)| Error::Root {
            action: Action::Look,
            path,
            errno,
        })?;
        let tree = Held::of(path, Sys::hiding(fault, hidden))?;
        Self::serve_held(tree, durability)
    }
}

impl Hidden {
    /// Finds what is to be hidden, which need not be there yet.
    ///
    /// # Errors
    ///
    /// The path that it cannot be found out about, and why.
    pub(super) fn find(paths: &[PathBuf]) -> std::result::Result<Self, (PathBuf, Errno)> {
        let place = |path: &PathBuf| Place::find(path).map_err(|errno| (path.clone(), errno));
        let places: std::result::Result<Vec<_>, _> = paths.iter().map(place).collect();
        Ok(Self(places?.into()))
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether what has this name in this directory is hidden. `there` is what has it.
    pub(super) fn hides(&self, within: &Stat, name: &OsStr, there: Option<&Stat>) -> bool {
        let (within, there) = (inode_of(within), there.map(inode_of));
        self.0.iter().any(|place| {
            let is_at = place.inode == within && *place.name == *name.as_bytes();
            is_at || (place.directory.is_some() && place.directory == there)
        })
    }

    /// Refuses a name of what is hidden, as if nothing had it.
    pub(super) fn look_away(&self, directory: &OwnedFd, name: &impl Arg) -> Result<()> {
        if self.are_none() {
            return Ok(());
        }
        let name = name.as_cow_c_str()?;
        let there = look(directory, &*name)?;
        let within = fs::fstat(directory)?;
        if self.hides(&within, OsStr::from_bytes(name.to_bytes()), there.as_ref()) {
            return Err(Errno::NOENT);
        }
        Ok(())
    }

    /// Refuses to have a directory moved that has something hidden beneath it.
    pub(super) fn hold_in_place(&self, directory: &OwnedFd, name: &str) -> Result<()> {
        if self.are_none() {
            return Ok(());
        }
        let Some(moved) = look(directory, name)? else {
            return Ok(());
        };
        for place in self.0.iter() {
            if is_above(inode_of(&moved), place)? {
                return Err(Errno::BUSY);
            }
        }
        Ok(())
    }
}

impl Place {
    fn find(path: &Path) -> Result<Self> {
        let real = path.canonicalize();
        let path = real.as_deref().unwrap_or(path);
        let (parent, name) = path.parent().zip(path.file_name()).ok_or(Errno::INVAL)?;
        let within = fs::openat(CWD, parent, HELD, Mode::empty())?;
        let there = look(&within, name)?;
        let directory = there.filter(|stat| fs::FileType::from_raw_mode(stat.st_mode).is_dir());
        Ok(Self {
            inode: inode_of(&fs::fstat(&within)?),
            within,
            name: name.as_bytes().into(),
            directory: directory.as_ref().map(inode_of),
        })
    }
}

/// What has a name, if anything has.
fn look(directory: impl AsFd, name: impl Arg) -> Result<Option<Stat>> {
    match fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether a directory is one of those above a place, where that is now.
fn is_above(directory: Inode, place: &Place) -> Result<bool> {
    let mut below: Option<Inode> = None;
    let mut held: Option<OwnedFd> = None;
    loop {
        let at = held.as_ref().unwrap_or(&place.within);
        let here = inode_of(&fs::fstat(at)?);
        if here == directory {
            return Ok(true);
        }
        // Above the top of all is itself.
        if below == Some(here) {
            return Ok(false);
        }
        below = Some(here);
        held = Some(fs::openat(at, "..", HELD, Mode::empty())?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::RemotePath;
    use crate::store::Missing;
    use crate::store::{Changes, Parents, Removal, Source};
    use std::collections::BTreeSet;
    use std::fs as std_fs;

    /// A home that is served, with a key file and a directory of keys in it.
    struct Home {
        dir: tempfile::TempDir,
        store: LocalStore,
    }

    #[expect(clippy::disallowed_methods, reason = "files that are to be hidden")]
    fn home() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std_fs::create_dir_all(at("config/haul/deep")).unwrap();
        for name in ["config/haul/identity", "config/editor", "ci.key", "notes"] {
            std_fs::write(at(name), name).unwrap();
        }
        let own = [at("config/haul"), at("ci.key"), at("none")];
        let store = LocalStore::serve_without(dir.path(), &own, Durability::None, Fault::default());
        let store = store.unwrap();
        Home { dir, store }
    }

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(text).unwrap()
    }

    fn listed(home: &Home) -> Vec<String> {
        let walk = home.store.walk(None, None, None).unwrap();
        walk.map(|entry| entry.unwrap().cursor().as_str().to_owned())
            .collect()
    }

    fn is_not_there<T>(result: std::result::Result<T, Error>, what: &str) {
        match result.err() {
            Some(Error::NotFound(_)) => {}
            other => panic!("{what}: {other:?}"),
        }
    }

    #[test]
    fn what_is_hidden_is_neither_listed_nor_opened() {
        let home = home();
        assert_eq!(listed(&home), ["config/", "config/editor", "notes"]);
        for name in [
            "ci.key",
            "config/haul",
            "config/haul/identity",
            "config/haul/deep",
            "config/haul/new",
        ] {
            let hidden = path(name);
            is_not_there(home.store.open(&hidden, None).map(drop), name);
            is_not_there(home.store.walk(Some(&hidden), None, None).map(drop), name);
            is_not_there(home.store.remove(&hidden, Removal::Whole), name);
            is_not_there(home.store.rename(&hidden, &path("away")), name);
        }
        assert!(home.store.open(&path("config/editor"), None).is_ok());
    }

    #[test]
    fn nothing_is_put_where_something_is_hidden() {
        let home = home();
        for name in ["config/haul", "config/haul/new", "none", "ci.key"] {
            let made = home.store.make_dir(&path(name), Parents::Make);
            is_not_there(made, name);
            is_not_there(home.store.rename(&path("notes"), &path(name)), name);
        }
        assert!(!home.dir.path().join("none").exists());
        assert_eq!(listed(&home), ["config/", "config/editor", "notes"]);
    }

    #[test]
    fn a_directory_stays_hidden_wherever_it_is_moved_and_so_does_what_comes_in_its_place() {
        let home = home();
        let at = |name: &str| home.dir.path().join(name);
        fs::rename(at("config/haul"), at("moved")).unwrap();
        std_fs::create_dir(at("config/haul")).unwrap();
        for name in ["moved", "moved/identity", "config/haul"] {
            is_not_there(home.store.open(&path(name), None).map(drop), name);
        }
        assert_eq!(listed(&home), ["config/", "config/editor", "notes"]);
    }

    #[test]
    fn what_is_above_something_hidden_is_not_moved_and_not_removed_with_it() {
        let home = home();
        let moved = home.store.rename(&path("config"), &path("away"));
        let busy =
            |error: &Error| matches!(error, Error::System { errno, .. } if *errno == Errno::BUSY);
        assert!(moved.as_ref().is_err_and(busy), "{moved:?}");
        let removed = home.store.remove(&path("config"), Removal::Whole);
        assert!(
            matches!(removed, Err(Error::NotAllRemoved { .. })),
            "{removed:?}"
        );
        let left: BTreeSet<_> = std_fs::read_dir(home.dir.path().join("config"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, BTreeSet::from(["haul".into()]));
        let identity = home.dir.path().join("config/haul/identity");
        assert_eq!(
            std_fs::read_to_string(identity).unwrap(),
            "config/haul/identity"
        );
        home.store
            .rename(&path("notes"), &path("config/notes"))
            .unwrap();
    }

    #[test]
    fn another_directory_beneath_the_root_sees_as_little() {
        let home = home();
        let beneath = |at, missing| crate::store::Store::beneath(&home.store, &path(at), missing);
        let within = beneath("config", Missing::Leave).unwrap();
        is_not_there(
            within.open(&path("haul/identity"), None).map(drop),
            "within",
        );
        assert!(within.open(&path("editor"), None).is_ok());
        for missing in [Missing::Make, Missing::Leave] {
            let hidden = beneath("config/haul", missing).map(drop);
            let missed = beneath("config/none/x", Missing::Leave).map(drop);
            match missing {
                Missing::Make => is_not_there(hidden, "hidden"),
                // It looks as what is not there does.
                Missing::Leave => assert_eq!(
                    hidden.unwrap_err().to_string().replace("haul", "none/x"),
                    missed.unwrap_err().to_string()
                ),
            }
        }
    }
}
