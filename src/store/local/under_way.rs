//! What a store has under way: found by its number, and counted in blocks.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rustix::process::{Resource, getrlimit};

use super::staging::LocalStaged;
use crate::entry::Entry;
use crate::store::error::Error;

/// Blocks that may be under way at once in one store: 4 TiB of files in 1 MiB blocks, in
/// at most 200 MiB of memory.
const BLOCKS_MAX: usize = 1 << 22;

/// While no more blocks than these are under way, small files keep their descriptors: as many
/// as a client has under way over some connections.
const KEEP_MAX: usize = 2048;

/// The part of all descriptors that a process may have which small files keep, at most.
const KEEP_PART: u64 = 8;

/// What is staged and has a ticket, and how much is kept in mind of all.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    staged: Mutex<HashMap<u64, Weak<LocalStaged>>>,
    /// Blocks whose state is held in memory.
    blocks: AtomicUsize,
    /// While how many are, small files keep their descriptors.
    keep: OnceLock<usize>,
}

impl UnderWay {
    fn staged(&self) -> MutexGuard<'_, HashMap<u64, Weak<LocalStaged>>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remember(&self, staged: &Arc<LocalStaged>) {
        self.staged()
            .insert(staged.number(), Arc::downgrade(staged));
    }

    pub(super) fn find(&self, number: u64) -> Option<Arc<LocalStaged>> {
        self.staged().get(&number).and_then(Weak::upgrade)
    }

    /// The names of the parts that are offered or sent.
    pub(super) fn parts(&self) -> HashSet<String> {
        let all: Vec<Arc<LocalStaged>> = self.staged().values().filter_map(Weak::upgrade).collect();
        let parts = all.iter().filter_map(|staged| staged.partial.as_ref());
        parts.map(|partial| partial.name.clone()).collect()
    }

    pub(super) fn forget(&self, number: u64) {
        self.staged().remove(&number);
    }

    /// Counts the blocks of a file that begins to arrive, if there is memory for them.
    pub(super) fn remember_blocks(&self, entry: &Entry, blocks: u64) -> Result<usize, Error> {
        let count = usize::try_from(blocks).unwrap_or(usize::MAX);
        let held = self.blocks.load(Ordering::Relaxed);
        if count > BLOCKS_MAX.saturating_sub(held) {
            return Err(Error::TooManyBlocks(entry.path.clone()));
        }
        // Two files that begin at once may both fit where only one should.
        self.blocks.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }

    pub(super) fn forget_blocks(&self, count: usize) {
        self.blocks.fetch_sub(count, Ordering::Relaxed);
    }

    /// Whether a small file's descriptor may be kept until its commit, where it would be opened
    /// again without it.
    pub(super) fn may_keep(&self) -> bool {
        let keep = *self.keep.get_or_init(|| {
            let limit = getrlimit(Resource::Nofile).current;
            let part = limit.map_or(usize::MAX, |limit| (limit / KEEP_PART) as usize);
            part.min(KEEP_MAX)
        });
        self.blocks.load(Ordering::Relaxed) <= keep
    }
}
