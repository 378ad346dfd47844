//! How many connections there are, from where and how far they have come, and a hold on
//! each to end it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::admission::Acquaintance;
use super::anteroom::{Anteroom, Opening, Places};
use super::sources::{OpeningLimits, Source};

/// How long connections that were ended may take to notice.
const GRACE: Duration = Duration::from_secs(5);

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
    busy: Arc<AtomicBool>,
    /// As what it was let in, if it was.
    let_in: Option<Acquaintance>,
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
    busy: Arc<AtomicBool>,
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
        let busy = Arc::new(AtomicBool::new(false));
        let hold = Hold {
            socket,
            busy: Arc::clone(&busy),
            let_in: None,
        };
        table.taken.insert(number, hold);
        Ok(Slot {
            slots: Arc::clone(self),
            number,
            source,
            busy,
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

    /// Ends the waits of connections that wait for a request; each then says why
    /// it parts.
    pub(super) fn end_idle(&self) {
        self.end(|hold| !hold.busy.load(Ordering::SeqCst), Shutdown::Read);
    }

    /// Ends all connections.
    pub(super) fn end_all(&self) {
        self.end(|_| true, Shutdown::Both);
    }

    fn end(&self, which: impl Fn(&Hold) -> bool, how: Shutdown) {
        for hold in self.table().taken.values().filter(|hold| which(hold)) {
            hold.end(how);
        }
    }

    /// Waits until all connections have ended; after `patience`, ends them. One that is
    /// deep in a hash or a flush then is not waited for any longer.
    pub(super) fn drain(&self, patience: Duration) {
        self.wait_until_empty(patience);
        self.end_all();
        self.wait_until_empty(GRACE);
    }

    fn wait_until_empty(&self, patience: Duration) {
        let is_taken = |table: &mut Table| !table.taken.is_empty();
        drop(
            self.freed
                .wait_timeout_while(self.table(), patience, is_taken)
                .unwrap_or_else(PoisonError::into_inner),
        );
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

    /// Says whether the connection is in the middle of something.
    ///
    /// The order against the stop flag is total: a connection that turns idle sees
    /// the flag, or whoever set the flag sees that it is idle.
    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::SeqCst);
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
