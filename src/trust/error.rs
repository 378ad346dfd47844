//! What is wrong with a file that trust depends on.

use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::code::Code;
use crate::net::keys::{Fingerprint, KeyError};
use crate::utc::Utc;

use super::line::LineError;

/// What was being done when the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the verb of its message")]
pub enum Action {
    Open,
    Read,
    Write,
    Flush,
    Lock,
    MakeDir,
}

/// Why a file is not believed, and how that is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is something else than a file.
    #[error("it is not a regular file")]
    NotAFile,
    /// It is something else than a directory.
    #[error("it is not a directory")]
    NotADirectory,
    /// It is a link, and could lead to what somebody else can change.
    #[error("it is a symbolic link: put the file itself there")]
    Link,
    /// It is a link that another user has laid.
    #[error("it is a symbolic link of user {0}, and only this user's and root's are followed")]
    ForeignLink(u32),
    /// It leads from link to link without an end.
    #[error("it leads through too many symbolic links")]
    TooManyLinks,
    /// It can be read, and perhaps changed, under a name that nobody looked at.
    #[error("it has another name too, a hard link")]
    OtherName,
    /// Another user can change it at any time.
    #[error("it belongs to user {0}, and not to this one")]
    Owner(u32),
    /// A private key that is none.
    #[error("others may read it: chmod 600 mends its mode, which is {0:04o}")]
    Readable(u32),
    /// Others can change it.
    #[error("others may change it: chmod go-w mends its mode, which is {0:04o}")]
    Writable(u32),
}

/// Why trust is not to be had of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no saying where files of this user are.
    #[error("where haul keeps its files is not known: set HOME, or {0}")]
    NoHome(&'static str),
    /// Somebody else could have written it, or read it.
    #[error("{} is not to be trusted: {flaw}", .path.display())]
    Untrusted {
        /// What is not trusted.
        path: PathBuf,
        /// Why not.
        flaw: Flaw,
    },
    /// More than any such file holds.
    #[error("{} is over {max} bytes", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Most bytes that one may have.
        max: u64,
    },
    /// It is not UTF-8.
    #[error("{} is no text", .0.display())]
    NotText(PathBuf),
    /// A private key that cannot be used.
    #[error("{}: {why}: where it is moved away, a new key is made at the next need", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: KeyError,
    },
    /// A line of a file that something depends on.
    #[error("{}, line {line}: {why}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, the first being 1.
        line: usize,
        /// What is wrong with it.
        why: LineError,
    },
    /// A server is known by another key.
    #[error("{host} is known by {known}{}: where it has another key on purpose, haul forget comes first", learned(.since.as_ref()))]
    OtherKey {
        /// The server.
        host: String,
        /// Its known key.
        known: Fingerprint,
        /// The day on which that was learned.
        since: Option<Utc>,
    },
    /// Another command has been changing the same files for too long.
    #[error("{} is being changed by another haul, which does not end", .0.display())]
    Busy(PathBuf),
    /// The system refused.
    #[error("cannot {action} {}: {errno}", .path.display())]
    System {
        /// What was being done.
        action: Action,
        /// To what.
        path: PathBuf,
        /// What the system said.
        errno: Errno,
    },
}

impl Error {
    /// The exit code of this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            // Not a failure to read: a refusal to.
            Self::NoHome(_) | Self::Untrusted { .. } => Code::Usage,
            Self::TooLong { .. } => Code::Limit,
            Self::System { errno, .. } => match *errno {
                Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Code::Limit,
                _ => Code::File,
            },
            Self::OtherKey { .. } => Code::Exists,
            Self::NotText(_) | Self::Key { .. } | Self::Line { .. } | Self::Busy(_) => Code::File,
        }
    }
}

fn learned(since: Option<&Utc>) -> String {
    since.map_or_else(String::new, |since| {
        format!(", learned on {}", since.date())
    })
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Lock => "lock",
            Self::MakeDir => "make",
        })
    }
}
