//! A transport that encrypts: TLS 1.3 over a TCP socket, with a raw key on each side.
//!
//! There are no certificates, dates or authorities: each side proves that it holds a key
//! (RFC 7250), and that is all that is verified here. A client says beforehand which key
//! its server must have, and says nothing to any other. Who of the clients may come in
//! is decided above, where it can be answered with a reason.
//!
//! No session is resumed and nothing is sent early: a conversation is long, and each of
//! these would be a second way in.

mod config;
mod encrypted;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test that gets no thread has failed"
)]
mod tests;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

pub use encrypted::Encrypted;

use super::keys::{Fingerprint, Keypair, PublicKey};
use config::Verifier;

/// How a server encrypts.
#[derive(Clone)]
pub struct ServerSide {
    config: Arc<rustls::ServerConfig>,
    public: PublicKey,
}

/// How a client encrypts. Clones know the same.
#[derive(Clone)]
pub struct ClientSide {
    config: Arc<rustls::ClientConfig>,
    public: PublicKey,
    expected: Expected,
    since: Option<String>,
    is_known: bool,
    is_own: bool,
    met: Met,
}

/// The key that a server has shown.
type Met = Arc<Mutex<Option<PublicKey>>>;

/// Which server a client speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The one that holds this key.
    Key(PublicKey),
    /// The one whose key has this fingerprint.
    Fingerprint(Fingerprint),
    /// None: the connection is only made to learn whose it is.
    Nobody,
}

/// What a server said in clear to a client that encrypts.
///
/// Nothing of it can be believed but that the server will not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side does not encrypt")]
pub struct InClear(pub Vec<u8>);

impl ServerSide {
    /// Shows and proves `key` to every client.
    ///
    /// # Errors
    ///
    /// When the system cannot encrypt as haul does.
    pub fn new(key: &Keypair) -> io::Result<Self> {
        let config = config::server(key).map_err(io::Error::other)?;
        Ok(Self {
            config: Arc::new(config),
            public: key.public(),
        })
    }

    /// The key that clients see.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl ClientSide {
    /// Shows and proves `key`, and speaks to the server that is expected.
    ///
    /// # Errors
    ///
    /// When the system cannot encrypt as haul does.
    pub fn new(key: &Keypair, expected: Expected) -> io::Result<Self> {
        let met = Met::default();
        let verifier = Verifier::of_server(expected, Arc::clone(&met));
        let config = config::client(key, verifier).map_err(io::Error::other)?;
        Ok(Self {
            config: Arc::new(config),
            public: key.public(),
            expected,
            since: None,
            is_known: false,
            is_own: false,
            met,
        })
    }

    /// The key that the server sees.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Notes that the server was known by that key before, for whoever has to be told of
    /// another.
    #[must_use]
    pub fn of_known(self) -> Self {
        let is_known = true;
        Self { is_known, ..self }
    }

    /// Whether the server was known by the key that it is to have.
    #[must_use]
    pub fn is_of_known(&self) -> bool {
        self.is_known
    }

    /// Notes since when that server is known, for whoever has to be told of another.
    #[must_use]
    pub fn known_since(self, day: &str) -> Self {
        let since = Some(day.to_owned());
        Self { since, ..self }
    }

    /// Notes that the server is to be this user's own, as on this machine it is, for
    /// whoever has to be told of another.
    #[must_use]
    pub fn of_this_user(self) -> Self {
        let is_own = true;
        Self { is_own, ..self }
    }

    /// Whether the server is to be this user's own.
    #[must_use]
    pub fn is_of_this_user(&self) -> bool {
        self.is_own
    }

    /// Whom it expects, in words; nothing where nobody is.
    #[must_use]
    pub fn expects(&self) -> Option<String> {
        let print = match self.expected {
            Expected::Key(key) => key.fingerprint(),
            Expected::Fingerprint(print) => print,
            Expected::Nobody => return None,
        };
        Some(match &self.since {
            Some(day) => format!("{print}, known since {day}"),
            None => print.to_string(),
        })
    }

    /// The key of the last server, if that was not the expected one.
    #[must_use]
    pub fn stranger(&self) -> Option<PublicKey> {
        self.met().filter(|key| !self.expected.is(key))
    }

    /// The key that the last server had, whether it was the expected one or not.
    #[must_use]
    pub fn met(&self) -> Option<PublicKey> {
        *self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected {
    fn is(self, key: &PublicKey) -> bool {
        match self {
            Self::Key(expected) => expected == *key,
            Self::Fingerprint(expected) => expected == key.fingerprint(),
            Self::Nobody => false,
        }
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerSide({:?})", self.public)
    }
}

impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientSide(met {:?})", self.met())
    }
}
