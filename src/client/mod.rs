//! Driving one job over several connections.
//!
//! A [`Client`] names a server. [`Client::put`] and [`Client::get`] move files and trees;
//! [`list`](Client::list), [`stat`](Client::stat), [`sum`](Client::sum),
//! [`verify`](Client::verify), [`make_dir`](Client::make_dir), [`rename`](Client::rename) and
//! [`remove`](Client::remove) ask one question each; [`repair`](Client::repair) puts a good
//! copy in place of what has decayed.
//!
//! A job that moves something opens its connections all at once, each with a worker thread
//! of its own; work is handed out in segments and given back where a connection is lost.
//! What happens is told as [`Event`]s on a channel, once a file; bytes are counted in
//! [`Progress`], which a screen reads when it likes. A job returns when all is done or has
//! failed: what failed alone is in its [`Summary`], and an [`Error`] is what ended the
//! whole job. [`Cancel`] ends it from another thread, and [`Retry`] says how often it connects
//! again when its last connection is lost.
//!
//! ```
//! # use haul::{fault::Fault, server::{Config, Server}, store::{Durability, LocalStore}};
//! # let served = tempfile::tempdir()?;
//! # let store = LocalStore::serve(served.path(), Durability::Batch, Fault::default())?;
//! # let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
//! # let address = server.addresses()?[0].to_string();
//! # let _running = server.start()?;
//! use haul::client::{Client, Event, JobOptions, Monitor, Options, Upload};
//! use haul::path::RemotePath;
//!
//! let client = Client::new(&address, Options::default());
//! let to = RemotePath::parse("backup/samples")?;
//! let upload = Upload::local("sample_files".as_ref(), Some(to));
//! let (monitor, events) = Monitor::new();
//! let summary = client.put(vec![upload], &JobOptions::default(), &monitor)?;
//! assert_eq!(summary.code(), None, "nothing failed");
//! assert!(summary.durable && summary.moved > 0);
//!
//! // The channel ends with the monitor.
//! drop(monitor);
//! let stored = events.iter().filter(|event| matches!(event, Event::Finished { .. }));
//! assert_eq!(stored.count() as u64, summary.moved);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod changes;
mod each_file;
mod error;
mod into_itself;
mod job;
mod meeting;
mod monitor;
mod options;
mod outage;
mod pull;
mod push;
mod repair;
mod route;
mod session;
mod sharing;
mod sum;
mod verify;

use std::path::Path;
use std::sync::Arc;

pub use error::Error;
pub use meeting::meet;
pub use monitor::{Cancel, Event, Monitor, Progress, Skip, Status, Summary};
pub use options::{Effect, Idle, JobOptions, Links, Options};
pub use outage::{Attempt, Retry};
pub use push::LocalFiles;
pub use verify::{DecayedBlocks, Soundness};

pub use crate::store::{Parents, Removal};

use crate::entry::Entry;
use crate::net::{Congestion, Transport};
use crate::path::RemotePath;
use crate::store::{Source, Tree};
use crate::transfer;

use route::{Route, Said, Way};

/// What a client found when it made sure of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connected {
    /// The one that was kept still stands.
    Still,
    /// None was kept, and there is one now.
    Anew,
    /// The one that was kept is lost, and there is another.
    Again,
}

/// One file or tree to put.
#[derive(Debug)]
pub struct Upload<S> {
    /// What it is read from, and its name there, `None` for all of it; or why it
    /// cannot be.
    pub from: Result<(Arc<S>, Option<RemotePath>), crate::store::Error>,
    /// Its name on the server. `None` is the root: what is in the tree goes there.
    pub to: Option<RemotePath>,
}

impl Upload<Tree> {
    /// The file or tree at a local path; links in the path are followed.
    ///
    /// What is wrong with the path is told when the job comes to it. For many files,
    /// [`LocalFiles`] holds fewer directories open.
    #[must_use]
    pub fn local(path: &Path, to: Option<RemotePath>) -> Self {
        LocalFiles::default().upload(path, to)
    }
}

/// One file or tree to fetch.
#[derive(Clone, Debug)]
pub struct Download {
    /// Its name on the server, `None` for all that is there.
    pub from: Option<RemotePath>,
    /// Its name beneath the directory that is downloaded into. `None` is that
    /// directory itself: what is in the tree goes there.
    pub to: Option<RemotePath>,
}

/// What is in a place on the server.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The entries, in the byte order of whole paths.
    pub entries: Vec<Entry>,
    /// How many were left out because their names cannot be sent.
    pub unnamed: u64,
    /// How many directories, or entries, the server could not read.
    pub unreadable: u64,
    /// How many were left out because they are no file, directory or link.
    pub special: u64,
}

/// A server that jobs can be done with. Between jobs it holds a connection where
/// [`Options::idle`] says so.
#[derive(Debug)]
pub struct Client {
    route: Arc<Route>,
    options: Options,
}

impl Client {
    /// Names the server at `address`, `HOST:PORT`.
    #[must_use]
    pub fn new(address: &str, options: Options) -> Self {
        Self {
            route: Arc::new(Way::Tcp(address.to_owned()).into()),
            options,
        }
    }

    /// Names a server that is reached through what `connect` returns.
    #[must_use]
    pub fn over(
        connect: impl Fn() -> std::io::Result<Box<dyn Transport>> + Send + Sync + 'static,
        options: Options,
    ) -> Self {
        Self {
            route: Arc::new(Way::Custom(Box::new(connect)).into()),
            options,
        }
    }

    /// The same server, over the connection that is kept to it, for jobs that `cancel`
    /// ends, and it alone.
    #[must_use]
    pub fn for_jobs(&self, connections: usize, cancel: Cancel) -> Self {
        Self {
            route: Arc::clone(&self.route),
            options: Options {
                connections,
                cancel,
                ..self.options.clone()
            },
        }
    }

    /// The same client, which uses at most so many connections for large files alone.
    #[must_use]
    pub fn with_for_large(mut self, connections: usize) -> Self {
        self.options.for_large = connections;
        self
    }

    /// The same client, whose connections send by this congestion control.
    #[must_use]
    pub fn sending_by(mut self, congestion: Option<Congestion>) -> Self {
        self.options.congestion = congestion;
        self
    }

    /// Makes sure of a connection, so that the next job does not have to; where none is
    /// kept, this only finds out whether the server is there.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or does not welcome us.
    pub fn connect(&self) -> Result<Connected, Error> {
        let (mut session, connected) = self.route.reach(&self.options)?;
        match session.welcome() {
            Ok(_) => {
                self.route.rest(session, &self.options, Said::All);
                Ok(connected)
            }
            Err(error) => Err(self.route.explain(error, &self.options)),
        }
    }

    /// Lists what is at `path`, or the root: `depth` 0 is its own entry, 1 what is
    /// in it, `None` everything beneath it.
    ///
    /// ```
    /// # use haul::{fault::Fault, server::{Config, Server}, store::{Durability, LocalStore}};
    /// # let served = tempfile::tempdir()?;
    /// # let store = LocalStore::serve(served.path(), Durability::Batch, Fault::default())?;
    /// # let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
    /// # let address = server.addresses()?[0].to_string();
    /// # let _running = server.start()?;
    /// # std::fs::create_dir(served.path().join("photos"))?;
    /// # std::fs::write(served.path().join("photos/sea.jpg"), "sea")?;
    /// use haul::client::{Client, Options};
    /// use haul::path::RemotePath;
    ///
    /// let client = Client::new(&address, Options::default());
    /// let listing = client.list(None, None)?;
    /// let names: Vec<&str> = listing.entries.iter().map(|entry| entry.path.as_str()).collect();
    /// assert_eq!(names, ["photos", "photos/sea.jpg"]);
    /// assert_eq!(listing.unreadable, 0);
    ///
    /// let entry = client.stat(Some(&RemotePath::parse("photos/sea.jpg")?))?;
    /// assert_eq!(entry.map(|entry| entry.size()), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or refuses: with code 5 where nothing has the name.
    pub fn list(&self, path: Option<&RemotePath>, depth: Option<u32>) -> Result<Listing, Error> {
        self.ask(|session| session.list(path, depth))
    }

    /// Says what is at `path`: `None` for the root, which is there and has no entry.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or refuses: with code 5 where nothing has the name.
    pub fn stat(&self, path: Option<&RemotePath>) -> Result<Option<Entry>, Error> {
        let mut listing = self.list(path, Some(0))?;
        match (listing.entries.pop(), path) {
            (None, None) => Ok(None),
            (Some(entry), Some(path)) if entry.path == *path => Ok(Some(entry)),
            _ => {
                let broken = transfer::Error::Broken("a listing of something else");
                Err(self.route.explain(broken, &self.options))
            }
        }
    }

    /// Puts files and trees, and returns once everything is stored or has failed.
    ///
    /// `uploads` is drawn from as the job goes on, so it may be long.
    ///
    /// # Errors
    ///
    /// What ended the whole job. A file that failed alone is in the summary.
    pub fn put<S: Source>(
        &self,
        uploads: impl IntoIterator<Item = Upload<S>>,
        options: &JobOptions,
        monitor: &Monitor,
    ) -> Result<Summary, Error> {
        let uploads = uploads.into_iter();
        push::run(&self.route, &self.options, uploads, options, monitor)
    }

    /// Fetches files and trees into the directory `into`, which is made where it is not
    /// there, and returns once everything is stored or has failed.
    ///
    /// ```
    /// # use haul::{fault::Fault, server::{Config, Server}, store::{Durability, LocalStore}};
    /// # let served = tempfile::tempdir()?;
    /// # let store = LocalStore::serve(served.path(), Durability::Batch, Fault::default())?;
    /// # let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
    /// # let address = server.addresses()?[0].to_string();
    /// # let _running = server.start()?;
    /// # std::fs::write(served.path().join("notes"), "sea")?;
    /// use haul::client::{Client, Download, JobOptions, Monitor, Options, Status, Event};
    /// use haul::path::RemotePath;
    ///
    /// let client = Client::new(&address, Options::default());
    /// let download = Download {
    ///     from: Some(RemotePath::parse("notes")?),
    ///     to: Some(RemotePath::parse("copy")?),
    /// };
    /// let into = tempfile::tempdir()?;
    /// let (monitor, events) = Monitor::new();
    /// let summary = client.get(vec![download], into.path(), &JobOptions::default(), &monitor)?;
    /// assert_eq!((summary.moved, summary.code()), (1, None));
    /// assert_eq!(std::fs::read(into.path().join("copy"))?, b"sea");
    /// let finished = events.iter().next();
    /// assert!(matches!(finished, Some(Event::Finished { status: Status::Fetched, .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What ended the whole job. A file that failed alone is in the summary.
    pub fn get(
        &self,
        downloads: Vec<Download>,
        into: &Path,
        options: &JobOptions,
        monitor: &Monitor,
    ) -> Result<Summary, Error> {
        pull::run(
            &self.route,
            &self.options,
            downloads,
            into,
            options,
            monitor,
        )
    }
}
