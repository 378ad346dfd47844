//! An invitation: a grant for whoever shows its secret, and one line of a file.
//!
//! ```text
//! 3f9a01bc hash=64DIGITS once root=/srv/files rights=write name=anna expires=...
//! ```
//!
//! Of the secret only its hash is kept: it is random and long, so the hash gives nothing
//! away, and who reads the file cannot come in by it.

use std::fmt;
use std::path::PathBuf;

use crate::net::keys::Fingerprint;
use crate::token::InvitationId;

use super::grant::{Grant, parse_terms, write_terms};
use super::line::{LineError, words};

/// A grant for whoever has a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// What it is called by.
    pub id: InvitationId,
    /// The hash of its secret.
    pub hash: blake3::Hash,
    /// Who may come by it.
    pub bearer: Bearer,
    /// The directory, absolute: a server of any other takes no notice of it.
    pub root: PathBuf,
    /// What they may do there.
    pub grant: Grant,
}

/// Who may come by an invitation, of those who have its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// All of them.
    Any,
    /// The first who comes, and nobody else from then on.
    First,
    /// The one who came first.
    Only(Fingerprint),
}

impl Invitation {
    /// Reads a line, or nothing where it says nothing.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(line: &str) -> Result<Option<Self>, LineError> {
        let mut words = words(line)?.into_iter();
        let Some(id) = words.next() else {
            return Ok(None);
        };
        let id = std::str::from_utf8(&id).ok().and_then(InvitationId::parse);
        let id = id.ok_or(LineError::Invitation)?;
        let (mut hash, mut bearer, mut terms) = (None, None, Vec::new());
        for word in words {
            let (field, before) = match std::str::from_utf8(&word).unwrap_or_default() {
                "once" => ("once", bearer.replace(Bearer::First).is_some()),
                text if text.starts_with("bound=") => {
                    let print = Fingerprint::parse(&text["bound=".len()..])?;
                    ("bound", bearer.replace(Bearer::Only(print)).is_some())
                }
                text if text.starts_with("hash=") => {
                    let read = blake3::Hash::from_hex(&text["hash=".len()..]);
                    let read = read.map_err(|_| LineError::Value {
                        field: "hash",
                        form: "64 hexadecimal digits",
                    })?;
                    ("hash", hash.replace(read).is_some())
                }
                _ => {
                    terms.push(word);
                    continue;
                }
            };
            if before {
                return Err(LineError::FieldTwice(field));
            }
        }
        let (root, grant) = parse_terms(terms.into_iter())?;
        Ok(Some(Self {
            id,
            hash: hash.ok_or(LineError::Missing("hash"))?,
            bearer: bearer.unwrap_or(Bearer::Any),
            root,
            grant,
        }))
    }
}

/// As it stands in the file.
impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hash={} ", self.id, self.hash)?;
        match &self.bearer {
            Bearer::Any => {}
            Bearer::First => f.write_str("once ")?,
            Bearer::Only(print) => write!(f, "bound={print} ")?,
        }
        write_terms(f, &self.root, &self.grant)
    }
}
