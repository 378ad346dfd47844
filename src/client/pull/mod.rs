//! Fetching files: list, stage, fetch, publish.
//!
//! The files are listed first, for their versions. They are staged in the
//! directory that is downloaded into, by the very store that a server uses; each
//! worker owns a connection and fetches segments of large files and batches of
//! small ones; one thread publishes what is whole.

mod incoming_file;
mod plan;
mod publisher;
mod worker;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::job::Job;
use super::session::{Route, Session, random_transfer};
use super::{Download, Error, GetOptions, Monitor, Options, Summary};
use crate::offer::TransferId;
use crate::store::{Action, LocalStore, Store};
use crate::transfer::Reception;
use incoming_file::{Incoming, Work};
use worker::Worker;

/// What all threads of one get share.
struct Pull<'m, S: Store> {
    job: Job<'m, Work<S::Staged>>,
    store: S,
    transfer: TransferId,
    options: GetOptions,
    reception: Arc<Reception<S::Staged>>,
    segment: u64,
}

/// The channel of files that are whole.
type Whole<S> = Sender<Arc<Incoming<<S as Store>::Staged>>>;

/// Fetches all `downloads` into the directory `into`.
pub(super) fn run(
    route: &Route,
    options: &Options,
    downloads: Vec<Download>,
    into: &Path,
    get: &GetOptions,
    monitor: &Monitor,
) -> Result<Summary, Error> {
    let explain = |error| route.explain(error, options);
    let mut session = route.open(options)?;
    let found = plan::list(&mut session, downloads).map_err(explain)?;
    let segment = session.welcome().map_err(explain)?.segment;
    // `dir/.` names nothing that could be made.
    let into: PathBuf = into.components().collect();
    let into = if into.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &into
    };
    make_directory(into)?;
    let transfer = random_transfer();
    let workers = found.connections(options.connections);
    let (job, work) = Job::new(monitor, workers);
    let pull = Pull {
        job,
        store: LocalStore::receive(into, transfer, options.fault.clone())?,
        transfer,
        options: *get,
        reception: Arc::default(),
        segment,
    };
    pull.job.set_durable(true);
    thread::scope(|scope| {
        let (pull, mut listed) = (&pull, Some(session));
        // The publisher ends when every holder of its channel has: this thread,
        // once all is staged, and the workers.
        let (whole, publishing) = unbounded();
        let spawn = |name: String| thread::Builder::new().name(name);
        let publishing = spawn("publish".to_owned())
            .spawn_scoped(scope, move || publisher::run(pull, &publishing));
        if let Err(error) = publishing {
            return pull.job.abort(Error::Thread(error));
        }
        for number in 0..workers {
            let (work, whole) = (work.clone(), whole.clone());
            // The connection that listed is a worker's like the others.
            let session = listed.take();
            let worker = spawn(format!("get-{number}")).spawn_scoped(scope, move || {
                let ended = work_on(pull, (route, options), session, work, whole);
                pull.job.worker_ended(ended);
            });
            if let Err(error) = worker {
                return pull.job.abort(Error::Thread(error));
            }
        }
        found.stage(pull, &whole);
        pull.job.all_found();
    });
    pull.job.into_summary()
}

fn work_on<S: Store>(
    pull: &Pull<'_, S>,
    (route, options): (&Route, &Options),
    session: Option<Session>,
    work: Receiver<Work<S::Staged>>,
    whole: Whole<S>,
) -> Result<(), Error> {
    let session = session.map_or_else(|| route.open(options), Ok)?;
    let mut worker = Worker::new(pull, session, work, whole);
    match worker.run(&options.cancel) {
        Ok(()) => {
            worker.end();
            Ok(())
        }
        Err(error) => {
            worker.give_back();
            Err(route.explain(error, options))
        }
    }
}

/// Makes the directory and all above it, and flushes each directory that a new name
/// was made in: what is stored there is to be found after a power cut.
fn make_directory(into: &Path) -> Result<(), Error> {
    let made: Vec<&Path> = into.ancestors().take_while(|path| !path.exists()).collect();
    let flush = |path: &&Path| {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()
    };
    let result = std::fs::create_dir_all(into).and_then(|()| made.iter().try_for_each(flush));
    result.map_err(|error| {
        Error::Store(crate::store::Error::Root {
            action: Action::MakeDir,
            path: into.to_owned(),
            errno: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
        })
    })
}
