//! A directory that is held to look at what is in it: one call a name, where resolving
//! each from the root takes three.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::sys::Sys;
use super::tree::{Held, file_type, mtime_of, size_of, version_of};
use crate::entry::{Entry, Kind, Mode};
use crate::path::RemotePath;
use crate::store::error::{Action, Error};

/// A directory of a tree, held.
#[derive(Debug)]
pub(super) struct Within {
    directory: OwnedFd,
    device: u64,
}

/// Whether the recorded checksums of files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Records {
    /// They are: each file is opened.
    Read,
    /// Nobody asks for them.
    Unread,
}

impl Within {
    /// Resolves a directory beneath the root, or takes the root. It need not be readable.
    pub(super) fn open(tree: &Held, at: Option<&RemotePath>) -> Result<Self, Errno> {
        let name = at.map_or(".".as_ref(), RemotePath::as_path);
        // Asked for a directory, the system would not tell a link from a file.
        let directory = tree.sys.open_beneath(&tree.root, name, OFlags::PATH)?;
        Self::hold(&tree.sys, directory)
    }

    /// Takes what is open, if it is a directory.
    pub(super) fn hold(sys: &Sys, directory: OwnedFd) -> Result<Self, Errno> {
        let stat = sys.stat(&directory)?;
        match file_type(&stat) {
            FileType::Directory => Ok(Self {
                directory,
                device: stat.st_dev,
            }),
            FileType::Symlink => Err(Errno::LOOP),
            _ => Err(Errno::NOTDIR),
        }
    }

    /// What `path` names, which is in this directory, not following it if it is a link.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Mount`] where another file system begins.
    pub(super) fn stat(&self, tree: &Held, path: &RemotePath) -> Result<Stat, Error> {
        let stat = tree
            .sys
            .stat_in(&self.directory, path.name())
            .map_err(|errno| Error::system(Action::Look, path, errno))?;
        // A mount of the same file system over a directory shows in no number, and only
        // where a name is resolved.
        if stat.st_dev != self.device || file_type(&stat) == FileType::Directory {
            return tree.stat(path);
        }
        Ok(stat)
    }

    /// The entry at `path`, which is in this directory.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::NotAFile`] for a FIFO, device or socket.
    pub(super) fn entry(
        &self,
        tree: &Held,
        path: RemotePath,
        records: Records,
    ) -> Result<Entry, Error> {
        let mut stat = self.stat(tree, &path)?;
        let (mut version, mut checksum) = (None, None);
        let kind = match file_type(&stat) {
            FileType::RegularFile => {
                // An unreadable file is listed all the same, without its checksum.
                if records == Records::Read
                    && let Some((file, opened)) = self.open_file(tree, &path)?
                {
                    stat = opened;
                    checksum = tree.recorded(&file, &stat);
                }
                version = Some(version_of(&stat));
                Kind::file(size_of(&stat)).map_err(|_| Error::NotAFile(path.clone()))?
            }
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Link(tree.link_target_in(&self.directory, &path)?),
            _ => return Err(Error::NotAFile(path)),
        };
        Ok(Entry {
            path,
            kind,
            mode: Mode::masked(stat.st_mode),
            mtime: mtime_of(&stat),
            version,
            checksum,
        })
    }

    /// Opens what was just seen to be a regular file, if it still is and can be read.
    fn open_file(&self, tree: &Held, path: &RemotePath) -> Result<Option<(OwnedFd, Stat)>, Error> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let name = path.name().as_ref();
        let opened = match tree.sys.open_beneath(&self.directory, name, flags) {
            Err(Errno::XDEV) => return Err(Error::Mount(path.clone())),
            opened => opened.and_then(|file| Ok((tree.sys.stat(&file)?, file))),
        };
        let opened = opened.ok().map(|(stat, file)| (file, stat));
        Ok(opened.filter(|(_, stat)| file_type(stat) == FileType::RegularFile))
    }
}
