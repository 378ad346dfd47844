//! A door that opens to keys: the owner's own on this machine, and those that were
//! authorized for the served directory.

use std::path::PathBuf;

use super::admission::{Acquaintance, Admit, Grant, Visitor};
use crate::net::keys::PublicKey;
use crate::path::RemotePath;
use crate::trust::Grants;
use crate::utc::Utc;
use crate::wire::message::Rights;

/// Admits the owner from this machine with every right, and others as they were
/// authorized.
#[derive(Debug)]
pub struct Keyed {
    /// The key of the user who runs the server.
    pub owner: PublicKey,
    /// The served directory, absolute and without links: others hold for it alone.
    pub root: PathBuf,
    /// Who else may do what.
    pub grants: Grants,
    /// What strangers may do; `None` is not even to come in.
    pub strangers: Option<Rights>,
    /// What nobody may go beyond.
    pub most: Rights,
}

impl Keyed {
    fn found(&self, visitor: &Visitor) -> Option<(Rights, Option<RemotePath>, Acquaintance)> {
        let key = visitor.key?;
        // Beyond this machine the owner's key is one like any other: it may have been
        // carried there, and admits nobody unless it was authorized.
        if visitor.is_local() && key == self.owner {
            return Some((Rights::ALL, None, Acquaintance::Known));
        }
        match self.grants.grant_for(&key, &self.root, Utc::now()) {
            // How much somebody has stored is not counted yet, so nobody comes in who
            // may store no more than so much.
            Some(grant) if grant.is_limited() => None,
            Some(grant) => Some((grant.rights, grant.under, Acquaintance::Known)),
            None => self
                .strangers
                .map(|rights| (rights, None, Acquaintance::Stranger)),
        }
    }
}

impl Admit for Keyed {
    fn grant(&self, visitor: &Visitor) -> Option<Grant> {
        let (rights, under, acquaintance) = self.found(visitor)?;
        Some(Grant {
            rights: Rights(rights.0 & self.most.0),
            under,
            acquaintance,
        })
    }
}
