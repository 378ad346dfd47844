//! Connections to a server far away, opened before it is known what they are for.
//!
//! What there is to fetch is found out by asking, and a connection that is opened when the
//! answer has come brings its first byte two round trips later. Opened beside the question
//! they are ready when it is answered. To a server nearby that would save nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, Scope};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::client::route::Route;
use crate::client::session::Session;
use crate::client::{Error, Options};

/// A server whose connection took so long to open is far away.
pub(super) const FAR: Duration = Duration::from_millis(10);

/// A connection, or why there is none.
type Opened = Result<Session, Error>;

/// Connections that are being opened, or wait to be used.
pub(super) struct Early {
    opened: (Sender<Opened>, Receiver<Opened>),
    /// How many will be there and are not taken.
    left: AtomicUsize,
}

impl Default for Early {
    fn default() -> Self {
        Self {
            opened: unbounded(),
            left: AtomicUsize::new(0),
        }
    }
}

impl Early {
    /// Opens as many as a job may have beside its first.
    pub(super) fn open<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        (route, options): (&'env Route, &'env Options),
    ) {
        for number in 1..options.connections {
            let opened = self.opened.0.clone();
            let thread = Builder::new().name(format!("open-{number}"));
            let spawned = thread.spawn_scoped(scope, move || {
                let greeted = route.open(options).and_then(|mut session| {
                    let flushed = session.link.flush();
                    flushed.map_err(|error| route.explain(error, options))?;
                    Ok(session)
                });
                // Received by the same job, or by nobody.
                let _ = opened.send(greeted);
            });
            // Without them each is opened when it is needed.
            if spawned.is_err() {
                return;
            }
            self.left.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// One of them, once it is there; none where all are taken.
    pub(super) fn take(&self) -> Option<Opened> {
        let one_less = |left: usize| left.checked_sub(1);
        let (some, any) = (Ordering::AcqRel, Ordering::Acquire);
        self.left.fetch_update(some, any, one_less).ok()?;
        self.opened.1.recv().ok()
    }

    /// Ends those that nobody took.
    pub(super) fn end(&self) {
        while let Some(opened) = self.take() {
            if let Ok(session) = opened {
                session.end();
            }
        }
    }
}
