//! Waiting until something is so in a directory that haul stages in.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use haul::fault::Fault;
use haul::store::{Durability, LocalStore, Store};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

use crate::program::{PATIENCE, Running, is_readable};

/// What tells one file under a name from another: its number, and its size.
pub type Seen = (u64, u64);

/// Hears of every change at the top of a directory and in its staging.
pub struct Watch {
    directory: PathBuf,
    changes: OwnedFd,
}

impl Watch {
    pub fn on(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            changes: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap(),
        }
    }

    /// Returns once so many bytes are staged, or the child has ended.
    #[track_caller]
    pub fn until_staged(&self, bytes: u64, running: &Running) {
        self.until(&[running.end()], |directory| staged(directory) >= bytes);
    }

    /// Returns once a visible file is no longer the one that `was` there, or the child has
    /// ended.
    #[track_caller]
    pub fn until_replaced(&self, name: &str, was: Option<Seen>, running: &Running) {
        self.until(&[running.end()], |directory| {
            seen(&directory.join(name)) != was
        });
    }

    /// Returns once nothing is staged, and nothing kept.
    #[track_caller]
    pub fn until_swept(&self) {
        self.until(&[], |directory| staged_files(directory).is_empty());
    }

    #[track_caller]
    fn until(&self, ends: &[&OwnedFd], is_so: impl Fn(&Path) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // In this order: what changes after the look is an event in a watched place.
            self.follow();
            if is_so(&self.directory) {
                return;
            }
            let events: Vec<_> = ends.iter().copied().chain([&self.changes]).collect();
            let heard = is_readable(&events, deadline);
            assert!(
                heard,
                "nothing more happens: {:?}",
                staged_files(&self.directory)
            );
            if !ends.is_empty() && is_readable(ends, Instant::now()) {
                return;
            }
            self.forget();
        }
    }

    /// Watches what is there by now. What is gone again has told so in its parent.
    fn follow(&self) {
        // A staged file goes by being removed, or published.
        let gone = WatchFlags::DELETE | WatchFlags::MOVED_FROM;
        let new = WatchFlags::CREATE | WatchFlags::MOVED_TO;
        let changes = new | WatchFlags::MODIFY | gone;
        let follow = |place: &Path| {
            let _ = inotify::add_watch(&self.changes, place, changes);
        };
        let ours = self.directory.join(".haul");
        follow(&self.directory);
        follow(&ours);
        // Listed only now, as what is made before the watch is heard by nobody.
        for area in &children(&ours) {
            follow(area);
        }
    }

    /// Takes off what was heard: that something happened is enough.
    fn forget(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut heard = Reader::new(&self.changes, &mut buffer);
        while heard.next().is_ok() {}
    }
}

/// What is under a name now.
pub fn seen(path: &Path) -> Option<Seen> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len()))
}

/// Bytes that are written to staged files. Holes count for nothing.
pub fn staged(directory: &Path) -> u64 {
    staged_files(directory)
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|metadata| metadata.blocks() * 512)
        .sum()
}

/// How many files of nodes are kept. Each published file of several blocks has one at most, and
/// nothing else has, once they were swept.
pub fn nodes(directory: &Path) -> usize {
    children(&directory.join(".haul/nodes")).len()
}

/// The same after a sweep, of a directory that nobody serves any more.
pub fn swept_nodes(directory: &Path) -> usize {
    let store = LocalStore::serve(directory, Durability::None, Fault::default()).unwrap();
    store.sweep_nodes(|| true);
    nodes(directory)
}

/// What is in the staging directories of the server and of downloads, and what is kept
/// beside them; but not what only says of what that is a part, nor the nodes of what is whole: see [`nodes`].
fn staged_files(directory: &Path) -> Vec<PathBuf> {
    let mut areas = children(&directory.join(".haul"));
    areas.retain(|area| !area.ends_with("nodes"));
    let files = areas.iter().flat_map(|area| children(area));
    let is_label = |file: &PathBuf| file.extension().is_some_and(|end| end == "of");
    files.filter(|file| !is_label(file)).collect()
}

/// What is in a directory that may go at any moment.
fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(items) = fs::read_dir(directory) else {
        return Vec::new();
    };
    items.flatten().map(|item| item.path()).collect()
}
