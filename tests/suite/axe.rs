//! What stands between a client and a server until so many bytes have passed, and then cuts
//! every connection, or holds them all up.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// How much is carried at once.
const PIECE: usize = 64 << 10;

/// On a port of its own.
pub struct Axe {
    /// Where clients connect to.
    pub address: String,
    shared: Arc<Shared>,
}

/// What is done when so many bytes have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// All connections are cut; those that come later are not.
    Cut,
    /// Nothing passes any more, until the axe is set anew.
    Hold,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    server: String,
    /// Bytes that may pass, whichever way, before that is done; none once it is.
    left: Option<(usize, Then)>,
    held: bool,
    /// How often connections were cut or held.
    falls: usize,
    /// Both ends of what was accepted since it last fell.
    ends: Vec<TcpStream>,
    over: bool,
}

impl Axe {
    pub fn over(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared::default());
        server.clone_into(&mut shared.lock().server);
        let accepting = Arc::clone(&shared);
        spawn(move || {
            for client in listener.incoming() {
                if accepting.lock().over {
                    return;
                }
                accepting.accept(client.unwrap());
            }
        });
        Self { address, shared }
    }

    /// It falls once so many more bytes have passed. What it held goes on.
    pub fn set(&self, after: usize, then: Then) {
        let mut state = self.shared.lock();
        (state.left, state.held) = (Some((after, then)), false);
        state.ends.clear();
        self.shared.changed.notify_all();
    }

    /// It does not fall. What it held goes on.
    pub fn rest(&self) {
        let mut state = self.shared.lock();
        (state.left, state.held) = (None, false);
        state.ends.clear();
        self.shared.changed.notify_all();
    }

    /// How often it has fallen.
    pub fn falls(&self) -> usize {
        self.shared.lock().falls
    }

    /// Waits for a moment until it has fallen so often, and says whether it has.
    pub fn has_fallen(&self, falls: usize) -> bool {
        let (state, moment) = (self.shared.lock(), Duration::from_millis(50));
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, moment, |state| state.falls < falls);
        waited.unwrap().0.falls >= falls
    }
}

/// What it holds goes with it: other tests run in this process.
impl Drop for Axe {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.rest();
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn accept(self: &Arc<Self>, client: TcpStream) {
        let mut state = self.lock();
        // A server that is gone is one that refuses.
        let Ok(server) = TcpStream::connect(&state.server) else {
            return;
        };
        if state.left.is_some() {
            let ends = [&client, &server].map(|end| end.try_clone().unwrap());
            state.ends.extend(ends);
        }
        drop(state);
        let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        for (from, to) in [(from, to), (server, client)] {
            let counting = Arc::clone(self);
            spawn(move || carry(from, to, |len| counting.spend(len)));
        }
    }

    /// Counts what is about to pass, and waits while nothing may.
    fn spend(&self, len: usize) {
        let mut state = self.lock();
        match &mut state.left {
            Some((left, _)) if *left > len => *left -= len,
            Some((_, then)) => {
                let then = *then;
                (state.left, state.held) = (None, then == Then::Hold);
                state.falls += 1;
                for end in state.ends.drain(..) {
                    if then == Then::Cut {
                        let _ = end.shutdown(Shutdown::Both);
                    }
                }
                self.changed.notify_all();
            }
            None => {}
        }
        drop(self.changed.wait_while(state, |state| state.held));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, before: impl Fn(usize)) {
    let mut buffer = vec![0; PIECE];
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
    let name = "axe".to_owned();
    thread::Builder::new().name(name).spawn(run).unwrap();
}
