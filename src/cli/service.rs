//! What a service manager hands over, and what it is told: systemd's two small protocols.
//!
//! Sockets may be bound before the server is there, and stay when it is restarted: who
//! connects meanwhile waits. The manager hears when clients may come, that the server is
//! well, and that it is stopping. Where there is no manager, all of this is nothing.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::{NotifyState, notify, watchdog_enabled};
use socket2::SockRef;
use tracing::warn;

use crate::net::Listener;
use crate::server::Handle;

use super::address::Address;
use super::failure::usage;

/// What a stop takes at most beyond its drain time, with room for a slow disk.
const BEYOND_DRAIN: Duration = Duration::from_secs(15);

/// A socket that somebody else has bound, and where it listens.
pub(super) struct Handed {
    pub(super) listener: Listener,
    pub(super) address: Address,
}

/// The sockets that the manager hands over. They can be taken once.
///
/// # Errors
///
/// Where one of them does not listen for TCP.
pub(super) fn handed_over() -> anyhow::Result<Vec<Handed>> {
    let mut sockets = ListenFd::from_env();
    (0..sockets.len())
        .map(|number| {
            let taken = sockets.take_tcp_listener(number);
            let listener = taken.ok().flatten().filter(is_listening);
            let listener = listener.ok_or_else(|| {
                usage(format!(
                    "what the service manager hands over as its socket {} does not listen for TCP",
                    number + 1
                ))
            })?;
            let address = listener.local_addr()?;
            Ok(Handed {
                listener: Listener::handed_over(listener)?,
                address: Address {
                    host: address.ip().to_string(),
                    port: address.port(),
                },
            })
        })
        .collect()
}

fn is_listening(socket: &TcpListener) -> bool {
    SockRef::from(socket).is_listener().unwrap_or(false)
}

/// Says that clients may come.
pub(super) fn is_ready() {
    say(&[NotifyState::Ready]);
}

/// Says that the server is stopping, and how long that may take: the manager would end it
/// before its time is over.
pub(super) fn is_stopping(drain: Duration) {
    let most = drain.saturating_add(BEYOND_DRAIN).as_micros();
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    say(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(most)]);
}

/// Waits until the server has ended, and says as often as it is asked for that it is well.
pub(super) fn wait(handle: Handle) {
    match watchdog_enabled() {
        // Twice in the time, so that one word may be late.
        Some(time) => handle.wait_saying(time / 2, || say(&[NotifyState::Watchdog])),
        None => handle.wait(),
    }
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        warn!(%error, "cannot tell the service manager");
    }
}
