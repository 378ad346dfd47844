//! What can keep a store from doing what it was asked.

use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::code::Code;
use crate::offer::Reason;
use crate::path::{PathError, RESERVED, RemotePath};

/// What was being done when the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the verb of its message")]
pub enum Action {
    Open,
    Look,
    List,
    Read,
    Write,
    Stage,
    Record,
    Flush,
    Publish,
    MakeDir,
    MakeLink,
    Settle,
    MakeThis,
    Rename,
    Remove,
    Lock,
}

/// What was done, as far as it can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the participle of its message")]
pub enum Change {
    Made,
    Renamed,
    Removed,
}

/// What kept something in a tree from being removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is haul's own directory, and may be in use.
    Reserved,
    /// The system refused.
    System(Errno),
}

/// Why a store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing has the name.
    #[error("{0:?} is not there")]
    NotFound(RemotePath),
    /// A file with other content has the name.
    #[error("{0:?} exists with other content")]
    Exists(RemotePath),
    /// A file has the name that is not older, and only an older one is to be replaced.
    #[error("{0:?} is not older there")]
    Newer(RemotePath),
    /// Something of another kind has the name, or that of a directory on the way.
    #[error("{0:?} is taken by something of another kind")]
    Occupied(RemotePath),
    /// Reading was asked of something that is no regular file.
    #[error("{0:?} is not a regular file")]
    NotAFile(RemotePath),
    /// A link stands where a directory or file was to be; links are never followed.
    #[error("{0:?} leads through a symbolic link, which is not followed")]
    Link(RemotePath),
    /// The name leads onto another file system; only the root's own is served.
    #[error("{0:?} leads onto another file system")]
    Mount(RemotePath),
    /// Names on disk that cannot be sent.
    #[error("{} holds names that cannot be sent ({count}): {why}", directory(.under.as_ref()))]
    Unusable {
        /// The directory that holds them.
        under: Option<RemotePath>,
        /// The rule that they break.
        why: PathError,
        /// How many there are.
        count: u64,
    },
    /// The file is not the version that was meant, or changed while it was read.
    #[error("{0:?} changed while it was read")]
    Changed(RemotePath),
    /// What was there already, as it was to be stored, is not that any more.
    #[error("{0:?} was changed by somebody else meanwhile")]
    Overtaken(RemotePath),
    /// What was staged is not what its sender said.
    #[error("{0:?} has not the checksum that its sender announced")]
    Mismatch(RemotePath),
    /// Blocks are missing.
    #[error("{0:?} did not arrive whole")]
    Incomplete(RemotePath),
    /// Whoever asked for it has left.
    #[error("nobody waits for it any more")]
    Abandoned,
    /// There is no such staging, or not any more.
    #[error("there is no such upload under way")]
    NoStaging,
    /// More bytes than there is room for.
    #[error("no space for {path:?}: {needed} bytes wanted{}", free_of(*.free))]
    NoRoom {
        /// What was offered.
        path: RemotePath,
        /// Its size.
        needed: u64,
        /// What the file system has left, for whoever may know.
        free: Option<u64>,
    },
    /// It is larger than any file may be.
    #[error("{path:?} is larger than a file may be here: {size} bytes, at most {most}")]
    TooLarge {
        /// What was offered.
        path: RemotePath,
        /// Its size.
        size: u64,
        /// What is allowed.
        most: u64,
    },
    /// More than whoever offers it may store.
    #[error("{path:?} is more than may be stored here: {} left", left(*.bytes, *.files))]
    OverQuota {
        /// What was offered.
        path: RemotePath,
        /// Bytes that are left to them, where those have a bound.
        bytes: Option<u64>,
        /// Files that are left to them, where those have a bound.
        files: Option<u64>,
    },
    /// Somebody may store no more than so much, and what they have stored is not known.
    #[error("{0:?} cannot be stored: what may be stored here cannot be counted now")]
    Uncounted(RemotePath),
    /// More is under way than the store has memory to keep track of.
    #[error("no room to keep track of {0:?}: too much is under way")]
    TooManyBlocks(RemotePath),
    /// The system refused.
    #[error("cannot {action} {path:?}: {errno}")]
    System {
        /// What was being done.
        action: Action,
        /// To what.
        path: RemotePath,
        /// What the system said.
        errno: Errno,
    },
    /// The system refused something that concerns the root or haul's own directory.
    #[error("cannot {action} {}: {errno}", .path.display())]
    Root {
        /// What was being done.
        action: Action,
        /// To what.
        path: PathBuf,
        /// What the system said.
        errno: Errno,
    },
    /// A flush failed, so nothing that it covered is called stored.
    #[error("the data could not be made durable: {0}")]
    Flush(Errno),
    /// The file is under its name, but its directory could not be flushed.
    #[error("{path:?} is in place, perhaps not durable: {errno}")]
    PerhapsNotDurable {
        /// The file.
        path: RemotePath,
        /// What the system said.
        errno: Errno,
    },
    /// Something has the name, and is never replaced.
    #[error("{0:?} exists")]
    Taken(RemotePath),
    /// Something else stands where a directory was to be.
    #[error("{0:?} exists and is not a directory")]
    NotADirectory(RemotePath),
    /// A directory cannot be in itself.
    #[error("{from:?} cannot go into itself, to {to:?}")]
    IntoItself {
        /// The directory.
        from: RemotePath,
        /// The name that it was to get.
        to: RemotePath,
    },
    /// Only what is empty was to be removed.
    #[error("{0:?} is a directory that is not empty: rm -r removes it with all that is in it")]
    NotEmpty(RemotePath),
    /// Some of a tree could not be removed; the rest is gone.
    #[error("cannot remove all of {path:?}: {count} left, the first because {why}: {first:?}")]
    NotAllRemoved {
        /// The tree.
        path: RemotePath,
        /// How many things could not be removed, not counting the directories around them.
        count: u64,
        /// What kept the first of them.
        why: Obstacle,
        /// The first of them, from the tree's own name on.
        first: PathBuf,
    },
    /// It is done, but a directory could not be flushed.
    #[error("{path:?} is {change}, perhaps not durably: {errno}")]
    Unflushed {
        /// What it was done to, under its present name.
        path: RemotePath,
        /// What was done.
        change: Change,
        /// What the system said.
        errno: Errno,
    },
    /// Another server has the root.
    #[error("{} is served already by another haul", .0.display())]
    Served(PathBuf),
    /// haul's own directory is not one that can be trusted.
    #[error("{} is not a private directory of this user", .0.display())]
    NotOurs(PathBuf),
    /// A directory has no content that could be staged.
    #[error("{0:?} is a directory: it is settled with its transfer's end")]
    NotStorable(RemotePath),
    /// A link that would lead out of the tree.
    #[error("{0:?} is a link that leads out of the tree")]
    LeadsOut(RemotePath),
    /// The identity has not the right.
    #[error("not allowed to {0} here")]
    NotAllowed(&'static str),
    /// The identity may store files, and replace none.
    #[error("not allowed to replace here")]
    MayNotReplace,
    /// Nothing is done that would leave no record.
    #[error("nothing is done here while it cannot be recorded")]
    CannotRecord,
    /// It was done, and left no record yet.
    #[error("it is done, but could not be recorded")]
    NotRecorded,
}

impl Error {
    /// Whether a disk, or the file system on it, does not give what it was given to keep.
    #[must_use]
    pub fn is_of_the_disk(&self) -> bool {
        matches!(
            self,
            Self::System {
                action: Action::Read,
                errno: Errno::IO,
                ..
            }
        )
    }

    /// The code that this failure has on the wire and as an exit code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound(_) => Code::NotFound,
            Self::Exists(_)
            | Self::Newer(_)
            | Self::Occupied(_)
            | Self::Taken(_)
            | Self::NotADirectory(_) => Code::Exists,
            Self::NotAFile(_)
            | Self::Link(_)
            | Self::Mount(_)
            | Self::LeadsOut(_)
            | Self::CannotRecord
            | Self::NotRecorded
            | Self::Uncounted(_) => Code::File,
            Self::NotStorable(_) | Self::Unusable { .. } => Code::Protocol,
            Self::Changed(_) | Self::Overtaken(_) | Self::Mismatch(_) => Code::Mismatch,
            // Both end well when they are tried again.
            Self::NoStaging | Self::Incomplete(_) | Self::Abandoned => Code::Connection,
            Self::NoRoom { .. }
            | Self::TooLarge { .. }
            | Self::OverQuota { .. }
            | Self::TooManyBlocks(_) => Code::Limit,
            Self::System { errno, .. }
            | Self::Root { errno, .. }
            | Self::Flush(errno)
            | Self::PerhapsNotDurable { errno, .. }
            | Self::Unflushed { errno, .. } => code_of(*errno),
            Self::NotAllRemoved { why, .. } => match why {
                Obstacle::System(errno) => code_of(*errno),
                Obstacle::Reserved => Code::File,
            },
            Self::Served(_) | Self::NotOurs(_) | Self::IntoItself { .. } | Self::NotEmpty(_) => {
                Code::Usage
            }
            Self::NotAllowed(_) | Self::MayNotReplace => Code::NotAuthorised,
        }
    }

    /// Why exactly, where the code may mean several things.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Exists(_) => Reason::OtherContent,
            Self::Occupied(_) => Reason::OtherKind,
            Self::Link(_) => Reason::Link,
            Self::Mount(_) => Reason::Mount,
            Self::LeadsOut(_) => Reason::LeadsOut,
            Self::NoRoom { free, .. } => Reason::Space(*free),
            Self::System { errno, .. } | Self::Root { errno, .. } => reason_of(*errno),
            // One file is refused for its number where there is none left.
            Self::OverQuota { files: Some(0), .. } => Reason::Count,
            Self::OverQuota { bytes, .. } => Reason::Quota(*bytes),
            Self::MayNotReplace => Reason::Replacing,
            Self::TooLarge { most, .. } => Reason::Size(Some(*most)),
            _ => Reason::Unsaid,
        }
    }

    /// The error for a refused call on `path`.
    pub(crate) fn system(action: Action, path: &RemotePath, errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::NotFound(path.clone()),
            Errno::LOOP => Self::Link(path.clone()),
            Errno::XDEV => Self::Mount(path.clone()),
            _ => Self::System {
                action,
                path: path.clone(),
                errno,
            },
        }
    }
}

fn code_of(errno: Errno) -> Code {
    match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Code::Limit,
        _ => Code::File,
    }
}

/// Why, where a person has to see to the disk before another try.
fn reason_of(errno: Errno) -> Reason {
    match errno {
        Errno::NOSPC | Errno::DQUOT => Reason::Space(None),
        Errno::ROFS => Reason::ReadOnly,
        _ => Reason::Unsaid,
    }
}

fn free_of(free: Option<u64>) -> String {
    free.map_or_else(String::new, |free| format!(", {free} free"))
}

fn left(bytes: Option<u64>, files: Option<u64>) -> String {
    match (bytes, files) {
        (Some(bytes), Some(files)) => format!("{bytes} bytes in {files} files are"),
        (Some(bytes), None) => format!("{bytes} bytes are"),
        (None, Some(files)) => format!("{files} files are"),
        (None, None) => "nothing is".to_owned(),
    }
}

fn directory(under: Option<&RemotePath>) -> String {
    under.map_or_else(|| "the root".to_owned(), |path| format!("{path:?}"))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Look => "look at",
            Self::List => "list",
            Self::Read => "read",
            Self::Write => "write",
            Self::Stage => "make room for",
            Self::Record => "set the mode, time and checksum of",
            Self::Flush => "flush",
            Self::Publish => "publish",
            Self::MakeDir => "make the directory of",
            Self::MakeLink => "make the link",
            Self::Settle => "set the mode and time of",
            Self::MakeThis => "make",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Lock => "lock",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Made => "made",
            Self::Renamed => "renamed",
            Self::Removed => "removed",
        })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved => write!(f, "{RESERVED:?} is haul's own"),
            Self::System(Errno::XDEV) => f.write_str("another file system begins there"),
            Self::System(errno) => write!(f, "of {errno}"),
        }
    }
}
