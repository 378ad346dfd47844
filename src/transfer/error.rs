//! What ends an exchange.

use std::io::ErrorKind;

use crate::code::Code;
use crate::store;
use crate::wire;
use crate::wire::Kind;
use crate::wire::message::Fail;

/// Why a connection, or a request on it, ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection failed, or what came on it was not haul's protocol.
    #[error(transparent)]
    Wire(#[from] wire::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The other side refused, and said why.
    #[error("{text}")]
    Refused {
        /// Why, for a program.
        code: Code,
        /// Why, for a person.
        text: String,
    },
    /// A message came where it has no meaning.
    #[error("the other side sent a {0} where it has no meaning")]
    OutOfOrder(Kind),
    /// A message's content breaks a rule of the protocol.
    #[error("the other side broke the protocol: {0}")]
    Broken(&'static str),
    /// The other side ended the connection between two messages.
    #[error("the other side ended the connection")]
    Ended,
    /// No thread could be had.
    #[error("too busy: {0}")]
    Busy(std::io::Error),
    /// The other side has not the right to come in.
    #[error("{0}")]
    NotAdmitted(&'static str),
    /// There is no place for the other side.
    #[error("{0}")]
    Full(&'static str),
    /// This side is a server that is told to stop.
    #[error("the server is being stopped")]
    Stopping,
    /// A person asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The code that this failure has on the wire and as an exit code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Wire(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Refused { code, .. } => *code,
            Self::OutOfOrder(_) | Self::Broken(_) => Code::Protocol,
            Self::Ended | Self::Busy(_) | Self::Full(_) | Self::Stopping => Code::Connection,
            Self::NotAdmitted(_) => Code::NotAuthorised,
            Self::Interrupted => Code::Interrupted,
        }
    }

    /// Whether it came of what the other side did, or did not do.
    #[must_use]
    pub fn is_the_peer_s(&self) -> bool {
        !matches!(
            self,
            Self::Store(_) | Self::Busy(_) | Self::Full(_) | Self::Stopping
        )
    }

    /// Whether the connection has ended, and nothing else went wrong.
    #[must_use]
    pub fn is_an_end(&self) -> bool {
        match self {
            Self::Ended | Self::Wire(wire::Error::Cut) => true,
            // An encrypted one without its last word.
            Self::Wire(wire::Error::Io(error)) => error.kind() == ErrorKind::UnexpectedEof,
            _ => false,
        }
    }

    /// Whether the other side has gone, and that is all that happened.
    #[must_use]
    pub fn is_departure(&self) -> bool {
        match self {
            Self::Wire(wire::Error::Io(error)) => matches!(
                error.kind(),
                ErrorKind::UnexpectedEof
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
            ),
            Self::Ended => true,
            _ => false,
        }
    }

    /// Whether the other side still listens, so that it is worth telling it why.
    #[must_use]
    pub fn is_worth_saying(&self) -> bool {
        match self {
            Self::Wire(wire::Error::Io(error)) => error.kind() == ErrorKind::TimedOut,
            Self::Wire(wire::Error::Cut) | Self::Refused { .. } | Self::Ended => false,
            _ => true,
        }
    }
}

impl From<Fail> for Error {
    fn from(fail: Fail) -> Self {
        Self::Refused {
            code: fail.code,
            text: fail.text,
        }
    }
}
