//! Fetching files and trees: look, stage, fetch, publish, settle.
//!
//! What there is, is listed; what is listed is staged in the directory that is
//! downloaded into, by the very store that a server uses. Each worker owns a
//! connection, looks through places on the server, and fetches segments of large files
//! and batches of small ones; two threads publish what is whole. Directories get their
//! modes and times when all is in them.

mod asked;
mod crew;
mod early;
mod incoming_file;
mod landing;
mod looking;
mod publisher;
mod resuming;
mod root;
mod stage;
mod worker;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};

use super::job::Job;
use super::monitor::{Event, Status};
use super::outage::Outages;
use super::route::Route;
use super::session::random_transfer;
use super::{Download, Error, JobOptions, Monitor, Options, Summary};
use crate::code::Code;
use crate::entry::Kind;
use crate::offer::{Offering, TransferId};
use crate::path::RemotePath;
use crate::store::{LocalStore, Store};
use crate::transfer::Reception;
use crate::wire::message::Welcome;
use crew::{Begun, Crew};
use early::{Early, FAR};
use incoming_file::{Incoming, Work};
use landing::Landing;
use root::Root;

/// Threads that publish what is whole: while one flushes or names files, the other takes what
/// has gathered.
const PUBLISHERS: usize = 2;

/// Directories that are settled at once.
const SETTLE: usize = 256;

/// What all threads of one get share.
struct Pull<'m, S: Store> {
    job: Job<'m, Work<S::Staged>>,
    route: &'m Route,
    early: &'m Early,
    connect: &'m Options,
    options: JobOptions,
    transfer: TransferId,
    reception: Arc<Reception<S::Staged>>,
    /// What is downloaded into; none where that is not there and nothing is to be done.
    store: Option<S>,
    /// Where that is, as far as it was there before.
    landing: Landing,
    looking: Mutex<Looking>,
    directories: Mutex<Vec<(RemotePath, Offering)>>,
    entries: AtomicU64,
    segment: AtomicU64,
    /// Workers, and connections that what was found is worth.
    size: AtomicUsize,
    worth: AtomicUsize,
}

/// The places that are being looked through.
#[derive(Default)]
struct Looking {
    /// Those that are not looked through to their end.
    open: usize,
    /// Those that wait until there is room for what they name.
    parked: VecDeque<Vec<Root>>,
}

/// The channel of files that are whole.
type Whole<S> = Sender<Arc<Incoming<<S as Store>::Staged>>>;

/// Fetches all `downloads` into the directory `into`.
pub(super) fn run(
    route: &Arc<Route>,
    options: &Options,
    downloads: Vec<Download>,
    into: &Path,
    get: &JobOptions,
    monitor: &Monitor,
) -> Result<Summary, Error> {
    let early = Early::default();
    let roots: Vec<Root> = downloads.into_iter().map(Root::new).collect();
    let open = roots.len();
    let mut batches = looking::batches(roots.clone()).into_iter();
    let first = batches.next().unwrap_or_default();
    let outages = Outages::new(options.retry, 1);
    // Nothing is made here before the server has spoken.
    let (begun, welcome) = loop {
        let error = match begin::<LocalStore>(route, options, (&early, &first)) {
            Ok(begun) => break begun,
            Err(error) => error,
        };
        let tell = |attempt| monitor.tell(Event::Lost(attempt));
        outages.pick_up(error, (route, &options.cancel), 0, || false, tell)?;
    };
    let segment = welcome.segment;
    let landing = Landing::find(into);
    roots
        .iter()
        .try_for_each(|root| landing.is_beside(root, &welcome))?;
    let transfer = random_transfer();
    let store = landing::receive(into, get.effect, transfer, options)?;
    let (job, work) = Job::new(monitor, 1, options.retry);
    let pull = Pull {
        job,
        route,
        early: &early,
        connect: options,
        options: *get,
        transfer,
        // What is received here is nobody else's.
        reception: Arc::new(Reception::of(transfer, Duration::MAX, Arc::default())),
        landing,
        store,
        looking: Mutex::new(Looking {
            open,
            parked: batches.collect(),
        }),
        directories: Mutex::default(),
        entries: AtomicU64::new(0),
        segment: AtomicU64::new(segment),
        size: AtomicUsize::new(1),
        worth: AtomicUsize::new(0),
    };
    pull.job.set_durable(true);
    if open == 0 {
        pull.job.all_found([]);
    }
    thread::scope(|scope| {
        let pull = &pull;
        // The publishers end when every worker has.
        let (whole, publishing) = unbounded();
        for number in 0..PUBLISHERS {
            let publishing = publishing.clone();
            let publisher = thread::Builder::new().name(format!("publish-{number}"));
            let spawned = publisher.spawn_scoped(scope, move || publisher::run(pull, &publishing));
            match spawned {
                Err(error) if number == 0 => return pull.job.abort(Error::Thread(error)),
                // One is enough.
                Ok(_) | Err(_) => {}
            }
        }
        let crew = Crew {
            scope,
            pull,
            work,
            whole,
        };
        crew.bring(0, Some(begun));
    });
    pull.settle();
    let summary = pull.job.into_summary();
    if summary.as_ref().is_err_and(|error| !goes_on(error)) {
        // What came from a server that is not to be trusted is of no use.
        pull.reception.discard();
    }
    summary
}

/// Opens the first connection, and asks for the first places there.
fn begin<S: Store>(
    route: &Arc<Route>,
    options: &Options,
    (early, first): (&Early, &[Root]),
) -> Result<(Begun<S>, Welcome), Error> {
    let began = Instant::now();
    let mut session = route.open(options)?;
    let mut asked = VecDeque::new();
    looking::look(&mut session, first.to_vec(), &mut asked);
    if began.elapsed() >= FAR {
        session
            .link
            .flush()
            .map_err(|error| route.explain(error, options))?;
        early.open(route, options);
    }
    let welcome = session.welcome().cloned();
    let welcome = welcome.map_err(|error| route.explain(error, options))?;
    Ok(((session, asked), welcome))
}

/// Whether another try can go on where this one has ended.
fn goes_on(error: &Error) -> bool {
    matches!(error.code(), Code::Connection | Code::Interrupted)
}

impl<S: Store> Pull<'_, S> {
    /// Takes note of a directory that was listed, to be settled in the end.
    fn directory(&self, from: RemotePath, offering: Offering) {
        let mut all = self
            .directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push((from, offering));
    }

    /// Ends the job where a tree was to be fetched into itself.
    fn meet(&self, root: &Root, server: &Welcome) {
        if let Err(error) = self.landing.is_beside(root, server) {
            self.job.abort(error);
        }
    }

    /// Gives the directories their modes and times: now all is in them. What is deepest
    /// comes first.
    fn settle(&self) {
        let mut all = self
            .directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(store) = self.store.as_ref().filter(|_| !self.job.has_failed()) else {
            return;
        };
        while !all.is_empty() {
            let last = all.len().saturating_sub(SETTLE);
            let mut some = all.split_off(last);
            some.reverse();
            let (names, offerings): (Vec<RemotePath>, Vec<Offering>) = some.into_iter().unzip();
            let settled = store.settle(&offerings);
            for (name, result) in names.into_iter().zip(settled) {
                match result {
                    Ok(_) => self.job.place(name, Kind::Dir, Status::Fetched),
                    Err(error) => self.job.fail_beside(name, error.code(), error.to_string()),
                }
            }
        }
    }
}
