//! The directories of a run: made anew, emptied between samples, and gone at the end.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags, open, syncfs};
use tempfile::TempDir;

use crate::args::Args;

/// Memory as a file system, where there is one.
pub const MEMORY: &str = "/dev/shm";

/// Where trees are that have landed on the disk, until their row is over.
const ASIDE: &str = "aside";

/// Where something is: beside what is moved, where it goes, or where it goes in rows that are
/// about a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Source,
    Target,
    Disk,
}

/// All of it.
pub struct Ground {
    source: TempDir,
    target: TempDir,
    disk: TempDir,
}

impl Ground {
    pub fn new(args: &Args) -> Result<Self> {
        let memory = Path::new(MEMORY);
        let usual = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let dir = |under: &Path| {
            // Nobody who is told of it stands here.
            let made = fs::canonicalize(under).and_then(|under| {
                tempfile::Builder::new()
                    .prefix("haul-peers-")
                    .tempdir_in(under)
            });
            made.with_context(|| under.display().to_string())
        };
        Ok(Self {
            source: dir(args.source_dir.as_ref().unwrap_or(&usual))?,
            target: dir(args.target_dir.as_ref().unwrap_or(&usual))?,
            disk: dir(&args.disk_dir)?,
        })
    }

    /// Where what is moved is made.
    pub fn source(&self) -> &Path {
        self.source.path()
    }

    /// All of them, by what they are for.
    pub fn places(&self) -> [(&'static str, &Path); 3] {
        [
            ("source", self.source.path()),
            ("target", self.target.path()),
            ("disk", self.disk.path()),
        ]
    }

    /// A directory of this name, empty.
    pub fn empty(&self, place: Place, name: &str) -> Result<PathBuf> {
        let path = match place {
            Place::Source => self.source.path().join("served").join(name),
            Place::Target => self.target.path().join(name),
            Place::Disk => self.disk.path().join(name),
        };
        remove(&path)?;
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Takes a tree off the disk's way without removing it: for minutes after many files are
    /// gone, ext4 looks at each of their inodes again for every file that is made
    /// (`recently_deleted` in its `ialloc.c`), and that would be most of the next sample.
    #[expect(
        clippy::disallowed_methods,
        reason = "trees in a private directory of this run"
    )]
    pub fn put_aside(&self, landing: &Path, name: &str) -> Result<()> {
        let aside = self.disk.path().join(ASIDE);
        fs::create_dir_all(&aside)?;
        let aside = aside.join(name);
        fs::rename(landing, &aside).with_context(|| landing.display().to_string())?;
        settle(&aside)
    }

    /// Removes what was put aside.
    pub fn clear_aside(&self) -> Result<()> {
        remove(&self.disk.path().join(ASIDE))
    }

    /// A directory of this name, kept as it is, for keys, configurations and logs. It is beside
    /// what arrives, as the disk has other things to do.
    pub fn desk(&self, name: &str) -> Result<PathBuf> {
        let path = self.target.path().join("desk").join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// Removes a file or tree, and waits until the disk has nothing more to do for that.
#[expect(
    clippy::disallowed_methods,
    reason = "trees in a private directory of this run"
)]
pub fn remove(path: &Path) -> Result<()> {
    let gone = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => Err(e),
    };
    gone.with_context(|| path.display().to_string())?;
    settle(path)
}

/// Waits until the disk has nothing more to do for what was at this path.
fn settle(path: &Path) -> Result<()> {
    if let Some(above) = path.parent() {
        let dir = open(above, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        syncfs(&dir)?;
    }
    Ok(())
}

/// Writes a configuration.
#[expect(
    clippy::disallowed_methods,
    reason = "files in a private directory of this run"
)]
pub fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
