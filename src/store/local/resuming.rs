//! How a staging goes on with what an earlier one has come to, and what it leaves to a
//! later one.
//!
//! Of two that receive the same file each has its own, unless they are of one job, or the
//! other's job is not heard any more: then the bytes change hands, and the one that had
//! them has ended. A block that still comes for that one is written nowhere.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, RwLockWriteGuard};
use std::time::Instant;

use super::LocalStore;
use super::partial_files::Partial;
use super::partial_label::Label;
use super::partials::{Otherwise, Taken};
use super::staging::{Life, LocalStaged};
use crate::content::{Geometry, Hands, Node, node_of, side_by_side};
use crate::entry::Entry;
use crate::offer::OnExisting;
use crate::path::RemotePath;
use crate::store::error::Error;
use crate::store::{Staged, Standing};

/// The part of its patience for which a job must be watched to be known as one that stays.
const STAYS: u32 = 3;

impl LocalStore {
    /// Of what a file is a part as long as it is not whole, if that is kept.
    pub(super) fn partial(&self, entry: &Entry) -> Option<Partial> {
        let geometry = entry.geometry().filter(|cut| !cut.is_single())?;
        self.shared.partials.part(|| {
            let under = self.shared.under.as_ref();
            let path = RemotePath::beneath(under, entry.path.as_str()).ok()?;
            Some(Label::of(&self.by, &path, entry, geometry))
        })
    }

    /// Waits while the same file is being published: then it is not to be sent again.
    pub(super) fn await_commit(&self, of: &Partial) {
        let under_way = &self.shared.under_way;
        self.shared.partials.wait(of, |number| {
            under_way.find(number).is_none_or(|other| other.has_ended())
        });
    }
}

/// Whether content may be sent of what stands like this.
pub(super) fn may_be_sent(standing: Standing, on: OnExisting) -> bool {
    match standing {
        Standing::Same(_) => false,
        Standing::SameIf(..) => on.may_replace(),
        Standing::Absent | Standing::Replaces(_) => true,
    }
}

impl LocalStaged {
    fn life(&self) -> RwLockWriteGuard<'_, Life> {
        self.life.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_ended(&self) -> bool {
        let life = self.life.read().unwrap_or_else(PoisonError::into_inner);
        matches!(*life, Life::Ended)
    }

    /// Whether another staging may go on with what this one has come to.
    pub(super) fn gives_way_to(&self, other: &Self) -> bool {
        match (self.holder.get(), other.holder.get()) {
            (Some(ours), Some(theirs)) => {
                ours.transfer() == theirs.transfer() || ours.silence() >= ours.patience()
            }
            _ => false,
        }
    }

    /// Whether its job is there to stay, after it was watched since then. What a client that
    /// is gone has sent before may still be heard for a while.
    pub(super) fn stays(&self, since: Instant) -> bool {
        let Some(holder) = self.holder.get() else {
            return true;
        };
        let watched = since.elapsed();
        let is_heard = holder.silence() < watched;
        self.has_ended() || is_heard && watched >= holder.patience() / STAYS
    }

    /// Takes over what another one has come to, if that gives way.
    pub(super) fn take_over(&self, number: u64) -> Option<(Partial, Taken)> {
        let other = self.shared.under_way.find(number)?;
        if !other.gives_way_to(self) {
            return None;
        }
        let taken = other.hand_over()?;
        self.promise.inherit(&other.promise);
        Some(taken)
    }

    /// Ends, and hands over what there is.
    fn hand_over(&self) -> Option<(Partial, Taken)> {
        let partial = self.partial.clone()?;
        let mut life = self.life();
        let taken = self.yield_body(&mut life)?;
        // Under the lock: whoever puts this away must see that it is another's.
        self.owns_partial.store(false, Ordering::Release);
        self.named.store(false, Ordering::Release);
        Some((partial, taken))
    }

    /// What is open of the partial that it owns; it has ended then.
    fn yield_body(&self, life: &mut Life) -> Option<Taken> {
        let directory = self.among_partials.get()?.clone();
        if !matches!(life, Life::Open(_)) {
            return None;
        }
        let Life::Open(body) = std::mem::replace(life, Life::Ended) else {
            return None;
        };
        let mut blocks = self.blocks();
        self.shared.under_way.forget_blocks(blocks.tracked());
        Some(Taken {
            directory,
            body,
            blocks: Some(blocks.bequeath()),
        })
    }

    /// Receives its partial from now on, and what there is of it. `false` where nothing is
    /// kept of it, or somebody else receives it.
    pub(super) fn begin_partial(
        &self,
        life: &mut Life,
        otherwise: Otherwise,
    ) -> Result<bool, Error> {
        let Some(partial) = &self.partial else {
            return Ok(false);
        };
        let partials = &self.shared.partials;
        let Some(taken) = partials.take(self, partial, otherwise)? else {
            return Ok(false);
        };
        self.among_partials.get_or_init(|| taken.directory);
        self.owns_partial.store(true, Ordering::Release);
        self.was_named();
        if let Some(earlier) = &taken.blocks {
            self.blocks().inherit(earlier);
        }
        *life = Life::Open(taken.body);
        Ok(true)
    }

    /// Goes on with what the same job had staged before: over a connection that was lost.
    pub(super) fn take_over_own(&self) {
        let (Some(partial), Some(holder)) = (&self.partial, self.holder.get()) else {
            return;
        };
        let partials = &self.shared.partials;
        let other = partials
            .taker(partial)
            .and_then(|n| self.shared.under_way.find(n));
        let theirs = other.as_ref().and_then(|other| other.holder.get());
        if theirs.is_some_and(|theirs| theirs.transfer() == holder.transfer()) {
            // What cannot be had now is asked for again with the first block.
            let _ = self.adopt();
        }
    }

    /// Goes on with what is there, if anything is.
    fn adopt(&self) -> Result<(), Error> {
        let mut life = self.life();
        match *life {
            Life::Unborn => {}
            Life::Open(_) => return Ok(()),
            Life::Written(_) | Life::Ended => return Err(Error::NoStaging),
        }
        let under_way = &self.shared.under_way;
        let count = self.geometry().map_or(0, Geometry::blocks);
        let count = under_way.remember_blocks(self.entry(), count)?;
        {
            let mut blocks = self.blocks();
            if blocks.are_untouched() {
                blocks.track(count);
            } else {
                // A block has come meanwhile, and waits for its file.
                under_way.forget_blocks(count);
            }
        }
        self.begin_partial(&mut life, Otherwise::Nothing)?;
        Ok(())
    }

    /// Finds out which blocks are here: what was found is read.
    pub(super) fn read_back(&self, blocks: Range<u64>) -> Result<Vec<Option<Node>>, Error> {
        self.take_up()?;
        if let Some(geometry) = self.geometry() {
            side_by_side(blocks.clone(), Hands::Many, |number, buffer| {
                self.look_for(geometry, number, buffer)
            })?;
        }
        Ok(self.blocks().held_among(blocks))
    }

    /// Takes up what an earlier try has left, if somebody asks for it for the first time.
    fn take_up(&self) -> Result<(), Error> {
        if self.among_partials.get().is_some() || !self.is_partly.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some(partial) = &self.partial {
            self.shared.partials.await_turn(self, partial);
        }
        self.adopt()?;
        // It is waited for once: the next page is not to be.
        self.is_partly.store(false, Ordering::Release);
        Ok(())
    }

    /// Finds out whether a block is here, or can be had from the file that is replaced.
    fn look_for(&self, geometry: Geometry, number: u64, buffer: &mut Vec<u8>) -> Result<(), Error> {
        if self.blocks().is_found(number) {
            let node = self.node_on_disk(geometry, number, buffer)?;
            self.blocks().know(number, node);
        }
        self.carry_over(geometry, number, buffer);
        Ok(())
    }

    /// The node of what is in a block's place; none where it cannot be read.
    fn node_on_disk(
        &self,
        geometry: Geometry,
        number: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Node>, Error> {
        let Some(index) = geometry.index(number) else {
            return Ok(None);
        };
        buffer.resize(geometry.len(index), 0);
        let life = self.life.read().unwrap_or_else(PoisonError::into_inner);
        let Life::Open(body) = &*life else {
            return Err(Error::NoStaging);
        };
        let sys = &self.shared.tree.sys;
        let read = sys.read_at(&body.file, buffer, geometry.offset(index));
        let is_whole = read.is_ok_and(|len| len == buffer.len());
        Ok(is_whole.then(|| node_of(geometry, index, buffer)))
    }

    /// Ends it, and what was kept of it.
    pub(super) fn end(&self) {
        *self.life() = Life::Ended;
        self.put_away();
    }

    /// It was committed, and is published or not.
    pub(super) fn committed(&self, is_published: bool) {
        let owns = self.owns_partial.load(Ordering::Acquire);
        match &self.partial {
            // What another try has left is of no use any more.
            Some(partial) if !owns && is_published => {
                self.shared.partials.remove_unused(partial);
            }
            _ if self.has_ended() => self.put_away(),
            _ => {}
        }
    }

    /// Leaves what there is to a later try; of what has ended nothing is kept.
    pub(super) fn put_away(&self) {
        let (Some(partial), Some(directory)) = (&self.partial, self.among_partials.get()) else {
            return;
        };
        let mut life = self.life();
        if !self.owns_partial.swap(false, Ordering::AcqRel) {
            return;
        }
        let yielded = self.yield_body(&mut life);
        let is_named = self.named.swap(false, Ordering::AcqRel);
        drop(life);
        let partials = &self.shared.partials;
        match yielded {
            Some(taken) => partials.rest(partial, taken),
            None => partials.end(directory, partial, is_named),
        }
    }
}
