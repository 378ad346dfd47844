//! Moves files between machines and proves that every byte arrived.
//!
//! haul is a program and this library. A [`Server`](server::Server) serves one
//! [store] to many clients; a [`Client`](client::Client) drives one job over
//! several connections. Every block that crosses a socket is verified as it comes,
//! and a file gets its name only once it is whole, proved and durable.
//!
//! ```
//! use haul::client::{Client, Monitor, Options, JobOptions, Upload};
//! use haul::fault::Fault;
//! use haul::path::RemotePath;
//! use haul::server::{Config, Server};
//! use haul::store::{Durability, LocalStore};
//!
//! let dir = tempfile::tempdir()?;
//! let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default())?;
//! let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
//! let address = server.addresses()?[0].to_string();
//! let _running = server.start()?;
//!
//! let client = Client::new(&address, Options::default());
//! let upload = Upload::local("Cargo.toml".as_ref(), Some(RemotePath::parse("manifest")?));
//! let (monitor, _events) = Monitor::new();
//! let summary = client.put(vec![upload], &JobOptions::default(), &monitor)?;
//! assert_eq!(summary.moved, 1);
//! assert!(dir.path().join("manifest").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to begin
//!
//! - [`client`] puts, gets and asks; [`server`] serves; [`store::LocalStore`] is a directory
//!   that is served.
//! - Their words are in [`path`] (names), [`entry`], [`content`] (checksums), [`offer`] (what
//!   to do where something exists) and [`code`] (why something failed, also as an exit code).
//! - `fault` is where tests make system calls fail; everyone else passes `Fault::default()`.
//! - [`wire`], [`transfer`] and [`net`] are the protocol's own: for whoever writes another
//!   kind of server or looks into frames. [`cli`] is the program.
//!
//! `examples/library.rs` moves a tree up and back, with events and cancellation.
//!
//! # The house
//!
//! Imports point down only; a test holds them to that.
//!
//! ```text
//! cli             what a person types and sees
//! client  server  one job over many connections  |  one thread per connection
//! transfer trust  the two engines that both ends share  |  who is who, who may do what
//! wire    store   the protocol, without sockets or files  |  files under one root
//! net             sockets and deadlines
//! leaves          path, code, entry, offer, identity, token, content, utc, json, fault
//! ```

pub mod cli;
pub mod client;
pub mod code;
pub mod content;
pub mod entry;
pub mod fault;
pub mod identity;
mod json;
pub mod net;
pub mod offer;
pub mod path;
pub mod server;
pub mod store;
pub mod token;
pub mod transfer;
pub mod trust;
pub mod utc;
pub mod wire;
