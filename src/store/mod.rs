//! Files under one root, whoever keeps them.
//!
//! The engines and the server speak to these traits; [`local`] keeps files in a
//! directory. A store handle acts for one [identity](crate::identity::Identity):
//! what it stages can only be reopened by the same one.

pub mod changes;
pub mod error;
pub mod local;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub use changes::{Changes, Parents, Removal};
pub use error::{Action, Error};
pub use local::{Limits, LocalStore, Replaced, Tree};

use crate::content::{BlockSize, Checksum, Node, Verified};
use crate::entry::{Cursor, Entry, Touched, Version};
use crate::identity::Identity;
use crate::offer::{Offering, OnExisting, Terms, Ticket, TransferId};
use crate::path::RemotePath;

/// A file that is open for reading.
pub trait ReadAt: Send + Sync {
    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] where the file ends before `into` is full.
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<(), Error>;

    /// Has what is read from now on come from where it is stored, and not from memory, as far
    /// as that can be had.
    fn read_anew(&self) {}

    /// Bytes in the file when it was opened.
    fn size(&self) -> u64;

    /// Checks that the file is still the version that was opened.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`].
    fn check_version(&self) -> Result<(), Error>;

    /// What was recorded of it when it was published; nothing where nothing was.
    ///
    /// # Errors
    ///
    /// When that cannot be looked at.
    fn on_record(&self) -> Result<Option<OnRecord>, Error> {
        Ok(None)
    }
}

/// What was recorded of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnRecord {
    /// What it was proved to be.
    pub checksum: Checksum,
    /// Its bytes.
    pub size: u64,
    /// Whether somebody may have written to it in place.
    pub touched: Touched,
}

/// The nodes of a file that was published, and how it was cut into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptNodes {
    /// Bytes of a block.
    pub block: BlockSize,
    /// All of them: their merge is the file's checksum.
    pub nodes: Vec<Node>,
}

/// One directory among all that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Equal for two ways to the same directory, on one machine; of another
    /// machine's directories none has it.
    pub id: [u8; 16],
    /// Its name, where it is text.
    pub name: Option<Box<str>>,
}

/// What can be listed and read.
pub trait Source: Send + Sync {
    /// A file open for reading.
    type Reader: ReadAt;
    /// The entries of a walk.
    type Walk: Iterator<Item = Result<Entry, Error>>;

    /// The directory `under`, or the root, and all directories above it, innermost
    /// first; nothing where they cannot be told.
    fn places(&self, _under: Option<&RemotePath>) -> Vec<Place> {
        Vec::new()
    }

    /// What the link at `path` leads to, wherever that is: what holds it, and its name
    /// there.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] where links are never followed, or what kept it from being found.
    fn follow(&self, path: &RemotePath) -> Result<(Self, Option<RemotePath>), Error>
    where
        Self: Sized,
    {
        Err(Error::Link(path.clone()))
    }

    /// Lists what is at and beneath `under`, or the root, in the order of cursors.
    ///
    /// `depth` 0 is the entry itself, 1 what is in it, `None` everything. An item
    /// that cannot be listed is an error of its own, and the walk goes on.
    ///
    /// # Errors
    ///
    /// When `under` is not there or cannot be read.
    fn walk(
        &self,
        under: Option<&RemotePath>,
        depth: Option<u32>,
        after: Option<Cursor>,
    ) -> Result<Self::Walk, Error>;

    /// Opens a regular file, following no link.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] where it is not the version that is expected.
    fn open(&self, path: &RemotePath, expect: Option<&Version>) -> Result<Self::Reader, Error>;
}

/// What becomes of a directory that is to be somebody's root and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is made, with those above it.
    Make,
    /// Nothing: whoever asked has no root.
    Leave,
}

/// What else can be written to.
pub trait Store: Changes + Sized {
    /// A file under way.
    type Staged: Staged;

    /// A handle to the same store on behalf of `by`: what it stages is bound to
    /// that identity.
    #[must_use]
    fn acting_for(&self, by: Identity) -> Self;

    /// A handle to the same store that tells whoever writes to it so much of what is there.
    #[must_use]
    fn telling(&self, what: Telling) -> Self;

    /// A handle to the same store that does this with what is there already.
    #[must_use]
    fn touching(&self, what: Touching) -> Self;

    /// A handle to the same store that sees nothing but what is beneath `under`: for whoever
    /// uses it that is the root. Where it is not there, it is made with [`Missing::Make`].
    ///
    /// # Errors
    ///
    /// When it is no directory, is not there, or cannot be made.
    fn beneath(&self, under: &RemotePath, missing: Missing) -> Result<Self, Error>;

    /// What "stored" means here.
    fn durability(&self) -> Durability;

    /// Says how an entry stands against what exists, and refuses what the policy does not allow.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::Occupied`], or what kept it from looking.
    fn judge(&self, entry: &Entry, terms: Terms) -> Result<Standing, Error>;

    /// Judges each file and link of `batch`, and makes room for what is to come.
    ///
    /// This may take long: what has no recorded checksum may have to be read. The
    /// answers are in the order of `batch`.
    fn stage(&self, batch: &[Offering], terms: Terms) -> Vec<Result<Arc<Self::Staged>, Error>>;

    /// Finds the staging that a ticket was sealed for.
    ///
    /// # Errors
    ///
    /// [`Error::NoStaging`], whether it ended or never was.
    fn reopen(&self, ticket: &Ticket) -> Result<Arc<Self::Staged>, Error>;

    /// Publishes each of `batch` under its name, and says so only once it is durable.
    ///
    /// The answers are in the order of `batch`.
    fn commit(&self, batch: Vec<(Arc<Self::Staged>, Claim)>) -> Vec<Result<Published, Error>>;

    /// Gives directories their modes and times, making those that are not there, and
    /// says so only once that is durable.
    ///
    /// What is in a directory changes its time, so this comes after everything in it:
    /// `directories` are deepest first. The answers are in their order.
    ///
    /// Those that were there keep their own where that is [so](Touching::Leave). A store that
    /// [tells nothing](Telling::Nothing) makes what is not there, and leaves
    /// modes and times as they are: what has one already would be changed by a stranger.
    fn settle(&self, directories: &[Offering]) -> Vec<Result<Option<Aside>, Error>>;

    /// The nodes of files with this checksum, where they are kept.
    fn kept_nodes(&self, _checksum: Checksum) -> Option<KeptNodes> {
        None
    }

    /// Removes kept nodes whose file is not there any more, for as long as it `goes_on`. That
    /// may take long: there may be as many as there are files.
    fn sweep_nodes(&self, _goes_on: impl Fn() -> bool) {}

    /// Whether what somebody began to store here may go on.
    ///
    /// # Errors
    ///
    /// [`Error::NotAllowed`] where that was taken away from them.
    fn goes_on(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Keeps no more than this of what arrived for whom this handle acts for and was not
    /// finished, beside what is under way: the oldest go first.
    fn keep_at_rest(&self, _most: Swept) -> Swept {
        Swept::default()
    }

    /// Removes what arrived and was not finished, where nobody came back for it in time, and what
    /// was left by whoever ended without a word.
    fn sweep(&self) -> Swept {
        Swept::default()
    }
}

/// So much that was not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many files.
    pub files: u64,
    /// What they take on the disk, in bytes.
    pub bytes: u64,
}

/// Who sends what is staged: one job, over however many connections.
pub trait Holder: fmt::Debug + Send + Sync {
    /// Which job it is.
    fn transfer(&self) -> TransferId;

    /// How long it was waited for, on all of its connections, without a byte.
    fn silence(&self) -> Duration;

    /// How long it may be silent before another job of the same identity may go on with
    /// what it has sent. One that is heard for a third of it is there to stay.
    fn patience(&self) -> Duration;
}

/// A file or link on its way into a store.
pub trait Staged: Send + Sync {
    /// Writes a block. A block that is there already is not written again.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where another node was verified for the block before,
    /// [`Error::NoStaging`] where the staging has ended.
    fn put(&self, block: Verified<'_>) -> Result<(), Error>;

    /// The nodes of the blocks that are verified and written; empty before the first.
    fn held(&self) -> Vec<Option<Node>>;

    /// The runs of blocks that are not yet written. None are missing of what may be
    /// here already, before the first one comes.
    fn missing(&self) -> Vec<Range<u64>>;

    /// The runs of blocks that are here and did not come from the sender in this try: it may
    /// have others, which are on their way or lost.
    fn unproved(&self) -> Vec<Range<u64>>;

    /// What it will be.
    fn entry(&self) -> &Entry;

    /// How it stood when it was offered.
    fn standing(&self) -> Standing;

    /// What is to be done with a file that has the name.
    fn on_existing(&self) -> OnExisting;

    /// What reopens it, for a file above one block.
    fn ticket(&self) -> Option<Ticket>;

    /// Says who sends it. What the same job had staged before under this name goes on here.
    fn belongs_to(&self, _holder: &Arc<dyn Holder>) {}

    /// Whether some of it may be here: from an earlier try, or in the file that it replaces.
    fn is_partly_here(&self) -> bool {
        false
    }

    /// Finds out which of some blocks are here, and their nodes: what an earlier try has left
    /// is read again first. It may be taken over from a job that is not heard any more, and
    /// is waited for until then. What is not here, and is in the same place of a file that is
    /// put in place of another, is copied from there.
    ///
    /// # Errors
    ///
    /// [`Error::NoStaging`] where the staging has ended.
    fn recover(&self, blocks: Range<u64>) -> Result<Vec<Option<Node>>, Error> {
        Ok(blocks.map(|_| None).collect())
    }

    /// Ends it: nothing of it is kept for a later try.
    fn discard(&self) {}
}

/// How an entry stands against what exists under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has the name.
    Absent,
    /// The same is there.
    Same(Version),
    /// It is there if it has this checksum.
    SameIf(Version, Checksum),
    /// Another file is there, and the policy says to replace it.
    Replaces(Version),
}

/// What a store tells those who write to it of what is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Telling {
    /// How what they offer stands against it.
    #[default]
    All,
    /// Nothing. They are answered as if all names were free, and what asks for a name that
    /// is taken gets one [beside it](Aside).
    Nothing,
}

/// What becomes of the mode and time of what is there already and is offered again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Touching {
    /// It gets those that were offered.
    #[default]
    Settle,
    /// It keeps its own; what is new gets those that were offered.
    Leave,
}

/// What got another name than the one that was asked for, in a store that tells nothing.
/// Whoever asked is not to learn of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The name that was asked for.
    pub asked: RemotePath,
    /// The one that it has.
    pub stored: RemotePath,
}

/// What "stored" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Data, names and directories are flushed before a file is called stored.
    #[default]
    Batch,
    /// Nothing is flushed: a power cut may lose what was called stored.
    None,
}

/// What a sender says its file is, to be proved before it is published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim {
    /// The merge of all nodes; none for what is there already.
    pub whole: Option<Checksum>,
    /// A second checksum, over the bytes in order.
    pub second: Option<Checksum>,
}

/// A file that is under its name and, unless the store was told otherwise, durable.
#[derive(Debug)]
pub struct Published {
    /// The checksum that was proved; none for what was there without a recorded one.
    pub checksum: Option<Checksum>,
    /// Where it is, if not under the name that was asked for.
    pub aside: Option<Aside>,
    /// The file that had the name, if it was held open. It is gone once this is dropped, and
    /// that takes a while where it was large: whoever waits for an answer can have it before.
    pub replaced: Option<Replaced>,
}
