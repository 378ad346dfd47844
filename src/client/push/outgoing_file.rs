//! One file on its way out.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::client::job::Subject;
use crate::content::{BlockIndex, Checksum, Geometry, Node, merge};
use crate::entry::{Entry, Version};
use crate::offer::{EntryId, Ticket};
use crate::path::RemotePath;

/// A file that was found.
#[derive(Debug)]
pub(super) struct Item<S> {
    pub(super) source: Arc<S>,
    /// Its name in the source.
    pub(super) from: RemotePath,
    /// The version that was found.
    pub(super) version: Option<Version>,
    /// What it is to be on the server.
    pub(super) entry: Entry,
}

/// What a worker can be given to do.
pub(super) enum Work<S> {
    /// Some blocks of a file that the server wants.
    Segment(super::Shared<S>, Range<u64>),
    /// A file whose connection was lost before it was stored: offer it anew.
    Again(super::Shared<S>),
    /// A file whose blocks are all written, and whose commit was not asked for yet.
    Commit(super::Shared<S>),
}

/// A file that was offered.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    pub(super) id: EntryId,
    pub(super) item: Item<S>,
    pub(super) geometry: Geometry,
    /// The worker whose connection it was offered on.
    pub(super) offered_by: usize,
    pub(super) ticket: OnceLock<Ticket>,
    pub(super) second: OnceLock<Checksum>,
    /// Bytes that were sent, for a screen.
    pub(super) done: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    nodes: Vec<Option<Node>>,
    /// Blocks that are not yet written whole to a connection.
    left: u64,
    here: bool,
    committing: bool,
    settled: bool,
}

impl<S> Outgoing<S> {
    pub(super) fn new(
        id: EntryId,
        (item, geometry): (Item<S>, Geometry),
        offered_by: usize,
    ) -> Self {
        Self {
            id,
            geometry,
            offered_by,
            ticket: OnceLock::new(),
            second: OnceLock::new(),
            done: Arc::default(),
            state: Mutex::new(State {
                nodes: Vec::new(),
                left: geometry.blocks(),
                here: false,
                committing: false,
                settled: false,
            }),
            item,
        }
    }

    /// The item of a file that has to be offered again.
    pub(super) fn again(&self) -> Item<S> {
        Item {
            source: Arc::clone(&self.item.source),
            from: self.item.from.clone(),
            version: self.item.version,
            entry: self.item.entry.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subject(&self) -> Subject {
        Subject {
            path: self.item.entry.path.clone(),
            size: self.geometry.size(),
        }
    }

    /// Notes a block's node.
    pub(super) fn note(&self, index: BlockIndex, node: Node, len: usize) {
        let mut state = self.state();
        if state.nodes.is_empty() {
            state.nodes = vec![None; self.geometry.blocks() as usize];
        }
        state.nodes[index.number() as usize] = Some(node);
        self.done.fetch_add(len as u64, Ordering::Relaxed);
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
        for number in runs.iter().cloned().flatten() {
            state.left += 1;
            let index = self.geometry.index(number);
            bytes += index.map_or(0, |index| self.geometry.len(index) as u64);
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

    /// The merge of all nodes; `None` while some are missing.
    pub(super) fn checksum(&self) -> Option<Checksum> {
        let nodes: Option<Vec<Node>> = self.state().nodes.iter().copied().collect();
        merge(&nodes?)
    }

    /// Whether it is done or has failed.
    pub(super) fn is_settled(&self) -> bool {
        self.state().settled
    }

    /// Settles it. `true` for whoever does so first.
    pub(super) fn settle(&self) -> bool {
        !std::mem::replace(&mut self.state().settled, true)
    }
}
