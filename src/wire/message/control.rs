//! Messages about the connection itself.

use minicbor::{Decode, Encode};

use super::{Request, encoded};
use crate::code::Code;
use crate::offer::{EntryId, TransferId};
use crate::token::Token;

/// Opens a conversation. The client does not wait for the answer to send more.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// Program and version, for the other side's log, which keeps 64 characters of it.
    #[n(1)]
    pub agent: String,
    /// By which invitation the client comes, if by any. It is said inside encryption alone,
    /// to the server whose key the link has.
    #[n(2)]
    pub token: Option<Token>,
}

/// Answers [`Hello`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Welcome {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// Program and version of the server.
    #[n(1)]
    pub agent: String,
    /// What this identity may do.
    #[n(2)]
    pub rights: Rights,
    /// Bytes in a segment: what one connection takes of a file, or has a run of blocks in.
    #[n(3)]
    pub segment: u64,
    /// Which store this is: equal for two addresses of one tree.
    #[n(4)]
    pub store: StoreId,
    /// Whether a receipt means durable; a server can be told to skip that.
    #[n(5)]
    pub durable: bool,
    /// What the directories above the served one would be as stores, innermost first:
    /// a client that is to put one of them would put the tree into itself. At most 64;
    /// left out, none is known.
    #[n(6)]
    #[cbor(default, skip_if = "Above::is_empty")]
    pub above: Above,
}

/// Stores one in the other: a CBOR byte string of 16 for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Above(pub Vec<StoreId>);

impl Above {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What tells one store from all others: a CBOR byte string of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct StoreId(#[cbor(with = "minicbor::bytes")] pub [u8; 16]);

/// Rights as bits: 1 read, 2 write, 4 replace, 8 delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Rights(#[n(0)] pub u32);

impl Rights {
    /// Every right.
    pub const ALL: Self = Self(15);
    /// To list and fetch.
    pub const READ: Self = Self(1);

    /// To offer and make.
    pub const WRITE: Self = Self(2);
    /// To replace files.
    pub const REPLACE: Self = Self(4);
    /// To remove, and with [`Rights::WRITE`] to rename.
    pub const DELETE: Self = Self(8);

    /// Those of these that come to something. Whoever may write and not read has a drop
    /// box, and nothing beside it: what is replaced, removed or renamed tells of what is
    /// there.
    #[must_use]
    pub fn in_force(self) -> Self {
        if self.is_drop_box() {
            Self::WRITE
        } else {
            self
        }
    }

    /// Whether these are to write without seeing what is there.
    #[must_use]
    pub fn is_drop_box(self) -> bool {
        self.include(Self::WRITE) && !self.include(Self::READ)
    }

    /// Whether all of `wanted` are among these.
    #[must_use]
    pub fn include(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

/// Asks to end the stream that answers a request; it ends at the next block.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Stop {
    /// The number of the request to stop.
    #[n(0)]
    pub request: Request,
}

/// Says that an answer is being worked on. Sent every five seconds of silence.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Working {}

/// Says what failed, and why.
///
/// With a transfer and an entry, that entry has failed and all else goes on; with
/// a request, that request has; with neither, the connection is about to close.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Fail {
    /// The request that failed.
    #[n(0)]
    pub request: Option<Request>,
    /// Why, for a program.
    #[n(1)]
    pub code: Code,
    /// Why, for a person.
    #[n(2)]
    pub text: String,
    /// The transfer whose entry failed.
    #[n(3)]
    pub transfer: Option<TransferId>,
    /// The entry that failed.
    #[n(4)]
    pub entry: Option<EntryId>,
}

impl Fail {
    /// The end of a connection.
    #[must_use]
    pub fn connection(code: Code, text: impl Into<String>) -> Self {
        Self {
            request: None,
            code,
            text: short(text.into(), TEXT_MAX),
            transfer: None,
            entry: None,
        }
    }

    /// The end of a request.
    #[must_use]
    pub fn request(request: Request, code: Code, text: impl Into<String>) -> Self {
        Self {
            request: Some(request),
            ..Self::connection(code, text)
        }
    }

    /// The end of one entry.
    #[must_use]
    pub fn entry(
        transfer: TransferId,
        entry: EntryId,
        code: Code,
        text: impl Into<String>,
    ) -> Self {
        Self {
            transfer: Some(transfer),
            entry: Some(entry),
            ..Self::connection(code, text)
        }
    }
}

/// Most bytes of an explanation: names in it may be long, and a header is not.
const TEXT_MAX: usize = 1 << 10;

/// Cuts an explanation to at most `max` bytes.
#[must_use]
pub fn short(mut text: String, max: usize) -> String {
    let fits = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=max.min(text.len())).rev().find(fits).unwrap_or(0);
    text.truncate(end);
    text
}

encoded!(Hello, Welcome, Stop, Working, Fail);
