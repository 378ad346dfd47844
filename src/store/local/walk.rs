//! Listing a tree in order, with bounded memory and without recursion.
//!
//! A directory is read in passes: the smallest names after the last one seen are
//! kept, in order, and when they are used up and there were more, the directory is
//! read again from there. So a million names cost a few passes, not memory.

use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::sys::DIRECTORY;
use super::tree::{Held, file_type};
use super::within::{Records, Within};
use crate::entry::{Cursor, Entry, Kind};
use crate::path::{PathError, RESERVED, RemotePath};
use crate::store::error::{Action, Error};

/// Names that are held of one directory at a time.
const PASS: usize = 65_536;

/// The entries at and beneath a path.
#[derive(Debug)]
pub struct Walk {
    tree: Arc<Held>,
    depth: Option<u32>,
    after: Option<Cursor>,
    records: Records,
    levels: Vec<Level>,
    /// The innermost directory, while its names are looked at: of a deep tree no other
    /// is held.
    within: Option<Within>,
    /// What is yielded before the next name: the entry itself, or what cannot be listed.
    pending: VecDeque<Result<Entry, Error>>,
}

/// One directory on the way down.
#[derive(Debug)]
struct Level {
    directory: Option<RemotePath>,
    /// Names to come, with a `/` behind those of directories, last first.
    names: Vec<Box<str>>,
    /// The last name of this pass, where another pass has to follow.
    more_after: Option<Box<str>>,
}

/// A directory, and a name in it.
type Place = (Option<RemotePath>, Box<str>);

impl Walk {
    pub(super) fn new(
        tree: Arc<Held>,
        (under, depth, after): (Option<&RemotePath>, Option<u32>, Option<Cursor>),
        records: Records,
    ) -> Result<Self, Error> {
        let mut walk = Self {
            tree,
            depth,
            after,
            records,
            levels: Vec::new(),
            within: None,
            pending: VecDeque::new(),
        };
        let itself = under.map(|path| walk.look_at(path)).transpose()?;
        match itself {
            // A file has nothing in it: listing it is listing its entry.
            Some(entry) if depth == Some(0) || !matches!(entry.kind, Kind::Dir) => {
                walk.pending.push_back(Ok(entry));
            }
            _ if depth == Some(0) => {}
            _ => walk.descend(under.cloned())?,
        }
        Ok(walk)
    }

    /// The entry that is to be listed.
    fn look_at(&self, path: &RemotePath) -> Result<Entry, Error> {
        let within = Within::open(&self.tree, path.parent().as_ref());
        let within = within.map_err(|errno| match errno {
            Errno::NOTDIR => Error::NotFound(path.clone()),
            _ => Error::system(Action::Look, path, errno),
        })?;
        within.entry(&self.tree, path.clone(), self.records)
    }

    fn descend(&mut self, directory: Option<RemotePath>) -> Result<(), Error> {
        let from = self.bound_in(directory.as_ref());
        let level = self.pass(directory, from.as_deref())?;
        self.levels.push(level);
        Ok(())
    }

    /// The least name worth looking at in a directory, where the cursor is in it.
    fn bound_in(&self, directory: Option<&RemotePath>) -> Option<Box<str>> {
        let after = self.after.as_ref()?.as_str();
        let rest = match directory {
            None => after,
            Some(path) => after.strip_prefix(path.as_str())?.strip_prefix('/')?,
        };
        let end = rest.find('/').map_or(rest.len(), |slash| slash + 1);
        (!rest.is_empty()).then(|| rest[..end].into())
    }

    /// Reads the least names of a directory from `from` on.
    fn pass(&mut self, directory: Option<RemotePath>, from: Option<&str>) -> Result<Level, Error> {
        let failed = |errno| match &directory {
            Some(path) => Error::system(Action::List, path, errno),
            None => Error::Root {
                action: Action::List,
                path: self.tree.path.clone(),
                errno,
            },
        };
        let path = directory.as_ref().map_or(".".as_ref(), RemotePath::as_path);
        let opened = self
            .tree
            .sys
            .open_beneath(&self.tree.root, path, DIRECTORY)
            .map_err(failed)?;
        let mut least: BinaryHeap<Box<str>> = BinaryHeap::new();
        let (mut more, mut unnamed, mut reserved) = (false, 0, 0);
        for item in self.tree.sys.read_dir(&opened).map_err(failed)? {
            let item = item.map_err(failed)?;
            let Ok(name) = item.file_name().to_str() else {
                unnamed += 1;
                continue;
            };
            if matches!(name, "." | "..") {
                continue;
            }
            if name == RESERVED {
                // At the root it is where files are staged, and nobody's affair.
                reserved += u64::from(directory.is_some());
                continue;
            }
            let is_dir = match item.file_type() {
                FileType::Unknown => self
                    .tree
                    .sys
                    .stat_in(&opened, name)
                    .is_ok_and(|stat| file_type(&stat) == FileType::Directory),
                known => known == FileType::Directory,
            };
            let key: Box<str> = if is_dir {
                format!("{name}/").into()
            } else {
                name.into()
            };
            if from.is_some_and(|from| *key < *from) {
                continue;
            }
            least.push(key);
            if least.len() > PASS {
                least.pop();
                more = true;
            }
        }
        let unusable = [
            (unnamed, PathError::NotUtf8),
            (reserved, PathError::Reserved),
        ];
        for (count, why) in unusable {
            // A later pass over the same directory sees the same ones again.
            if count > 0 && from.is_none() {
                self.pending.push_back(Err(Error::Unusable {
                    under: directory.clone(),
                    why,
                    count,
                }));
            }
        }
        self.within = Some(Within::hold(&self.tree.sys, opened).map_err(failed)?);
        let mut names = least.into_sorted_vec();
        let more_after = more.then(|| names.last().cloned()).flatten();
        names.reverse();
        Ok(Level {
            directory,
            names,
            more_after,
        })
    }

    /// Whether the cursor has passed what stands at `key`.
    fn is_before(&self, key: &str) -> bool {
        self.after
            .as_ref()
            .is_some_and(|after| key <= after.as_str())
    }

    /// The next name and the directory it is in, going up where one is used up.
    fn next_name(&mut self) -> Result<Option<Place>, Error> {
        while let Some(level) = self.levels.last_mut() {
            if let Some(name) = level.names.pop() {
                return Ok(Some((level.directory.clone(), name)));
            }
            self.within = None;
            let Some(level) = self.levels.pop() else {
                break;
            };
            if let Some(last) = level.more_after {
                let mut next = self.pass(level.directory, Some(&last))?;
                // The pass begins with the name that the last one ended with.
                if next.names.last() == Some(&last) {
                    next.names.pop();
                }
                self.levels.push(next);
            }
        }
        Ok(None)
    }

    fn visit(
        &mut self,
        directory: Option<&RemotePath>,
        name: &str,
    ) -> Result<Option<Entry>, Error> {
        let plain = name.strip_suffix('/').unwrap_or(name);
        let path = RemotePath::beneath(directory, plain).map_err(|why| Error::Unusable {
            under: directory.cloned(),
            why,
            count: 1,
        })?;
        let key = if plain.len() < name.len() {
            format!("{path}/")
        } else {
            path.to_string()
        };
        let passed = self.is_before(&key);
        let inside = self
            .after
            .as_ref()
            .is_some_and(|after| after.as_str().starts_with(&key));
        if passed && !inside {
            return Ok(None);
        }
        let within = match self.within.take() {
            Some(within) => within,
            None => match Within::open(&self.tree, directory) {
                // It was renamed or removed since it was read, as below.
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
                opened => opened.map_err(|errno| Error::system(Action::Look, &path, errno))?,
            },
        };
        let entry = within.entry(&self.tree, path, self.records);
        self.within = Some(within);
        let entry = match entry {
            // It was renamed or removed since the directory was read.
            Err(Error::NotFound(_)) => return Ok(None),
            other => other?,
        };
        let level = self.levels.len() as u32;
        if entry.kind == Kind::Dir && self.depth.is_none_or(|depth| level < depth) {
            // The directory itself is listed; that it cannot be read comes after it.
            if let Err(error) = self.descend(Some(entry.path.clone())) {
                self.pending.push_back(Err(error));
            }
        }
        Ok((!passed).then_some(entry))
    }
}

impl Iterator for Walk {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pending) = self.pending.pop_front() {
                return Some(pending);
            }
            let (directory, name) = match self.next_name() {
                Ok(next) => next?,
                Err(error) => return Some(Err(error)),
            };
            match self.visit(directory.as_ref(), &name) {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;
    use crate::fault::Fault;
    use crate::store::Source;
    use std::ffi::OsStr;
    use std::fs::{File, create_dir_all};
    use std::os::unix::ffi::OsStrExt;

    #[expect(clippy::disallowed_methods, reason = "empty files to be listed")]
    fn tree(files: &[&str]) -> (tempfile::TempDir, Tree) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap();
        }
        let tree = Tree::open(dir.path(), Fault::default()).unwrap();
        (dir, tree)
    }

    fn listed(tree: &Tree, depth: Option<u32>, after: Option<&str>) -> Vec<String> {
        let after = after.map(|text| Cursor::parse(text).unwrap());
        tree.walk(None, depth, after)
            .unwrap()
            .filter_map(Result::ok)
            .map(|entry| entry.cursor().as_str().to_owned())
            .collect()
    }

    const FILES: [&str; 6] = ["a.txt", "a/b/c", "a/b0", "a0", ".haul/x", "z/.haul/x"];

    #[test]
    fn a_walk_is_in_the_order_of_cursors_and_hides_what_is_haul_s() {
        let (_dir, tree) = tree(&FILES);
        let all = ["a.txt", "a/", "a/b/", "a/b/c", "a/b0", "a0", "z/"];
        assert_eq!(listed(&tree, None, None), all);
        assert_eq!(listed(&tree, Some(1), None), ["a.txt", "a/", "a0", "z/"]);
    }

    #[test]
    fn what_has_haul_s_name_below_the_root_is_told_of() {
        let (_dir, tree) = tree(&FILES);
        let told: Vec<Error> = tree
            .walk(None, None, None)
            .unwrap()
            .filter_map(Result::err)
            .collect();
        let under = Some(RemotePath::parse("z").unwrap());
        let (why, count) = (PathError::Reserved, 1);
        assert_eq!(told, [Error::Unusable { under, why, count }]);
    }

    #[test]
    fn a_walk_goes_on_from_any_place() {
        let (_dir, tree) = tree(&FILES);
        let all = listed(&tree, None, None);
        for (n, place) in all.iter().enumerate() {
            assert_eq!(listed(&tree, None, Some(place)), all[n + 1..], "{place}");
        }
        assert_eq!(listed(&tree, None, Some("a/b/b")), all[3..]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an empty file with a bad name")]
    fn names_that_are_not_utf8_are_counted_and_left_out() {
        let (dir, tree) = tree(&["fine"]);
        File::create(dir.path().join(OsStr::from_bytes(b"\xff"))).unwrap();
        let mut walk = tree.walk(None, None, None).unwrap();
        let unnamed = walk.next().unwrap().unwrap_err();
        assert!(matches!(unnamed, Error::Unusable { count: 1, .. }));
        assert_eq!(walk.next().unwrap().unwrap().path.as_str(), "fine");
    }
}
