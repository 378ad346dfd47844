//! A directory that can be listed and read, and nothing above it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::checksum_record::Record;
use super::named::Named;
use super::places;
use super::sys::Sys;
use super::walk::Walk;
use super::within::Records;
use crate::content::Checksum;
use crate::entry::{Cursor, LinkTarget, Mtime, Recorded, Touched, Version};
use crate::fault::Fault;
use crate::path::RemotePath;
use crate::store::error::{Action, Error};
use crate::store::{OnRecord, Place, ReadAt, Source};

/// A directory. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Tree(Handle);

/// How a directory is known.
#[derive(Clone, Debug)]
enum Handle {
    Held(Arc<Held>),
    Named(Arc<Named>),
}

/// What is held of a tree.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) sys: Sys,
    pub(super) root: OwnedFd,
    pub(super) path: PathBuf,
}

/// A regular file of a [`Tree`], open for reading.
#[derive(Debug)]
pub struct LocalReader {
    tree: Arc<Held>,
    file: OwnedFd,
    path: RemotePath,
    size: u64,
    version: Version,
}

impl Tree {
    /// Holds the directory at `path`; links in `path` itself are followed.
    ///
    /// # Errors
    ///
    /// [`Error::Root`] where there is none that can be opened.
    pub fn open(path: &Path, fault: Fault) -> Result<Self, Error> {
        Ok(Self::of(Held::open(path, fault)?))
    }

    /// Names the directory at `path`, to be opened whenever it is used and not held in
    /// between: for where there may be more directories than a process can hold.
    ///
    /// # Errors
    ///
    /// As [`Tree::open`].
    pub fn name(path: &Path, fault: Fault) -> Result<Self, Error> {
        let named = Named::find(path, fault)?;
        Ok(Self(Handle::Named(Arc::new(named))))
    }

    pub(super) fn of(held: Arc<Held>) -> Self {
        Self(Handle::Held(held))
    }

    fn held(&self) -> Result<Arc<Held>, Error> {
        match &self.0 {
            Handle::Held(held) => Ok(Arc::clone(held)),
            Handle::Named(named) => named.hold(),
        }
    }

    fn path(&self) -> &Path {
        match &self.0 {
            Handle::Held(held) => &held.path,
            Handle::Named(named) => &named.path,
        }
    }

    /// What is at `path`, links in it followed: the real directory that holds it, and
    /// its name there; `None` for the top of all, which has none.
    ///
    /// # Errors
    ///
    /// [`Error::Root`] where nothing is there, [`Error::Unusable`] where its name
    /// cannot be sent.
    pub fn locate(path: &Path) -> Result<(PathBuf, Option<RemotePath>), Error> {
        let mut real = path.canonicalize().map_err(|error| Error::Root {
            action: Action::Open,
            path: path.to_owned(),
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        let name = real.file_name().map(|name| {
            RemotePath::from_local(name).map_err(|why| Error::Unusable {
                under: None,
                why,
                count: 1,
            })
        });
        let name = name.transpose()?;
        if name.is_some() {
            real.pop();
        }
        Ok((real, name))
    }
}

impl Source for Tree {
    type Reader = LocalReader;
    type Walk = Walk;

    fn places(&self, under: Option<&RemotePath>) -> Vec<Place> {
        self.held()
            .map_or(Vec::new(), |held| places::of(&held, under))
    }

    fn follow(&self, path: &RemotePath) -> Result<(Self, Option<RemotePath>), Error> {
        let (holder, name) = Self::locate(&self.path().join(path.as_path()))?;
        // There may be any number of links.
        Ok((Self::name(&holder, Fault::default())?, name))
    }

    fn walk(
        &self,
        under: Option<&RemotePath>,
        depth: Option<u32>,
        after: Option<Cursor>,
    ) -> Result<Walk, Error> {
        // Whoever sends what is listed here proves its checksum anew.
        Walk::new(self.held()?, (under, depth, after), Records::Unread)
    }

    fn open(&self, path: &RemotePath, expect: Option<&Version>) -> Result<LocalReader, Error> {
        let tree = self.held().map_err(|error| match error {
            // What was in it is gone with it.
            Error::Root {
                errno: Errno::NOENT,
                ..
            } => Error::NotFound(path.clone()),
            other => other,
        })?;
        let (file, stat) = tree.open_file(path)?;
        let version = version_of(&stat);
        if expect.is_some_and(|expected| *expected != version) {
            return Err(Error::Changed(path.clone()));
        }
        Ok(LocalReader {
            tree,
            file,
            path: path.clone(),
            size: size_of(&stat),
            version,
        })
    }
}

impl ReadAt for LocalReader {
    fn on_record(&self) -> Result<Option<OnRecord>, Error> {
        let sys = &self.tree.sys;
        let stat = sys.stat(&self.file);
        let stat = stat.map_err(|errno| Error::system(Action::Look, &self.path, errno))?;
        let record = Record::read(sys, &self.file);
        let record = record.map_err(|errno| Error::system(Action::Look, &self.path, errno))?;
        Ok(record.map(|record| OnRecord {
            checksum: record.checksum,
            size: record.size,
            touched: record.touched(&stat),
        }))
    }

    fn read_anew(&self) {
        // Where that is not to be had, memory is what there is.
        let _ = self.tree.sys.forget_cached(&self.file);
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<(), Error> {
        match self.tree.sys.read_at(&self.file, into, offset) {
            Ok(n) if n == into.len() => Ok(()),
            Ok(_) => Err(Error::Changed(self.path.clone())),
            Err(errno) => Err(Error::system(Action::Read, &self.path, errno)),
        }
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn check_version(&self) -> Result<(), Error> {
        let stat = self
            .tree
            .sys
            .stat(&self.file)
            .map_err(|errno| Error::system(Action::Look, &self.path, errno))?;
        if version_of(&stat) == self.version {
            Ok(())
        } else {
            Err(Error::Changed(self.path.clone()))
        }
    }
}

impl Held {
    /// Holds the directory at `path`; links in `path` itself are followed.
    pub(super) fn open(path: &Path, fault: Fault) -> Result<Arc<Self>, Error> {
        Self::of(path, Sys::new(fault))
    }

    /// The same, where a system is there already.
    pub(super) fn of(path: &Path, sys: Sys) -> Result<Arc<Self>, Error> {
        let root = sys.open_root(path).map_err(|errno| Error::Root {
            action: Action::Open,
            path: path.to_owned(),
            errno,
        })?;
        let path = path.to_owned();
        Ok(Arc::new(Self { sys, root, path }))
    }

    /// Opens a regular file for reading. A FIFO or device is opened without
    /// waiting for its other end, and refused.
    pub(super) fn open_file(&self, path: &RemotePath) -> Result<(OwnedFd, Stat), Error> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = self
            .sys
            .open_beneath(&self.root, path.as_path(), flags)
            .map_err(|errno| match errno {
                // A socket, or a device without a driver.
                Errno::NXIO => Error::NotAFile(path.clone()),
                Errno::NOTDIR => Error::NotFound(path.clone()),
                _ => Error::system(Action::Open, path, errno),
            })?;
        let stat = self
            .sys
            .stat(&file)
            .map_err(|errno| Error::system(Action::Look, path, errno))?;
        if file_type(&stat) == FileType::RegularFile {
            Ok((file, stat))
        } else {
            Err(Error::NotAFile(path.clone()))
        }
    }

    /// What is at `path`, not following it if it is a link.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], also where a component on the way is no directory.
    pub(super) fn stat(&self, path: &RemotePath) -> Result<Stat, Error> {
        let found = self
            .sys
            .open_beneath(&self.root, path.as_path(), OFlags::PATH)
            .and_then(|found| self.sys.stat(&found));
        found.map_err(|errno| match errno {
            Errno::NOTDIR => Error::NotFound(path.clone()),
            _ => Error::system(Action::Look, path, errno),
        })
    }

    /// What is on record of a file that has the recorded size and time, or that nobody has
    /// touched: what has lost its end on the disk is to be found out by whoever fetches it.
    pub(super) fn recorded(&self, file: &OwnedFd, stat: &Stat) -> Option<Recorded> {
        let record = Record::of(&self.sys, file)?;
        let touched = record.touched(stat);
        let is_told = record.holds(stat) || touched == Touched::Never;
        is_told.then_some(Recorded {
            checksum: record.checksum,
            touched,
        })
    }

    /// The recorded checksum of a file that nobody has touched since.
    pub(super) fn untouched(&self, file: &OwnedFd, stat: &Stat) -> Option<Checksum> {
        let record = Record::of(&self.sys, file).filter(|record| record.is_untouched(stat));
        record.map(|record| record.checksum)
    }

    /// The directory that something is in, and what is there.
    pub(super) fn look_in(&self, path: &RemotePath) -> Result<(OwnedFd, Stat), Error> {
        let failed = |errno| Error::system(Action::Look, path, errno);
        let within = self.directory_of(path).map_err(failed)?;
        let stat = self.sys.stat_in(&within, path.name()).map_err(failed)?;
        Ok((within, stat))
    }

    fn directory_of(&self, path: &RemotePath) -> Result<OwnedFd, Errno> {
        let parent = path.parent();
        let parent = parent
            .as_ref()
            .map_or(".".as_ref(), |parent| parent.as_path());
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        self.sys.open_beneath(&self.root, parent, flags)
    }

    pub(super) fn link_target(&self, path: &RemotePath) -> Result<LinkTarget, Error> {
        let failed = |errno| Error::system(Action::Look, path, errno);
        let within = self.directory_of(path).map_err(failed)?;
        self.link_target_in(&within, path)
    }

    /// What the link at `path` leads to; the directory that it is in is held.
    pub(super) fn link_target_in(
        &self,
        within: &OwnedFd,
        path: &RemotePath,
    ) -> Result<LinkTarget, Error> {
        let text = self
            .sys
            .read_link(within, path.name())
            .map_err(|errno| Error::system(Action::Look, path, errno))?;
        let text = std::str::from_utf8(&text).ok();
        text.and_then(LinkTarget::new)
            .ok_or_else(|| Error::NotAFile(path.clone()))
    }
}

/// Device, inode, size and both times: the change time moves with every write,
/// whatever is done to the modification time afterwards.
pub(super) fn version_of(stat: &Stat) -> Version {
    let numbers = [
        stat.st_dev,
        stat.st_ino,
        stat.st_size.cast_unsigned(),
        stat.st_mtime.cast_unsigned(),
        stat.st_mtime_nsec,
        stat.st_ctime.cast_unsigned(),
        stat.st_ctime_nsec,
    ];
    let hash = blake3::hash(numbers.map(u64::to_le_bytes).as_flattened());
    let mut version = [0; 16];
    version.copy_from_slice(&hash.as_bytes()[..16]);
    Version(version)
}

pub(super) fn size_of(stat: &Stat) -> u64 {
    stat.st_size.cast_unsigned()
}

pub(super) fn mtime_of(stat: &Stat) -> Mtime {
    // A file system that reports a second of nanoseconds gets the whole second.
    Mtime::new(stat.st_mtime, stat.st_mtime_nsec as u32).unwrap_or_default()
}

/// Whether what could not be opened is gone, or something else has its name. Anything else may
/// pass.
pub(super) fn is_gone(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO
    )
}

/// Which thing it is, whatever its name: its device and its number there.
pub(super) type Inode = (u64, u64);

pub(super) fn inode_of(stat: &Stat) -> Inode {
    (stat.st_dev, stat.st_ino)
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}
