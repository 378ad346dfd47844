//! Removing a directory with everything beneath it.
//!
//! A tree may be deeper than a stack or the table of descriptors, and a directory may hold
//! more names than memory. So nothing recurses; one directory is held at a time, and the
//! way up is `..`, believed only where it leads to the directory that the way down came
//! from. What is no directory goes as it is read; of directories the least names are kept,
//! in order, and when these are used up the directory is read again from there. What
//! cannot be removed stays behind that mark, so that nothing is tried twice.

use std::collections::BinaryHeap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::sys::{DIRECTORY, Sys};
use super::tree::{Inode, file_type, inode_of};
use crate::path::{RESERVED, RemotePath};
use crate::store::error::{Error, Obstacle};

/// Names of directories that are kept at once, on all levels together.
const NAMES: usize = 65_536;

/// Names that a level may keep however many others do: each reading of a directory gets
/// further by so many.
const LEAST: usize = 64;

/// Removes the directory that has the last name of `path` in `above`.
///
/// # Errors
///
/// [`Error::NotAllRemoved`].
pub(super) fn remove(sys: &Sys, above: &OwnedFd, path: &RemotePath) -> Result<(), Error> {
    let mut removal = Removing::new(sys, (NAMES, LEAST));
    removal.run(above, path.name());
    match removal.first {
        None => Ok(()),
        Some((first, why)) => Err(Error::NotAllRemoved {
            path: path.clone(),
            count: removal.count,
            first,
            why,
        }),
    }
}

/// A removal under way.
struct Removing<'s> {
    sys: &'s Sys,
    /// The directories from the topmost down to the one that is held.
    levels: Vec<Level>,
    /// Names that are kept, on all levels.
    kept: usize,
    /// Most of them, and how many each level may keep in any case.
    room: (usize, usize),
    /// What could not be removed, and the first of it.
    count: u64,
    first: Option<(PathBuf, Obstacle)>,
}

/// One directory on the way down.
struct Level {
    name: CString,
    inode: Inode,
    /// Directories in it that are still to be removed, last first.
    names: Vec<CString>,
    /// The last name of this reading, where another has to follow.
    more_after: Option<CString>,
    /// Whether something beneath it could not be removed.
    stays: bool,
}

impl<'s> Removing<'s> {
    fn new(sys: &'s Sys, room: (usize, usize)) -> Self {
        Self {
            sys,
            levels: Vec::new(),
            kept: 0,
            room,
            count: 0,
            first: None,
        }
    }

    fn run(&mut self, above: &OwnedFd, name: &str) {
        let Ok(name) = CString::new(name) else {
            return;
        };
        let Some(mut held) = self.descend(above, name) else {
            return;
        };
        while let Some(level) = self.levels.last_mut() {
            if let Some(name) = level.names.pop() {
                self.kept -= 1;
                if let Some(below) = self.descend(&held, name) {
                    held = below;
                }
            } else if let Some(last) = level.more_after.take() {
                self.read(&held, Some(&last));
            } else {
                match self.ascend(above, &held) {
                    Some(up) => held = up,
                    None => return,
                }
            }
        }
    }

    /// Opens a directory and removes what is in it but for directories.
    fn descend(&mut self, within: &OwnedFd, name: CString) -> Option<OwnedFd> {
        let opened = self
            .sys
            .open_beneath(within, as_path(&name), DIRECTORY)
            .and_then(|directory| Ok((inode_of(&self.sys.stat(&directory)?), directory)));
        match opened {
            Ok((inode, directory)) => {
                self.levels.push(Level {
                    name,
                    inode,
                    names: Vec::new(),
                    more_after: None,
                    stays: false,
                });
                self.read(&directory, None);
                Some(directory)
            }
            Err(errno) => {
                // To remove an empty one it need not be readable.
                match self.sys.remove_dir(within, &name) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(_) => self.leave(&name, Obstacle::System(errno)),
                }
                None
            }
        }
    }

    /// Reads the directory that is held, from the directory name `after` on.
    fn read(&mut self, directory: &OwnedFd, after: Option<&CStr>) {
        let room = (self.room.0.saturating_sub(self.kept) / 2).max(self.room.1);
        let mut least: BinaryHeap<CString> = BinaryHeap::new();
        let mut more = false;
        let items = match self.sys.read_dir(directory) {
            Ok(items) => items,
            Err(errno) => return self.leave(c"", Obstacle::System(errno)),
        };
        for item in items {
            let item = match item {
                Ok(item) => item,
                Err(errno) => return self.leave(c"", Obstacle::System(errno)),
            };
            let name = item.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let is_dir = match item.file_type() {
                FileType::Unknown => self
                    .sys
                    .stat_in(directory, name)
                    .is_ok_and(|stat| file_type(&stat) == FileType::Directory),
                known => known == FileType::Directory,
            };
            if is_dir && name.to_bytes() != RESERVED.as_bytes() {
                if after.is_some_and(|after| name <= after) {
                    continue;
                }
                least.push(name.to_owned());
                if least.len() > room {
                    least.pop();
                    more = true;
                }
            } else if after.is_none() {
                // A later reading would only meet what stays.
                self.unlink(directory, name);
            }
        }
        let mut names = least.into_sorted_vec();
        self.kept += names.len();
        if let Some(level) = self.levels.last_mut() {
            level.more_after = more.then(|| names.last().cloned()).flatten();
            names.reverse();
            level.names = names;
        }
    }

    fn unlink(&mut self, directory: &OwnedFd, name: &CStr) {
        if name.to_bytes() == RESERVED.as_bytes() {
            return self.leave(name, Obstacle::Reserved);
        }
        match self.sys.unlink(directory, name) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => self.leave(name, Obstacle::System(errno)),
        }
    }

    /// Leaves the directory that is held, and removes it. `None` at the end of the way.
    fn ascend(&mut self, above: &OwnedFd, held: &OwnedFd) -> Option<OwnedFd> {
        let done = self.levels.pop()?;
        let Some(parent) = self.levels.last_mut() else {
            self.remove_emptied(above, &done);
            return None;
        };
        parent.stays |= done.stays;
        let expected = parent.inode;
        let up = self.sys.open_in(held, "..", DIRECTORY).and_then(|up| {
            let is_known = inode_of(&self.sys.stat(&up)?) == expected;
            is_known.then_some(up).ok_or(Errno::STALE)
        });
        match up {
            Ok(up) => {
                self.remove_emptied(&up, &done);
                Some(up)
            }
            Err(errno) => {
                // It was moved away meanwhile, and where to is nobody's business here.
                self.leave(&done.name, Obstacle::System(errno));
                None
            }
        }
    }

    fn remove_emptied(&mut self, within: &OwnedFd, done: &Level) {
        if done.stays {
            return;
        }
        match self.sys.remove_dir(within, &done.name) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => self.leave(&done.name, Obstacle::System(errno)),
        }
    }

    /// Counts what cannot be removed, and goes on without it.
    fn leave(&mut self, name: &CStr, why: Obstacle) {
        self.count += 1;
        if self.first.is_none() {
            let levels = self.levels.iter().map(|level| as_path(&level.name));
            let path = levels.chain([as_path(name)]).collect::<PathBuf>();
            self.first = Some((path, why));
        }
        if let Some(level) = self.levels.last_mut() {
            level.stays = true;
        }
    }
}

fn as_path(name: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(name.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A directory that holds `count` others, each with one more in it.
    fn wide(count: usize) -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..count {
            std::fs::create_dir_all(dir.path().join(format!("top/{n}/x"))).unwrap();
        }
        let above = Sys::default().open_root(dir.path()).unwrap();
        (dir, above)
    }

    #[test]
    fn more_directories_than_there_is_room_for_are_removed_in_several_readings() {
        for count in [0, 1, 2, 3, 50] {
            let (dir, above) = wide(count);
            std::fs::create_dir_all(dir.path().join("top/one more")).unwrap();
            let sys = Sys::default();
            let mut removal = Removing::new(&sys, (4, 1));
            removal.run(&above, "top");
            assert_eq!((removal.count, removal.kept), (0, 0), "{count}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_cannot_be_removed_is_counted_once_however_often_it_is_read() {
        let (dir, above) = wide(50);
        for n in 0..50 {
            std::fs::create_dir(dir.path().join(format!("top/{n}/.haul"))).unwrap();
        }
        std::fs::create_dir(dir.path().join("top/.haul")).unwrap();
        let sys = Sys::default();
        let mut removal = Removing::new(&sys, (4, 1));
        removal.run(&above, "top");
        assert_eq!(removal.count, 51);
        let left: BTreeSet<_> = std::fs::read_dir(dir.path().join("top/7"))
            .unwrap()
            .map(|item| item.unwrap().file_name())
            .collect();
        assert_eq!(left, [".haul".into()].into());
    }
}
