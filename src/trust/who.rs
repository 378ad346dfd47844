//! Somebody, by their key or by what a person compares in its place.
//!
//! A fingerprint is what fits a telephone call or a note, so wherever a key is told to
//! haul, its fingerprint will do.

use std::fmt;

use crate::net::keys::{Fingerprint, KeyError, PublicKey};

use super::line::LineError;

/// Whoever has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The key itself.
    Key(PublicKey),
    /// Only its fingerprint is known.
    Fingerprint(Fingerprint),
}

impl Who {
    /// Reads `ssh-ed25519 AAAA...`, with or without a comment, or `SHA256:...`.
    ///
    /// # Errors
    ///
    /// What is wrong with the one or the other.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with("SHA256:") {
            Fingerprint::parse(text).map(Self::Fingerprint)
        } else {
            PublicKey::parse(text).map(Self::Key)
        }
    }

    /// What stands for the key in either case.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Key(key) => key.fingerprint(),
            Self::Fingerprint(fingerprint) => *fingerprint,
        }
    }

    /// Takes one from the words of a line.
    pub(super) fn take(words: &mut impl Iterator<Item = Vec<u8>>) -> Result<Self, LineError> {
        let mut word = || String::from_utf8(words.next().unwrap_or_default());
        let damaged = |_| KeyError::Damaged;
        let first = word().map_err(damaged)?;
        let text = if first.starts_with("SHA256:") {
            first
        } else {
            format!("{first} {}", word().map_err(damaged)?)
        };
        Ok(Self::parse(&text)?)
    }
}

/// As [`Who::parse`] reads it.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Fingerprint(fingerprint) => fingerprint.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::keys::Keypair;

    #[test]
    fn a_key_and_its_fingerprint_are_the_same_somebody() {
        let key = Keypair::generate().unwrap().0.public();
        let whole = Who::parse(&format!(" {key} me@here\n")).unwrap();
        let short = Who::parse(&key.fingerprint().to_string()).unwrap();
        assert_eq!(whole, Who::Key(key));
        assert_eq!(short, Who::Fingerprint(key.fingerprint()));
        assert_eq!(whole.fingerprint(), short.fingerprint());
        for who in [whole, short] {
            assert_eq!(Who::parse(&who.to_string()), Ok(who));
        }
    }

    #[test]
    fn what_is_neither_says_what_is_wrong() {
        assert_eq!(Who::parse("SHA256:x"), Err(KeyError::NotAFingerprint));
        assert_eq!(Who::parse("anna"), Err(KeyError::NotALine));
        assert_eq!(Who::parse("ssh-rsa AAAA"), Err(KeyError::OtherAlgorithm));
    }
}
