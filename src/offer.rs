//! What is agreed about an entry before its bytes: terms, verdicts, tickets.

use std::fmt;

use crate::code::Code;
use crate::content::Checksum;
use crate::entry::{Entry, Version};

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

/// When a file that exists is taken for the one that is offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// With equal size and modification time; where only the time differs, with
    /// equal checksums.
    #[default]
    Quick,
    /// With equal checksums, whatever the time.
    Content,
}

/// What an offer is made under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What to do with a file that exists.
    pub on: OnExisting,
    /// When it is the same.
    pub compare: Compare,
}

/// An entry that is offered to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offering {
    /// What it is to be, under its final path.
    pub entry: Entry,
    /// How many of the path's first components are the destination's own.
    ///
    /// Directories that are missing among those are made with the usual mode. What
    /// is below them belongs to the tree that is put: it is made private, until the
    /// transfer's end says what its mode is.
    pub base: u16,
}

/// The receiver's answer to one offered entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it; a file above one block with this ticket.
    Send(Option<Ticket>),
    /// The same is here already.
    Here,
    /// It is here if it has this checksum: the sender hashes and decides. Where it has
    /// another, and the policy is to replace, it is sent; above one block with the ticket.
    SameIf(Checksum, Option<Ticket>),
    /// Some verified blocks are here; the ticket reopens them.
    Partly(Ticket),
    /// It will not be taken.
    Refused(Code, Reason),
    /// It will not be taken, as the policy has it: the one that is here is not older.
    Kept,
    /// It would replace what is here: an answer to an offer that only asks.
    Replace,
}

/// Why an entry is refused, where its code alone could mean several things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// The code says it all, or the reason is younger than this program.
    #[default]
    Unsaid,
    /// A file with other content, or a link to another place, has the name.
    OtherContent,
    /// Something of another kind has the name, or that of a directory on the way.
    OtherKind,
    /// A symbolic link stands on the way, and none is followed.
    Link,
    /// The name leads onto another file system.
    Mount,
    /// It is a link that would lead out of the tree.
    LeadsOut,
    /// The file is larger than what is free, or there is room for no other: so many bytes
    /// are left beside what is to stay free, where that is told.
    Space(Option<u64>),
    /// It is more than whoever offers it may store: so many bytes are left, where they have
    /// a bound.
    Quota(Option<u64>),
    /// Whoever offers it may store files, and replace none.
    Replacing,
    /// It is one file more than whoever offers it may store.
    Count,
    /// The file is larger than any may be: than so many bytes.
    Size(Option<u64>),
    /// Nothing can be written to the file system.
    ReadOnly,
}

/// What reopens a staged file from any connection of the same identity.
///
/// Opaque to the sender: the store that sealed it is the only one to read it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ticket(Box<[u8]>);

/// Most bytes in a ticket, so that a whole list of verdicts fits idle socket buffers.
pub const TICKET_MAX: usize = 40;

impl From<OnExisting> for Terms {
    fn from(on: OnExisting) -> Self {
        let compare = Compare::default();
        Self { on, compare }
    }
}

impl Compare {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as the derive calls it")]
    pub(crate) fn is_quick(&self) -> bool {
        *self == Self::Quick
    }
}

impl OnExisting {
    /// Whether anything may be replaced at all.
    #[must_use]
    pub fn may_replace(self) -> bool {
        self != Self::Refuse
    }
}

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
