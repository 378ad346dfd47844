//! A private key in a file, made where there is none.
//!
//! Nobody is asked to make a key before they can do anything: it is there at first need.
//! Where two commands need it at once, one of them makes it and both use that one.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::net::keys::{KeyError, Keypair};

use super::directory::Directory;
use super::error::{Action, Error, Flaw};
use super::private_file::{self, Found, Holds, system, untrusted};

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFile {
    /// Where haul keeps it, in a directory that it makes.
    Own(PathBuf),
    /// Where a person says: there, links of this user's and root's are followed.
    Named(PathBuf),
}

impl KeyFile {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(path) | Self::Named(path) => path,
        }
    }

    /// Reads the key, or nothing where there is none.
    ///
    /// # Errors
    ///
    /// Where others could have read or written it, or it is no key.
    pub fn load(&self) -> Result<Option<Keypair>, Error> {
        let found = match self {
            Self::Named(path) => private_file::read_named(path, Holds::Key)?,
            Self::Own(path) => {
                let (directory, name) = parts(path)?;
                match Directory::open(directory)? {
                    Some(directory) => directory.read(name, Holds::Key)?,
                    None => None,
                }
            }
        };
        found.map(|found| self.parse(&found)).transpose()
    }

    /// Reads the key, and makes one where there is none.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load), and where a new one cannot be written.
    pub fn load_or_make(&self) -> Result<Keypair, Error> {
        if let Some(key) = self.load()? {
            return Ok(key);
        }
        let (parent, name) = parts(self.path())?;
        let directory = match self {
            Self::Own(_) => Directory::make(parent)?,
            Self::Named(_) => Directory::open_any(parent)?
                .ok_or_else(|| system(Action::Open, parent, Errno::NOENT))?,
        };
        let (key, pem) = Keypair::generate().map_err(|why| self.damaged(why))?;
        if directory.create(name, &pem)? {
            return Ok(key);
        }
        // Another command was quicker; or it is a link that leads nowhere.
        self.load()?
            .ok_or_else(|| untrusted(self.path(), Flaw::Link))
    }

    fn parse(&self, found: &Found) -> Result<Keypair, Error> {
        Keypair::from_pem(&found.text).map_err(|why| self.damaged(why))
    }

    fn damaged(&self, why: KeyError) -> Error {
        let path = self.path().to_owned();
        Error::Key { path, why }
    }
}

/// The directory and the name of a file.
fn parts(path: &Path) -> Result<(&Path, &Path), Error> {
    let name = path.file_name().map(Path::new);
    let parent = path.parent().map(|parent| match parent.as_os_str() {
        here if here.is_empty() => Path::new("."),
        _ => parent,
    });
    parent
        .zip(name)
        .ok_or_else(|| untrusted(path, Flaw::NotAFile))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::fs::{Permissions, set_permissions};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::thread;

    #[test]
    fn a_key_is_made_at_first_need_private_and_then_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::Own(dir.path().join("haul/identity"));
        assert!(file.load().unwrap().is_none());
        let made = file.load_or_make().unwrap().public();
        assert_eq!(file.load_or_make().unwrap().public(), made);
        assert_eq!(file.load().unwrap().unwrap().public(), made);
        let bits = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(bits(file.path()), 0o600);
        assert_eq!(bits(file.path().parent().unwrap()), 0o700);
        let pem = std::fs::read_to_string(file.path()).unwrap();
        assert!(
            pem.starts_with("-----BEGIN PRIVATE KEY-----\n"),
            "no PKCS#8"
        );
    }

    #[test]
    fn all_who_need_a_key_at_once_get_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::Own(dir.path().join("haul/identity"));
        let keys: HashSet<_> = thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|n| {
                    let named = thread::Builder::new().name(format!("key-{n}"));
                    let make = || file.load_or_make().unwrap().public();
                    named.spawn_scoped(scope, make).unwrap()
                })
                .collect();
            makers.into_iter().map(|m| m.join().unwrap()).collect()
        });
        assert_eq!(keys.len(), 1);
        let names = std::fs::read_dir(dir.path().join("haul")).unwrap();
        assert_eq!(names.count(), 1);
    }

    #[test]
    fn a_damaged_key_is_never_replaced_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        let (_, pem) = Keypair::generate().unwrap();
        for text in ["", "x", &pem[..pem.len() / 2]] {
            let mut file = std::fs::File::create_new(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let error = KeyFile::Own(path.clone()).load_or_make().unwrap_err();
            let why = KeyError::NotPrivate;
            assert_eq!(
                error,
                Error::Key {
                    path: path.clone(),
                    why
                }
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_gets_no_key_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("identity");
        symlink("elsewhere", &link).unwrap();
        for file in [KeyFile::Own(link.clone()), KeyFile::Named(link.clone())] {
            assert_eq!(
                file.load_or_make().unwrap_err(),
                untrusted(&link, Flaw::Link)
            );
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_is_made_where_a_person_names_a_place_for_it() {
        let dir = tempfile::tempdir().unwrap();
        set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        let file = KeyFile::Named(dir.path().join("ci.key"));
        let made = file.load_or_make().unwrap().public();
        assert_eq!(file.load().unwrap().unwrap().public(), made);
        let nowhere = KeyFile::Named(dir.path().join("none/ci.key"));
        assert!(matches!(nowhere.load_or_make(), Err(Error::System { .. })));
        assert!(KeyFile::Named("/".into()).load_or_make().is_err());
    }
}
