//! The work of one job: handed out, given back, and counted until none is left.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::error::Error;
use super::monitor::{Cancel, Event, Monitor, Skip, Status, Summary};
use super::outage::{Outages, Retry};
use super::route::Route;
use crate::code::Code;
use crate::content::Checksum;
use crate::entry::Kind;
use crate::path::RemotePath;

/// A job whose workers take pieces of work `W` from one channel.
///
/// The channel closes when nothing is left that could become work, and with it
/// the workers end.
pub(super) struct Job<'m, W> {
    monitor: &'m Monitor,
    ledger: Mutex<Ledger<W>>,
    /// The most bytes that had moved at any time: what was given back had moved too.
    most: AtomicU64,
    outages: Outages,
}

struct Ledger<W> {
    work: Option<Sender<W>>,
    /// What is done when all else is: one after the other.
    finale: VecDeque<W>,
    /// Files that are found and neither done nor failed.
    open: u64,
    /// Whether more files may still be found.
    searching: bool,
    workers: usize,
    summary: Summary,
    ended: Option<Error>,
}

/// One file's name and size, as events tell them.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) path: RemotePath,
    pub(super) size: u64,
}

/// What is said in place of a name where something has none: the root of a tree.
pub(super) fn unnamed() -> RemotePath {
    RemotePath::parse("?").expect("a question mark is a name")
}

impl<'m, W> Job<'m, W> {
    /// A job for so many workers, and the channel that they take work from.
    pub(super) fn new(monitor: &'m Monitor, workers: usize, retry: Retry) -> (Self, Receiver<W>) {
        // What it holds is bounded by what was granted and not yet sent.
        let (work, receiver) = unbounded();
        let ledger = Mutex::new(Ledger {
            work: Some(work),
            finale: VecDeque::new(),
            open: 0,
            searching: true,
            workers,
            summary: Summary::default(),
            ended: None,
        });
        let job = Self {
            monitor,
            ledger,
            most: AtomicU64::new(0),
            outages: Outages::new(retry, workers),
        };
        (job, receiver)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<W>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the job's listener of something.
    pub(super) fn tell(&self, event: Event) {
        self.monitor.tell(event);
    }

    /// Counts bytes that have moved.
    pub(super) fn moved(&self, bytes: u64) {
        let done = &self.monitor.progress.bytes_done;
        let before = done.fetch_add(bytes, Ordering::Relaxed);
        self.most.fetch_max(before + bytes, Ordering::Relaxed);
    }

    /// Counts bytes that went over a connection.
    pub(super) fn sent(&self, bytes: u64) {
        let sent = &self.monitor.progress.bytes_sent;
        sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back bytes that have to move again, or never will.
    pub(super) fn unmoved(&self, bytes: u64) {
        self.monitor
            .progress
            .bytes_done
            .fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A file or link was found.
    pub(super) fn found(&self, size: u64) {
        let progress = &self.monitor.progress;
        progress.files.fetch_add(1, Ordering::Relaxed);
        progress.bytes.fetch_add(size, Ordering::Relaxed);
        self.ledger().open += 1;
    }

    /// How many are found and neither done nor failed.
    pub(super) fn open(&self) -> u64 {
        self.ledger().open
    }

    /// Nothing more will be found. When all that was is settled, `finale` is handed out,
    /// each piece when the one before it [has ended](Job::finale_ended).
    pub(super) fn all_found(&self, finale: impl IntoIterator<Item = W>) {
        let mut ledger = self.ledger();
        ledger.searching = false;
        ledger.finale = finale.into_iter().collect();
        ledger.go_on();
    }

    /// A piece of the finale is done.
    pub(super) fn finale_ended(&self) {
        let mut ledger = self.ledger();
        ledger.open = ledger.open.saturating_sub(1);
        ledger.go_on();
    }

    /// Gives work to whichever worker is free next.
    pub(super) fn hand_out(&self, work: W) {
        if let Some(channel) = &self.ledger().work {
            // The last worker may be gone; then the job ends with its error.
            let _ = channel.send(work);
        }
    }

    /// A file is done.
    pub(super) fn finish(&self, subject: &Subject, checksum: Option<Checksum>, status: Status) {
        self.tell(Event::Finished {
            path: subject.path.clone(),
            size: subject.size,
            checksum,
            status,
        });
        self.settle(|summary| {
            summary.files += 1;
            summary.bytes += subject.size;
            match status {
                Status::Stored | Status::Fetched | Status::WouldStore | Status::WouldReplace => {
                    summary.moved += 1;
                }
                Status::Unchanged | Status::WouldSkip => summary.unchanged += 1,
                Status::Kept => summary.kept += 1,
            }
        });
    }

    /// A link or directory that was counted as found is in place, or would be, or was
    /// left as it is.
    pub(super) fn placed(&self, path: RemotePath, kind: Kind, status: Status) {
        let is_link = matches!(kind, Kind::Link(_));
        self.place(path, kind, status);
        self.settle(|summary| match status {
            Status::Kept => summary.kept += 1,
            _ => summary.links += u64::from(is_link),
        });
    }

    /// A directory that was not counted is in place.
    pub(super) fn place(&self, path: RemotePath, kind: Kind, status: Status) {
        self.tell(Event::Placed { path, kind, status });
    }

    /// Something that was found is left out after all.
    pub(super) fn leave_out(&self, path: RemotePath, why: Skip) {
        self.tell(Event::Skipped { path, why });
        self.settle(|summary| summary.skipped += 1);
    }

    /// Something was met that is not to be moved, so often.
    pub(super) fn skip(&self, path: RemotePath, why: Skip, count: u64) {
        self.tell(Event::Skipped { path, why });
        let skipped = &mut self.ledger().summary.skipped;
        *skipped = skipped.saturating_add(count);
    }

    /// Something has failed that was not counted as found: a directory, or what stands
    /// for several names.
    pub(super) fn fail_beside(&self, path: RemotePath, code: Code, text: String) {
        self.tell(Event::Failed { path, code, text });
        *self.ledger().summary.failed.entry(code).or_default() += 1;
    }

    /// A file has failed.
    pub(super) fn fail(&self, subject: &Subject, code: Code, text: String) {
        self.tell(Event::Failed {
            path: subject.path.clone(),
            code,
            text,
        });
        self.settle(|summary| *summary.failed.entry(code).or_default() += 1);
    }

    fn settle(&self, note: impl FnOnce(&mut Summary)) {
        self.monitor
            .progress
            .files_done
            .fetch_add(1, Ordering::Relaxed);
        let mut ledger = self.ledger();
        note(&mut ledger.summary);
        ledger.open = ledger.open.saturating_sub(1);
        ledger.go_on();
    }

    /// What the receiving side said of its durability.
    pub(super) fn set_durable(&self, durable: bool) {
        self.ledger().summary.durable = durable;
    }

    /// One worker more takes part.
    pub(super) fn enlist(&self) {
        self.outages.enlist();
        self.ledger().workers += 1;
    }

    /// A worker's connection has ended in this error, and what it had under way is given
    /// back: waits until it is worth connecting again.
    ///
    /// # Errors
    ///
    /// The same error where it is not, or that the job was interrupted.
    pub(super) fn pick_up(
        &self,
        error: Error,
        route: &Route,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let files = self.monitor.progress.files_done.load(Ordering::Relaxed);
        let done = files + self.most.load(Ordering::Relaxed);
        self.outages.pick_up(
            error,
            (route, cancel),
            done,
            || self.ledger().work.is_none(),
            |attempt| self.tell(Event::Lost(attempt)),
        )
    }

    /// A worker has ended. The job ends with the error of the last one, or at once
    /// where it is not one of the connection: others would only meet it too.
    pub(super) fn worker_ended(&self, result: Result<(), Error>) {
        let left = {
            let mut ledger = self.ledger();
            ledger.workers -= 1;
            ledger.workers
        };
        match result {
            Err(error) if left == 0 || error.code() != Code::Connection => self.abort(error),
            _ => {}
        }
    }

    /// Ends the job where the thread that holds this panics: nobody else would miss it.
    pub(super) fn guard(&self) -> Guard<'_, 'm, W> {
        Guard(self)
    }

    /// The job cannot go on.
    pub(super) fn abort(&self, error: Error) {
        let mut ledger = self.ledger();
        ledger.work = None;
        ledger.ended.get_or_insert(error);
    }

    /// Whether the job has ended early.
    pub(super) fn has_ended(&self) -> bool {
        self.ledger().ended.is_some()
    }

    /// Whether the job has come to its end without doing all that was to be done.
    pub(super) fn has_failed(&self) -> bool {
        self.ledger().has_failed()
    }

    /// What the job came to, once its workers have ended.
    pub(super) fn into_summary(self) -> Result<Summary, Error> {
        let ledger = self
            .ledger
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let has_failed = ledger.has_failed();
        match ledger.ended {
            Some(error) if has_failed => Err(error),
            _ => Ok(ledger.summary),
        }
    }
}

/// What a thread of a job holds as long as it works.
pub(super) struct Guard<'j, 'm, W>(&'j Job<'m, W>);

impl<W> Drop for Guard<'_, '_, W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = std::io::Error::other("a thread of the job panicked");
            self.0.abort(Error::Thread(error));
        }
    }
}

impl<W> Ledger<W> {
    fn is_done(&self) -> bool {
        self.open == 0 && !self.searching && self.finale.is_empty()
    }

    fn has_failed(&self) -> bool {
        match &self.ended {
            None => false,
            // What was found of it may be done, or refused: it was not to be begun.
            Some(Error::IntoItself(_)) => true,
            // The work may have been done before the last connection was lost.
            Some(_) => !self.is_done(),
        }
    }

    fn go_on(&mut self) {
        let Some(work) = &self.work else { return };
        if self.open > 0 || self.searching {
            return;
        }
        match self.finale.pop_front() {
            Some(next) => {
                self.open = 1;
                // The last worker may be gone; then the job ends with its error.
                let _ = work.send(next);
            }
            None => self.work = None,
        }
    }
}
