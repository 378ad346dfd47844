//! What can be wrong with bytes that came from the other side.

use std::io;

use super::frame::Kind;
use super::preface::VERSION;
use crate::code::Code;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection ended or failed beneath the message.
    #[error("{}", io_reason(.0))]
    Io(io::Error),
    /// The connection ended inside a message.
    #[error("the connection ended in the middle of a message")]
    Cut,
    /// The first bytes are not haul's.
    #[error("the other side does not speak haul: it began with {0:?}")]
    NotHaul(String),
    /// The other side speaks another version of the protocol.
    #[error("the other side speaks version {theirs} of the protocol, this side version {VERSION}")]
    OtherVersion {
        /// The version it named.
        theirs: u16,
    },
    /// A header is longer than any message's may be.
    #[error("a header of {len} bytes is longer than {max}")]
    HeaderTooLong {
        /// Its announced length.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// A header is too short to hold its check bytes.
    #[error("a header of {0} bytes cannot hold its check bytes")]
    HeaderTooShort(usize),
    /// A body is longer than its kind of message may have.
    #[error("a body of {len} bytes is longer than {max}")]
    BodyTooLong {
        /// Its announced length.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// A flag is set that version 1 does not know.
    #[error("unknown flags {0:#04x}")]
    UnknownFlags(u8),
    /// The check bytes do not fit the message: it was damaged on the way.
    #[error("a message was damaged on the way")]
    Damaged,
    /// The header or a list item is not the CBOR map that was expected.
    #[error("a {kind} message is malformed: {why}")]
    Malformed {
        /// Which message.
        kind: Kind,
        /// What the decoder found.
        why: String,
    },
    /// A key that must be understood is not.
    #[error("a {kind} message has the critical key {key}, which this version does not know")]
    Critical {
        /// Which message.
        kind: Kind,
        /// The key, negative.
        key: i64,
    },
}

impl Error {
    /// The code that this failure has on the wire and as an exit code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Io(_) | Self::Cut => Code::Connection,
            Self::NotHaul(_)
            | Self::OtherVersion { .. }
            | Self::HeaderTooLong { .. }
            | Self::HeaderTooShort(_)
            | Self::BodyTooLong { .. }
            | Self::UnknownFlags(_)
            | Self::Damaged
            | Self::Malformed { .. }
            | Self::Critical { .. } => Code::Protocol,
        }
    }
}

// Its text is the cause's own, so it is no source beside it.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a person calls the commonest ends of a connection.
fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        // An encrypted connection's end is to be said, so that nobody else can make it.
        | io::ErrorKind::UnexpectedEof => "the other side closed the connection".to_owned(),
        _ => error.to_string(),
    }
}
