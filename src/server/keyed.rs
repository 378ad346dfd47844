//! A door that opens to keys: the owner's own on this machine, and those that were
//! authorized for the served directory.

use std::path::PathBuf;
use std::sync::Arc;

use super::admission::{Admit, Grant, Visitor};
use crate::net::keys::PublicKey;
use crate::path::RemotePath;
use crate::trust::{Account, Grants, Ledger, Quota};
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
    /// What those have stored who may store at most so much.
    pub ledger: Arc<Ledger>,
    /// What strangers may do; `None` is not even to come in.
    pub strangers: Option<Rights>,
    /// What nobody may go beyond.
    pub most: Rights,
}

impl Keyed {
    fn found(&self, visitor: &Visitor) -> Option<(Rights, Option<RemotePath>, Option<Quota>)> {
        let key = visitor.key?;
        // Beyond this machine the owner's key is one like any other: it may have been
        // carried there, and admits nobody unless it was authorized.
        if visitor.is_local() && key == self.owner {
            return Some((Rights::ALL, None, None));
        }
        match self.grants.grant_for(&key, &self.root, Utc::now()) {
            Some(grant) => {
                let account = || Account::Key(key.fingerprint());
                let quota = |limit| Quota::new(&self.ledger, account(), limit);
                Some((grant.rights, grant.under.clone(), grant.limit().map(quota)))
            }
            None => self.strangers.map(|rights| (rights, None, None)),
        }
    }
}

impl Admit for Keyed {
    fn grant(&self, visitor: &Visitor) -> Option<Grant> {
        let (rights, under, quota) = self.found(visitor)?;
        Some(Grant {
            rights: Rights(rights.0 & self.most.0),
            under,
            quota,
        })
    }
}
