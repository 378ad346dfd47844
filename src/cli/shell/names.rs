//! Remote names, for whoever is in the middle of a line.
//!
//! A person who asks for a name waits for a moment and no longer. What comes later is
//! there when they ask again; and what was listed is believed for a short while, as one
//! name is typed in several steps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use crate::client::{Cancel, Client};
use crate::entry::{Entry, Kind};
use crate::path::RemotePath;

use crate::cli::remote::Remote;
use crate::cli::vantage::Vantage;

/// How long a listing is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long what was listed is believed.
const FRESH: Duration = Duration::from_secs(10);

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    /// What more can follow: a directory.
    Directory,
    /// Anything else.
    Whole,
}

/// The names in one directory.
type Listed = Arc<Vec<(String, Is)>>;

/// What is known of the names on a server.
pub(super) struct Names {
    client: Client,
    known: Mutex<Known>,
}

struct Known {
    vantage: Vantage,
    /// What is listed, and since when; nothing yet where it is being listed.
    listed: HashMap<Option<RemotePath>, Option<(Instant, Listed)>>,
}

impl Names {
    /// Nothing is known yet of what `client` can see from `vantage`.
    pub(super) fn new(client: Client, vantage: Vantage) -> Arc<Self> {
        let listed = HashMap::new();
        Arc::new(Self {
            client,
            known: Mutex::new(Known { vantage, listed }),
        })
    }

    /// Paths are seen from here from now on, and what was known may have changed.
    pub(super) fn stand(&self, vantage: Vantage) {
        let mut known = self.known();
        known.vantage = vantage;
        known.listed.retain(|_, listed| listed.is_none());
    }

    /// The names in a directory, as far as they can be had in time.
    pub(super) fn beneath(self: &Arc<Self>, directory: &str) -> Listed {
        let directory = if directory.is_empty() { "." } else { directory };
        let (tell, told) = bounded(1);
        let path = {
            let mut known = self.known();
            let Ok(Remote { path, .. }) = known.vantage.place(directory.as_ref()) else {
                return Listed::default();
            };
            match known.listed.get(&path) {
                Some(Some((since, listed))) if since.elapsed() < FRESH => {
                    return Arc::clone(listed);
                }
                // One question at a time.
                Some(None) => return Listed::default(),
                _ => {}
            }
            known.listed.insert(path.clone(), None);
            path
        };
        let (names, listing) = (Arc::clone(self), path.clone());
        let list = move || {
            let listed = names.list(listing.as_ref());
            // Whoever asked may have given up.
            let _ = tell.send(listed);
        };
        let thread = thread::Builder::new().name("names".to_owned());
        if thread.spawn(list).is_err() {
            self.known().listed.remove(&path);
        }
        told.recv_timeout(PATIENCE).unwrap_or_default()
    }

    fn list(&self, directory: Option<&RemotePath>) -> Listed {
        let client = self.client.for_jobs(1, Cancel::default());
        let listed = client.list(directory, Some(1));
        let mut known = self.known();
        if let Ok(listing) = listed {
            let name = |entry: Entry| {
                let is = match entry.kind {
                    Kind::Dir => Is::Directory,
                    Kind::File(_) | Kind::Link(_) => Is::Whole,
                };
                (entry.path.name().to_owned(), is)
            };
            let listed: Listed = Arc::new(listing.entries.into_iter().map(name).collect());
            let fresh = (Instant::now(), Arc::clone(&listed));
            known.listed.insert(directory.cloned(), Some(fresh));
            listed
        } else {
            known.listed.remove(&directory.cloned());
            Listed::default()
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
