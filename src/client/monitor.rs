//! What a job tells while it runs, and what it came to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::code::Code;
use crate::content::Checksum;
use crate::entry::Kind;
use crate::path::RemotePath;

use super::outage::Attempt;

/// Where a job tells what happens.
#[derive(Clone, Debug)]
pub struct Monitor {
    events: Sender<Event>,
    /// What has been done so far.
    pub progress: Arc<Progress>,
}

/// Something that happens once.
#[derive(Clone, Debug)]
pub enum Event {
    /// A file above one block has begun; `done` counts its bytes.
    Started {
        /// Its name on the server.
        path: RemotePath,
        /// Its size in bytes.
        size: u64,
        /// Bytes that have moved so far.
        done: Arc<AtomicU64>,
    },
    /// A file is done.
    Finished {
        /// Its name on the server.
        path: RemotePath,
        /// Its size in bytes.
        size: u64,
        /// What was proved of it; for an unchanged file perhaps nothing.
        checksum: Option<Checksum>,
        /// What was done with it.
        status: Status,
    },
    /// A link or directory is in place, or would be.
    Placed {
        /// Its name on the server.
        path: RemotePath,
        /// What it is.
        kind: Kind,
        /// What was done with it.
        status: Status,
    },
    /// Something was left out; that is no failure.
    Skipped {
        /// Its name on the server.
        path: RemotePath,
        /// Why.
        why: Skip,
    },
    /// The last connection was lost; the job connects again.
    Lost(Attempt),
    /// A file has failed; the job goes on.
    Failed {
        /// Its name on the server.
        path: RemotePath,
        /// Why, for a program.
        code: Code,
        /// Why, for a person.
        text: String,
    },
}

/// What was done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was sent, proved, and made durable on the server.
    Stored,
    /// It was fetched, proved, and made durable here.
    Fetched,
    /// The same file was there.
    Unchanged,
    /// One that is not older was there, and only an older one was to be replaced.
    Kept,
    /// It would be stored, where nothing has its name.
    WouldStore,
    /// It would replace what has its name.
    WouldReplace,
    /// The same, or one that is not older, is there: nothing would be done.
    WouldSkip,
}

/// Why something is left out of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It is a FIFO, a device or a socket.
    Special,
    /// It is a link that leads out of the tree.
    LeadsOut,
    /// It is a link, and those were not wanted.
    Link,
    /// It is a link that leads back to where it is.
    Loop,
    /// It holds what has haul's own name.
    Reserved,
    /// It was there when the tree was looked through, and is no more.
    Vanished,
}

/// What a person is told.
impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Special => "it is no file, directory or link",
            Self::LeadsOut => "the link may lead out of the tree",
            Self::Link => "links are not wanted",
            Self::Loop => "the link leads back to where it is",
            Self::Reserved => "what is called .haul in it is haul's own",
            Self::Vanished => "it is gone",
        })
    }
}

/// Counters that a screen may read at any time.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files that the job has found to do.
    pub files: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Files that are done or have failed.
    pub files_done: AtomicU64,
    /// Bytes that have moved or need not.
    pub bytes_done: AtomicU64,
    /// Bytes of files that a put has written to its connections, so with what was sent twice
    /// and without what the server had.
    pub bytes_sent: AtomicU64,
}

/// What a job came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that are done, whether they had to be moved or not.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were moved, or of a rehearsal, would be.
    pub moved: u64,
    /// Files that were there already, or of a rehearsal, would be left.
    pub unchanged: u64,
    /// Files that were not older there.
    pub kept: u64,
    /// Links that are in place.
    pub links: u64,
    /// What was left out.
    pub skipped: u64,
    /// What failed, by reason.
    pub failed: BTreeMap<Code, u64>,
    /// Whether the receiving side flushes what it calls stored.
    pub durable: bool,
}

impl Summary {
    /// The exit code that the failures come to; `None` where nothing failed.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::of_all(self.failed.keys().copied())
    }
}

impl Monitor {
    /// A monitor and the channel on which its events arrive. The channel closes
    /// when the monitor and its clones are gone.
    #[must_use]
    pub fn new() -> (Self, Receiver<Event>) {
        // Events are few, one or two a file, and whoever does not read them must
        // not stop the job.
        let (events, receiver) = unbounded();
        let monitor = Self {
            events,
            progress: Arc::default(),
        };
        (monitor, receiver)
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listening is no reason to stop.
        let _ = self.events.send(event);
    }
}

/// Ends a job from another thread. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<CancelParts>);

#[derive(Debug, Default)]
struct CancelParts {
    cancelled: AtomicBool,
    sockets: Mutex<HashMap<u64, Arc<TcpStream>>>,
    woken: Condvar,
    next: AtomicU64,
}

impl Cancel {
    /// Ends the job: its connections are shut down and what it staged is removed.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        for socket in self.sockets().values() {
            // It may have ended by itself.
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.0.woken.notify_all();
    }

    /// Waits for so long, or until it is cancelled. Says whether it was.
    pub fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut sockets = self.sockets();
        while !self.is_cancelled() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.woken.wait_timeout(sockets, left);
            sockets = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.is_cancelled()
    }

    /// Whether [`Cancel::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Holds a connection, to end it if it comes to that, for as long as the hold lives.
    pub(super) fn watch(&self, socket: Arc<TcpStream>) -> Hold {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.sockets().insert(number, socket);
        // Cancelled before it was held, it would live on.
        if self.is_cancelled() {
            self.cancel();
        }
        Hold {
            cancel: self.clone(),
            number,
        }
    }

    fn sockets(&self) -> MutexGuard<'_, HashMap<u64, Arc<TcpStream>>> {
        self.0
            .sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that can be cancelled. Letting go of it ends the connection, if it has
/// not ended: a server is to see at once that a worker is gone.
#[derive(Debug)]
pub(super) struct Hold {
    cancel: Cancel,
    number: u64,
}

impl Hold {
    /// Lets `cancel` end the connection in place of the job before.
    pub(super) fn pass_to(&mut self, cancel: &Cancel) {
        let socket = self.cancel.sockets().remove(&self.number);
        if let Some(socket) = socket {
            *self = cancel.watch(socket);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(socket) = self.cancel.sockets().remove(&self.number) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
