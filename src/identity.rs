//! Who is at the other end of a connection.

use std::fmt;

/// Who acts: what staging is bound to, so that nobody reopens another's upload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The user who runs this program, acting on their own files.
    Owner,
    /// Whoever reached an unencrypted port: all of them are one.
    Anyone,
    /// Whoever holds the private half of this key.
    Key([u8; 32]),
}

impl Identity {
    /// Bytes that differ between any two identities, to seal tickets with.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Owner => b"owner",
            Self::Anyone => b"anyone",
            Self::Key(key) => key,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::Anyone => f.write_str("anyone"),
            Self::Key(_) => f.write_str("key"),
        }
    }
}
