//! Ctrl-C, a terminal that goes away, and the signal with which a system stops a service.
//!
//! The first one asks to stop cleanly, the second means it. What is to be done runs on
//! a thread of its own: next to nothing is safe to call inside a handler.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

use crate::client::Cancel;
use crate::code::Code;
use crate::server::Stop;

const STOPPING: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

/// Listens for signals until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Lets the first signal cancel a job, and the second end the program at once.
pub(super) fn cancelling(cancel: Cancel) -> anyhow::Result<Watch> {
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in STOPPING {
        let code = i32::from(Code::Interrupted.number());
        // In this order, so that the first signal finds the flag unset.
        flag::register_conditional_shutdown(signal, code, Arc::clone(&is_second))
            .and_then(|_| flag::register(signal, Arc::clone(&is_second)))
            .context("cannot watch for signals")?;
    }
    watch(move |_| cancel.cancel())
}

/// Lets the first signal stop a server, and the second not wait for what runs.
pub(super) fn stopping(stop: Stop) -> anyhow::Result<Watch> {
    watch(move |is_first| {
        if is_first {
            stop.stop();
        } else {
            stop.stop_now();
        }
    })
}

fn watch(mut react: impl FnMut(bool) + Send + 'static) -> anyhow::Result<Watch> {
    let started = || -> io::Result<Watch> {
        let mut signals = Signals::new(STOPPING)?;
        let handle = signals.handle();
        let thread = thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let mut is_first = true;
                for _ in signals.forever() {
                    react(is_first);
                    is_first = false;
                }
            })?;
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
