//! What the server was asked and has not answered.

use std::sync::Arc;

use super::incoming_file::{Incoming, Part, Question};
use super::looking::Listing;
use crate::offer::EntryId;
use crate::transfer::Error;
use crate::wire::message::Block;

/// One request.
pub(super) enum Asked<T> {
    /// What there is at a place.
    Listing(Box<Listing>),
    /// Blocks.
    Blocks(Runs<T>),
    /// A checksum.
    Sum(Question<T>),
}

/// Runs of blocks, in the order in which they must come.
pub(super) struct Runs<T> {
    runs: Vec<Coming<T>>,
    /// The one that is coming.
    at: usize,
}

/// A run of blocks, and which of them is next.
pub(super) struct Coming<T> {
    pub(super) part: Part<T>,
    pub(super) next: u64,
}

impl<T> Runs<T> {
    pub(super) fn of(parts: Vec<Part<T>>) -> Self {
        let coming = |part: Part<T>| Coming {
            next: part.blocks.start,
            part,
        };
        Self {
            runs: parts.into_iter().map(coming).collect(),
            at: 0,
        }
    }

    /// The file that a block belongs to.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] where it is not the next one that was asked for.
    pub(super) fn due(&mut self, header: &Block) -> Result<Arc<Incoming<T>>, Error> {
        // A file that ended early is followed by the next one; why is said in the end.
        let rest = self.runs.iter().skip(self.at);
        let passed = rest
            .take_while(|coming| coming.part.file.id != header.entry)
            .count();
        let due = self.runs.get(self.at + passed);
        let due = due.ok_or(Error::Broken("a block of a file that was not asked for"))?;
        if header.index != due.next || due.next >= due.part.blocks.end {
            return Err(Error::Broken("a block that was not asked for"));
        }
        self.at += passed;
        Ok(Arc::clone(&due.part.file))
    }

    /// The block that was due is here.
    pub(super) fn came(&mut self) {
        self.runs[self.at].next += 1;
    }

    /// The file of this number, if something of it was asked for.
    pub(super) fn file(&self, id: EntryId) -> Option<Arc<Incoming<T>>> {
        let mut files = self.runs.iter().map(|coming| &coming.part.file);
        files.find(|file| file.id == id).map(Arc::clone)
    }
}

impl<T> IntoIterator for Runs<T> {
    type Item = Coming<T>;
    type IntoIter = std::vec::IntoIter<Coming<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.runs.into_iter()
    }
}
