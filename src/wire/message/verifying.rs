//! Messages that ask whether what is there is still what was stored.

use minicbor::{Decode, Encode};

use super::{Range, Request, encoded};
use crate::content::Checksum;
use crate::entry::Version;
use crate::path::RemotePath;

/// Asks whether a file is still what was recorded when it was published. Answered by
/// [`Finding`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Verify {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The file.
    #[n(1)]
    pub path: RemotePath,
    /// The version that is meant.
    #[n(2)]
    pub version: Version,
}

/// How a file is. Body: a list of [`Range`], at most 256: the first runs of blocks that have
/// decayed, in order; none where that is not known.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Finding {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// 1 sound, 2 decayed, 3 edited, 4 unrecorded.
    #[n(1)]
    pub state: State,
    /// What was recorded; left out where nothing was.
    #[n(2)]
    pub checksum: Option<Checksum>,
    /// The block size that the runs count in; left out where there are none.
    #[n(3)]
    pub block: Option<u64>,
    /// How many blocks have decayed, those beyond the last run too; left out where that is
    /// not known.
    #[n(4)]
    pub decayed: Option<u64>,
    /// The runs.
    #[cbor(skip)]
    pub runs: Vec<Range>,
}

/// Most runs in one finding: what a person reads, and a repair does not need them.
pub const RUNS_MAX: usize = 256;

/// What became of a file since it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its bytes are those that were recorded.
    Sound,
    /// They are others, and nobody has touched it.
    Decayed,
    /// They are others, and it was touched.
    Edited,
    /// Nothing was recorded of it.
    Unrecorded,
}

encoded!(Verify);
encoded!(Finding[runs]);
