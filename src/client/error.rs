//! What ends a whole job.

use std::io;
use std::path::PathBuf;

use crate::code::Code;
use crate::net::keys::{Fingerprint, PublicKey};
use crate::path::RemotePath;
use crate::{store, transfer};

/// Why a job ended before all its files were done or had failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be reached.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where it should be.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server shows a key that is not the expected one.
    #[error(
        "the server at {address} is not the right one: it shows {}{}{}",
        key.fingerprint(), in_place_of(.expected.as_deref()),
        accepting(*.is_known, address, key)
    )]
    Stranger {
        /// Where it is.
        address: String,
        /// The key that it shows.
        key: PublicKey,
        /// Whom it should have been, and since when that is known.
        expected: Option<String>,
        /// Whether the expected key was noted for this server before.
        is_known: bool,
    },
    /// A server of this machine is not this user's own, as it was to be.
    #[error(
        "the server at {address} is another user's, or this user's key for servers was \
         changed: it shows {}{}; to accept it: haul trust {address} {}",
        key.fingerprint(), in_place_of(.expected.as_deref()), key.fingerprint()
    )]
    NotOwn {
        /// Where it is.
        address: String,
        /// The key that it shows.
        key: PublicKey,
        /// The key of this user's own, if there is one.
        expected: Option<String>,
    },
    /// The server does not encrypt, and was to.
    #[error("the server at {address} does not encrypt")]
    NotEncrypted {
        /// Where it is.
        address: String,
    },
    /// A connection ended early.
    #[error("the conversation with {address} broke off")]
    Exchange {
        /// Whose connection.
        address: String,
        /// Why.
        source: transfer::Error,
    },
    /// The server does not let this user in, who holds a key and came by no invitation.
    #[error(
        "{text}: where it is served, haul authorize {print} --root DIR --read admits this key, \
         with --write, --replace or --delete to do more"
    )]
    NotAdmitted {
        /// Why, in the server's words.
        text: String,
        /// By what the server could be told of this user.
        print: Fingerprint,
    },
    /// The server refused, and said why.
    #[error("{text}")]
    Refused {
        /// Why, for a program.
        code: Code,
        /// Why, for a person.
        text: String,
    },
    /// The directory that is downloaded into cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A tree was to go into itself, where it would never end.
    #[error("{} cannot go into itself", name(.0.as_ref()))]
    IntoItself(Option<RemotePath>),
    /// What was to take the place of a decayed file has not the bytes that were stored.
    #[error("the copy {_0:?} is not what was stored")]
    NotGood(PathBuf),
    /// A thread could not be had.
    #[error("no thread can be had")]
    Thread(#[source] io::Error),
    /// [`Cancel::cancel`](super::Cancel::cancel) was called.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The exit code of this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Connect { .. } => Code::Connection,
            Self::Stranger { .. } | Self::NotOwn { .. } | Self::NotAdmitted { .. } => {
                Code::NotAuthorised
            }
            Self::NotEncrypted { .. } => Code::Protocol,
            Self::Exchange { source, .. } => source.code(),
            Self::Refused { code, .. } => *code,
            Self::Store(error) => error.code(),
            Self::IntoItself(_) => Code::Usage,
            Self::NotGood(_) => Code::Mismatch,
            Self::Thread(_) => Code::Unexpected,
            Self::Interrupted => Code::Interrupted,
        }
    }
}

fn name(path: Option<&RemotePath>) -> String {
    path.map_or_else(|| "the whole tree".to_owned(), |path| format!("{path:?}"))
}

/// What to do about a server that was known by another key.
fn accepting(is_known: bool, address: &str, key: &PublicKey) -> String {
    if !is_known {
        return String::new();
    }
    let print = key.fingerprint();
    format!(
        "; where it has a new key on purpose: haul forget {address}, then haul trust {address} {print}"
    )
}

fn in_place_of(expected: Option<&str>) -> String {
    expected.map_or_else(String::new, |expected| format!(" in place of {expected}"))
}
