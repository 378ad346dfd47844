//! Who may come in, and what they may do: asked anew with everything they ask for.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};

use crate::net::keys::PublicKey;
use crate::path::RemotePath;
use crate::token::Token;
use crate::trust::{Quota, Uninvited};
use crate::wire::message::Rights;

/// Somebody at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Where they are; none where the connection has no address.
    pub address: Option<IpAddr>,
    /// The key that they have proved to hold; none without encryption.
    pub key: Option<PublicKey>,
    /// By which invitation they come, if by any.
    pub token: Option<Token>,
}

/// Decides who may come in.
///
/// It is asked when a conversation begins and before each thing that is done in it, so
/// that what is taken away is gone at once.
pub trait Admit: Debug + Send + Sync {
    /// What a visitor may do at this moment.
    ///
    /// # Errors
    ///
    /// Why they may not even come in.
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal>;
}

/// Why somebody may not come in: all that they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has said that they may.
    Stranger,
    /// They came by an invitation.
    Uninvited(Uninvited),
}

/// What somebody may do, and where.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What they may do.
    pub rights: Rights,
    /// The directory that is all there is for them; `None` is the served root.
    pub under: Option<RemotePath>,
    /// What they are to the server.
    pub acquaintance: Acquaintance,
    /// What they are called here, if anything: it is what records say beside their key.
    pub name: Option<String>,
    /// How much they may store; `None` is as much as they like.
    pub quota: Option<Quota>,
}

/// What somebody who is admitted is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// Somebody whom it was told of.
    Known,
    /// Whoever comes: all of them together have half of the places.
    Stranger,
}

impl Grant {
    /// Rights everywhere and without a limit, for somebody whom the server was told of.
    #[must_use]
    pub fn of(rights: Rights) -> Self {
        Self {
            rights,
            under: None,
            acquaintance: Acquaintance::Known,
            name: None,
            quota: None,
        }
    }
}

/// The same rights for everybody, everywhere.
impl Admit for Rights {
    fn grant(&self, _: &Visitor) -> Result<Grant, Refusal> {
        Ok(Grant::of(*self))
    }
}

impl From<Uninvited> for Refusal {
    fn from(why: Uninvited) -> Self {
        Self::Uninvited(why)
    }
}

impl Refusal {
    /// What they are told, in words.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Stranger => "this key is not admitted here",
            Self::Uninvited(Uninvited::Unknown) => {
                "this invitation does not hold here: it was revoked, or the link is damaged"
            }
            Self::Uninvited(Uninvited::Expired) => "this invitation has expired",
            Self::Uninvited(Uninvited::Taken) => {
                "this invitation is for one key, and was used with another"
            }
            Self::Uninvited(Uninvited::Unrecorded) => {
                "this invitation is for one key, and that it is yours could not be written down"
            }
        }
    }
}

impl Visitor {
    /// Somebody whose connection calls its other end `peer`.
    pub(super) fn at(peer: &str, key: Option<PublicKey>, token: Option<Token>) -> Self {
        let address: Option<SocketAddr> = peer.parse().ok();
        Self {
            address: address.map(|address| address.ip().to_canonical()),
            key,
            token,
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
            assert_eq!(Visitor::at(peer, None, None).is_local(), here, "{peer}");
        }
    }
}
