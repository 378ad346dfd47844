//! The accept loop: it accepts, and does nothing else.
//!
//! What an accept fails with is mostly a lack of descriptors, which only time
//! mends: so the loop pauses, longer each time, and lives on.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::slots::{Newcomer, Slot};
use super::sources::{Repute, Source};
use super::{Shared, session};
use crate::code::Code;
use crate::net::plain::Plain;
use crate::net::tls::Encrypted;
use crate::net::{Accepted, Listener};
use crate::store::Store;
use crate::wire::message::{Fail, write};
use crate::wire::preface;

/// First pause after a failed accept; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Stack of a connection's thread: nothing in it recurses, and only what is
/// touched takes memory.
const STACK: usize = 512 << 10;

/// Accepts until the listener is woken.
pub(super) fn run<S: Store + 'static>(shared: &Arc<Shared<S>>, listener: &Listener) {
    let mut pause = PAUSE;
    loop {
        match listener.accept() {
            Ok(Accepted::Woken) => return,
            Ok(Accepted::Client(socket, peer)) => {
                pause = PAUSE;
                admit(shared, socket, peer);
            }
            Err(error) => {
                warn!(%error, pause_ms = pause.as_millis() as u64, "cannot accept");
                match listener.pause(pause) {
                    Ok(false) => pause = (pause * 2).min(PAUSE_MAX),
                    Ok(true) | Err(_) => return,
                }
            }
        }
    }
}

/// Gives a connection its thread, or tells it why it gets none.
fn admit<S: Store + 'static>(shared: &Arc<Shared<S>>, socket: TcpStream, peer: SocketAddr) {
    let socket = Arc::new(socket);
    let slot = match place(shared, &socket, peer) {
        Ok(slot) => slot,
        Err(why) => return refuse(&socket, why),
    };
    if let Some(congestion) = &shared.config.congestion
        && let Err(error) = congestion.apply(&socket)
    {
        warn!(%peer, %error, "sent to as the system does");
    }
    let spare = Arc::clone(&socket);
    let owned = Arc::clone(shared);
    let spawned = thread::Builder::new()
        .name(format!("conn-{peer}"))
        .stack_size(STACK)
        .spawn(move || {
            match Plain::kept_by(socket, owned.config.liveness) {
                Ok(plain) => {
                    let link = match &owned.config.encryption {
                        Some(side) => owned.link(Encrypted::accept(plain, side)),
                        None => owned.link(plain),
                    };
                    session::serve(&owned, &slot, link);
                }
                Err(error) => info!(%peer, %error, "lost before it began"),
            }
            // In this order: who waits for the last place may serve the same store anew.
            drop(owned);
            drop(slot);
        });
    if let Err(error) = spawned {
        warn!(%peer, %error, "refused: no thread can be had");
        refuse(&spare, "the server is busy, try again later");
    }
}

/// The place of a connection, or what it is told where it gets none.
fn place<S: Store>(
    shared: &Shared<S>,
    socket: &Arc<TcpStream>,
    peer: SocketAddr,
) -> Result<Slot, &'static str> {
    let source = Source::of(peer.ip());
    let repute = shared.sources.knocks(source, Instant::now());
    if let Repute::Refused { anew } = repute {
        // It may come ten thousand times: once is enough to say so.
        if anew {
            warn!(%peer, "refused, and what follows from there: its openings came to nothing");
        }
        return Err("too many connections from this address came to nothing, try again later");
    }
    let newcomer = Newcomer {
        socket: Some(Arc::clone(socket)),
        source: Some(source),
        is_known: repute == Repute::Known,
    };
    shared.slots.take(newcomer).map_err(|none| {
        let why = none.text();
        info!(%peer, why, "refused");
        why
    })
}

/// Says why there is no place. What is said fits the socket's empty buffer, so
/// the loop never waits for a client.
fn refuse(socket: &TcpStream, why: &str) {
    let mut answer = preface::encode(preface::VERSION).to_vec();
    write(&Fail::connection(Code::Connection, why), &mut answer);
    // Whether it arrives is up to the client: it gets no thread to make sure.
    let _ = socket
        .set_nonblocking(true)
        .and_then(|()| (&*socket).write_all(&answer))
        .and_then(|()| socket.shutdown(Shutdown::Write));
}
