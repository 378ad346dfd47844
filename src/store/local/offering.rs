//! What is offered, until it is staged: how it stands, and whether there is room for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::flush::FlushPoint;
use super::judging::Judge;
use super::partial_files::Partial;
use super::resuming::may_be_sent;
use super::room::{Promise, Space};
use super::staging_area::{Area, Keeper};
use super::{LocalStaged, LocalStore, ticket};
use crate::entry::{Entry, Kind};
use crate::offer::{Offering, Terms};
use crate::store::error::{Action, Error};
use crate::store::{Staged, Standing, Telling};

/// How an offered entry stands, and what it takes to receive it.
struct Judged {
    standing: Standing,
    partial: Option<Partial>,
    is_partly: bool,
    /// Bytes that are still to come.
    needed: u64,
}

impl LocalStore {
    /// Judges each of a batch, makes room for what is to come, and stages it.
    pub(super) fn take(
        &self,
        batch: &[Offering],
        terms: Terms,
    ) -> Vec<Result<Arc<LocalStaged>, Error>> {
        let (area, flush) = match self.prepare(batch.len()) {
            Ok(prepared) => prepared,
            Err(error) => return batch.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut judge = Judge::new(&self.shared.tree, self.telling);
        let mut judge = |offering| self.judge_one(&mut judge, offering, terms);
        let judged = batch.iter().map(&mut judge).collect();
        let admitted = self.make_room(&area, (batch, judged));
        let stage = |(offering, admitted): (_, Result<_, _>)| {
            admitted.map(|one| self.stage_one((&area, &flush), (offering, terms), one))
        };
        batch.iter().zip(admitted).map(stage).collect()
    }

    /// Refuses a file that is larger than any may be.
    pub(super) fn check_size(&self, entry: &Entry) -> Result<(), Error> {
        match self.shared.room.limits().max_file {
            Some(most) if entry.size() > most => Err(Error::TooLarge {
                path: entry.path.clone(),
                size: entry.size(),
                most,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// How an offered entry stands, and how much is still needed for it.
    fn judge_one(
        &self,
        judge: &mut Judge<'_>,
        offering: &Offering,
        terms: Terms,
    ) -> Result<Judged, Error> {
        let entry = &offering.entry;
        if entry.kind == Kind::Dir {
            return Err(Error::NotStorable(entry.path.clone()));
        }
        // It may be publishing what is offered again.
        let partial = self.partial(entry).inspect(|it| self.await_commit(it));
        let standing = judge.judge(entry, terms)?;
        if may_be_sent(standing, terms.on) {
            self.check_size(entry)?;
        }
        let partial = partial.filter(|_| may_be_sent(standing, terms.on));
        let there = partial.as_ref();
        let there = there.and_then(|it| self.shared.partials.stands(it));
        let is_new = matches!(standing, Standing::Absent | Standing::Replaces(_));
        // Whoever receives it was promised what it takes, and will hand that over.
        let taker = partial.as_ref();
        let is_promised = taker.is_some_and(|it| self.shared.partials.taker(it).is_some());
        // How much is free tells of what is there, too. Where some is to stay free, it is
        // told to everybody that there is no more.
        let is_secret = self.telling == Telling::Nothing && self.shared.room.limits().min_free == 0;
        let needed = if is_new && !is_promised && !is_secret {
            entry.size().saturating_sub(there.unwrap_or(0))
        } else {
            0
        };
        Ok(Judged {
            standing,
            partial,
            is_partly: there.is_some(),
            needed,
        })
    }

    fn stage_one(
        &self,
        (area, flush): (&Arc<Area>, &Arc<FlushPoint>),
        (offering, terms): (&Offering, Terms),
        (judged, promise): (Judged, Promise),
    ) -> Arc<LocalStaged> {
        let staged = LocalStaged::new(
            &self.shared,
            (area, flush),
            offering,
            (judged.standing, terms.on),
            (judged.partial, judged.is_partly, promise),
            |number| ticket::seal(&self.shared.key, self.whose(), number),
        );
        let staged = Arc::new(staged);
        if staged.may_carry_over() {
            staged.is_partly.store(true, Ordering::Release);
        }
        if staged.ticket().is_some() {
            self.shared.under_way.remember(&staged);
        }
        staged
    }

    /// Promises each what it still needs. What finds no room is refused.
    fn make_room(
        &self,
        area: &Area,
        (batch, judged): (&[Offering], Vec<Result<Judged, Error>>),
    ) -> Vec<Result<(Judged, Promise), Error>> {
        let wanted = judged
            .iter()
            .map(|one| one.as_ref().map_or(0, |it| it.needed));
        let wanted: Vec<u64> = wanted.collect();
        let offered: Vec<_> = judged.iter().flatten().flat_map(|it| &it.partial).collect();
        let look = || {
            let space = self.shared.tree.sys.space(&area.directory)?;
            Ok(Space::of(&space))
        };
        let sum = wanted
            .iter()
            .fold(0, |sum: u64, one| sum.saturating_add(*one));
        // What was replaced a moment ago may still be giving its space back.
        let is_short = || look().is_ok_and(|space| !self.shared.room.has(space, sum));
        self.shared.leaving.wait_while(is_short);
        let make = |short| match self.shared.keeper {
            Keeper::Server => self.shared.partials.make_room(short, &offered),
            Keeper::Job(_) => 0,
        };
        let promises = match self.shared.room.promise(&wanted, look, make) {
            Ok(promises) => promises,
            Err(errno) => {
                let error = Error::Root {
                    action: Action::Look,
                    path: self.shared.tree.path.clone(),
                    errno,
                };
                return batch.iter().map(|_| Err(error.clone())).collect();
            }
        };
        let both = |((offering, judged), promise): ((&Offering, Result<Judged, _>), _)| {
            let judged = judged?;
            match promise {
                Ok(promise) => Ok((judged, promise)),
                Err(free) => Err(Error::NoRoom {
                    path: offering.entry.path.clone(),
                    needed: judged.needed,
                    free: (self.telling != Telling::Nothing).then_some(free),
                }),
            }
        };
        batch.iter().zip(judged).zip(promises).map(both).collect()
    }

    /// What a batch of so many is staged with: its directory and its flush.
    fn prepare(&self, files: usize) -> Result<(Arc<Area>, Arc<FlushPoint>), Error> {
        let area = self.shared.area()?;
        let sys = &self.shared.tree.sys;
        let flush = match self.shared.keeper {
            Keeper::Server => FlushPoint::open(sys, &area),
            Keeper::Job(_) => self.shared.point.open(sys, &area, files),
        };
        let flush = flush.map_err(|errno| Error::Root {
            action: Action::Flush,
            path: self.shared.tree.path.clone(),
            errno,
        })?;
        Ok((area, flush))
    }
}
