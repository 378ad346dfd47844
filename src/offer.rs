//! What is agreed about a file before its bytes: policies, verdicts, tickets.

use std::fmt;

use crate::code::Code;
use crate::content::Checksum;
use crate::entry::Version;

/// A transfer's random name, chosen by the client; it outlives any one connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransferId(pub [u8; 16]);

/// An entry's number within its transfer, chosen by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u64);

/// What to do where a file of that name exists with other content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExisting {
    /// Leave it and refuse the offer.
    #[default]
    Refuse,
    /// Replace it if the offered one is newer.
    IfNewer,
    /// Replace it.
    Replace,
    /// Replace it if it is still this version.
    ReplaceVersion(Version),
}

/// The receiver's answer to one offered entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it; a file above one block with this ticket.
    Send(Option<Ticket>),
    /// The same file is here already.
    Here,
    /// It is here if it has this checksum: the sender hashes and decides.
    SameIf(Checksum),
    /// Some verified blocks are here; the ticket reopens them.
    Partly(Ticket),
    /// It will not be taken.
    Refused(Code),
    /// It will not be taken, as the policy has it: the one that is here is not older.
    Kept,
}

/// What reopens a staged file from any connection of the same identity.
///
/// Opaque to the sender: the store that sealed it is the only one to read it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ticket(Box<[u8]>);

/// Most bytes in a ticket, so that a whole list of verdicts fits idle socket buffers.
pub const TICKET_MAX: usize = 40;

impl Ticket {
    /// Takes a ticket's bytes; `None` where they are more than [`TICKET_MAX`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= TICKET_MAX).then(|| Self(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever holds a ticket may write to its staging: logs do not show it.
        write!(f, "Ticket({} bytes)", self.0.len())
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
