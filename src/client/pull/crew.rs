//! The workers of a get: the first one looks what there is, and what it finds brings
//! others.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::thread::{Builder, Scope};

use crossbeam_channel::Receiver;

use super::asked::Asked;
use super::incoming_file::Work;
use super::worker::Worker;
use super::{Pull, Whole};
use crate::client::Error;
use crate::client::session::Session;
use crate::client::sharing::connections;
use crate::content::Geometry;
use crate::store::Store;
use crate::wire::message::Request;

/// What it takes to bring another worker.
pub(super) struct Crew<'scope, 'env, S: Store> {
    pub(super) scope: &'scope Scope<'scope, 'env>,
    pub(super) pull: &'env Pull<'env, S>,
    pub(super) work: Receiver<Work<S::Staged>>,
    pub(super) whole: Whole<S>,
}

/// A connection, and what it was asked already.
pub(super) type Begun<S> = (Session, VecDeque<(Request, Asked<<S as Store>::Staged>)>);

// Derived, it would ask the same of the store.
impl<S: Store> Clone for Crew<'_, '_, S> {
    fn clone(&self) -> Self {
        Self {
            work: self.work.clone(),
            whole: self.whole.clone(),
            ..*self
        }
    }
}

impl<'env, S: Store + 'env> Crew<'_, 'env, S>
where
    S::Staged: 'env,
{
    /// Brings as many workers as can be of use now that this was found too.
    pub(super) fn grow(&self, found: &[Option<Geometry>]) {
        let pull = self.pull;
        let mut worth = connections(found.iter().copied(), pull.connect);
        if pull.early.are_there() {
            // They are open already, and the more begin at once the sooner the way is filled.
            worth = worth.max(found.len());
        }
        let worth = worth + pull.worth.fetch_add(worth, Ordering::Relaxed);
        let wanted = worth.min(pull.connect.connections);
        loop {
            let one_more = |size| (size < wanted).then_some(size + 1);
            let (some, any) = (Ordering::AcqRel, Ordering::Acquire);
            match pull.size.fetch_update(some, any, one_more) {
                Ok(number) => {
                    pull.job.enlist();
                    self.bring(number, None);
                }
                Err(_) => return,
            }
        }
    }

    /// Brings a worker, with the connection that it has begun, or one of its own.
    pub(super) fn bring(&self, number: usize, begun: Option<Begun<S>>) {
        let crew = self.clone();
        let spawned =
            Builder::new()
                .name(format!("get-{number}"))
                .spawn_scoped(self.scope, move || {
                    let pull = crew.pull;
                    let _guard = pull.job.guard();
                    let ended = work(&crew, begun);
                    pull.job.worker_ended(ended);
                });
        if let Err(error) = spawned {
            self.pull.job.abort(Error::Thread(error));
        }
    }
}

/// Works over one connection after the other, until there is nothing left to do or none can
/// be had any more.
fn work<'env, S: Store + 'env>(
    crew: &Crew<'_, 'env, S>,
    mut begun: Option<Begun<S>>,
) -> Result<(), Error>
where
    S::Staged: 'env,
{
    let pull = crew.pull;
    loop {
        let Err(error) = work_once(crew.clone(), begun.take()) else {
            return Ok(());
        };
        let cancel = &pull.connect.cancel;
        pull.job.pick_up(error, pull.route, cancel)?;
    }
}

fn work_once<'env, S: Store + 'env>(
    crew: Crew<'_, 'env, S>,
    begun: Option<Begun<S>>,
) -> Result<(), Error>
where
    S::Staged: 'env,
{
    let pull = crew.pull;
    let begun = if let Some(begun) = begun {
        begun
    } else {
        let early = pull.early.take();
        let session = early.unwrap_or_else(|| pull.route.open(pull.connect))?;
        (session, VecDeque::new())
    };
    let mut worker = Worker::new(crew, begun);
    match worker.run(&pull.connect.cancel) {
        Ok(()) => {
            worker.rest();
            Ok(())
        }
        Err(error) => {
            let error = worker.session.last_words(error);
            worker.give_back();
            Err(pull.route.explain(error, pull.connect))
        }
    }
}
