//! Messages that move files into a store.

use minicbor::{Decode, Encode};

use super::{Request, encoded};
use crate::code::Code;
use crate::content::{Checksum, Node};
use crate::entry::Entry;
use crate::offer::{Compare, EntryId, OnExisting, Ticket, TransferId, Verdict};
use crate::path::RemotePath;
use crate::wire::{Error, Kind, cbor, frame};

/// Offers entries under their final paths. Answered by [`Want`]. Body: a list of
/// [`Offered`], at most 256.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Offer {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The transfer; named here for the first time, it begins.
    #[n(1)]
    pub transfer: TransferId,
    /// What to do with existing files: `[0, null]` refuse, `[1, null]` replace if
    /// newer, `[2, null]` replace, `[3, version]` replace that version.
    #[n(2)]
    pub on: OnExisting,
    /// Whether only the verdicts are wanted, and nothing will be sent. Only then may
    /// directories be among the entries.
    #[n(3)]
    pub dry: bool,
    /// When a file that exists is the same: 0 with equal size and time, 1 with equal
    /// checksums. Left out, 0.
    #[n(4)]
    #[cbor(default, skip_if = "Compare::is_quick")]
    pub compare: Compare,
    /// The entries.
    #[cbor(skip)]
    pub entries: Vec<Offered>,
}

/// Most entries in one offer or end, so that its answer fits idle socket buffers.
pub const OFFER_MAX: usize = 256;

/// One entry of an [`Offer`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Offered {
    /// Its number in the transfer.
    #[n(0)]
    pub entry: EntryId,
    /// What it is; version and checksum are left out.
    #[n(1)]
    pub what: Entry,
    /// How many of its path's first components are the destination's own: directories
    /// that are missing among those are made with the usual mode, all others private.
    /// Left out, 0.
    #[n(2)]
    #[cbor(default, skip_if = "is_none")]
    pub base: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as the derive calls it")]
fn is_none(components: &u16) -> bool {
    *components == 0
}

/// A verdict for each offered entry, in any order. Body: a list of [`Answered`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Want {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The verdicts.
    #[cbor(skip)]
    pub verdicts: Vec<Answered>,
}

/// One verdict: a map of 0 verdict (0 send, 1 here, 2 same if, 3 partly,
/// 4 refused, 5 kept, 6 would replace), 1 ticket, 2 checksum, 3 code, 4 reason
/// (1 other content, 2 other kind, 3 link on the way, 4 other file system, 5 leads out,
/// 6 space, 7 quota, 8 may not replace, 9 too many files, 10 too large, 11 read-only),
/// 5 bytes that are left or allowed, of reasons 6, 7 and 10; each where the verdict has it.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Answered {
    /// The entry's number.
    #[n(0)]
    pub entry: EntryId,
    /// What the receiver decided.
    #[n(1)]
    pub verdict: Verdict,
}

/// One block. Body: its bytes, covered by the node instead of the check bytes.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Block {
    /// The transfer.
    #[n(0)]
    pub transfer: TransferId,
    /// The file's number.
    #[n(1)]
    pub entry: EntryId,
    /// The block's number.
    #[n(2)]
    pub index: u64,
    /// The block's checksum.
    #[n(3)]
    pub node: Node,
    /// On a file's first block on a connection, with a ticket: which staging.
    #[n(4)]
    pub ticket: Option<Ticket>,
    /// Beside a ticket: the file's path, to be held against the staging's.
    #[n(5)]
    pub path: Option<RemotePath>,
    /// Beside a ticket: the file's size, likewise.
    #[n(6)]
    pub size: Option<u64>,
}

impl Block {
    /// Reads a block's header from its map.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] or [`Error::Critical`].
    pub fn read(map: &[u8]) -> Result<Self, Error> {
        cbor::decode(Kind::Block, map)
    }

    /// Appends prefix and header of a block of `len` bytes to `out`.
    pub fn write(&self, len: usize, out: &mut Vec<u8>) {
        let mut map = Vec::new();
        cbor::encode(self, &mut map);
        frame::encode(out, Kind::Block, &map, &[], len);
    }
}

/// The source failed midway: forget the entry.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Drop {
    /// The transfer.
    #[n(0)]
    pub transfer: TransferId,
    /// The entry.
    #[n(1)]
    pub entry: EntryId,
}

/// Asks to publish entries. Answered by [`Receipt`]. Body: a list of
/// [`Committed`], at most 512.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Commit {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The transfer.
    #[n(1)]
    pub transfer: TransferId,
    /// The entries.
    #[cbor(skip)]
    pub entries: Vec<Committed>,
}

/// Most entries in one commit: with two checksums each they still fit a list.
pub const COMMIT_MAX: usize = 512;

/// One entry of a [`Commit`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Committed {
    /// The entry's number.
    #[n(0)]
    pub entry: EntryId,
    /// The merge of its nodes; left out for what the receiver said it has.
    #[n(1)]
    pub checksum: Option<Checksum>,
    /// A second checksum to verify, over the bytes in order.
    #[n(2)]
    pub second: Option<Checksum>,
}

/// Says that all of a [`Commit`] or an [`End`] is published and durable, but for the
/// exceptions.
/// Body: a list of [`Exception`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Receipt {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// What is not stored.
    #[cbor(skip)]
    pub exceptions: Vec<Exception>,
}

/// One entry that a [`Receipt`] does not vouch for.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Exception {
    /// The entry's number.
    #[n(0)]
    pub entry: EntryId,
    /// Why, for a program.
    #[n(1)]
    pub code: Code,
    /// Why, for a person.
    #[n(2)]
    pub text: String,
    /// Blocks that did not arrive: sent again, the entry can be committed again.
    #[n(3)]
    pub missing: Vec<Range>,
}

/// A run of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Range {
    /// The first block.
    #[n(0)]
    pub first: u64,
    /// How many.
    #[n(1)]
    pub count: u64,
}

/// Sets modes and times of directories once all is in them, and makes those that are
/// not there. Answered by [`Receipt`]. Body: a list of [`Offered`], at most 256, all
/// directories, deepest first.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct End {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The transfer.
    #[n(1)]
    pub transfer: TransferId,
    /// The directories.
    #[cbor(skip)]
    pub directories: Vec<Offered>,
}

/// Says that a request is done.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Done {
    /// The request's number.
    #[n(0)]
    pub request: Request,
}

encoded!(Drop, Done);
encoded!(
    Offer[entries],
    Want[verdicts],
    Commit[entries],
    Receipt[exceptions],
    End[directories],
);
