//! One file or link on its way in.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::root::Root;
use crate::client::job::Subject;
use crate::content::{Algorithm, Checksum, Geometry};
use crate::entry::{Entry, Version};
use crate::offer::EntryId;
use crate::path::RemotePath;
use crate::store::Staged;
use crate::wire::message::Wanted;

/// What a worker can be given to do.
pub(super) enum Work<T> {
    /// Places on the server to be looked through.
    Look(Vec<Root>),
    /// Some blocks of one file.
    Segment(Part<T>),
    /// The same, where some of them may be here from an earlier try.
    Recover(Part<T>),
    /// Several files of one block each.
    Small(Vec<Part<T>>),
    /// A checksum that the server is to compute.
    Sum(Question<T>),
}

/// A file's checksum on the server, and what it is wanted for.
pub(super) struct Question<T> {
    pub(super) path: RemotePath,
    pub(super) version: Version,
    pub(super) purpose: Purpose<T>,
}

/// What a checksum from the server is wanted for.
pub(super) enum Purpose<T> {
    /// To be proved of a file that is here whole.
    Proof(Arc<Incoming<T>>),
    /// To find out whether the file that is here, which has this one, is the same.
    Doubt(Arc<Incoming<T>>, Checksum),
    /// To say whether that file would be replaced.
    Rehearsal(Subject, Checksum),
}

impl<T> Question<T> {
    /// Which checksum that is.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self.purpose {
            Purpose::Proof(_) => Algorithm::Sha256,
            Purpose::Doubt(..) | Purpose::Rehearsal(..) => Algorithm::Blake3,
        }
    }
}

/// A run of blocks that is wanted of a file.
#[derive(Debug)]
pub(super) struct Part<T> {
    pub(super) file: Arc<Incoming<T>>,
    pub(super) geometry: Geometry,
    pub(super) blocks: Range<u64>,
}

impl<T> Part<T> {
    /// How it is asked for.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            entry: self.file.id,
            path: self.file.from.clone(),
            version: self.file.version,
            block: self.geometry.block().bytes(),
            first: self.blocks.start,
            count: self.blocks.end - self.blocks.start,
        }
    }
}

/// A file or link that was listed and staged.
#[derive(Debug)]
pub(super) struct Incoming<T> {
    pub(super) id: EntryId,
    /// Its name on the server.
    pub(super) from: RemotePath,
    pub(super) version: Version,
    /// The checksum that the server has on record for it.
    pub(super) recorded: Option<Checksum>,
    /// The checksum that the server computed on demand.
    pub(super) second: OnceLock<Checksum>,
    /// The checksum that it has in common with the file that was here.
    pub(super) same: OnceLock<Checksum>,
    pub(super) staged: Arc<T>,
    /// Bytes that came, for a screen.
    pub(super) done: Arc<AtomicU64>,
    pub(super) left: AtomicU64,
    settled: AtomicBool,
}

impl<T: Staged> Incoming<T> {
    pub(super) fn new(
        id: EntryId,
        from: RemotePath,
        (version, recorded): (Version, Option<Checksum>),
        staged: Arc<T>,
    ) -> Self {
        let blocks = staged.entry().geometry().map_or(0, Geometry::blocks);
        Self {
            id,
            from,
            version,
            recorded,
            second: OnceLock::new(),
            same: OnceLock::new(),
            staged,
            done: Arc::default(),
            left: AtomicU64::new(blocks),
            settled: AtomicBool::new(false),
        }
    }

    /// What it is to be here.
    pub(super) fn entry(&self) -> &Entry {
        self.staged.entry()
    }

    pub(super) fn subject(&self) -> Subject {
        Subject {
            path: self.from.clone(),
            size: self.entry().size(),
        }
    }
}

impl<T> Incoming<T> {
    /// So many blocks were written and are vouched for. `true` with the last.
    pub(super) fn wrote(&self, blocks: u64) -> bool {
        self.left.fetch_sub(blocks, Ordering::AcqRel) == blocks
    }

    /// Whether it is done or has failed.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Settles it. `true` for whoever does so first.
    pub(super) fn settle(&self) -> bool {
        !self.settled.swap(true, Ordering::AcqRel)
    }
}
