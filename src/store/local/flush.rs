//! Making a batch durable with as few flushes as can be trusted.
//!
//! The system reports a lost write once for each descriptor that was open when it
//! was lost, and never again. So a descriptor that vouches for a batch is opened
//! before the batch's first write, belongs to that batch alone, or to a few whose
//! flushes wait for each other, and once it has reported a loss it vouches for nothing
//! any more.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{OFlags, fstatfs};
use rustix::io::Errno;

use super::staging_area::Area;
use super::sys::{DIRECTORY, Sys};

/// From so many small files on, one flush of the file system costs less than one each.
const FLUSH_ALL_FROM: usize = 8;

/// File systems whose `syncfs` is known to report a lost write.
const REPORTING: [i64; 5] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0xF2F5_2010, // F2FS
    0x0102_1994, // tmpfs, which has nothing to lose
];

/// A descriptor opened before a batch's first write.
#[derive(Debug)]
pub(super) struct FlushPoint {
    directory: OwnedFd,
    failed: AtomicBool,
    /// Of two that flushed at the same time, one would be told of a loss and the other would
    /// vouch for it.
    flushing: Mutex<()>,
}

impl FlushPoint {
    pub(super) fn open(sys: &Sys, area: &Area) -> Result<Arc<Self>, Errno> {
        Self::on(sys, &area.directory).map(Arc::new)
    }

    /// A point on the file system of a directory.
    pub(super) fn on(sys: &Sys, directory: &OwnedFd) -> Result<Self, Errno> {
        // A duplicate would share the file description, and with it what was reported.
        let directory = sys.open_in(directory, ".", DIRECTORY)?;
        Ok(Self {
            directory,
            failed: AtomicBool::new(false),
            flushing: Mutex::default(),
        })
    }

    pub(super) fn flush(&self, sys: &Sys) -> Result<(), Errno> {
        let _alone = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.failed.load(Ordering::Acquire) {
            return Err(Errno::IO);
        }
        sys.flush_all(&self.directory).inspect_err(|_| self.fail())
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

/// Files that may share a point: with a loss, all of them have failed.
const SHARED_MAX: usize = 256;

/// The point that small batches share, so that many of them cost few descriptors.
#[derive(Debug, Default)]
pub(super) struct SharedPoint(Mutex<(Weak<FlushPoint>, usize)>);

impl SharedPoint {
    /// A point for a batch of so many files.
    pub(super) fn open(
        &self,
        sys: &Sys,
        area: &Area,
        files: usize,
    ) -> Result<Arc<FlushPoint>, Errno> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let point = last.0.upgrade().filter(|point| !point.is_failed());
        if let Some(point) = point.filter(|_| last.1 + files <= SHARED_MAX) {
            last.1 += files;
            return Ok(point);
        }
        let point = FlushPoint::open(sys, area)?;
        *last = (Arc::downgrade(&point), files);
        Ok(point)
    }
}

/// Whether one `syncfs` vouches for many files in this directory.
pub(super) fn reports_through_syncfs(directory: &OwnedFd) -> bool {
    // Before Linux 5.8, syncfs reported nothing.
    let release = rustix::system::uname();
    let mut version = release.release().to_str().unwrap_or("").split('.');
    let mut number = || version.next().and_then(|part| part.parse::<u32>().ok());
    let recent = (number(), number()) >= (Some(5), Some(8));
    recent && fstatfs(directory).is_ok_and(|found| REPORTING.contains(&found.f_type))
}

/// What one file of a batch needs.
pub(super) enum Needs<'b> {
    /// Its own flush, through the descriptor that saw its writes.
    Own(&'b OwnedFd),
    /// To be covered with others, or flushed through the descriptor that wrote it,
    /// or by name where that is closed.
    Covered {
        file: Option<&'b OwnedFd>,
        directory: &'b OwnedFd,
        name: &'b str,
        point: &'b Arc<FlushPoint>,
    },
}

/// Flushes a batch's data.
///
/// # Errors
///
/// The first failure, which is the whole batch's.
pub(super) fn flush_batch(sys: &Sys, batch: &[Needs<'_>], reporting: bool) -> Result<(), Errno> {
    let mut covered = Vec::new();
    for file in batch {
        match file {
            Needs::Own(file) => sys.flush_data(file)?,
            Needs::Covered {
                file,
                directory,
                name,
                point,
            } => covered.push((*file, *directory, *name, *point)),
        }
    }
    if !reporting || covered.len() < FLUSH_ALL_FROM {
        for (file, directory, name, point) in covered {
            if point.is_failed() {
                return Err(Errno::IO);
            }
            let flushed = match file {
                Some(file) => sys.flush_data(file),
                // A descriptor opened now still reports a loss that nobody was told
                // of, as long as the system remembers the file.
                None => sys
                    .open_in(directory, name, OFlags::RDONLY | OFlags::NONBLOCK)
                    .and_then(|file| sys.flush_data(&file)),
            };
            flushed.inspect_err(|_| point.fail())?;
        }
        return Ok(());
    }
    let mut points: Vec<&Arc<FlushPoint>> = Vec::new();
    for (.., point) in covered {
        if !points.iter().any(|known| Arc::ptr_eq(known, point)) {
            points.push(point);
        }
    }
    points.into_iter().try_for_each(|point| point.flush(sys))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test that gets no thread has failed"
)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::fault::{Call, Fault};

    #[test]
    fn of_two_flushes_of_one_point_the_second_waits_and_learns_of_the_first_one_s_loss() {
        let (reached, is_reached) = mpsc::sync_channel(2);
        let (open, gate) = mpsc::sync_channel::<()>(1);
        let gate = Mutex::new(Some(gate));
        // The first is told of the loss, and the system tells nobody else.
        let fault = Fault::watched(move |call| {
            let first = (call == Call::FlushAll).then(|| gate.lock().unwrap().take());
            let Some(first) = first.flatten() else {
                return Ok(());
            };
            reached.send(()).unwrap();
            first.recv().unwrap();
            Err(io::Error::from_raw_os_error(Errno::IO.raw_os_error()))
        });
        let sys = Sys::new(fault);
        let root = sys
            .open_root(Path::new(env!("CARGO_MANIFEST_DIR")))
            .unwrap();
        let point = FlushPoint::on(&sys, &root).unwrap();
        thread::scope(|scope| {
            let first = scope.spawn(|| point.flush(&sys));
            is_reached.recv().unwrap();
            let (ends, ended) = mpsc::sync_channel(1);
            let (point, sys) = (&point, &sys);
            scope.spawn(move || ends.send(point.flush(sys)).unwrap());
            // It must not come before the first one's end.
            let early = ended.recv_timeout(Duration::from_millis(100));
            open.send(()).unwrap();
            assert_eq!(first.join().unwrap(), Err(Errno::IO));
            assert_eq!(early.or_else(|_| ended.recv()), Ok(Err(Errno::IO)));
        });
    }
}
