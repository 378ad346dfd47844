//! How many bytes a client sends: counted on their way, by a relay that stands between it and
//! its server.
//!
//! The interface's own counters would have what others say there, and headers besides. No
//! sample is taken through it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Result;

/// A relay that runs.
pub struct Meter {
    pub address: SocketAddr,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// Bytes from clients to the server.
    sent: AtomicU64,
    over: AtomicBool,
}

impl Meter {
    /// Stands in front of `server`.
    pub fn before(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let accept = move || {
            while let Ok((client, _)) = listener.accept() {
                if shared.over.load(Ordering::Acquire) {
                    return;
                }
                // A client whose connection fails says so itself.
                let _ = relay(client, server, &shared);
            }
        };
        let accepting = thread::Builder::new().name("meter".into()).spawn(accept)?;
        Ok(Self {
            address,
            state,
            accepting: Some(accepting),
        })
    }

    /// Bytes that clients have sent so far.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Acquire)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Release);
        // Whoever accepts has to be woken.
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

/// Passes on what both sides say, until they have said all.
fn relay(client: TcpStream, server: SocketAddr, state: &Arc<State>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (up, down) = ((client.try_clone()?, server.try_clone()?), (server, client));
    let shared = Arc::clone(state);
    let builder = || thread::Builder::new().name("meter".into());
    builder().spawn(move || {
        pass(up.0, up.1, |n| {
            shared.sent.fetch_add(n, Ordering::AcqRel);
        });
    })?;
    builder().spawn(move || pass(down.0, down.1, |_| {}))?;
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: impl Fn(u64)) {
    let mut piece = vec![0; 256 << 10];
    while let Ok(n @ 1..) = from.read(&mut piece) {
        // Counted before it can be answered.
        count(n as u64);
        if to.write_all(&piece[..n]).is_err() {
            break;
        }
    }
    // It may be gone.
    let _ = to.shutdown(Shutdown::Write);
}
