//! Whether a job is still heard, on any of its connections.
//!
//! A link that was cut says nothing: to its server the client is there until a deadline
//! passes, and holds what it had begun. A client that is there is heard every few seconds,
//! whatever it does. So one that was waited for in vain for longer than that gives way to
//! whoever offers the same.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::net::Silence;
use crate::offer::TransferId;
use crate::store::Holder;

/// One job, as the connections that take part in it are heard.
#[derive(Debug)]
pub struct Presence {
    transfer: TransferId,
    patience: Duration,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    silences: HashMap<u64, Silence>,
}

impl Presence {
    pub(super) fn new(transfer: TransferId, patience: Duration) -> Self {
        Self {
            transfer,
            patience,
            connections: Mutex::default(),
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection takes part. Returns its number.
    pub(super) fn add(&self, silence: Silence) -> u64 {
        let mut connections = self.connections();
        connections.next += 1;
        let number = connections.next;
        connections.silences.insert(number, silence);
        number
    }

    /// A connection has ended.
    pub(super) fn remove(&self, connection: u64) {
        self.connections().silences.remove(&connection);
    }
}

impl Holder for Presence {
    fn transfer(&self) -> TransferId {
        self.transfer
    }

    /// Of one without connections nothing will ever be heard.
    fn silence(&self) -> Duration {
        let connections = self.connections();
        let lengths = connections.silences.values().map(Silence::length);
        lengths.min().unwrap_or(Duration::MAX)
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}
