//! The only door to the store: who is asking, and what they may do.
//!
//! Every face of the server goes through here, so a right is checked in one place,
//! before anything is looked up: what is refused tells nothing of what is there. Whoever
//! may write and not read is given a store that [tells nothing](Telling::Nothing) of that
//! either, and whoever may store at most so much is held to it here.

use std::sync::Arc;

use super::allowance::{Admitted, Rooms, charge, unstored};
use super::audit::Asked;
use super::guard::{Guard, Guarded};
use super::trail::{Act, Subject, Trail};
use super::{Acquaintance, Admit, Grant, Visitor, Whose};
use crate::content::Checksum;
use crate::entry::{Cursor, Entry, Version};
use crate::identity::Identity;
use crate::offer::{Offering, OnExisting, Terms, Ticket};
use crate::path::RemotePath;
use crate::store::{Aside, Changes, Claim, Durability, Error, Parents, Place, Published, Removal};
use crate::store::{KeptNodes, Missing, Source, Staged, Standing, Store, Swept};
use crate::store::{Telling, Touching};
use crate::transfer;
use crate::trust::{Amount, Limit, Quota};
use crate::wire::message::Rights;

/// A store as one identity sees it.
#[derive(Debug)]
pub(super) struct Access<S: Store> {
    store: S,
    identity: Identity,
    guard: Arc<Guard>,
    rooms: Arc<Rooms<S::Staged>>,
    trail: Trail,
}

/// A store as somebody may write to it at this moment.
struct Writing<S> {
    store: S,
    rights: Rights,
    quota: Option<Quota>,
}

impl<S: Store> Access<S> {
    /// Lets a visitor in, who is told what they may do, and says what they are to the
    /// server.
    ///
    /// # Errors
    ///
    /// When they may not come in, or the directory that they are confined to cannot be had.
    pub(super) fn admit(
        (store, rooms): (&S, &Arc<Rooms<S::Staged>>),
        visitor: Visitor,
        admit: Arc<dyn Admit>,
        trail: &Trail,
    ) -> Result<(Self, Rights, Acquaintance), transfer::Error> {
        let granted = admit.grant(&visitor);
        let Grant {
            rights,
            under,
            acquaintance,
            name,
            ..
        } = granted.map_err(|refusal| transfer::Error::NotAdmitted(refusal.why()))?;
        let identity = match visitor.key {
            Some(key) => Identity::Key(*key.as_bytes()),
            None => Identity::Anyone,
        };
        let store = store.acting_for(identity.clone());
        let store = match &under {
            Some(under) => store.beneath(under, making(rights))?,
            None => store,
        };
        let rights = rights.in_force();
        let access = Self {
            trail: trail.of(name, under.as_ref()),
            store,
            identity,
            guard: Guard::new(visitor, admit, under, rights),
            rooms: Arc::clone(rooms),
        };
        Ok((access, rights, acquaintance))
    }

    /// Whether they see all that is served.
    pub(super) fn is_whole(&self) -> bool {
        self.guard.under().is_none() && !self.is_drop_box()
    }

    /// Who has under way what comes through here.
    pub(super) fn whose(&self) -> Whose {
        (self.identity.clone(), self.guard.under().cloned())
    }

    /// Checks that what they began to read may go on.
    ///
    /// # Errors
    ///
    /// [`Error::NotAllowed`].
    pub(super) fn may_read_on(&self) -> Result<(), Error> {
        self.guard.still(Rights::READ, "read")
    }

    /// Something is asked for. What is read through this door is said to be over by whoever
    /// reads it; all else is recorded here.
    pub(super) fn begin(&self, asked: Asked, path: Option<&RemotePath>) -> Act {
        self.trail.begin(asked, || Subject::at(path))
    }

    /// They ask what is here of something that they store: that is recorded, and needs no
    /// more than storing it does. Where another file has its name, the answer tells of that
    /// one: then they must be allowed to read it, too.
    ///
    /// # Errors
    ///
    /// Where they may not, or it cannot be recorded.
    pub(super) fn go_on(&self, staged: &impl Staged) -> Result<(), Error> {
        let act = self.begin(Asked::Nodes, Some(&staged.entry().path));
        let allowed = self.writing().and_then(|_| match staged.standing() {
            Standing::Absent => Ok(()),
            _ => self.check(Rights::READ, "read").map(drop),
        });
        act.with(allowed)
    }

    /// Checks that the answer to that may go on.
    ///
    /// # Errors
    ///
    /// [`Error::NotAllowed`].
    pub(super) fn still_goes_on(&self, staged: &impl Staged) -> Result<(), Error> {
        self.goes_on()?;
        match staged.standing() {
            Standing::Absent => Ok(()),
            _ => self.may_read_on(),
        }
    }

    /// Whoever has no grant any more is told as little.
    fn is_drop_box(&self) -> bool {
        let grant = self.guard.grant();
        grant.is_none_or(|grant| grant.rights.is_drop_box())
    }

    /// The same door to another view of the store.
    fn with(&self, store: S) -> Self {
        Self {
            store,
            identity: self.identity.clone(),
            guard: Arc::clone(&self.guard),
            rooms: Arc::clone(&self.rooms),
            trail: self.trail.clone(),
        }
    }

    fn check(&self, wanted: Rights, what: &'static str) -> Result<Grant, Error> {
        let is_allowed = |grant: &Grant| grant.rights.in_force().include(wanted);
        let granted = self.guard.grant().filter(is_allowed);
        let granted = granted.ok_or(Error::NotAllowed(what))?;
        self.trail.check()?;
        Ok(granted)
    }

    fn writing(&self) -> Result<Writing<S>, Error> {
        let Grant { rights, quota, .. } = self.check(Rights::WRITE, "write")?;
        let told = if rights.is_drop_box() {
            Telling::Nothing
        } else {
            Telling::All
        };
        let rights = rights.in_force();
        let touching = if rights.include(Rights::REPLACE) {
            Touching::Settle
        } else {
            Touching::Leave
        };
        Ok(Writing {
            store: self.store.telling(told).touching(touching),
            rights,
            quota,
        })
    }
}

/// Whether the directory that somebody is confined to is made where it is missing: who may
/// only look changes nothing by it.
fn making(rights: Rights) -> Missing {
    if rights.in_force().include(Rights::WRITE) {
        Missing::Make
    } else {
        Missing::Leave
    }
}

impl<S: Store> Writing<S> {
    /// Checks that they may have this done with what exists.
    fn check(&self, on: OnExisting) -> Result<(), Error> {
        if on.may_replace() && !self.rights.include(Rights::REPLACE) {
            return Err(Error::MayNotReplace);
        }
        Ok(())
    }

    /// What they have not finished takes no more than what they may still store.
    fn make_room(&self) {
        if let Some(quota) = &self.quota {
            let Limit { bytes, files } = quota.left();
            self.store.keep_at_rest(Swept {
                files: files.unwrap_or(u64::MAX),
                bytes: bytes.unwrap_or(u64::MAX),
            });
        }
    }

    /// Publishes what they may have stored at this moment, and have counted of it what was.
    fn commit(
        &self,
        batch: Vec<(Arc<Admitted<S::Staged>>, Claim)>,
    ) -> Vec<Result<Published, Error>> {
        let admitted: Vec<_> = batch.iter().map(|(one, _)| Arc::clone(one)).collect();
        let allowed = admitted.iter().map(|one| self.check(one.on_existing()));
        let allowed = charge(self.quota.as_ref(), &admitted, allowed.collect());
        let passed = batch.into_iter().zip(&allowed);
        let passed = passed.filter_map(|((one, claim), allowed)| {
            allowed.as_ref().ok()?;
            Some((one.staged(), claim))
        });
        let mut published = self.store.commit(passed.collect()).into_iter();
        let mut given_back = Amount::default();
        let answer = |(one, allowed): (Arc<Admitted<_>>, Result<(), Error>)| {
            allowed?;
            let answer = published.next().unwrap_or(Err(Error::NoStaging));
            given_back = given_back.plus(unstored(&*one, &answer));
            answer
        };
        let answers = admitted.into_iter().zip(allowed).map(answer).collect();
        if let Some(quota) = &self.quota {
            quota.give_back(given_back);
        }
        answers
    }
}

impl<S: Store> Source for Access<S> {
    type Reader = Guarded<S::Reader>;
    type Walk = S::Walk;

    fn places(&self, under: Option<&RemotePath>) -> Vec<Place> {
        // Which directories there are outside of it is nothing that a drop box tells.
        if self.is_drop_box() {
            return Vec::new();
        }
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

    fn open(&self, path: &RemotePath, expect: Option<&Version>) -> Result<Self::Reader, Error> {
        self.check(Rights::READ, "read")?;
        let reader = self.store.open(path, expect)?;
        Ok(Guarded::new(reader, &self.guard))
    }
}

impl<S: Store> Changes for Access<S> {
    fn make_dir(&self, path: &RemotePath, parents: Parents) -> Result<Option<Aside>, Error> {
        let act = self.begin(Asked::MakeDir, Some(path));
        let writing = self.writing();
        act.with(writing.and_then(|writing| writing.store.make_dir(path, parents)))
    }

    fn rename(&self, from: &RemotePath, to: &RemotePath) -> Result<(), Error> {
        let act = self.trail.begin(Asked::Rename, || Subject::moved(from, to));
        // What loses its old name is gone from there for whoever looks.
        let allowed = self.check(Rights::DELETE, "delete");
        let allowed = allowed.and_then(|_| self.check(Rights::WRITE, "write"));
        act.with(allowed.and_then(|_| self.store.rename(from, to)))
    }

    fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), Error> {
        let act = self.begin(Asked::Remove, Some(path));
        let allowed = self.check(Rights::DELETE, "delete");
        act.with(allowed.and_then(|_| self.store.remove(path, removal)))
    }
}

impl<S: Store> Store for Access<S> {
    type Staged = Admitted<S::Staged>;

    fn acting_for(&self, by: Identity) -> Self {
        Self {
            identity: by.clone(),
            ..self.with(self.store.acting_for(by))
        }
    }

    fn telling(&self, what: Telling) -> Self {
        self.with(self.store.telling(what))
    }

    fn touching(&self, what: Touching) -> Self {
        self.with(self.store.touching(what))
    }

    fn beneath(&self, under: &RemotePath, missing: Missing) -> Result<Self, Error> {
        Ok(self.with(self.store.beneath(under, missing)?))
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn judge(&self, entry: &Entry, terms: Terms) -> Result<Standing, Error> {
        let act = self.trail.begin(Asked::Offer, || Subject::of(entry));
        act.with(self.writing().and_then(|writing| {
            writing.check(terms.on)?;
            writing.store.judge(entry, terms)
        }))
    }

    fn stage(&self, batch: &[Offering], terms: Terms) -> Vec<Result<Arc<Self::Staged>, Error>> {
        let offered = || batch.iter().map(|o| Subject::of(&o.entry)).collect();
        let act = self.trail.begin_each(Asked::Offer, offered);
        let writing = self.writing();
        let staged = match writing.and_then(|writing| writing.check(terms.on).map(|()| writing)) {
            Ok(writing) => {
                let staged = writing.store.stage(batch, terms);
                let staged = self.rooms.keep(writing.quota.as_ref(), staged);
                writing.make_room();
                staged
            }
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        };
        act.with_each(staged, |_, _| {})
    }

    fn kept_nodes(&self, checksum: Checksum) -> Option<KeptNodes> {
        self.store.kept_nodes(checksum)
    }

    fn reopen(&self, ticket: &Ticket) -> Result<Arc<Self::Staged>, Error> {
        let writing = self.writing()?;
        let staged = writing.store.reopen(ticket)?;
        self.rooms.reopen(writing.quota.as_ref(), ticket, staged)
    }

    fn goes_on(&self) -> Result<(), Error> {
        self.guard.still(Rights::WRITE, "write")
    }

    fn commit(&self, batch: Vec<(Arc<Self::Staged>, Claim)>) -> Vec<Result<Published, Error>> {
        let staged = || batch.iter().map(|(s, _)| Subject::of(s.entry())).collect();
        let act = self.trail.begin_each(Asked::Commit, staged);
        let published = match self.writing() {
            Ok(writing) => writing.commit(batch),
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        };
        act.with_each(published, |published, subject| {
            subject.checksum = published.checksum;
            subject.is_at(published.aside.as_ref());
        })
    }

    fn settle(&self, directories: &[Offering]) -> Vec<Result<Option<Aside>, Error>> {
        let ended = || directories.iter().map(|d| Subject::of(&d.entry)).collect();
        let act = self.trail.begin_each(Asked::End, ended);
        let settled = match self.writing() {
            Ok(writing) => writing.store.settle(directories),
            Err(error) => directories.iter().map(|_| Err(error.clone())).collect(),
        };
        act.with_each(settled, |aside, subject| subject.is_at(aside.as_ref()))
    }
}
