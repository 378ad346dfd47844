//! Who may store at most so much, and how much of it they have: asked by a server.
//!
//! What is on its way counts like what is stored, or somebody could send over ten
//! connections at once what each of them alone may take. It is kept in memory, as it ends
//! with the server. What is stored is written down before it gets its name: a server that
//! is killed in between has counted too much, and never too little.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::Error;
use super::places::Places;
use super::usage::{Account, Amount, UsageFile};

/// What is stored in one root by those who may store at most so much.
#[derive(Debug)]
pub struct Ledger {
    file: UsageFile,
    root: PathBuf,
    /// What is on its way. Whoever counts holds this to the end, so that nothing is seen
    /// as both on its way and stored, or as neither.
    held: Mutex<HashMap<Account, Amount>>,
}

/// The most that may be stored, or left of that; what is not there has no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Bytes of content.
    pub bytes: Option<u64>,
    /// Files and links.
    pub files: Option<u64>,
}

/// Why something cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is more than what is left, which is this.
    Over(Limit),
    /// How much is left is not known: the file that says so cannot be relied on.
    Unknown,
}

/// How much somebody may store, and where that is counted.
#[derive(Clone, Debug)]
pub struct Quota {
    ledger: Arc<Ledger>,
    account: Account,
    limit: Limit,
}

/// Room that is kept for what is on its way, until it is counted as stored or given up.
#[derive(Debug)]
pub struct Hold {
    ledger: Arc<Ledger>,
    account: Account,
    amount: Amount,
    is_open: AtomicBool,
}

impl Ledger {
    /// The one of a root, which is absolute and has no links in it, and of the user whose
    /// files are there. Nothing is read yet.
    #[must_use]
    pub fn new(places: &Places, root: PathBuf) -> Self {
        Self {
            file: UsageFile::new(places),
            root,
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Account, Amount>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self, account: &Account) -> Result<Amount, Error> {
        let about = (account.clone(), self.root.clone());
        Ok(self.file.read()?.remove(&about).unwrap_or_default())
    }
}

impl Limit {
    /// What is left of it.
    #[must_use]
    pub fn left(self, used: Amount) -> Self {
        Self {
            bytes: self.bytes.map(|bytes| bytes.saturating_sub(used.bytes)),
            files: self.files.map(|files| files.saturating_sub(used.files)),
        }
    }

    /// Whether it is enough.
    #[must_use]
    pub fn holds(self, amount: Amount) -> bool {
        self.bytes.is_none_or(|bytes| amount.bytes <= bytes)
            && self.files.is_none_or(|files| amount.files <= files)
    }
}

impl Quota {
    /// What an account may store in a ledger's root.
    #[must_use]
    pub fn new(ledger: &Arc<Ledger>, account: Account, limit: Limit) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            account,
            limit,
        }
    }

    /// Keeps room for each of these; the answers are in their order.
    #[must_use]
    pub fn hold(&self, amounts: &[Amount]) -> Vec<Result<Hold, Refusal>> {
        let mut held = self.ledger.held();
        let mut taken = Ok(Amount::default());
        if !is_nothing(amounts.iter()) {
            let held = held.get(&self.account).copied().unwrap_or_default();
            taken = self.ledger.used(&self.account).map(|used| used.plus(held));
        }
        let taken = &mut taken.map_err(|error| told(&error));
        let keep = |amount: &Amount| {
            self.add(taken, *amount)?;
            if !amount.is_nothing() {
                let held = held.entry(self.account.clone()).or_default();
                *held = held.plus(*amount);
            }
            Ok(Hold {
                ledger: Arc::clone(&self.ledger),
                account: self.account.clone(),
                amount: *amount,
                is_open: AtomicBool::new(true),
            })
        };
        amounts.iter().map(keep).collect()
    }

    /// What is left beside what is stored and what room is kept for; none where it is not
    /// known.
    #[must_use]
    pub fn left(&self) -> Limit {
        let held = self.ledger.held();
        let held = held.get(&self.account).copied().unwrap_or_default();
        match self.ledger.used(&self.account) {
            Ok(used) => self.limit.left(used.plus(held)),
            Err(_) => Limit {
                bytes: Some(0),
                files: Some(0),
            },
        }
    }

    /// Counts each of these as stored, durably, and lets go of the room that was kept for
    /// it. What is refused must not be stored. The answers are in their order.
    #[must_use]
    pub fn charge(&self, entries: &[(Amount, Option<&Hold>)]) -> Vec<Result<(), Refusal>> {
        let mut held = self.ledger.held();
        if is_nothing(entries.iter().map(|(amount, _)| amount)) {
            return vec![Ok(()); entries.len()];
        }
        let charge = |taken: &mut Result<Amount, Refusal>| {
            let add = |(amount, _): &(Amount, _)| self.add(taken, *amount);
            entries.iter().map(add).collect::<Vec<_>>()
        };
        let (account, root) = (&self.account, &self.ledger.root);
        let charged = self.ledger.file.change(account, root, |used| {
            let mut taken = Ok(used);
            let charged = charge(&mut taken);
            (taken.ok().filter(|taken| *taken != used), charged)
        });
        let charged = charged.unwrap_or_else(|error| charge(&mut Err(told(&error))));
        for ((_, hold), result) in entries.iter().zip(&charged) {
            if let (Some(hold), Ok(())) = (hold, result) {
                hold.let_go(&mut held);
            }
        }
        charged
    }

    /// Takes back what was counted and then not stored. Where that cannot be written, it
    /// stays counted.
    pub fn give_back(&self, amount: Amount) {
        if amount.is_nothing() {
            return;
        }
        let _alone = self.ledger.held();
        let (account, root) = (&self.account, &self.ledger.root);
        let less = |used: Amount| (Some(used.less(amount)), ());
        if let Err(error) = self.ledger.file.change(account, root, less) {
            tracing::warn!("{error}: what was not stored stays counted");
        }
    }

    /// Adds to what is taken, where that is known and it is not too much.
    fn add(&self, taken: &mut Result<Amount, Refusal>, amount: Amount) -> Result<(), Refusal> {
        if amount.is_nothing() {
            return Ok(());
        }
        let taken = taken.as_mut().map_err(|why| *why)?;
        let all = taken.plus(amount);
        if !self.limit.holds(all) {
            return Err(Refusal::Over(self.limit.left(*taken)));
        }
        *taken = all;
        Ok(())
    }
}

impl Hold {
    fn let_go(&self, held: &mut HashMap<Account, Amount>) {
        if !self.is_open.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Some(all) = held.get_mut(&self.account) {
            *all = all.less(self.amount);
            if all.is_nothing() {
                held.remove(&self.account);
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if *self.is_open.get_mut() && !self.amount.is_nothing() {
            let ledger = Arc::clone(&self.ledger);
            self.let_go(&mut ledger.held());
        }
    }
}

fn is_nothing<'a>(mut amounts: impl Iterator<Item = &'a Amount>) -> bool {
    amounts.all(Amount::is_nothing)
}

/// Tells the server's user why nobody with a limit can store anything.
fn told(error: &Error) -> Refusal {
    tracing::warn!("{error}: whoever may store at most so much can store nothing");
    Refusal::Unknown
}
