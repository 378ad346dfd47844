//! Who may come in, and what they may do: asked anew with everything they ask for.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};

use crate::net::keys::PublicKey;
use crate::path::RemotePath;
use crate::wire::message::Rights;

/// Somebody at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Where they are; none where the connection has no address.
    pub address: Option<IpAddr>,
    /// The key that they have proved to hold; none without encryption.
    pub key: Option<PublicKey>,
}

/// Decides who may come in.
///
/// It is asked when a conversation begins and before each thing that is done in it, so
/// that what is taken away is gone at once.
pub trait Admit: Debug + Send + Sync {
    /// What a visitor may do at this moment; `None` if they may not even come in.
    fn grant(&self, visitor: &Visitor) -> Option<Grant>;
}

/// What somebody may do, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What they may do.
    pub rights: Rights,
    /// The directory that is all there is for them; `None` is the served root.
    pub under: Option<RemotePath>,
    /// What they are to the server.
    pub acquaintance: Acquaintance,
}

/// What somebody who is admitted is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// Somebody whom it was told of.
    Known,
    /// Whoever comes: all of them together have half of the places.
    Stranger,
}

/// The same rights for everybody, everywhere.
impl Admit for Rights {
    fn grant(&self, _: &Visitor) -> Option<Grant> {
        Some(Grant {
            rights: *self,
            under: None,
            acquaintance: Acquaintance::Known,
        })
    }
}

impl Visitor {
    /// Somebody whose connection calls its other end `peer`.
    pub(super) fn at(peer: &str, key: Option<PublicKey>) -> Self {
        let address: Option<SocketAddr> = peer.parse().ok();
        Self {
            address: address.map(|address| address.ip().to_canonical()),
            key,
        }
    }

    /// Whether they are on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.address.is_some_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine() {
        for (peer, here) in [
            ("127.0.0.1:80", true),
            ("127.9.9.9:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("192.0.2.1:80", false),
            ("gone", false),
        ] {
            assert_eq!(Visitor::at(peer, None).is_local(), here, "{peer}");
        }
    }
}
