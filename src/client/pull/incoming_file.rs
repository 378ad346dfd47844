//! One file on its way in.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::client::job::Subject;
use crate::content::{Checksum, Geometry};
use crate::entry::Version;
use crate::offer::EntryId;
use crate::path::RemotePath;
use crate::wire::message::Wanted;

/// What a worker can be given to do.
pub(super) enum Work<T> {
    /// Some blocks of one file.
    Segment(Part<T>),
    /// Several files of one block each.
    Small(Vec<Part<T>>),
    /// The server's second checksum of a file that is here whole.
    Sum(Arc<Incoming<T>>),
}

/// A run of blocks that is wanted of a file.
#[derive(Debug)]
pub(super) struct Part<T> {
    pub(super) file: Arc<Incoming<T>>,
    pub(super) blocks: Range<u64>,
}

impl<T> Part<T> {
    /// How it is asked for.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            entry: self.file.id,
            path: self.file.from.clone(),
            version: self.file.version,
            block: self.file.geometry.block().bytes(),
            first: self.blocks.start,
            count: self.blocks.end - self.blocks.start,
        }
    }
}

/// A file that was listed and staged.
#[derive(Debug)]
pub(super) struct Incoming<T> {
    pub(super) id: EntryId,
    /// Its name on the server.
    pub(super) from: RemotePath,
    pub(super) version: Version,
    pub(super) geometry: Geometry,
    /// The checksum that the server has on record for it.
    pub(super) recorded: Option<Checksum>,
    /// The checksum that the server computed on demand.
    pub(super) second: OnceLock<Checksum>,
    pub(super) staged: Arc<T>,
    /// Bytes that came, for a screen.
    pub(super) done: Arc<AtomicU64>,
    pub(super) left: AtomicU64,
    settled: AtomicBool,
}

impl<T> Incoming<T> {
    pub(super) fn new(
        id: EntryId,
        from: RemotePath,
        (version, geometry, recorded): (Version, Geometry, Option<Checksum>),
        staged: Arc<T>,
    ) -> Self {
        Self {
            id,
            from,
            version,
            geometry,
            recorded,
            second: OnceLock::new(),
            staged,
            done: Arc::default(),
            left: AtomicU64::new(geometry.blocks()),
            settled: AtomicBool::new(false),
        }
    }

    pub(super) fn subject(&self) -> Subject {
        Subject {
            path: self.from.clone(),
            size: self.geometry.size(),
        }
    }

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
