//! What several connections receive together.
//!
//! The blocks of one file come over any of a transfer's connections, and any of
//! them may ask for its commit. So what is staged belongs to the transfer, and a
//! commit that came early waits here for blocks that are still on their way
//! elsewhere; when a connection ends, it stops waiting, since what that one owed
//! will not come.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::budget::{Budget, Share};
use super::presence::Presence;
use crate::code::Code;
use crate::content::Verified;
use crate::net::Silence;
use crate::offer::{EntryId, TransferId};
use crate::store::{self, Holder, Staged};

/// Entries that one transfer may have under way: offered and not yet committed.
pub const UNDER_WAY_MAX: usize = 1 << 17;

/// What one transfer has under way at its receiving end.
#[derive(Debug)]
pub struct Reception<T> {
    presence: Arc<Presence>,
    budget: Arc<Budget>,
    table: Mutex<Table<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Table<T> {
    slots: HashMap<EntryId, Kept<T>>,
    departures: u64,
    attached: usize,
    blocks: u64,
    /// How many wait for blocks, or for a commit. Mostly nobody does, and to wake nobody is a system call
    /// all the same: two for each small file.
    waiting: usize,
    /// Commits so far, and those of them that are being published.
    commits: u64,
    publishing: Vec<u64>,
}

/// An entry, and what is known of it beside.
#[derive(Debug)]
struct Kept<T> {
    slot: Slot<T>,
    /// How many connections had left when it was last expected whole.
    departures: u64,
    /// The memory that it takes.
    _share: Share,
}

/// What became of an entry so far.
#[derive(Debug)]
pub enum Slot<T> {
    /// It is being received.
    Staged(Arc<T>),
    /// It failed; its blocks are forgotten, and its commit will hear why.
    Failed(Code, String),
}

// Derived, it would ask the same of what is staged.
impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Staged(staged) => Self::Staged(Arc::clone(staged)),
            Self::Failed(code, text) => Self::Failed(*code, text.clone()),
        }
    }
}

/// How a wait for blocks ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Nothing is missing any more, or it never will come.
    Over,
    /// Blocks are missing, and the time to say so has come.
    Still,
}

/// One connection's part in a reception, which ends with it.
#[derive(Debug)]
pub struct Attachment<T> {
    reception: Arc<Reception<T>>,
    connection: u64,
    /// Commits that there were when it began to take part.
    commits: u64,
}

/// A commit that is being published.
#[derive(Debug)]
pub struct Publishing<'r, T>(&'r Reception<T>, u64);

impl<T> Reception<T> {
    /// What this job has under way, out of a budget. It may be silent for `patience` before
    /// another may go on with it.
    #[must_use]
    pub fn of(transfer: TransferId, patience: Duration, budget: Arc<Budget>) -> Self {
        Self {
            budget,
            presence: Arc::new(Presence::new(transfer, patience)),
            table: Mutex::new(Table {
                slots: HashMap::new(),
                departures: 0,
                attached: 0,
                blocks: 0,
                waiting: 0,
                commits: 0,
                publishing: Vec::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Out of which budget its entries are.
    #[must_use]
    pub fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }

    /// Lets a connection take part.
    pub fn attach(self: &Arc<Self>, silence: Silence) -> Attachment<T> {
        let mut table = self.table();
        table.attached += 1;
        Attachment {
            reception: Arc::clone(self),
            connection: self.presence.add(silence),
            commits: table.commits,
        }
    }

    /// Says that something is being published, for as long as the answer lives.
    pub fn publish(&self) -> Publishing<'_, T> {
        let mut table = self.table();
        table.commits += 1;
        let number = table.commits;
        table.publishing.push(number);
        Publishing(self, number)
    }

    /// Waits, `pulse` at most, until nothing is being published any more that was before a
    /// connection took part. `false` where something still is.
    ///
    /// A connection that comes late comes in place of one that was lost, and offers again
    /// what that one had committed.
    pub fn await_commits_before(&self, commits: u64, pulse: Duration) -> bool {
        let is_early = |table: &mut Table<T>| table.publishing.iter().any(|n| *n <= commits);
        let mut table = self.table();
        table.waiting += 1;
        let (mut table, waited) = self
            .changed
            .wait_timeout_while(table, pulse, is_early)
            .unwrap_or_else(PoisonError::into_inner);
        table.waiting -= 1;
        !waited.timed_out()
    }

    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the table, and has whoever waits look at it.
    fn wake(&self, table: MutexGuard<'_, Table<T>>) {
        let is_awaited = table.waiting > 0;
        drop(table);
        if is_awaited {
            self.changed.notify_all();
        }
    }
}

impl<T: Staged> Reception<T> {
    /// Notes that an entry is being received.
    ///
    /// # Errors
    ///
    /// [`Code::Protocol`] where its number is in use: one file's blocks would land in
    /// another; [`Code::Limit`] where too many entries are under way, of this transfer or by
    /// the memory that they take of all.
    pub fn insert(&self, entry: EntryId, staged: Arc<T>) -> Result<(), Code> {
        let holder: Arc<dyn Holder> = Arc::clone(&self.presence) as _;
        staged.belongs_to(&holder);
        let mut table = self.table();
        let (full, departures) = (table.slots.len() >= UNDER_WAY_MAX, table.departures);
        match table.slots.entry(entry) {
            Place::Occupied(_) => Err(Code::Protocol),
            Place::Vacant(_) if full => Err(Code::Limit),
            Place::Vacant(place) => {
                let share = self.budget.take(staged.entry()).ok_or(Code::Limit)?;
                place.insert(Kept {
                    slot: Slot::Staged(staged),
                    departures,
                    _share: share,
                });
                Ok(())
            }
        }
    }

    /// What became of an entry so far.
    #[must_use]
    pub fn slot(&self, entry: EntryId) -> Option<Slot<T>> {
        self.table().slots.get(&entry).map(|kept| kept.slot.clone())
    }

    /// Whether anything is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table().slots.is_empty()
    }

    /// Writes a block, and wakes whoever waits for it.
    ///
    /// # Errors
    ///
    /// What the store refused; the entry is still there, to be failed.
    pub fn put(&self, staged: &T, block: Verified<'_>) -> Result<(), store::Error> {
        staged.put(block)?;
        let mut table = self.table();
        table.blocks += 1;
        self.wake(table);
        Ok(())
    }

    /// Gives up an entry: what was staged of it is let go, and nothing of it is kept.
    pub fn fail(&self, entry: EntryId, code: Code, text: String) {
        let mut table = self.table();
        // It may have been dropped meanwhile.
        let kept = table.slots.get_mut(&entry);
        let before = kept.map(|kept| mem::replace(&mut kept.slot, Slot::Failed(code, text)));
        self.wake(table);
        if let Some(Slot::Staged(staged)) = before {
            staged.discard();
        }
    }

    /// Gives up everything: nothing of it is kept.
    pub fn discard(&self) {
        let mut table = self.table();
        let all = mem::take(&mut table.slots);
        self.wake(table);
        for kept in all.into_values() {
            if let Slot::Staged(staged) = kept.slot {
                staged.discard();
            }
        }
    }

    /// Forgets an entry, and returns what became of it.
    pub fn take(&self, entry: EntryId) -> Option<Slot<T>> {
        let mut table = self.table();
        let taken = table.slots.remove(&entry).map(|kept| kept.slot);
        self.wake(table);
        taken
    }

    /// Expects an entry whole anew: connections that left so far do not count.
    pub fn renew(&self, entry: EntryId) {
        let mut table = self.table();
        let departures = table.departures;
        if let Some(kept) = table.slots.get_mut(&entry) {
            kept.departures = departures;
        }
    }

    /// Whether only one connection takes part.
    #[must_use]
    pub fn is_only(&self) -> bool {
        self.table().attached == 1
    }

    /// Waits until none of `entries` has blocks missing, or those of one will never
    /// come: a connection has left since it was offered, or no block at all came
    /// for `stall`.
    ///
    /// Returns after `pulse` at the latest; `since` is when the last block came.
    pub fn wait(
        &self,
        entries: &[EntryId],
        pulse: Duration,
        stall: Duration,
        since: &mut (u64, Instant),
    ) -> Waited {
        let end = Instant::now() + pulse;
        let mut table = self.table();
        loop {
            let mut missing = entries
                .iter()
                .filter_map(|entry| match table.slots.get(entry) {
                    Some(Kept {
                        slot: Slot::Staged(staged),
                        departures,
                        ..
                    }) if !staged.missing().is_empty() => Some(*departures),
                    _ => None,
                });
            match missing.next() {
                Some(left) if left == table.departures => {}
                _ => return Waited::Over,
            }
            if missing.any(|left| left != table.departures) {
                return Waited::Over;
            }
            let now = Instant::now();
            if table.blocks != since.0 {
                *since = (table.blocks, now);
            }
            let silent = now.duration_since(since.1);
            if silent >= stall {
                return Waited::Over;
            }
            let left = end
                .saturating_duration_since(now)
                .min(stall.saturating_sub(silent));
            if now >= end {
                return Waited::Still;
            }
            table.waiting += 1;
            (table, _) = self
                .changed
                .wait_timeout(table, left)
                .unwrap_or_else(PoisonError::into_inner);
            table.waiting -= 1;
        }
    }
}

impl<T> Attachment<T> {
    /// What it takes part in.
    #[must_use]
    pub fn reception(&self) -> Arc<Reception<T>> {
        Arc::clone(&self.reception)
    }

    /// How many commits there were before it took part.
    #[must_use]
    pub fn commits_before(&self) -> u64 {
        self.commits
    }
}

impl<T> std::ops::Deref for Attachment<T> {
    type Target = Reception<T>;

    fn deref(&self) -> &Reception<T> {
        &self.reception
    }
}

impl<T> Drop for Attachment<T> {
    fn drop(&mut self) {
        self.reception.presence.remove(self.connection);
        let mut table = self.reception.table();
        table.departures += 1;
        table.attached -= 1;
        self.reception.wake(table);
    }
}

impl<T> Drop for Publishing<'_, T> {
    fn drop(&mut self) {
        let mut table = self.0.table();
        table.publishing.retain(|number| *number != self.1);
        self.0.wake(table);
    }
}
