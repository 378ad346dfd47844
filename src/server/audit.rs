//! Who did what: a record of each request, kept before its answer is given.
//!
//! A request that cannot be recorded is refused. As a record says what came of it, it is
//! written when that is known and nobody has been told; where writing fails, the answer is a
//! failure, and nothing more is done until it works again.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use crate::code::Code;
use crate::content::Checksum;
use crate::net::keys::PublicKey;

/// Keeps records.
pub trait Audit: Debug + Send + Sync {
    /// Whether all that was done so far is recorded, so that more may be done.
    fn is_ready(&self) -> bool;

    /// Keeps records, each of them whole.
    ///
    /// # Errors
    ///
    /// Where they are not kept now. They may be later: until then nothing is
    /// [ready](Self::is_ready).
    fn keep(&self, records: &[Record<'_>]) -> Result<(), Unrecorded>;
}

/// What was done is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is done here cannot be recorded")]
pub struct Unrecorded;

/// One thing that somebody asked for, and what came of it.
#[derive(Clone, Debug)]
pub struct Record<'r> {
    /// When it was over.
    pub time: SystemTime,
    /// Where they are: address and port.
    pub peer: &'r str,
    /// The key that they proved to hold; none without encryption.
    pub key: Option<PublicKey>,
    /// What they are called here.
    pub name: Option<&'r str>,
    /// What they asked for.
    pub asked: Asked,
    /// What it was about, beneath the served root; `None` is the root itself, or nothing.
    pub path: Option<String>,
    /// The name that it was to get.
    pub to: Option<String>,
    /// Bytes of content that were read, or that were stored or offered.
    pub bytes: Option<u64>,
    /// What the content was proved to be.
    pub checksum: Option<Checksum>,
    /// Why it was not done; `None` where it was.
    pub failed: Option<Code>,
    /// How long it took.
    pub took: Duration,
}

/// What somebody may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To come in. Only what was refused is recorded.
    Open,
    /// What there is.
    List,
    /// A file's checksum.
    Sum,
    /// Whether a file is still what was stored.
    Verify,
    /// Whether a file is wanted: one record for each.
    Offer,
    /// Which blocks of a file are here from an earlier try.
    Nodes,
    /// To have a file published: one record for each.
    Commit,
    /// A file's content, or a part of it: one record for each.
    Fetch,
    /// To make a directory.
    MakeDir,
    /// To give something another name.
    Rename,
    /// To remove something.
    Remove,
    /// To give a directory its mode and time at a transfer's end: one record for each.
    End,
}

impl Asked {
    /// Whether something was done that has to be recorded, by what was read and how it ended.
    /// What only asks has done nothing where it failed and nothing was read.
    pub(super) fn did_something(self, bytes: Option<u64>, failed: Option<Code>) -> bool {
        let only_asks = match self {
            Self::Open | Self::List | Self::Sum | Self::Verify | Self::Offer | Self::Nodes => true,
            Self::Fetch => bytes.unwrap_or(0) == 0,
            Self::Commit | Self::MakeDir | Self::Rename | Self::Remove | Self::End => false,
        };
        failed.is_none() || !only_asks
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::List => "list",
            Self::Sum => "sum",
            Self::Verify => "verify",
            Self::Offer => "offer",
            Self::Nodes => "nodes",
            Self::Commit => "commit",
            Self::Fetch => "fetch",
            Self::MakeDir => "mkdir",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::End => "end",
        }
    }
}
