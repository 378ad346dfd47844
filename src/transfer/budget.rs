//! How much memory what is under way may take.
//!
//! Whoever may write could offer names without end and send no byte: what is kept in mind of
//! each costs a server more than it cost them to say it. So it is counted, for one identity
//! over all its connections and transfers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::entry::{Entry, Kind, LinkTarget};

/// Bytes of memory that one identity's entries may take: many times what a client has under
/// way over 64 connections.
const MOST: usize = 256 << 20;

/// What an entry takes beside its names, at least.
const ENTRY: usize = 1 << 10;

/// What one identity may have under way, and has.
#[derive(Debug, Default)]
pub struct Budget {
    used: AtomicUsize,
}

/// What one entry takes of it, for as long as it is under way.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// Takes what an entry needs; nothing where there is no more.
    pub(super) fn take(self: &Arc<Self>, entry: &Entry) -> Option<Share> {
        let target = match &entry.kind {
            Kind::Link(target) => LinkTarget::as_str(target).len(),
            _ => 0,
        };
        let bytes = ENTRY + entry.path.as_str().len() + target;
        let more = |used: usize| used.checked_add(bytes).filter(|all| *all <= MOST);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Share {
            of: Arc::clone(self),
            bytes,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Mode, Mtime};
    use crate::path::RemotePath;

    #[test]
    fn no_more_is_taken_than_there_is_and_what_ends_gives_it_back() {
        let entry = Entry {
            path: RemotePath::parse(&format!("{}y", "y/".repeat(1999))).unwrap(),
            kind: Kind::Dir,
            mode: Mode::EVERYTHING,
            mtime: Mtime::default(),
            version: None,
            checksum: None,
        };
        let budget = Arc::new(Budget::default());
        let mut shares: Vec<Share> = std::iter::from_fn(|| budget.take(&entry)).collect();
        assert_eq!(shares.len(), MOST / (ENTRY + 3999));
        shares.pop();
        assert!(budget.take(&entry).is_some());
        let other = Arc::new(Budget::default());
        assert!(other.take(&entry).is_some());
    }
}
