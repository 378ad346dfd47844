//! Messages that ask what is there.

use minicbor::{Decode, Encode};

use super::{Encoded, Request, encoded};
use crate::content::{Algorithm, Checksum, Node};
use crate::entry::{Cursor, Entry, Version};
use crate::offer::{EntryId, TransferId};
use crate::path::RemotePath;
use crate::wire::frame::LIST_MAX;
use crate::wire::{Error, Kind};

/// Asks for the entries at and beneath a path. Answered by [`Entries`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct List {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The path; left out, the root.
    #[n(1)]
    pub path: Option<RemotePath>,
    /// Levels to descend: 0 is the path's own entry, 1 what is in it; left out, all.
    #[n(2)]
    pub depth: Option<u32>,
    /// Only what comes after this place.
    #[n(3)]
    pub after: Option<Cursor>,
    /// Whether the path's own entry comes first, where it is a directory: who does not
    /// know what is there need not ask twice. Left out, it does not.
    #[n(4)]
    #[cbor(default, skip_if = "is_no")]
    pub itself: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as the derive calls it")]
fn is_no(flag: &bool) -> bool {
    !*flag
}

/// One page of entries, in the byte order of their cursors. Body: a list of entry maps.
///
/// An entry map: 0 path; 1 kind (1 file, 2 directory, 3 link); 2 size and 3 block
/// size, of a file; 4 mode; 5 time as `[seconds, nanoseconds]`; 6 version;
/// 7 recorded checksum as `[algorithm, bytes]` (1 BLAKE3, 2 SHA-256); 8 link target;
/// 9 whether somebody may have written to the file since that checksum was recorded.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Entries {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// Whether another page follows.
    #[n(1)]
    pub more: bool,
    /// How many entries were left out because their names cannot be sent.
    #[n(2)]
    pub unnamed: u64,
    /// How many directories could not be read.
    #[n(3)]
    pub unreadable: u64,
    /// How many were left out because they are no file, directory or link; left out for none.
    #[n(4)]
    pub special: Option<u64>,
    /// The entries.
    #[cbor(skip)]
    pub entries: Vec<Entry>,
}

/// Asks for the nodes of a file: of a published one by path and version, of one that is
/// being put by transfer and entry. Answered by [`NodesAre`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Nodes {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The file, if it is published.
    #[n(1)]
    pub path: Option<RemotePath>,
    /// Beside a path: the version that is meant.
    #[n(2)]
    pub version: Option<Version>,
    /// The first block.
    #[n(3)]
    pub first: u64,
    /// How many blocks.
    #[n(4)]
    pub count: u64,
    /// The transfer, if the file is being put.
    #[n(5)]
    pub transfer: Option<TransferId>,
    /// Beside a transfer: the entry.
    #[n(6)]
    pub entry: Option<EntryId>,
}

/// Nodes in order. Body: 32 bytes each; zeros for a block that is not here.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct NodesAre {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The first block.
    #[n(1)]
    pub first: u64,
    /// Whether another page follows.
    #[n(2)]
    pub more: bool,
    /// The nodes.
    #[cbor(skip)]
    pub nodes: Vec<Option<Node>>,
}

/// What stands for the node of a block that is not here.
const NOT_HERE: [u8; 32] = [0; 32];

/// Most nodes in one page.
pub const NODES_MAX: usize = LIST_MAX / 32;

impl Encoded for NodesAre {
    const KIND: Kind = Kind::NodesAre;

    fn write_body(&self, out: &mut Vec<u8>) {
        for node in &self.nodes {
            out.extend_from_slice(&node.map_or(NOT_HERE, |node| node.0));
        }
    }

    fn read_body(&mut self, body: &[u8]) -> Result<(), Error> {
        let (nodes, rest) = body.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(Error::Malformed {
                kind: Self::KIND,
                why: format!("{} bytes are no whole node", rest.len()),
            });
        }
        let node = |bytes: &[u8; 32]| (*bytes != NOT_HERE).then_some(Node(*bytes));
        self.nodes = nodes.iter().map(node).collect();
        Ok(())
    }
}

/// Asks for a file's checksum, over its bytes in order. Answered by [`SumIs`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Sum {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The file.
    #[n(1)]
    pub path: RemotePath,
    /// The version that is meant.
    #[n(2)]
    pub version: Version,
    /// Which checksum: 1 BLAKE3, 2 SHA-256.
    #[n(3)]
    pub algorithm: Algorithm,
}

/// A file's checksum.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct SumIs {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The checksum.
    #[n(1)]
    pub checksum: Checksum,
}

encoded!(List, Nodes, Sum, SumIs);
encoded!(Entries[entries]);
