//! How much somebody may have stored, and what is kept and counted of it.
//!
//! That is asked twice: when something is offered, before a byte of it is sent, and when it
//! is to get its name. In between, room is kept for it. Whoever may store as much as they
//! like is not counted.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::content::{Node, Verified};
use crate::entry::Entry;
use crate::offer::{OnExisting, Ticket};
use crate::path::RemotePath;
use crate::store::{Error, Holder, Published, Staged, Standing};
use crate::trust::{Amount, Hold, Limit, Quota, Refusal};

/// What is staged on behalf of somebody. With the last user of it goes what is kept for it.
#[derive(Debug)]
pub(super) struct Admitted<T> {
    staged: Arc<T>,
    /// Room in what they may store, where that has a bound.
    hold: Option<Hold>,
}

/// What has room kept for it and can be found again by its ticket: however many connections
/// send to it, and whatever becomes of the offer, it has that room for as long as it is there.
#[derive(Debug)]
pub(super) struct Rooms<T>(Mutex<Known<T>>);

#[derive(Debug)]
struct Known<T> {
    by_ticket: HashMap<Ticket, Weak<Admitted<T>>>,
    /// At this many, those that ended are looked for.
    enough: usize,
}

// Derived, it would ask the same of what is staged.
impl<T> Default for Rooms<T> {
    fn default() -> Self {
        Self(Mutex::new(Known {
            by_ticket: HashMap::new(),
            enough: 64,
        }))
    }
}

impl<T: Staged> Rooms<T> {
    /// Keeps room for what is staged. What finds none is not taken.
    pub(super) fn keep(
        &self,
        quota: Option<&Quota>,
        staged: Vec<Result<Arc<T>, Error>>,
    ) -> Vec<Result<Arc<Admitted<T>>, Error>> {
        let Some(quota) = quota else {
            let admit = |one| Admitted::new(one, None);
            return staged.into_iter().map(|one| one.map(admit)).collect();
        };
        let amount = |one: &Result<Arc<T>, Error>| match one {
            Ok(one) => expected(&**one),
            Err(_) => Amount::default(),
        };
        let holds = quota.hold(&staged.iter().map(amount).collect::<Vec<_>>());
        let admit = |(one, hold): (Result<Arc<T>, Error>, Result<Hold, Refusal>)| {
            let one = one?;
            let hold = hold.map_err(|why| refused(&one.entry().path, why))?;
            let admitted = Admitted::new(one, Some(hold));
            self.remember(&admitted);
            Ok(admitted)
        };
        staged.into_iter().zip(holds).map(admit).collect()
    }

    /// What was staged and has this ticket, with the room that was kept for it. Where none
    /// was, because it had no bound then, there is to be some now.
    pub(super) fn reopen(
        &self,
        quota: Option<&Quota>,
        ticket: &Ticket,
        staged: Arc<T>,
    ) -> Result<Arc<Admitted<T>>, Error> {
        let known = self.known().by_ticket.get(ticket).and_then(Weak::upgrade);
        match known {
            Some(known) => Ok(known),
            None => self.keep(quota, vec![Ok(staged)]).remove(0),
        }
    }

    fn remember(&self, admitted: &Arc<Admitted<T>>) {
        let Some(ticket) = admitted.ticket() else {
            return;
        };
        let mut known = self.known();
        if known.by_ticket.len() >= known.enough {
            known.by_ticket.retain(|_, one| one.strong_count() > 0);
            known.enough = 64 + 2 * known.by_ticket.len();
        }
        known.by_ticket.insert(ticket, Arc::downgrade(admitted));
    }
}

impl<T> Rooms<T> {
    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts as stored what is `allowed` otherwise, and adds what is not allowed by how much
/// there is.
pub(super) fn charge<T: Staged>(
    quota: Option<&Quota>,
    batch: &[Arc<Admitted<T>>],
    allowed: Vec<Result<(), Error>>,
) -> Vec<Result<(), Error>> {
    let Some(quota) = quota else {
        return allowed;
    };
    let entries = batch.iter().zip(&allowed).map(|(one, allowed)| {
        let amount = allowed.as_ref().map(|()| expected(&**one));
        (amount.unwrap_or_default(), one.hold.as_ref())
    });
    let charged = quota.charge(&entries.collect::<Vec<_>>());
    let both = |((one, allowed), charged): ((&Arc<Admitted<T>>, _), Result<(), Refusal>)| {
        allowed?;
        charged.map_err(|why| refused(&one.entry().path, why))
    };
    batch.iter().zip(allowed).zip(charged).map(both).collect()
}

/// What was counted of an entry and did not come to anything.
pub(super) fn unstored(staged: &impl Staged, answer: &Result<Published, Error>) -> Amount {
    match (answer, staged.standing()) {
        (Ok(_), Standing::SameIf(..)) if staged.held().is_empty() => expected(staged),
        // It is there, if perhaps not for good.
        (Ok(_) | Err(Error::PerhapsNotDurable { .. }), _) => Amount::default(),
        (Err(_), _) => expected(staged),
    }
}

/// The most that storing an entry may come to, by what was said of it at the offer.
fn expected(staged: &impl Staged) -> Amount {
    match staged.standing() {
        Standing::Same(_) => Amount::default(),
        Standing::SameIf(..) if !staged.on_existing().may_replace() => Amount::default(),
        _ => Amount {
            bytes: staged.entry().size(),
            files: 1,
        },
    }
}

fn refused(path: &RemotePath, why: Refusal) -> Error {
    let path = path.clone();
    match why {
        Refusal::Over(Limit { bytes, files }) => Error::OverQuota { path, bytes, files },
        Refusal::Unknown => Error::Uncounted(path),
    }
}

impl<T: Staged> Admitted<T> {
    pub(super) fn new(staged: Arc<T>, hold: Option<Hold>) -> Arc<Self> {
        Arc::new(Self { staged, hold })
    }

    /// What a store knows of it.
    pub(super) fn staged(&self) -> Arc<T> {
        Arc::clone(&self.staged)
    }
}

impl<T: Staged> Staged for Admitted<T> {
    fn put(&self, block: Verified<'_>) -> Result<(), Error> {
        self.staged.put(block)
    }

    fn held(&self) -> Vec<Option<Node>> {
        self.staged.held()
    }

    fn missing(&self) -> Vec<Range<u64>> {
        self.staged.missing()
    }

    fn unproved(&self) -> Vec<Range<u64>> {
        self.staged.unproved()
    }

    fn entry(&self) -> &Entry {
        self.staged.entry()
    }

    fn standing(&self) -> Standing {
        self.staged.standing()
    }

    fn on_existing(&self) -> OnExisting {
        self.staged.on_existing()
    }

    fn ticket(&self) -> Option<Ticket> {
        self.staged.ticket()
    }

    fn belongs_to(&self, holder: &Arc<dyn Holder>) {
        self.staged.belongs_to(holder);
    }

    fn is_partly_here(&self) -> bool {
        self.staged.is_partly_here()
    }

    fn recover(&self, blocks: Range<u64>) -> Result<Vec<Option<Node>>, Error> {
        self.staged.recover(blocks)
    }

    fn discard(&self) {
        self.staged.discard();
    }
}
