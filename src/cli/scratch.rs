//! A private directory that goes away with everything in it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};

/// A directory below the system's temporary one. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one that nobody else can look into.
    ///
    /// # Errors
    ///
    /// Where the system's temporary directory cannot be written.
    pub(super) fn new() -> io::Result<Self> {
        // Nobody can have guessed it and put something in the way.
        let mut random = [0; 16];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let name = format!("haul-demo-{:032x}", u128::from_be_bytes(random));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a directory in it.
    ///
    /// # Errors
    ///
    /// Where the system cannot.
    pub(super) fn directory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Makes a file in a directory of it.
    ///
    /// # Errors
    ///
    /// Where the system cannot.
    pub(super) fn file(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = directory.join(name);
        File::options()
            .write(true)
            .create_new(true)
            .open(&path)?
            .write_all(bytes)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the directory is ours alone, and the standard library follows no links in it"
    )]
    fn drop(&mut self) {
        // What is left is in a temporary directory: the system's to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nobody_else_can_look_in_and_nothing_stays() {
        let scratch = Scratch::new().unwrap();
        let mode = scratch.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let directory = scratch.directory("a").unwrap();
        Scratch::file(&directory, "b", b"c").unwrap();
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }
}
