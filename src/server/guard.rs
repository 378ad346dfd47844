//! What somebody may do at this moment, asked again and again.
//!
//! Every request is checked when it is made. One that lasts, a large file on its way or a long
//! listing, is checked again all the time, so that a right that was taken away ends it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Admit, Grant, Visitor};
use crate::path::RemotePath;
use crate::store::{Error, OnRecord, ReadAt};
use crate::wire::message::Rights;

/// How long an answer holds for what is under way already: a small part of what a person
/// calls at once, and the question may cost a look at a file.
const HOLDS: Duration = Duration::from_millis(100);

/// Who came in by which door.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) visitor: Visitor,
    admit: Arc<dyn Admit>,
    /// The directory that they take for the root.
    under: Option<RemotePath>,
    latest: Mutex<(Instant, Rights)>,
}

/// A file that can be read for as long as whoever opened it may.
#[derive(Debug)]
pub(super) struct Guarded<R> {
    reader: R,
    guard: Arc<Guard>,
    bytes_read: AtomicU64,
    is_abandoned: AtomicBool,
}

impl Guard {
    /// For somebody who was let in with these rights just now.
    pub(super) fn new(
        visitor: Visitor,
        admit: Arc<dyn Admit>,
        under: Option<RemotePath>,
        rights: Rights,
    ) -> Arc<Self> {
        Arc::new(Self {
            visitor,
            admit,
            under,
            latest: Mutex::new((Instant::now(), rights)),
        })
    }

    pub(super) fn under(&self) -> Option<&RemotePath> {
        self.under.as_ref()
    }

    /// What they are granted at this moment, where they are.
    pub(super) fn grant(&self) -> Option<Grant> {
        let grant = self.admit.grant(&self.visitor).ok()?;
        (grant.under == self.under).then_some(grant)
    }

    /// Checks that they still have a right, which they had when they began.
    ///
    /// # Errors
    ///
    /// [`Error::NotAllowed`], a moment after it was taken away.
    pub(super) fn still(&self, wanted: Rights, what: &'static str) -> Result<(), Error> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.0.elapsed() >= HOLDS {
            let rights = self
                .grant()
                .map_or(Rights(0), |grant| grant.rights.in_force());
            *latest = (Instant::now(), rights);
        }
        if latest.1.include(wanted) {
            Ok(())
        } else {
            Err(Error::NotAllowed(what))
        }
    }
}

impl<R> Guarded<R> {
    pub(super) fn new(reader: R, guard: &Arc<Guard>) -> Self {
        let guard = Arc::clone(guard);
        Self {
            reader,
            guard,
            bytes_read: AtomicU64::new(0),
            is_abandoned: AtomicBool::new(false),
        }
    }

    /// Has the next read fail: whoever wanted to know is not there any more.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// How many bytes were read of it.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }
}

impl<R: ReadAt> ReadAt for Guarded<R> {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<(), Error> {
        self.guard.still(Rights::READ, "read")?;
        if self.is_abandoned.load(Ordering::Relaxed) {
            return Err(Error::Abandoned);
        }
        self.reader.read_at(into, offset)?;
        let read = into.len() as u64;
        self.bytes_read.fetch_add(read, Ordering::Relaxed);
        Ok(())
    }

    fn read_anew(&self) {
        self.reader.read_anew();
    }

    fn size(&self) -> u64 {
        self.reader.size()
    }

    fn check_version(&self) -> Result<(), Error> {
        self.reader.check_version()
    }

    fn on_record(&self) -> Result<Option<OnRecord>, Error> {
        self.reader.on_record()
    }
}
