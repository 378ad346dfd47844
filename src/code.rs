//! One enum for what can go wrong, on the wire and as an exit code.
//!
//! A script that sees exit code 6 and a client that reads code 6 in a `Fail` learn
//! the same thing, so no table translates between the two.

use std::fmt;

/// Why something failed: the number on the wire and the program's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Code {
    /// Something nobody foresaw.
    Unexpected = 1,
    /// A wrong use, or a refusal to start.
    Usage = 2,
    /// The connection was refused, lost, timed out, or the server is full.
    Connection = 3,
    /// No right, or not the known server.
    NotAuthorised = 4,
    /// The name is not there.
    NotFound = 5,
    /// Something else has the name.
    Exists = 6,
    /// The bytes are not the announced ones, or were changed while they were read or relied on.
    Mismatch = 7,
    /// No space, or over a limit.
    Limit = 8,
    /// The other side broke the protocol, or a name cannot be used.
    Protocol = 9,
    /// A file could not be read or written.
    File = 10,
    /// Several files failed, for different reasons. Never on the wire.
    Mixed = 11,
    /// A person asked to stop, or a receiver wants no more of a file.
    Interrupted = 130,
}

impl Code {
    /// The code with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Unexpected,
            2 => Self::Usage,
            3 => Self::Connection,
            4 => Self::NotAuthorised,
            5 => Self::NotFound,
            6 => Self::Exists,
            7 => Self::Mismatch,
            8 => Self::Limit,
            9 => Self::Protocol,
            10 => Self::File,
            11 => Self::Mixed,
            130 => Self::Interrupted,
            _ => return None,
        })
    }

    /// The number on the wire and to the shell.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// What several failures come to: their common reason, or [`Code::Mixed`].
    ///
    /// `None` where nothing failed.
    pub fn of_all(codes: impl IntoIterator<Item = Self>) -> Option<Self> {
        codes
            .into_iter()
            .reduce(|a, b| if a == b { a } else { Self::Mixed })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unexpected => "something unexpected",
            Self::Usage => "refused",
            Self::Connection => "connection trouble",
            Self::NotAuthorised => "not authorised",
            Self::NotFound => "not found",
            Self::Exists => "exists with other content",
            Self::Mismatch => "checksum mismatch or changed source",
            Self::Limit => "no space or over a limit",
            Self::Protocol => "protocol error or unusable name",
            Self::File => "file error",
            Self::Mixed => "different reasons",
            Self::Interrupted => "interrupted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_code() {
        let known: Vec<Code> = (0..=u8::MAX).filter_map(Code::from_number).collect();
        assert_eq!(known.len(), 12);
        for code in known {
            assert_eq!(Code::from_number(code.number()), Some(code));
        }
    }

    #[test]
    fn failures_for_one_reason_keep_it() {
        assert_eq!(Code::of_all([]), None);
        let same = [Code::Exists, Code::Exists];
        assert_eq!(Code::of_all(same), Some(Code::Exists));
        let mixed = [Code::Exists, Code::File, Code::Exists];
        assert_eq!(Code::of_all(mixed), Some(Code::Mixed));
    }
}
