//! What all handles of a store share: where it stages, and what is under way.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::flush::SharedPoint;
use super::staging::LocalStaged;
use super::staging_area::{Area, Keeper};
use super::tree::Held;
use crate::entry::Entry;
use crate::store::Durability;
use crate::store::error::Error;

/// Blocks that may be under way at once in one store: 4 TiB of files in 1 MiB blocks, in
/// at most 200 MiB of memory.
const BLOCKS_MAX: usize = 1 << 22;

/// While no more blocks than these are under way, small files keep their descriptors.
const KEEP_MAX: usize = 64;

/// A store as seen from one of its directories: names lead beneath that, and nowhere
/// else.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tree: Arc<Held>,
    pub(super) core: Arc<Core>,
}

impl Deref for Shared {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// What all handles share, from wherever they see the store.
#[derive(Debug)]
pub(super) struct Core {
    /// Where files are staged, whatever they are to become.
    pub(super) top: Arc<Held>,
    pub(super) keeper: Keeper,
    pub(super) durability: Durability,
    pub(super) reporting: bool,
    /// What a job's batches share: it has one thread that commits.
    pub(super) point: SharedPoint,
    /// Made with the first file that is staged, so that a tree that is only read
    /// stays untouched.
    pub(super) area: Mutex<Option<Arc<Area>>>,
    pub(super) live: Mutex<HashMap<u64, Weak<LocalStaged>>>,
    pub(super) publishing: Mutex<()>,
    /// Blocks whose state is held in memory.
    pub(super) blocks: AtomicUsize,
    pub(super) key: [u8; 32],
}

impl Core {
    /// A store in `top` of which nothing is under way.
    pub(super) fn new(
        top: Arc<Held>,
        keeper: Keeper,
        (durability, reporting): (Durability, bool),
        key: [u8; 32],
    ) -> Self {
        Self {
            top,
            keeper,
            durability,
            reporting,
            point: SharedPoint::default(),
            area: Mutex::new(None),
            live: Mutex::new(HashMap::new()),
            publishing: Mutex::new(()),
            blocks: AtomicUsize::new(0),
            key,
        }
    }

    pub(super) fn area(&self) -> Result<Arc<Area>, Error> {
        let mut current = self.area.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(area) = &*current {
            return Ok(Arc::clone(area));
        }
        let area = Arc::new(Area::open(&self.top, &self.keeper)?);
        *current = Some(Arc::clone(&area));
        Ok(area)
    }

    pub(super) fn live(&self) -> MutexGuard<'_, HashMap<u64, Weak<LocalStaged>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remember(&self, staged: &Arc<LocalStaged>) {
        self.live().insert(staged.number(), Arc::downgrade(staged));
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

    /// Whether a small file's descriptor may be kept until its commit.
    pub(super) fn may_keep(&self) -> bool {
        self.blocks.load(Ordering::Relaxed) <= KEEP_MAX
    }

    pub(super) fn forget(&self, number: u64) {
        self.live().remove(&number);
    }
}
