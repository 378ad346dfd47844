//! What stands between a client and a server: it counts, and it can hold everything up.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// A relay on a port of its own.
pub struct Relay {
    /// Where clients connect to.
    pub address: String,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    server: String,
    accepted: usize,
    /// Bytes that clients have sent.
    sent: usize,
    /// Bytes that servers have sent.
    received: usize,
    /// Bytes that may still go to clients; none where it does not matter.
    allowance: Option<usize>,
    /// Whether somebody waits for more allowance.
    stalled: bool,
    over: bool,
}

impl Relay {
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                server: server.to_owned(),
                accepted: 0,
                sent: 0,
                received: 0,
                allowance: None,
                stalled: false,
                over: false,
            }),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        spawn(move || {
            for client in listener.incoming() {
                if accepting.state.lock().unwrap().over {
                    return;
                }
                accepting.accept(client.unwrap());
            }
        });
        Self { address, shared }
    }

    /// Leads those that come from now on to another server.
    pub fn lead_to(&self, server: &str) {
        server.clone_into(&mut self.shared.state.lock().unwrap().server);
    }

    /// How many connections there were.
    pub fn accepted(&self) -> usize {
        self.shared.state.lock().unwrap().accepted
    }

    /// How many bytes clients have sent.
    pub fn sent(&self) -> usize {
        self.shared.state.lock().unwrap().sent
    }

    /// How many bytes servers have sent.
    pub fn received(&self) -> usize {
        self.shared.state.lock().unwrap().received
    }

    /// Lets so many bytes more go to clients, or as many as there are.
    pub fn allow(&self, bytes: Option<usize>) {
        let mut state = self.shared.state.lock().unwrap();
        (state.allowance, state.stalled) = (bytes, false);
        self.shared.changed.notify_all();
    }

    /// Waits until something is held up.
    pub fn until_stalled(&self) {
        let state = self.shared.state.lock().unwrap();
        drop(
            self.shared
                .changed
                .wait_while(state, |state| !state.stalled),
        );
    }
}

/// What it holds goes with it: other tests run in this process.
impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().over = true;
        self.allow(None);
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, client: TcpStream) {
        let server = {
            let mut state = self.state.lock().unwrap();
            state.accepted += 1;
            state.server.clone()
        };
        // A server that is gone is one that refuses.
        let Ok(server) = TcpStream::connect(server) else {
            return;
        };
        let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let counting = Arc::clone(self);
        spawn(move || carry(from, to, |len| counting.state.lock().unwrap().sent += len));
        let held = Arc::clone(self);
        spawn(move || carry(server, client, |len| held.spend(len)));
    }

    /// Waits until so many bytes may go.
    fn spend(&self, len: usize) {
        let mut state = self.state.lock().unwrap();
        state.received += len;
        while state.allowance.is_some_and(|left| left < len) {
            state.stalled = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
        state.allowance = state.allowance.map(|left| left - len);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, before: impl Fn(usize)) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        before(len);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    let name = "relay".to_owned();
    thread::Builder::new().name(name).spawn(run).unwrap();
}
