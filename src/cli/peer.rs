//! A server as a person names it: where it is, whose it is to be, and by what invitation one
//! comes.

use std::fmt;

use crate::token::Token;
use crate::trust::Who;

use super::address::Address;
use super::failure::usage;

/// A server that is to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) address: Address,
    /// Whose key the right one has, where that was said along with it.
    pub(super) key: Option<Who>,
    pub(super) token: Option<Token>,
}

impl Peer {
    /// The server at an address, of which no more was said.
    pub(super) fn at(address: Address) -> Self {
        Self {
            address,
            key: None,
            token: None,
        }
    }

    /// The same, that is to have this key.
    ///
    /// # Errors
    ///
    /// Where it was said to have another.
    pub(super) fn with_key(self, key: Who) -> anyhow::Result<Self> {
        let (said, print) = (self.key.map(|said| said.fingerprint()), key.fingerprint());
        match said {
            Some(said) if said != print => Err(usage(format!(
                "{self} is to have the key {said} by its address, and {print} by --server-key"
            ))),
            _ => Ok(Self {
                key: Some(key),
                ..self
            }),
        }
    }

    /// Checks that `other` names the same server, as `rule` has it, which goes on with the
    /// sentence that two are named.
    ///
    /// # Errors
    ///
    /// Where it does not, or names it in another way.
    pub(super) fn check_same(&self, other: &Self, rule: &str) -> anyhow::Result<()> {
        if self.address != other.address {
            return Err(usage(format!("{self} and {other} are two servers{rule}")));
        }
        if self != other {
            return Err(usage(format!(
                "{self} is named in two ways, with two keys or invitations: name it alike"
            )));
        }
        Ok(())
    }
}

/// Where it is: all that anybody else is to see.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
