//! How many connections there are, and a hold on each to end it.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long connections that were ended may take to notice.
const GRACE: Duration = Duration::from_secs(5);

/// The places for connections.
#[derive(Debug)]
pub(super) struct Slots {
    max: usize,
    table: Mutex<Table>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    taken: HashMap<u64, Hold>,
}

/// What is needed to end a connection from outside its thread.
#[derive(Debug)]
struct Hold {
    socket: Option<TcpStream>,
    busy: Arc<AtomicBool>,
}

/// A connection's place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: u64,
    busy: Arc<AtomicBool>,
}

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            table: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection, if one is free.
    pub(super) fn take(self: &Arc<Self>, socket: Option<&TcpStream>) -> Option<Slot> {
        let mut table = self.table();
        if table.taken.len() >= self.max {
            return None;
        }
        let number = table.next;
        table.next += 1;
        let busy = Arc::new(AtomicBool::new(false));
        let hold = Hold {
            // Without a second descriptor it can still end by itself.
            socket: socket.and_then(|socket| socket.try_clone().ok()),
            busy: Arc::clone(&busy),
        };
        table.taken.insert(number, hold);
        Some(Slot {
            slots: Arc::clone(self),
            number,
            busy,
        })
    }

    /// Ends the waits of connections that wait for a request; each then says why
    /// it parts.
    pub(super) fn end_idle(&self) {
        self.end(|hold| !hold.busy.load(Ordering::SeqCst), Shutdown::Read);
    }

    /// Ends all connections.
    pub(super) fn end_all(&self) {
        self.end(|_| true, Shutdown::Both);
    }

    fn end(&self, which: impl Fn(&Hold) -> bool, how: Shutdown) {
        for hold in self.table().taken.values().filter(|hold| which(hold)) {
            if let Some(socket) = &hold.socket {
                // It may have ended by itself meanwhile.
                let _ = socket.shutdown(how);
            }
        }
    }

    /// Waits until all connections have ended; after `patience`, ends them. One that is
    /// deep in a hash or a flush then is not waited for any longer.
    pub(super) fn drain(&self, patience: Duration) {
        self.wait_until_empty(patience);
        self.end_all();
        self.wait_until_empty(GRACE);
    }

    fn wait_until_empty(&self, patience: Duration) {
        let is_taken = |table: &mut Table| !table.taken.is_empty();
        drop(
            self.freed
                .wait_timeout_while(self.table(), patience, is_taken)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

impl Slot {
    /// Says whether the connection is in the middle of something.
    ///
    /// The order against the stop flag is total: a connection that turns idle sees
    /// the flag, or whoever set the flag sees that it is idle.
    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::SeqCst);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.table().taken.remove(&self.number);
        self.slots.freed.notify_all();
    }
}
