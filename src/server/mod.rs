//! Serving one store to many clients.
//!
//! `accept` hands each connection to a thread of its own; the thread runs
//! a session from preface to close; the session reaches the store only through
//! `access`, which knows who is asking and what they may do.
//!
//! ```
//! use haul::client::{Client, Options};
//! use haul::fault::Fault;
//! use haul::server::{Config, Server};
//! use haul::store::{Durability, LocalStore};
//! use haul::wire::message::Rights;
//! use std::sync::Arc;
//!
//! let dir = tempfile::tempdir()?;
//! std::fs::write(dir.path().join("notes"), "read me")?;
//! let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default())?;
//! let config = Config { admit: Arc::new(Rights::READ), ..Config::default() };
//! // Port 0 picks a free one.
//! let server = Server::bind(store, &["127.0.0.1:0".to_owned()], config)?;
//! let address = server.addresses()?[0].to_string();
//! let running = server.start()?;
//!
//! let client = Client::new(&address, Options::default());
//! assert_eq!(client.list(None, Some(1))?.entries.len(), 1);
//!
//! // Lets what is under way go on for the drain time; dropping the handle does not.
//! running.stopper().stop();
//! running.wait();
//! assert!(client.list(None, None).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod access;
mod admission;
mod allowance;
mod anteroom;
mod audit;
mod audit_file;
mod changes;
mod download;
mod guard;
mod keyed;
mod listing;
mod resuming;
mod running;
mod session;
mod slots;
mod sources;
mod sweeping;
mod trail;
mod turns;
mod upload;
mod verifying;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::fault::Fault;
use crate::identity::Identity;
use crate::net::plain::Liveness;
use crate::net::tls::ServerSide;
use crate::net::{Congestion, Listener, Stream, Transport, Waker};
use crate::offer::TransferId;
use crate::path::RemotePath;
use crate::store::{Source, Store, Swept};
use crate::transfer::{self, Deadlines, Link, Reception};
use crate::wire::message::{Above, Rights, StoreId};

pub use admission::{Acquaintance, Admit, Grant, Refusal, Visitor};
pub use audit::{Asked, Audit, Record, Unrecorded};
pub use audit_file::AuditFile;
pub use keyed::Keyed;
pub use running::{Handle, Stop};
pub use sources::OpeningLimits;

use access::Access;
use allowance::{Admitted, Rooms};
use slots::{Newcomer, Slots};
use sources::Sources;
use trail::Trail;
use turns::Turns;

/// How a server serves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who may come in, and what they may do.
    pub admit: Arc<dyn Admit>,
    /// How connections are encrypted; without it everything is there to be read and
    /// changed by whoever is on the way.
    pub encryption: Option<ServerSide>,
    /// What keeps a record of each request; what it cannot record is refused.
    pub audit: Option<Arc<dyn Audit>>,
    /// Connections at once; one more is told that the server is full.
    pub max_connections: usize,
    /// Of these, those from one source: an IPv4 address, or an IPv6 network of 64 bits.
    pub max_per_source: usize,
    /// How much may be spent on those that have not been let in yet.
    pub openings: OpeningLimits,
    /// How what is sent avoids congestion; without it, as the system does.
    pub congestion: Option<Congestion>,
    /// How long a peer may take.
    pub deadlines: Deadlines,
    /// When the system gives up a peer that is not heard.
    pub liveness: Liveness,
    /// How long running transfers may go on after a stop.
    pub drain: Duration,
    /// How long a client may be silent on all its connections before another of the same
    /// identity may go on with the uploads that it has begun. A client says every five
    /// seconds that it is there. One that is heard for a third of this has them to itself.
    pub takeover: Duration,
    /// How often what nobody came back for is swept.
    pub sweep: Duration,
    /// Bytes in a segment: what one connection takes of a file, or has a run of blocks in.
    pub segment: u64,
    /// Where a test may make a socket call fail.
    pub fault: Fault,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            admit: Arc::new(Rights::ALL),
            encryption: None,
            audit: None,
            max_connections: 1024,
            max_per_source: usize::MAX,
            openings: OpeningLimits::default(),
            congestion: None,
            deadlines: Deadlines::default(),
            liveness: Liveness::default(),
            drain: Duration::from_secs(30),
            takeover: Duration::from_secs(15),
            sweep: Duration::from_secs(3600),
            segment: 8 << 20,
            fault: Fault::default(),
        }
    }
}

/// Files that are verified at once with several threads. Each of these takes a block of memory,
/// which a client may have made 16 MiB large; more of them would be no faster.
const VERIFYING_MAX: usize = 4;

/// A server that is bound and not yet accepting.
pub struct Server<S: Store> {
    listeners: Vec<Listener>,
    shared: Arc<Shared<S>>,
}

/// What every connection of a server shares.
struct Shared<S: Store> {
    store: S,
    id: StoreId,
    above: Above,
    config: Config,
    slots: Arc<Slots>,
    sources: Sources,
    stopping: Arc<AtomicBool>,
    receptions: Mutex<Receptions<Admitted<S::Staged>>>,
    rooms: Arc<Rooms<S::Staged>>,
    verifying: Arc<Turns>,
}

/// The transfers under way: each lives as long as a connection takes part in it.
type Receptions<T> = HashMap<(Whose, TransferId), Weak<Reception<T>>>;

/// Who has something under way: an identity, where it takes this directory for the root.
type Whose = (Identity, Option<RemotePath>);

impl<S: Store + 'static> Server<S> {
    /// Binds each of `listen` for `store`; port 0 picks a free one.
    ///
    /// # Errors
    ///
    /// Whatever the system refuses, with the address.
    pub fn bind(store: S, listen: &[String], config: Config) -> io::Result<Self> {
        let listeners = Listener::bind_all(listen)?;
        Self::on(store, listeners, config)
    }

    /// Serves `store` to whoever comes to these.
    ///
    /// # Errors
    ///
    /// When the system has no chance to offer.
    pub fn on(store: S, listeners: Vec<Listener>, config: Config) -> io::Result<Self> {
        let (id, above) = ids_of(&store)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let slots = Slots::new(
            config.max_connections,
            config.max_per_source,
            config.openings,
        );
        Ok(Self {
            listeners,
            shared: Arc::new(Shared {
                store,
                id,
                above,
                slots: Arc::new(slots),
                sources: Sources::new(config.openings),
                config,
                stopping,
                receptions: Mutex::new(HashMap::new()),
                rooms: Arc::default(),
                verifying: Arc::new(Turns::of(VERIFYING_MAX)),
            }),
        })
    }

    /// The addresses that were bound, with their real ports.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Serves one connection on the caller's thread, until it ends.
    pub fn converse(&self, transport: impl Transport + 'static) {
        let Ok(slot) = self.shared.slots.take(Newcomer::default()) else {
            return;
        };
        session::serve(&self.shared, &slot, self.shared.link(transport));
    }

    /// Begins to accept.
    ///
    /// # Errors
    ///
    /// When a thread or descriptor cannot be had.
    pub fn start(self) -> io::Result<Handle> {
        let wakers: io::Result<Vec<Waker>> = self.listeners.iter().map(Listener::waker).collect();
        sweeping::sweep(&self.shared);
        let shared = &self.shared;
        let (stopping, slots) = (Arc::clone(&shared.stopping), Arc::clone(&shared.slots));
        let (stop, stopped) = Stop::of(wakers?, stopping, slots, shared.config.drain);
        let mut handle = Handle::of(stop);
        for listener in self.listeners {
            let shared = Arc::clone(&self.shared);
            handle.accept(move || accept::run(&shared, &listener))?;
        }
        handle.beside("sweep", move || sweeping::run(&self.shared, &stopped))?;
        Ok(handle)
    }
}

/// What a store's root is known by, and the directories above it.
fn ids_of(store: &impl Source) -> io::Result<(StoreId, Above)> {
    let mut ids = store
        .places(None)
        .into_iter()
        .map(|place| StoreId(place.id));
    let id = ids.next().map_or_else(random_id, Ok)?;
    Ok((id, Above(ids.collect())))
}

/// What tells a store from others that does not know its place among them.
fn random_id() -> io::Result<StoreId> {
    let mut id = [0; 16];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    Ok(StoreId(id))
}

impl<S: Store> Shared<S> {
    fn link(&self, transport: impl Transport + 'static) -> Link {
        let deadlines = self.config.deadlines;
        let stream = Stream::new(transport, self.config.fault.clone(), deadlines.opening);
        Link::new(stream, deadlines)
    }

    /// The store as a visitor may see it, what they may do, and what they are to the server.
    fn access(
        &self,
        visitor: Visitor,
        trail: &Trail,
    ) -> Result<(Access<S>, Rights, Acquaintance), transfer::Error> {
        let admit = Arc::clone(&self.config.admit);
        Access::admit((&self.store, &self.rooms), visitor, admit, trail)
    }

    /// The reception of a transfer, which any connection of whose it is joins by naming it.
    fn reception(&self, whose: Whose, transfer: TransferId) -> Arc<Reception<Admitted<S::Staged>>> {
        let mut all = self
            .receptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = (whose, transfer);
        if let Some(known) = all.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        // Those that ended are few; they go when a new one comes.
        all.retain(|_, reception| reception.strong_count() > 0);
        let mut others = all.iter().filter(|((whose, _), _)| whose.0 == key.0.0);
        let known = others.find_map(|(_, other)| other.upgrade());
        let budget = known.map_or_else(Arc::default, |other| other.budget());
        let new = Arc::new(Reception::of(transfer, self.config.takeover, budget));
        all.insert(key, Arc::downgrade(&new));
        new
    }

    /// Removes what nobody came back for.
    fn sweep(&self) -> Swept {
        self.store.sweep()
    }

    /// Removes what is kept of files that are not there any more, until the server is stopped.
    fn sweep_nodes(&self) {
        self.store.sweep_nodes(|| !self.is_stopping());
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
