//! Where connections come from, and whose openings go wrong.
//!
//! Whoever reaches the port may open a connection, and each costs a thread and a handshake
//! before anybody knows who it is. So a source that spoils one opening after the other is
//! refused as soon as it is accepted, which costs next to nothing. What it spoiled is a
//! debt that time forgives at a fixed rate, and every attempt adds to it, also those that
//! are refused: the longer somebody goes on, the longer they stay out. A source that
//! somebody was let in from lately is trusted with more, and once refused, only for as long
//! as it goes on. Debts are forgotten so fast that a million sources cannot make the table
//! large: those that have none take no place in it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::admission::Acquaintance;

/// How much may be spent on connections that have not been let in yet.
#[derive(Clone, Copy, Debug)]
pub struct OpeningLimits {
    /// Such connections at once, but at most half of all that there may be. When another
    /// one comes, one of them is dropped by lot: as an honest opening is over soon, it is
    /// seldom the one.
    pub at_once: usize,
    /// Of these, those from one source: an IPv4 address, or an IPv6 network of 64 bits.
    pub of_a_source: usize,
    /// How many openings a source may spoil at once before it is refused.
    pub spoiled: u32,
    /// The time in which one spoiled opening is forgiven.
    pub forgiven_in: Duration,
    /// How long a source is refused at most once it no longer tries; one that is known is
    /// not at all, then.
    pub refused_for: Duration,
    /// How many times as much a source may spoil that is known: somebody was let in from
    /// there lately.
    pub known_factor: u32,
    /// How long that counts as lately.
    pub known_for: Duration,
}

impl Default for OpeningLimits {
    fn default() -> Self {
        Self {
            at_once: 512,
            // One client opens 64 at most, and several may be behind one address.
            of_a_source: 256,
            spoiled: 256,
            forgiven_in: Duration::from_millis(100),
            refused_for: Duration::from_secs(300),
            known_factor: 8,
            known_for: Duration::from_secs(3600),
        }
    }
}

/// What one party is taken to connect from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

/// What is remembered of sources.
#[derive(Debug)]
pub(super) struct Sources {
    limits: OpeningLimits,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    marks: HashMap<Source, Mark>,
    swept: Option<Instant>,
}

/// What is remembered of one.
#[derive(Debug)]
struct Mark {
    /// When all that it spoiled will be forgiven.
    forgiven: Instant,
    /// Until when it is known.
    known: Option<Instant>,
    /// How many more may leave before they come in, and it is no debt.
    beside: u32,
    is_refused: bool,
}

/// What is made of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repute {
    /// Somebody was let in from there lately.
    Known,
    /// Nobody was, and nothing speaks against it.
    Unknown,
    /// It has spoiled too much.
    Refused {
        /// Whether it was not when it came the last time.
        anew: bool,
    },
}

/// Most sources that anything is remembered of, at less than a hundred bytes each. Beyond
/// that nothing new is: the bounds on connections at once hold for all of them together.
const MARKS_MAX: usize = 1 << 14;

/// Connections that a client may have opened beside the one that was let in. From far away it
/// opens them before it knows what there is to do, and leaves when its job is done without them.
const BESIDE: u32 = 63;

/// Most of those that are still expected to leave: several clients of one source may be let in
/// before the first of what they opened has left.
const BESIDE_MAX: u32 = 16 * BESIDE;

/// Least time between two looks through the whole table.
const SWEEP: Duration = Duration::from_secs(1);

impl Source {
    /// An IPv4 address is one party. Of IPv6 addresses everybody has a network of 2^64.
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Ipv6Addr::from_bits(network).into()
            }
        })
    }
}

impl Sources {
    pub(super) fn new(limits: OpeningLimits) -> Self {
        Self {
            limits,
            table: Mutex::default(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a connection has come, and says what is made of its source.
    pub(super) fn knocks(&self, source: Source, now: Instant) -> Repute {
        let mut table = self.table();
        let Some(mark) = table.marks.get_mut(&source) else {
            return Repute::Unknown;
        };
        let is_known = mark.is_known(now);
        let patience = self.patience(is_known);
        let was_refused = mark.is_refused;
        mark.is_refused = mark.debt(now) > patience;
        match (mark.is_refused, is_known) {
            (false, true) => Repute::Known,
            (false, false) => Repute::Unknown,
            (true, _) => {
                // Who shares an address with somebody noisy gets in again when that ends.
                if !is_known {
                    let most = patience + self.limits.refused_for;
                    mark.owe(self.limits.forgiven_in, most, now);
                }
                Repute::Refused { anew: !was_refused }
            }
        }
    }

    /// Notes that an opening came to nothing by its source's doing.
    pub(super) fn spoiled(&self, source: Source, now: Instant) {
        let limits = self.limits;
        if let Some(mark) = self.table().mark(source, now) {
            let most = self.patience(mark.is_known(now)) + limits.refused_for;
            mark.owe(limits.forgiven_in, most, now);
        }
    }

    /// Notes that whoever opened a connection left before coming in: its doing, too, but for
    /// those that somebody opened beside one that was let in.
    pub(super) fn left(&self, source: Source, now: Instant) {
        let mut table = self.table();
        match table.marks.get_mut(&source) {
            Some(mark) if mark.beside > 0 => mark.beside -= 1,
            _ => {
                drop(table);
                self.spoiled(source, now);
            }
        }
    }

    /// Notes that somebody was let in.
    pub(super) fn let_in(&self, source: Source, who: Acquaintance, now: Instant) {
        if let Some(mark) = self.table().mark(source, now) {
            if who == Acquaintance::Known {
                mark.known = Some(now + self.limits.known_for);
            }
            mark.beside = mark.beside.saturating_add(BESIDE).min(BESIDE_MAX);
        }
    }

    /// The debt up to which a source is not refused.
    fn patience(&self, is_known: bool) -> Duration {
        let factor = if is_known {
            self.limits.known_factor
        } else {
            1
        };
        self.limits.forgiven_in * self.limits.spoiled.saturating_mul(factor)
    }
}

impl Table {
    /// What is remembered of a source, noted from now on if there is room.
    fn mark(&mut self, source: Source, now: Instant) -> Option<&mut Mark> {
        let is_due = |swept: Instant| now.saturating_duration_since(swept) >= SWEEP;
        if self.marks.len() >= MARKS_MAX && self.swept.is_none_or(is_due) {
            self.marks.retain(|_, mark| mark.matters(now));
            self.swept = Some(now);
        }
        if self.marks.len() >= MARKS_MAX && !self.marks.contains_key(&source) {
            return None;
        }
        Some(self.marks.entry(source).or_insert(Mark {
            forgiven: now,
            known: None,
            beside: 0,
            is_refused: false,
        }))
    }
}

impl Mark {
    fn debt(&self, now: Instant) -> Duration {
        self.forgiven.saturating_duration_since(now)
    }

    /// Adds to what it owes, up to `most`.
    fn owe(&mut self, more: Duration, most: Duration, now: Instant) {
        self.forgiven = now + (self.debt(now) + more).min(most);
    }

    fn is_known(&self, now: Instant) -> bool {
        self.known.is_some_and(|until| until > now)
    }

    fn matters(&self, now: Instant) -> bool {
        self.is_known(now) || !self.debt(now).is_zero()
    }
}
