//! How many connections there are, from where and how far they have come, and a hold on
//! each to end it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::admission::Acquaintance;
use super::anteroom::{Anteroom, Opening, Places};
use super::sources::{OpeningLimits, Source};

/// How long connections that were ended may take to notice.
const GRACE: Duration = Duration::from_secs(5);

/// The same where somebody will not wait: what is deep in a hash or a flush is left behind.
const GRACE_AT_ONCE: Duration = Duration::from_secs(1);

/// Silence after which a connection is idle to a server that stops: the next request of a
/// job is on its way within this, also over a slow link.
const LULL: Duration = Duration::from_secs(1);

/// How often a server that stops looks for connections that have become idle.
const LOOK: Duration = Duration::from_millis(100);

/// How long a connection that is cut may take to say why.
const PARTING: Duration = Duration::from_secs(2);

/// Places beyond the last one, for those that take the place of a dropped one: its thread
/// needs a moment to end.
const LEAVING: usize = 16;

/// The places for connections.
#[derive(Debug)]
pub(super) struct Slots {
    max: usize,
    max_per_source: usize,
    table: Mutex<Table>,
    freed: Condvar,
    /// Whether the time is over in which a transfer may go on.
    is_over: AtomicBool,
    /// Whether nobody will wait any more.
    at_once: AtomicBool,
}

#[derive(Debug)]
struct Table {
    next: u64,
    taken: HashMap<u64, Hold>,
    /// Those that have not been let in yet.
    anteroom: Anteroom,
    /// How many there are from where.
    from: HashMap<Source, usize>,
    strangers: usize,
}

/// What is needed to end a connection from outside its thread.
#[derive(Debug)]
struct Hold {
    socket: Option<Arc<TcpStream>>,
    rest: Arc<Rest>,
    /// As what it was let in, if it was.
    let_in: Option<Acquaintance>,
}

/// Since when a connection waits for a request.
#[derive(Debug)]
struct Rest {
    began: Instant,
    /// In milliseconds from then on; 0 while it is in the middle of something.
    since: AtomicU64,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is not known yet whose it is.
    Opening,
    /// It was ended before that was known, to hear another one.
    Dropped,
    /// It was let in.
    In,
}

/// A connection that wants a place.
#[derive(Clone, Debug, Default)]
pub(super) struct Newcomer {
    /// What it is ended by; without one it ends by itself alone.
    pub(super) socket: Option<Arc<TcpStream>>,
    /// Where it comes from, if that is an address.
    pub(super) source: Option<Source>,
    /// Whether somebody was let in from there lately.
    pub(super) is_known: bool,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken.
    Full,
    /// All that one source may have are taken.
    OfSource,
    /// All that strangers may have are taken.
    OfStrangers,
}

/// A connection's place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: u64,
    source: Option<Source>,
    rest: Arc<Rest>,
}

impl NoPlace {
    /// What the client is told.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Full => "the server is full, try again later",
            Self::OfSource => "the server is full for this address, try again later",
            Self::OfStrangers => "the server is full for strangers, try again later",
        }
    }
}

impl Slots {
    /// So many places, so many of them for one source, and these limits for those who have
    /// not been let in.
    pub(super) fn new(max: usize, max_per_source: usize, openings: OpeningLimits) -> Self {
        Self {
            max,
            max_per_source,
            table: Mutex::new(Table {
                next: 0,
                taken: HashMap::new(),
                anteroom: Anteroom::new(openings, max),
                from: HashMap::new(),
                strangers: 0,
            }),
            freed: Condvar::new(),
            is_over: AtomicBool::new(false),
            at_once: AtomicBool::new(false),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection that begins to open.
    pub(super) fn take(self: &Arc<Self>, newcomer: Newcomer) -> Result<Slot, NoPlace> {
        let Newcomer {
            socket,
            source,
            is_known,
        } = newcomer;
        let mut table = self.table();
        let places = self.places(&table, source)?;
        let number = table.next;
        table.next += 1;
        let opening = Opening {
            number,
            source,
            is_known,
        };
        if let Some(dropped) = table.anteroom.enter(opening, places)
            && let Some(hold) = table.taken.get(&dropped)
        {
            hold.end(Shutdown::Both);
        }
        if let Some(source) = source {
            *table.from.entry(source).or_default() += 1;
        }
        let rest = Arc::new(Rest::begun());
        let hold = Hold {
            socket,
            rest: Arc::clone(&rest),
            let_in: None,
        };
        table.taken.insert(number, hold);
        Ok(Slot {
            slots: Arc::clone(self),
            number,
            source,
            rest,
        })
    }

    /// Whether there are places for somebody from there, or somebody can go who has one.
    fn places(&self, table: &Table, source: Option<Source>) -> Result<Places, NoPlace> {
        let from = source.and_then(|source| table.from.get(&source));
        if from.is_some_and(|count| *count >= self.max_per_source) {
            return Err(NoPlace::OfSource);
        }
        match table.taken.len() {
            taken if taken < self.max => Ok(Places::Free),
            taken if taken < self.max.saturating_add(LEAVING) && !table.anteroom.has_few() => {
                Ok(Places::AllTaken)
            }
            _ => Err(NoPlace::Full),
        }
    }

    /// How many places are taken.
    pub(super) fn count(&self) -> usize {
        self.table().taken.len()
    }

    /// Ends the waits of connections that ask for nothing; each then says why it parts.
    pub(super) fn end_idle(&self) {
        self.end(|hold| hold.rest.is_longer_than(LULL), Shutdown::Read);
    }

    /// Ends all connections, and all waits for them.
    pub(super) fn end_all(&self) {
        self.at_once.store(true, Ordering::SeqCst);
        self.end(|_| true, Shutdown::Both);
        self.freed.notify_all();
    }

    fn end(&self, which: impl Fn(&Hold) -> bool, how: Shutdown) {
        for hold in self.table().taken.values().filter(|hold| which(hold)) {
            hold.end(how);
        }
    }

    /// Waits until all connections have ended, and ends those that ask for nothing; after
    /// `patience`, ends all others too, which say why if they can. One that is deep in a hash
    /// or a flush then is not waited for any longer.
    pub(super) fn drain(&self, patience: Duration) {
        let end = Instant::now() + patience;
        loop {
            self.end_idle();
            let left = end.saturating_duration_since(Instant::now());
            if self.wait_until_empty(left.min(LOOK), Wait::Patient) || left.is_zero() {
                break;
            }
        }
        self.is_over.store(true, Ordering::SeqCst);
        self.end(|_| true, Shutdown::Read);
        self.wait_until_empty(PARTING, Wait::Patient);
        let is_at_once = self.at_once.load(Ordering::SeqCst);
        let grace = if is_at_once { GRACE_AT_ONCE } else { GRACE };
        self.end_all();
        self.wait_until_empty(grace, Wait::Last);
    }

    /// Waits until all connections have ended after [`Slots::end_all`].
    pub(super) fn await_end(&self) {
        self.wait_until_empty(GRACE, Wait::Last);
    }

    /// Says whether there is nothing more to wait for.
    fn wait_until_empty(&self, patience: Duration, wait: Wait) -> bool {
        let is_over = || wait == Wait::Patient && self.at_once.load(Ordering::SeqCst);
        let goes_on = |table: &mut Table| !table.taken.is_empty() && !is_over();
        let waited = self
            .freed
            .wait_timeout_while(self.table(), patience, goes_on);
        let (mut table, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !goes_on(&mut table)
    }
}

/// Whether somebody who will not wait ends a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Patient,
    Last,
}

impl Rest {
    fn begun() -> Self {
        let began = Instant::now();
        Self {
            began,
            since: AtomicU64::new(1),
        }
    }

    fn set(&self, is_busy: bool) {
        let now = || (self.began.elapsed().as_millis() as u64).max(1);
        let since = if is_busy { 0 } else { now() };
        self.since.store(since, Ordering::Relaxed);
    }

    fn is_longer_than(&self, lull: Duration) -> bool {
        match self.since.load(Ordering::Relaxed) {
            0 => false,
            since => self.began.elapsed() >= Duration::from_millis(since) + lull,
        }
    }
}

impl Hold {
    fn end(&self, how: Shutdown) {
        if let Some(socket) = &self.socket {
            // It may have ended by itself meanwhile.
            let _ = socket.shutdown(how);
        }
    }
}

impl Slot {
    /// Where the connection comes from, if that is an address.
    pub(super) fn source(&self) -> Option<Source> {
        self.source
    }

    /// How far the connection has come.
    pub(super) fn stage(&self) -> Stage {
        let table = self.slots.table();
        let hold = table.taken.get(&self.number);
        if hold.is_some_and(|hold| hold.let_in.is_some()) {
            Stage::In
        } else if table.anteroom.holds(self.number) {
            Stage::Opening
        } else {
            Stage::Dropped
        }
    }

    /// Lets it in.
    ///
    /// # Errors
    ///
    /// [`NoPlace::OfStrangers`] where half of all places are theirs already.
    pub(super) fn let_in(&self, acquaintance: Acquaintance) -> Result<(), NoPlace> {
        let mut table = self.slots.table();
        if acquaintance == Acquaintance::Stranger {
            if table.strangers >= self.slots.max.div_ceil(2) {
                return Err(NoPlace::OfStrangers);
            }
            table.strangers += 1;
        }
        if let Some(hold) = table.taken.get_mut(&self.number) {
            hold.let_in = Some(acquaintance);
        }
        table.anteroom.leave(self.number);
        Ok(())
    }

    /// Whether a server that stops waits for it no longer. A client that goes on sending
    /// would not let it see the end of what there is to read.
    pub(super) fn is_over(&self) -> bool {
        self.slots.is_over.load(Ordering::SeqCst)
    }

    /// Says whether the connection is in the middle of something.
    pub(super) fn set_busy(&self, is_busy: bool) {
        self.rest.set(is_busy);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.slots.table();
        let let_in = table.taken.remove(&self.number).and_then(|h| h.let_in);
        table.strangers -= usize::from(let_in == Some(Acquaintance::Stranger));
        table.anteroom.leave(self.number);
        if let Some(source) = self.source
            && let Some(count) = table.from.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                table.from.remove(&source);
            }
        }
        drop(table);
        self.slots.freed.notify_all();
    }
}
