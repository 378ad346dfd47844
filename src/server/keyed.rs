//! A door that opens to keys: the owner's own on this machine, those that were authorized
//! for the served directory, and those of guests who come by an invitation.

use std::path::PathBuf;
use std::sync::Arc;

use super::admission::{Acquaintance, Admit, Grant, Refusal, Visitor};
use crate::net::keys::PublicKey;
use crate::trust::{self, Account, Grants, Ledger, Quota};
use crate::utc::Utc;
use crate::wire::message::Rights;

/// Admits the owner from this machine with every right, others as they were authorized,
/// and guests as they were invited.
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
    fn found(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        let key = visitor.key.ok_or(Refusal::Stranger)?;
        let now = Utc::now();
        // Who comes by an invitation comes by that alone: they see what it gives, whoever
        // they are besides, and are told where it gives nothing.
        if let Some(token) = &visitor.token {
            let mut grant = self.grants.grant_by(token, &key, &self.root, now)?;
            // What is recorded of them says which link to revoke.
            let id = || format!("invitation {}", token.id);
            grant.name.get_or_insert_with(id);
            return Ok(self.known(grant, || Account::Invitation(token.id.to_string())));
        }
        // Beyond this machine the owner's key is one like any other: it may have been
        // carried there, and admits nobody unless it was authorized.
        if visitor.is_local() && key == self.owner {
            return Ok(Grant::of(Rights::ALL));
        }
        if let Some(grant) = self.grants.grant_for(&key, &self.root, now) {
            return Ok(self.known(grant, || Account::Key(key.fingerprint())));
        }
        let rights = self.strangers.ok_or(Refusal::Stranger)?;
        Ok(Grant {
            acquaintance: Acquaintance::Stranger,
            ..Grant::of(rights)
        })
    }

    /// What was granted to somebody, and whose storing is counted where it has a limit.
    fn known(&self, grant: trust::Grant, account: impl FnOnce() -> Account) -> Grant {
        let limit = grant.limit();
        let trust::Grant {
            rights,
            under,
            name,
            ..
        } = grant;
        Grant {
            under,
            name,
            quota: limit.map(|limit| Quota::new(&self.ledger, account(), limit)),
            ..Grant::of(rights)
        }
    }
}

impl Admit for Keyed {
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        let grant = self.found(visitor)?;
        Ok(Grant {
            rights: Rights(grant.rights.0 & self.most.0),
            ..grant
        })
    }
}
