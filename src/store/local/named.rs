//! A directory that is known by name, and held only while it is used.
//!
//! A put takes files from as many directories as were named, or as links lead to, and a
//! process has only so many descriptors. What is found under the name another time must
//! be the very same directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::tree::{Held, Inode, inode_of};
use crate::fault::Fault;
use crate::store::error::{Action, Error};

/// A directory's name, and which one it is.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    inode: Inode,
    fault: Fault,
}

impl Named {
    pub(super) fn find(path: &Path, fault: Fault) -> Result<Self, Error> {
        let held = Held::open(path, fault.clone())?;
        Ok(Self {
            path: path.to_owned(),
            inode: inode(&held)?,
            fault,
        })
    }

    /// Opens it again.
    ///
    /// # Errors
    ///
    /// [`Error::Root`], also where the name is another directory's by now.
    pub(super) fn hold(&self) -> Result<Arc<Held>, Error> {
        let held = Held::open(&self.path, self.fault.clone())?;
        if inode(&held)? == self.inode {
            return Ok(held);
        }
        Err(failed(&held, Action::Open, Errno::STALE))
    }
}

fn inode(held: &Held) -> Result<Inode, Error> {
    let stat = held.sys.stat(&held.root);
    let stat = stat.map_err(|errno| failed(held, Action::Look, errno))?;
    Ok(inode_of(&stat))
}

fn failed(held: &Held, action: Action, errno: Errno) -> Error {
    Error::Root {
        action,
        path: held.path.clone(),
        errno,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_the_very_same_directory_is_opened_another_time() {
        let top = tempfile::tempdir().unwrap();
        let [path, other] = ["a", "b"].map(|name| top.path().join(name));
        fs::create_dir(&path).unwrap();
        let named = Named::find(&path, Fault::default()).unwrap();
        assert_eq!(named.hold().unwrap().path, path);
        // It lives on under another name, so that no new one can have its number.
        rustix::fs::rename(&path, other).unwrap();
        let gone = named.hold().unwrap_err();
        let errno = |error: Error| match error {
            Error::Root { errno, .. } => errno,
            other => panic!("{other}"),
        };
        assert_eq!(errno(gone), Errno::NOENT);
        fs::create_dir(&path).unwrap();
        assert_eq!(errno(named.hold().unwrap_err()), Errno::STALE);
    }
}
