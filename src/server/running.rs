//! A server at work: waiting for its end, and bringing it about.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::slots::Slots;
use crate::net::Waker;

/// A server at work. Dropping it stops it at once.
#[derive(Debug)]
pub struct Handle {
    stop: Stop,
    accepting: Vec<JoinHandle<()>>,
    /// Whoever accepts has one of these, and nobody ever says anything.
    accepts: Sender<()>,
    over: Receiver<()>,
}

/// Stops a server, from any thread.
#[derive(Clone, Debug)]
pub struct Stop(Arc<StopParts>);

#[derive(Debug)]
struct StopParts {
    sweeping: Sender<()>,
    wakers: Vec<Waker>,
    stopping: Arc<AtomicBool>,
    slots: Arc<Slots>,
    drain: Duration,
}

impl Handle {
    /// One without threads, which this is to stop.
    pub(super) fn of(stop: Stop) -> Self {
        let (accepts, over) = bounded(0);
        Self {
            stop,
            accepting: Vec::new(),
            accepts,
            over,
        }
    }

    /// Starts a thread that accepts until the server is stopped.
    pub(super) fn accept(&mut self, accept: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let accepts = self.accepts.clone();
        self.beside("accept", move || {
            let _accepts = accepts;
            accept();
        })
    }

    /// Starts another thread that ends when the server is stopped.
    pub(super) fn beside(
        &mut self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.to_owned());
        self.accepting.push(thread.spawn(work)?);
        Ok(())
    }

    /// What stops the server, for a signal handler's thread.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Waits until the server was stopped and its last connection has ended.
    pub fn wait(mut self) {
        for thread in self.accepting.drain(..) {
            // A panic there was printed by its own thread.
            let _ = thread.join();
        }
        self.stop.0.slots.drain(self.stop.0.drain);
    }

    /// Waits as [`Handle::wait`] does, and says every so often that the server is well, until
    /// it is stopped. Where it is not, as a thread that accepts has ended or one that serves
    /// holds what all others need, nothing is said.
    pub fn wait_saying(mut self, every: Duration, mut is_well: impl FnMut()) {
        // Then the threads have the last of these.
        self.accepts = bounded(0).0;
        while self.over.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            if !self.accepting.iter().any(JoinHandle::is_finished) {
                self.stop.0.slots.count();
                is_well();
            }
        }
        self.wait();
    }
}

impl Stop {
    /// What stops these, and what the thread hears that sweeps.
    pub(super) fn of(
        wakers: Vec<Waker>,
        stopping: Arc<AtomicBool>,
        slots: Arc<Slots>,
        drain: Duration,
    ) -> (Self, Receiver<()>) {
        let (sweeping, stopped) = bounded(1);
        let parts = StopParts {
            sweeping,
            wakers,
            stopping,
            slots,
            drain,
        };
        (Self(Arc::new(parts)), stopped)
    }

    /// Accepts no more, tells idle connections so, and lets running transfers go on for the
    /// drain time, which [`Handle::wait`] sees to.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        // Told once, it is on its way.
        let _ = self.0.sweeping.try_send(());
        for waker in &self.0.wakers {
            waker.wake();
        }
        self.0.slots.end_idle();
    }

    /// Stops, and ends running transfers too, whatever they may still have to say.
    pub fn stop_now(&self) {
        self.stop();
        self.0.slots.end_all();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.stop_now();
        for thread in self.accepting.drain(..) {
            let _ = thread.join();
        }
        self.stop.0.slots.await_end();
    }
}
