//! A directory that is known by name, and held only while it is used.
//!
//! A put takes files from as many directories as were named, or as links lead to, and a
//! process has only so many descriptors. What is found under the name another time must
//! be the very same directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::tree::Held;
use crate::fault::Fault;
use crate::store::error::{Action, Error};

/// What tells a directory from all others on this machine.
type Identity = (u64, u64);

/// A directory's name, and which one it is.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    identity: Identity,
    fault: Fault,
}

impl Named {
    pub(super) fn find(path: &Path, fault: Fault) -> Result<Self, Error> {
        let held = Held::open(path, fault.clone())?;
        Ok(Self {
            path: path.to_owned(),
            identity: identity(&held)?,
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
        if identity(&held)? == self.identity {
            return Ok(held);
        }
        Err(failed(&held, Action::Open, Errno::STALE))
    }
}

fn identity(held: &Held) -> Result<Identity, Error> {
    let stat = held.sys.stat(&held.root);
    let stat = stat.map_err(|errno| failed(held, Action::Look, errno))?;
    Ok((stat.st_dev, stat.st_ino))
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
