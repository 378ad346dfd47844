//! What a guest shows to come in by an invitation: which one, and the secret that proves it.
//!
//! The id is no secret: a person calls the invitation by it. The secret is said to the
//! server that made it and to nobody else, so nothing here prints it but what is asked to by
//! name.

use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::rand::{GetRandomFlags, getrandom};

/// Which invitation is meant: unlike any other of one user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvitationId(pub [u8; 4]);

/// What nobody can guess: 128 random bits.
#[derive(Clone, Copy)]
pub struct Secret([u8; 16]);

/// An invitation's id and its secret, written `ID.SECRET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which invitation.
    pub id: InvitationId,
    /// What proves it.
    pub secret: Secret,
}

impl InvitationId {
    /// Reads the eight digits that [`fmt::Display`] writes, or nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let written = text.len() == 8 && text.bytes().all(is_digit);
        let number = u32::from_str_radix(text, 16).ok().filter(|_| written)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl Secret {
    /// Takes the secret that came in a message.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The secret itself, to be said to the server that it is for.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What can be kept in its place. Two of them are compared in constant time.
    #[must_use]
    pub fn hash(&self) -> blake3::Hash {
        blake3::hash(&self.0)
    }
}

impl Token {
    /// Makes a new one.
    ///
    /// # Errors
    ///
    /// Where the system has no randomness.
    pub fn generate() -> io::Result<Self> {
        let mut random = [0; 20];
        let mut filled = 0;
        while filled < random.len() {
            filled += getrandom(&mut random[filled..], GetRandomFlags::empty())?;
        }
        let (mut id, mut secret) = ([0; 4], [0; 16]);
        id.copy_from_slice(&random[..4]);
        secret.copy_from_slice(&random[4..]);
        Ok(Self {
            id: InvitationId(id),
            secret: Secret(secret),
        })
    }

    /// Reads `ID.SECRET`, or nothing where any character of it is wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_once('.')?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?;
        Some(Self {
            id: InvitationId::parse(id)?,
            secret: Secret(secret.try_into().ok()?),
        })
    }

    /// Writes it whole, secret and all.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.id, URL_SAFE_NO_PAD.encode(self.secret.0))
    }
}

/// Eight hexadecimal digits.
impl fmt::Display for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// A secret is never shown.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_as_it_was_written_and_shown_to_nobody() {
        let token = Token::generate().unwrap();
        let text = token.reveal();
        assert_eq!(Token::parse(&text), Some(token));
        assert_ne!(Token::generate().unwrap(), token);
        let (id, secret) = text.split_once('.').unwrap();
        assert_eq!((id.len(), secret.len()), (8, 22));
        let shown = format!("{token:?} {}", token.id);
        assert!(!shown.contains(secret), "{shown}");
        assert_eq!(InvitationId::parse(id), Some(token.id));
    }

    #[test]
    fn a_token_with_any_character_wrong_is_none_or_another() {
        let text = "0123abcd.AAECAwQFBgcICQoLDA0ODw";
        let token = Token::parse(text).unwrap();
        assert_eq!(token.id, InvitationId([0x01, 0x23, 0xab, 0xcd]));
        assert_eq!(token.secret.bytes()[15], 15);
        for at in 0..text.len() {
            for other in "Az9-_.+/=g ".chars() {
                let mut changed = text.to_owned();
                changed.replace_range(at..=at, &other.to_string());
                let is_other = changed != text;
                assert!(
                    !is_other || Token::parse(&changed) != Some(token),
                    "{changed}"
                );
            }
        }
        for wrong in ["", ".", "0123abcd", "0123ABCD.AAECAwQFBgcICQoLDA0ODw"] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
        for cut in 0..text.len() {
            assert_eq!(Token::parse(&text[..cut]), None, "{cut}");
        }
        assert_eq!(Token::parse(&format!("{text}A")), None);
        assert_eq!(InvitationId::parse("+123abcd"), None);
    }
}
