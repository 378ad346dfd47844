//! What may be chosen: how a client connects, and how a job moves files.

use std::time::Duration;

use super::monitor::Cancel;
use super::outage::Retry;
use crate::content::Algorithm;
use crate::fault::Fault;
use crate::net::Congestion;
use crate::net::tls::ClientSide;
use crate::offer::{Compare, OnExisting};
use crate::token::Token;
use crate::transfer::Deadlines;

/// How a client connects.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most connections of one job, 1 to 64; with less work, or fewer granted, there are fewer.
    pub connections: usize,
    /// How many of them large files are worth, if there is nothing else. Where both sides are
    /// one machine, more than it has processors for take those from each other.
    pub for_large: usize,
    /// How long the server may take.
    pub deadlines: Deadlines,
    /// Ends whatever the client is doing.
    pub cancel: Cancel,
    /// How connections are encrypted, and whose they must be; without it everything is
    /// there to be read and changed by whoever is on the way.
    pub encryption: Option<ClientSide>,
    /// By which invitation the client comes. It is said to the server that
    /// [`encryption`](Self::encryption) expects, and without encryption to none.
    pub token: Option<Token>,
    /// How often a job that moves something connects again when its last connection is
    /// lost; what it was told to do once stays done.
    pub retry: Retry,
    /// How what is sent avoids congestion; without it, as the system does.
    pub congestion: Option<Congestion>,
    /// What becomes of a connection that no job uses.
    pub idle: Idle,
    /// Where a test may make a call fail.
    pub fault: Fault,
}

/// What becomes of a connection when its job is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// It is ended.
    #[default]
    End,
    /// One is kept, and the next job begins on it. Where it turns out dead, a new one
    /// takes its place.
    Keep {
        /// How long it may have rested to be taken for alive where it says nothing: one
        /// that rested longer is asked first, which costs a round trip.
        trust: Duration,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 4,
            for_large: usize::MAX,
            deadlines: Deadlines::default(),
            cancel: Cancel::default(),
            encryption: None,
            token: None,
            retry: Retry::default(),
            congestion: None,
            idle: Idle::default(),
            fault: Fault::default(),
        }
    }
}

/// How files are moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobOptions {
    /// What to do where a file exists with other content.
    pub on_existing: OnExisting,
    /// When a file that exists is the same.
    pub compare: Compare,
    /// What becomes of symbolic links.
    pub links: Links,
    /// Whether a second checksum is proved on both sides.
    pub checksum: Algorithm,
    /// Whether anything is moved at all.
    pub effect: Effect,
}

/// What becomes of symbolic links in a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// Those that stay in the tree are links on the other side too; others are skipped.
    #[default]
    Keep,
    /// What they lead to is moved in their place.
    Follow,
    /// They are skipped.
    Skip,
}

/// Whether a job does what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    #[default]
    Real,
    /// It only finds out what it would do.
    Dry,
}
