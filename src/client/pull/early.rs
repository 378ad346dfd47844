//! Connections to a server far away, opened before it is known what they are for.
//!
//! What there is to fetch is found out by asking, and a connection that is opened when the
//! answer has come brings its first byte two round trips later. Opened beside the question
//! they are ready when it is answered. To a server nearby that would save nothing.
//!
//! They belong to no job: one that is over does not wait for those that still open.

use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};

use crate::client::route::Route;
use crate::client::session::Session;
use crate::client::{Error, Options};

/// A server whose connection took so long to open is far away.
pub(super) const FAR: Duration = Duration::from_millis(10);

/// A connection, or why there is none.
type Opened = Result<Session, Error>;

/// Connections that are being opened, or wait to be used.
#[derive(Default)]
pub(super) struct Early(OnceLock<Receiver<Opened>>);

impl Early {
    /// Opens as many as a job may have beside its first, unless that was done before.
    pub(super) fn open(&self, route: &Arc<Route>, options: &Options) {
        let (to, opened) = unbounded();
        if self.0.set(opened).is_err() {
            return;
        }
        for number in 1..options.connections {
            let (to, route, options) = (to.clone(), Arc::clone(route), options.clone());
            let thread = Builder::new().name(format!("open-{number}"));
            let spawned = thread.spawn(move || {
                let greeted = route.connect(&options).and_then(|mut session| {
                    let flushed = session.link.flush();
                    flushed.map_err(|error| route.explain(error, &options))?;
                    Ok(session)
                });
                if let Err(unwanted) = to.send(greeted) {
                    end(unwanted.into_inner());
                }
            });
            // Without them each is opened when it is needed.
            if spawned.is_err() {
                return;
            }
        }
    }

    /// Whether there are any, or were.
    pub(super) fn are_there(&self) -> bool {
        self.0.get().is_some()
    }

    /// One of them, once it is there; none where all are taken.
    pub(super) fn take(&self) -> Option<Opened> {
        self.0.get()?.recv().ok()
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        self.0
            .take()
            .iter()
            .flat_map(Receiver::try_iter)
            .for_each(end);
    }
}

fn end(opened: Opened) {
    if let Ok(session) = opened {
        session.leave();
    }
}
