//! Which directories were made on whose behalf, as far as this process knows.
//!
//! Whoever may store and not replace gives modes and times to what they put there, and to
//! nothing that was there before. Files come with theirs; a directory gets its own last of
//! all, perhaps over another connection than the one that made it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use rustix::fs::Stat;

use super::tree::{Inode, inode_of};
use crate::identity::Identity;

/// Directories that are kept in mind, in at most some 8 MiB: those that are forgotten keep
/// the usual mode.
const MOST: usize = 1 << 16;

/// A directory, and for whom it was made.
type Key = (Inode, Identity);

/// What was made lately.
#[derive(Debug, Default)]
pub(super) struct Made(Mutex<Lately>);

#[derive(Debug, Default)]
struct Lately {
    all: HashSet<Key>,
    in_order: VecDeque<Key>,
}

impl Made {
    pub(super) fn note(&self, stat: &Stat, by: &Identity) {
        let key = key(stat, by);
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.all.insert(key.clone()) {
            lately.in_order.push_back(key);
        }
        if lately.in_order.len() > MOST
            && let Some(oldest) = lately.in_order.pop_front()
        {
            lately.all.remove(&oldest);
        }
    }

    pub(super) fn is_by(&self, stat: &Stat, by: &Identity) -> bool {
        let lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.all.contains(&key(stat, by))
    }
}

fn key(stat: &Stat, by: &Identity) -> Key {
    (inode_of(stat), by.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_known_and_each_by_whom_it_was_made_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut stat = rustix::fs::stat(dir.path()).unwrap();
        let (made, by) = (Made::default(), Identity::Key([1; 32]));
        for number in 0..=MOST as u64 {
            stat.st_ino = number;
            made.note(&stat, &by);
        }
        assert!(made.is_by(&stat, &by));
        assert!(!made.is_by(&stat, &Identity::Key([2; 32])));
        stat.st_ino = 1;
        assert!(made.is_by(&stat, &by));
        stat.st_ino = 0;
        assert!(!made.is_by(&stat, &by));
    }
}
