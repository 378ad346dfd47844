//! Messages that move files out of a store.

use minicbor::{Decode, Encode};

use super::{Request, encoded};
use crate::code::Code;
use crate::entry::Version;
use crate::offer::{EntryId, TransferId};
use crate::path::RemotePath;

/// Asks for blocks: a run inside one segment of a file, or several files of one block each.
/// Answered by blocks, in the order of the list, and [`Sent`]. Body: a list of
/// [`Wanted`], at most 256.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Fetch {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The transfer that the blocks will name.
    #[n(1)]
    pub transfer: TransferId,
    /// What is wanted.
    #[cbor(skip)]
    pub files: Vec<Wanted>,
}

/// Most runs in one fetch, so that its exceptions fit idle socket buffers.
pub const FETCH_MAX: usize = 256;

/// One run of blocks of a [`Fetch`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Wanted {
    /// The number that the blocks will name, chosen by the client.
    #[n(0)]
    pub entry: EntryId,
    /// The file.
    #[n(1)]
    pub path: RemotePath,
    /// The version that was listed.
    #[n(2)]
    pub version: Version,
    /// The block size to cut it by.
    #[n(3)]
    pub block: u64,
    /// The first block.
    #[n(4)]
    pub first: u64,
    /// How many blocks.
    #[n(5)]
    pub count: u64,
}

/// Says that the blocks of a [`Fetch`] were sent, but for the exceptions.
/// Body: a list of [`Unsent`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Sent {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// What was not sent, or not to its end.
    #[cbor(skip)]
    pub exceptions: Vec<Unsent>,
}

/// One file that a [`Sent`] does not vouch for.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Unsent {
    /// The entry's number.
    #[n(0)]
    pub entry: EntryId,
    /// Why, for a program.
    #[n(1)]
    pub code: Code,
    /// Why, for a person.
    #[n(2)]
    pub text: String,
}

encoded!(Fetch[files], Sent[exceptions]);
