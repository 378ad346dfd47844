//! Keeping a peer patient while there is nothing to send.
//!
//! A flush or a hash may take minutes, in which the other side would give the
//! connection up for dead. So what may take long runs on a helper thread, while
//! the connection's owner waits for it and says every few seconds that it is
//! being worked on.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::error::Error;
use super::link::Link;
use crate::wire::message::Working;

/// Silence after which the other side is told that its answer is being worked on.
pub const PULSE: Duration = Duration::from_secs(5);

/// Does `work` on a thread called `name`, and calls `pulse` while that takes long.
///
/// # Errors
///
/// [`Error::Busy`] where no thread can be had; what `pulse` reported, once the
/// work is over.
pub fn patiently<T: Send>(
    name: &str,
    work: impl FnOnce() -> T + Send,
    pulse: &mut impl FnMut() -> Result<(), Error>,
) -> Result<T, Error> {
    thread::scope(|scope| {
        let (done, result) = bounded(1);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn_scoped(scope, move || done.send(work()).is_ok())
            .map_err(Error::Busy)?;
        let mut failed = None;
        loop {
            match result.recv_timeout(PULSE) {
                Ok(result) => return failed.map_or(Ok(result), Err),
                Err(RecvTimeoutError::Timeout) => failed = failed.or_else(|| pulse().err()),
                // The work panicked, and the scope passes that on.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Broken("the work ended without a result"));
                }
            }
        }
    })
}

/// Tells the other side that its answer is being worked on.
///
/// # Errors
///
/// Whatever the connection failed with.
pub fn say_working(link: &mut Link) -> Result<(), Error> {
    link.say(&Working {});
    link.flush()
}
