//! Putting files: search, offer, send, commit.
//!
//! One thread searches the sources and feeds what it finds to the workers. Each
//! worker owns a connection, offers what it takes from the feed, and sends what
//! the server wants: small files itself, large ones in segments that any worker
//! may take.

mod answers;
mod outgoing_file;
mod requests;
mod sources;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, bounded};

pub use sources::LocalFiles;

use super::job::Job;
use super::session::Route;
use super::{Error, Monitor, Options, PutOptions, Summary, Upload};
use crate::offer::{EntryId, TransferId};
use crate::store::Source;
use outgoing_file::{Item, Work};
use sources::{FIRST_LOOK, Search};
use worker::Worker;

/// Files that are found ahead of being offered: two offers' worth.
const FEED: usize = 512;

/// What all workers of one put share.
struct Push<'m, S: Source> {
    job: Job<'m, Work<S>>,
    transfer: TransferId,
    options: PutOptions,
    entries: AtomicU64,
}

impl<S: Source> Push<'_, S> {
    /// An entry's number that no other entry of the transfer has.
    fn next_entry(&self) -> EntryId {
        EntryId(self.entries.fetch_add(1, Ordering::Relaxed))
    }
}

/// Puts all `uploads`.
pub(super) fn run<S: Source>(
    route: &Route,
    options: &Options,
    uploads: impl Iterator<Item = Upload<S>>,
    put: &PutOptions,
    monitor: &Monitor,
) -> Result<Summary, Error> {
    let mut search = Search::new(uploads);
    let first = search.look(FIRST_LOOK);
    let workers = first.connections(options.connections);
    let (job, work) = Job::new(monitor, workers);
    let push = Push {
        job,
        transfer: super::session::random_transfer(),
        options: *put,
        entries: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        let push = &push;
        let (found, feed) = bounded(FEED);
        for number in 0..workers {
            let (feed, work) = (feed.clone(), work.clone());
            let worker = thread::Builder::new()
                .name(format!("put-{number}"))
                .spawn_scoped(scope, move || {
                    let ended = work_on(number, push, (route, options), feed, work);
                    push.job.worker_ended(ended);
                });
            if let Err(error) = worker {
                return push.job.abort(Error::Thread(error));
            }
        }
        // Held here too, the feed would take files that no worker is left to offer.
        drop(feed);
        first.tell(&push.job, &found);
        search.tell_rest(&push.job, &found);
        push.job.all_found();
    });
    push.job.into_summary()
}

fn work_on<S: Source>(
    number: usize,
    push: &Push<'_, S>,
    (route, options): (&Route, &Options),
    feed: Receiver<Item<S>>,
    work: Receiver<Work<S>>,
) -> Result<(), Error> {
    let session = route.open(options)?;
    let mut worker = Worker::new(number, push, session, feed, work);
    let result = worker.run(&options.cancel);
    match result {
        Ok(()) => {
            worker.end();
            Ok(())
        }
        Err(error) => {
            let error = worker.last_words(error);
            worker.give_back();
            Err(route.explain(error, options))
        }
    }
}

/// A file as its segments are handed out.
type Shared<S> = Arc<outgoing_file::Outgoing<S>>;
