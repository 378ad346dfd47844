//! A door that opens to keys: the owner's own on this machine, those that were authorized
//! for the served directory, and those of guests who come by an invitation.

use std::path::PathBuf;

use super::admission::{Admit, Grant, Refusal, Visitor};
use crate::net::keys::PublicKey;
use crate::trust::{self, Grants};
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
            let grant = self.grants.grant_by(token, &key, &self.root, now)?;
            return of(grant);
        }
        // Beyond this machine the owner's key is one like any other: it may have been
        // carried there, and admits nobody unless it was authorized.
        if visitor.is_local() && key == self.owner {
            return Ok(everywhere(Rights::ALL));
        }
        match self.grants.grant_for(&key, &self.root, now) {
            Some(grant) => of(grant),
            None => self.strangers.map(everywhere).ok_or(Refusal::Stranger),
        }
    }
}

impl Admit for Keyed {
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        let Grant { rights, under } = self.found(visitor)?;
        let rights = Rights(rights.0 & self.most.0);
        Ok(Grant { rights, under })
    }
}

/// What was granted, if it can be kept to: how much somebody has stored is not counted yet,
/// so nobody comes in who may store no more than so much.
fn of(grant: trust::Grant) -> Result<Grant, Refusal> {
    if grant.is_limited() {
        return Err(Refusal::Stranger);
    }
    let trust::Grant { rights, under, .. } = grant;
    Ok(Grant { rights, under })
}

fn everywhere(rights: Rights) -> Grant {
    let under = None;
    Grant { rights, under }
}
