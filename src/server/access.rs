//! The only door to the store: who is asking, and what they may do.
//!
//! Every face of the server goes through here, so a right is checked in one place,
//! before anything is looked up: what is refused tells nothing of what is there.

use std::sync::Arc;

use super::{Acquaintance, Admit, Grant, Visitor};
use crate::entry::{Cursor, Entry, Version};
use crate::identity::Identity;
use crate::offer::{Offering, OnExisting, Terms, Ticket};
use crate::path::RemotePath;
use crate::store::{Changes, Claim, Durability, Error, Parents, Place, Published, Removal, Source};
use crate::store::{Standing, Store};
use crate::wire::message::Rights;

/// A store as one identity sees it.
#[derive(Debug)]
pub(super) struct Access<S> {
    store: S,
    identity: Identity,
    visitor: Visitor,
    admit: Arc<dyn Admit>,
    /// The directory that `store` shows as its root.
    under: Option<RemotePath>,
}

const WRITE: Rights = Rights(2);
const REPLACE: Rights = Rights(4);
const DELETE: Rights = Rights(8);

impl<S: Store> Access<S> {
    /// Lets a visitor in, who is told what they may do, and says what they are to the
    /// server; `None` where they may not come.
    ///
    /// # Errors
    ///
    /// When the directory that they are confined to cannot be had.
    pub(super) fn admit(
        store: &S,
        visitor: Visitor,
        admit: Arc<dyn Admit>,
    ) -> Result<Option<(Self, Rights, Acquaintance)>, Error> {
        let Some(grant) = admit.grant(&visitor) else {
            return Ok(None);
        };
        let Grant {
            rights,
            under,
            acquaintance,
        } = grant;
        let identity = match visitor.key {
            Some(key) => Identity::Key(*key.as_bytes()),
            None => Identity::Anyone,
        };
        let store = store.acting_for(identity.clone());
        let store = match &under {
            Some(under) => store.beneath(under)?,
            None => store,
        };
        let access = Self {
            store,
            identity,
            visitor,
            admit,
            under,
        };
        Ok(Some((access, rights, acquaintance)))
    }

    /// Whether they see all that is served.
    pub(super) fn is_whole(&self) -> bool {
        self.under.is_none()
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What they may do at this moment, where they are.
    fn rights(&self) -> Option<Rights> {
        let grant = self.admit.grant(&self.visitor)?;
        (grant.under == self.under).then_some(grant.rights)
    }

    fn check(&self, wanted: Rights, what: &'static str) -> Result<(), Error> {
        if self.rights().is_some_and(|rights| rights.include(wanted)) {
            Ok(())
        } else {
            Err(Error::NotAllowed(what))
        }
    }

    fn check_offer(&self, on: OnExisting) -> Result<(), Error> {
        self.check(WRITE, "write")?;
        match on {
            OnExisting::Refuse => Ok(()),
            OnExisting::IfNewer | OnExisting::Replace | OnExisting::ReplaceVersion(_) => {
                self.check(REPLACE, "replace")
            }
        }
    }
}

impl<S: Store> Source for Access<S> {
    type Reader = S::Reader;
    type Walk = S::Walk;

    fn places(&self, under: Option<&RemotePath>) -> Vec<Place> {
        self.store.places(under)
    }

    fn walk(
        &self,
        under: Option<&RemotePath>,
        depth: Option<u32>,
        after: Option<Cursor>,
    ) -> Result<S::Walk, Error> {
        self.check(Rights::READ, "read")?;
        self.store.walk(under, depth, after)
    }

    fn open(&self, path: &RemotePath, expect: Option<&Version>) -> Result<S::Reader, Error> {
        self.check(Rights::READ, "read")?;
        self.store.open(path, expect)
    }
}

impl<S: Store> Changes for Access<S> {
    fn make_dir(&self, path: &RemotePath, parents: Parents) -> Result<(), Error> {
        self.check(WRITE, "write")?;
        self.store.make_dir(path, parents)
    }

    fn rename(&self, from: &RemotePath, to: &RemotePath) -> Result<(), Error> {
        // What loses its old name is gone from there for whoever looks.
        self.check(DELETE, "delete")?;
        self.check(WRITE, "write")?;
        self.store.rename(from, to)
    }

    fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), Error> {
        self.check(DELETE, "delete")?;
        self.store.remove(path, removal)
    }
}

impl<S: Store> Store for Access<S> {
    type Staged = S::Staged;

    fn acting_for(&self, by: Identity) -> Self {
        Self {
            store: self.store.acting_for(by.clone()),
            identity: by,
            visitor: self.visitor,
            admit: Arc::clone(&self.admit),
            under: self.under.clone(),
        }
    }

    fn beneath(&self, under: &RemotePath) -> Result<Self, Error> {
        Ok(Self {
            store: self.store.beneath(under)?,
            identity: self.identity.clone(),
            visitor: self.visitor,
            admit: Arc::clone(&self.admit),
            under: self.under.clone(),
        })
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn judge(&self, entry: &Entry, terms: Terms) -> Result<Standing, Error> {
        self.check_offer(terms.on)?;
        self.store.judge(entry, terms)
    }

    fn stage(&self, batch: &[Offering], terms: Terms) -> Vec<Result<Arc<S::Staged>, Error>> {
        match self.check_offer(terms.on) {
            Ok(()) => self.store.stage(batch, terms),
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn reopen(&self, ticket: &Ticket) -> Result<Arc<S::Staged>, Error> {
        self.check(WRITE, "write")?;
        self.store.reopen(ticket)
    }

    fn commit(&self, batch: Vec<(Arc<S::Staged>, Claim)>) -> Vec<Result<Published, Error>> {
        match self.check(WRITE, "write") {
            Ok(()) => self.store.commit(batch),
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        }
    }
    fn settle(&self, directories: &[Offering]) -> Vec<Result<(), Error>> {
        match self.check(WRITE, "write") {
            Ok(()) => self.store.settle(directories),
            Err(error) => directories.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}
