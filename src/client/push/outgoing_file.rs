//! One file or link on its way out.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::client::job::Subject;
use crate::content::{BlockIndex, Checksum, Geometry, Node, merge};
use crate::entry::{Entry, Version};
use crate::offer::{EntryId, Offering, Ticket};
use crate::path::RemotePath;

/// Something that was found.
#[derive(Debug)]
pub(super) struct Item<S> {
    pub(super) source: Arc<S>,
    /// Its name in the source.
    pub(super) from: RemotePath,
    /// The version that was found.
    pub(super) version: Option<Version>,
    /// What it is to be on the server.
    pub(super) offering: Offering,
    /// How often the server has let go of it though it was to be stored.
    pub(super) lost: u32,
}

impl<S> Item<S> {
    /// What it is to be on the server.
    pub(super) fn entry(&self) -> &Entry {
        &self.offering.entry
    }
}

// Derived, it would ask the same of the source.
impl<S> Clone for Item<S> {
    fn clone(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            from: self.from.clone(),
            version: self.version,
            offering: self.offering.clone(),
            lost: self.lost,
        }
    }
}

/// What a worker can be given to do.
pub(super) enum Work<S> {
    /// Some blocks of a file that the server wants.
    Segment(super::Shared<S>, Range<u64>),
    /// A file whose connection was lost before it was stored: offer it anew.
    Again(super::Shared<S>),
    /// A file whose blocks are all written, and whose commit was not asked for yet.
    Commit(super::Shared<S>),
    /// Directories to be settled, deepest first.
    End(Vec<Offering>),
}

/// What was offered.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    pub(super) id: EntryId,
    pub(super) item: Item<S>,
    /// The worker whose connection it was offered on.
    pub(super) offered_by: usize,
    pub(super) ticket: OnceLock<Ticket>,
    /// The checksum that it has in common with the one on the server.
    pub(super) same: OnceLock<Checksum>,
    pub(super) second: OnceLock<Checksum>,
    /// The nodes of its version, where all were hashed before any was sent.
    pub(super) hashed: OnceLock<Vec<Node>>,
    /// Bytes that were sent, for a screen.
    pub(super) done: Arc<AtomicU64>,
    /// Where it is counted among the large files under way.
    counted: OnceLock<Arc<AtomicUsize>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    nodes: Vec<Option<Node>>,
    /// The nodes of the blocks that the server has.
    there: Vec<Option<Node>>,
    /// Blocks that are not yet written whole to a connection.
    left: u64,
    /// How often blocks were missing.
    missed: u32,
    here: bool,
    committing: bool,
    settled: bool,
}

impl<S> Outgoing<S> {
    pub(super) fn new(id: EntryId, item: Item<S>, offered_by: usize) -> Self {
        Self {
            id,
            offered_by,
            ticket: OnceLock::new(),
            same: OnceLock::new(),
            second: OnceLock::new(),
            hashed: OnceLock::new(),
            done: Arc::default(),
            counted: OnceLock::new(),
            state: Mutex::new(State {
                nodes: Vec::new(),
                there: Vec::new(),
                left: item.entry().geometry().map_or(0, Geometry::blocks),
                missed: 0,
                here: false,
                committing: false,
                settled: false,
            }),
            item,
        }
    }

    /// What it is to be on the server.
    pub(super) fn entry(&self) -> &Entry {
        self.item.entry()
    }

    /// How a file is cut; a link or directory is not.
    pub(super) fn geometry(&self) -> Option<Geometry> {
        self.entry().geometry()
    }

    /// Whether it is a file of more than one block, which goes by its ticket.
    pub(super) fn is_large(&self) -> bool {
        self.geometry()
            .is_some_and(|geometry| !geometry.is_single())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subject(&self) -> Subject {
        Subject {
            path: self.entry().path.clone(),
            size: self.entry().size(),
        }
    }

    /// Notes a block's node.
    pub(super) fn note(&self, index: BlockIndex, node: Node, len: usize) {
        let mut state = self.state();
        if state.nodes.is_empty() {
            let blocks = self.geometry().map_or(0, Geometry::blocks);
            state.nodes = vec![None; blocks as usize];
        }
        state.nodes[index.number() as usize] = Some(node);
        self.done.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Notes what the server has of it, a page behind the other.
    pub(super) fn note_there(&self, page: Vec<Option<Node>>) {
        self.state().there.extend(page);
    }

    /// What the server has of some blocks.
    pub(super) fn there(&self, blocks: &Range<u64>) -> Vec<Option<Node>> {
        let state = self.state();
        let end = (blocks.end as usize).min(state.there.len());
        let there = state.there.get(blocks.start as usize..end);
        there.unwrap_or_default().to_vec()
    }

    /// So many blocks were written whole. `true` for whoever wrote the last.
    pub(super) fn wrote(&self, blocks: u64) -> bool {
        let mut state = self.state();
        state.left = state.left.saturating_sub(blocks);
        state.left == 0
    }

    /// Blocks that did not arrive have to be written again. Returns their bytes.
    pub(super) fn unwrote(&self, runs: &[Range<u64>]) -> u64 {
        let mut bytes = 0;
        let mut state = self.state();
        state.missed = state.missed.saturating_add(1);
        let is_again = state.missed > 1;
        for number in runs.iter().cloned().flatten() {
            state.left += 1;
            // What was sent may be lost, in place of what was there; if that is not all, the
            // server has not what it said.
            if is_again && let Some(there) = state.there.get_mut(number as usize) {
                *there = None;
            }
            let len = self.geometry().and_then(|g| Some(g.len(g.index(number)?)));
            bytes += len.unwrap_or(0) as u64;
        }
        drop(state);
        self.take_back(bytes)
    }

    /// Takes back at most so many bytes that were counted as sent, and says how many:
    /// two workers that give up the same ones must not take them back twice.
    pub(super) fn take_back(&self, bytes: u64) -> u64 {
        let less = |done: u64| Some(done.saturating_sub(bytes));
        let before = self
            .done
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        before.unwrap_or(0).min(bytes)
    }

    /// The server has it already.
    pub(super) fn is_here(&self) -> bool {
        self.state().here
    }

    pub(super) fn set_here(&self) {
        self.state().here = true;
    }

    /// Its commit was sent, and the receipt decides what becomes of it.
    pub(super) fn is_committing(&self) -> bool {
        self.state().committing
    }

    pub(super) fn set_committing(&self, committing: bool) {
        self.state().committing = committing;
    }

    /// What is known of its content: the merge of all nodes, or what it has in common
    /// with the one on the server.
    pub(super) fn checksum(&self) -> Option<Checksum> {
        if self.is_here() {
            return self.same.get().copied();
        }
        let nodes: Option<Vec<Node>> = self.state().nodes.iter().copied().collect();
        merge(&nodes?)
    }

    /// Whether it is done or has failed.
    pub(super) fn is_settled(&self) -> bool {
        self.state().settled
    }

    /// Counts it among the large files under way, until it is settled.
    pub(super) fn count(&self, under_way: &Arc<AtomicUsize>) {
        if self.counted.set(Arc::clone(under_way)).is_ok() {
            under_way.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Settles it. `true` for whoever does so first.
    pub(super) fn settle(&self) -> bool {
        let is_first = !std::mem::replace(&mut self.state().settled, true);
        if let Some(under_way) = self.counted.get().filter(|_| is_first) {
            under_way.fetch_sub(1, Ordering::Relaxed);
        }
        is_first
    }
}
