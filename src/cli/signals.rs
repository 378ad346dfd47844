//! Ctrl-C, a terminal that goes away, and the signal with which a system stops a service.
//!
//! The first one asks to stop cleanly, the second means it. What is to be done runs on
//! a thread of its own: next to nothing is safe to call inside a handler.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Context;
use crossbeam_channel::{Receiver, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

use crate::client::Cancel;
use crate::code::Code;
use crate::server::{AuditFile, Stop};

const STOPPING: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

/// Listens for signals until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Lets signals end commands, one after the other.
#[derive(Debug)]
pub(super) struct Interrupts {
    state: Arc<State>,
    heard: Receiver<Heard>,
    _watch: Watch,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Ctrl-C: to end what runs.
    Interrupt,
    /// To end the program.
    Leave,
}

#[derive(Debug, Default)]
struct State {
    /// What ends the command that runs, if one does.
    running: Mutex<Option<Cancel>>,
    /// Whether the next signal is the second that this command gets.
    is_second: Arc<AtomicBool>,
}

impl Interrupts {
    /// Begins to listen.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let state = Arc::<State>::default();
        for signal in STOPPING {
            let code = i32::from(Code::Interrupted.number());
            // In this order, so that the first signal finds the flag unset.
            flag::register_conditional_shutdown(signal, code, Arc::clone(&state.is_second))
                .and_then(|_| flag::register(signal, Arc::clone(&state.is_second)))
                .context("cannot watch for signals")?;
        }
        let (tell, heard) = unbounded();
        let shared = Arc::clone(&state);
        let watch = watch(move |signal| {
            match &*shared.running() {
                Some(cancel) => cancel.cancel(),
                // Where nothing runs there is nothing that could hang.
                None => shared.is_second.store(false, Ordering::SeqCst),
            }
            // It may be that nobody asks any more.
            let _ = tell.send(match signal {
                SIGINT => Heard::Interrupt,
                _ => Heard::Leave,
            });
        })?;
        Ok(Self {
            state,
            heard,
            _watch: watch,
        })
    }

    /// A command begins: the first signal from now on cancels it, and the second ends the
    /// program at once.
    pub(super) fn begin(&self) -> Cancel {
        let cancel = Cancel::default();
        *self.state.running() = Some(cancel.clone());
        self.state.is_second.store(false, Ordering::SeqCst);
        cancel
    }

    /// The command is over: signals end nothing, and are only heard.
    pub(super) fn rest(&self) {
        *self.state.running() = None;
        self.state.is_second.store(false, Ordering::SeqCst);
    }

    /// What was asked for, command or not.
    pub(super) fn heard(&self) -> &Receiver<Heard> {
        &self.heard
    }
}

impl State {
    fn running(&self) -> MutexGuard<'_, Option<Cancel>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the first signal stop a server, of which `tell` hears, and the second not wait for
/// what runs. Where it keeps records, a terminal that goes away stops nothing: the file is opened anew.
pub(super) fn stopping(
    stop: Stop,
    audit: Option<Arc<AuditFile>>,
    tell: impl Fn() + Send + 'static,
) -> anyhow::Result<Watch> {
    let mut is_first = true;
    watch(move |signal| match &audit {
        Some(audit) if signal == SIGHUP => audit.reopen(),
        _ if is_first => {
            is_first = false;
            tell();
            stop.stop();
        }
        _ => stop.stop_now(),
    })
}

/// Reacts to signals.
fn watch(react: impl FnMut(i32) + Send + 'static) -> anyhow::Result<Watch> {
    let started = || -> io::Result<Watch> {
        let mut signals = Signals::new(STOPPING)?;
        let handle = signals.handle();
        let thread = thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || signals.forever().for_each(react))?;
        Ok(Watch {
            handle,
            thread: Some(thread),
        })
    };
    started().context("cannot watch for signals")
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed by its own thread.
            let _ = thread.join();
        }
    }
}
