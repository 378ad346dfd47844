//! Putting files and trees: search, offer, send, commit, settle.
//!
//! One thread searches the sources and feeds what it finds to the workers. Each
//! worker owns a connection, offers what it takes from the feed, and sends what
//! the server wants: small files itself, large ones in segments that any worker
//! may take. What is in a directory changes its time, so directories come last.

mod answers;
mod comparing;
mod feeding;
mod local_files;
mod outgoing_file;
mod requests;
mod resuming;
mod search;
mod worker;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, bounded};

pub use local_files::LocalFiles;

use super::into_itself;
use super::job::Job;
use super::route::Route;
use super::{Effect, Error, JobOptions, Monitor, Options, Summary, Upload};
use crate::offer::{EntryId, TransferId};
use crate::path::RemotePath;
use crate::store::{Place, Source};
use crate::wire::message::Welcome;
use feeding::{FIRST_LOOK, Feeding, FirstLook};
use outgoing_file::{Item, Work};
use search::Search;
use worker::Worker;

/// Files that are found ahead of being offered, more than are looked at first.
const FEED: usize = 2 * FIRST_LOOK;

/// What all workers of one put share.
struct Push<'m, S: Source> {
    job: Job<'m, Work<S>>,
    transfer: TransferId,
    workers: usize,
    connect: &'m Options,
    options: JobOptions,
    entries: AtomicU64,
    /// Files above one block that are offered, and not yet stored or failed.
    large: Arc<AtomicUsize>,
    trees: Mutex<Trees>,
}

/// The trees that are put, and where they go.
#[derive(Default)]
struct Trees {
    server: Option<Welcome>,
    tops: Vec<(Vec<Place>, Option<RemotePath>)>,
}

impl<S: Source> Push<'_, S> {
    /// An entry's number that no other entry of the transfer has.
    fn next_entry(&self) -> EntryId {
        EntryId(self.entries.fetch_add(1, Ordering::Relaxed))
    }

    /// Notes where a tree is and where it goes.
    fn begin_tree(&self, places: Vec<Place>, to: Option<RemotePath>) {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.tops.push((places, to));
        self.check_trees(&trees);
    }

    /// Notes what the server said of itself.
    fn meet(&self, server: &Welcome) {
        self.job.set_durable(server.durable);
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if trees.server.is_none() {
            trees.server = Some(server.clone());
            self.check_trees(&trees);
        }
    }

    /// Ends the job where a tree was to go into itself. Nothing of it is committed yet:
    /// the server has spoken, and has given no receipt.
    fn check_trees(&self, trees: &Trees) {
        let Some(server) = &trees.server else { return };
        for (places, to) in &trees.tops {
            if into_itself::put(places, to.as_ref(), server) {
                self.job.abort(Error::IntoItself(to.clone()));
            }
        }
    }
}

/// Puts all `uploads`.
pub(super) fn run<S: Source>(
    route: &Route,
    options: &Options,
    uploads: impl Iterator<Item = Upload<S>>,
    put: &JobOptions,
    monitor: &Monitor,
) -> Result<Summary, Error> {
    let mut search = Search::new(uploads, put.links);
    let first = FirstLook::of(&mut search);
    let workers = match put.effect {
        Effect::Real => first.connections(options),
        // What would be done is told in the order of the tree.
        Effect::Dry => 1,
    };
    let (job, work) = Job::new(monitor, workers, options.retry);
    let push = Push {
        job,
        transfer: super::session::random_transfer(),
        workers,
        connect: options,
        options: *put,
        entries: AtomicU64::new(0),
        large: Arc::default(),
        trees: Mutex::default(),
    };
    thread::scope(|scope| {
        let push = &push;
        let _guard = push.job.guard();
        let (found, feed) = bounded(FEED);
        let mut feeding = Feeding::new(push, found);
        // Before anybody takes some: what is found at once is shared and offered as a whole.
        first.into_iter().for_each(|found| feeding.tell(found));
        for number in 0..workers {
            let (feed, work) = (feed.clone(), work.clone());
            let worker = thread::Builder::new()
                .name(format!("put-{number}"))
                .spawn_scoped(scope, move || {
                    let _guard = push.job.guard();
                    let ended = work_on(number, push, (route, options), &feed, &work);
                    push.job.worker_ended(ended);
                });
            if let Err(error) = worker {
                return push.job.abort(Error::Thread(error));
            }
        }
        // Held here too, the feed would take files that no worker is left to offer.
        drop(feed);
        for found in search {
            // Nobody is left to take what would be found, and not all was.
            if push.job.has_ended() {
                return;
            }
            feeding.tell(found);
        }
        push.job.all_found(feeding.finale());
    });
    push.job.into_summary()
}

/// Works over one connection after the other, until there is nothing left to do or none can
/// be had any more.
fn work_on<S: Source>(
    number: usize,
    push: &Push<'_, S>,
    (route, options): (&Route, &Options),
    feed: &Receiver<Item<S>>,
    work: &Receiver<Work<S>>,
) -> Result<(), Error> {
    loop {
        let channels = (feed.clone(), work.clone());
        let Err(error) = work_once(number, push, (route, options), channels) else {
            return Ok(());
        };
        push.job.pick_up(error, route, &options.cancel)?;
    }
}

fn work_once<S: Source>(
    number: usize,
    push: &Push<'_, S>,
    (route, options): (&Route, &Options),
    (feed, work): (Receiver<Item<S>>, Receiver<Work<S>>),
) -> Result<(), Error> {
    let session = route.open(options)?;
    let mut worker = Worker::new(number, push, session, feed, work);
    let result = worker.run(&options.cancel);
    match result {
        Ok(()) => {
            worker.rest(route, options);
            Ok(())
        }
        Err(error) => {
            let error = worker.last_words(error);
            worker.give_back();
            Err(route.explain(error, options))
        }
    }
}

/// What was offered, as its segments are handed out.
type Shared<S> = Arc<outgoing_file::Outgoing<S>>;
