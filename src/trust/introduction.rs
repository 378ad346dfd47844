//! What stands before the host in an address: whose server it is, and what lets one in.
//!
//! ```text
//! haul://FINGERPRINT@HOST/              only the server with that key is spoken to
//! haul://FINGERPRINT.ID.SECRET@HOST/    the same, and one comes by an invitation
//! ```
//!
//! The second is a link, which whoever has it may use. It is written in characters that no
//! shell, no mail program and no chat takes for something else.

use std::fmt;

use crate::net::keys::{Fingerprint, KeyError};
use crate::token::Token;

/// A server's key, and perhaps an invitation to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// What the server's key must have.
    pub server: Fingerprint,
    /// By which invitation one comes.
    pub token: Option<Token>,
}

/// Why something introduces nobody. What it was is not repeated: it may be a secret but for
/// one letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntroductionError {
    /// There is no invitation in it, and no fingerprint either.
    #[error("what stands before the @ is no key's fingerprint, SHA256:...")]
    NotAFingerprint,
    /// A link that lost some of itself, or was changed.
    #[error("the link is damaged: a part of it is missing or changed")]
    Damaged,
}

impl Introduction {
    /// Reads what stands before the `@`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, IntroductionError> {
        let Some((server, token)) = text.split_once('.') else {
            let server = Fingerprint::parse_in_address(text)
                .map_err(|_: KeyError| IntroductionError::NotAFingerprint)?;
            return Ok(Self {
                server,
                token: None,
            });
        };
        let server = Fingerprint::parse_in_address(server).ok();
        let both = server.zip(Token::parse(token));
        let (server, token) = both.ok_or(IntroductionError::Damaged)?;
        Ok(Self {
            server,
            token: Some(token),
        })
    }

    /// Writes it whole, the secret of an invitation included.
    #[must_use]
    pub fn reveal(&self) -> String {
        let server = self.server.in_address();
        match &self.token {
            Some(token) => format!("{server}.{}", token.reveal()),
            None => server,
        }
    }
}

/// All that may be shown to anybody: without a secret.
impl fmt::Display for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server.in_address())?;
        match &self.token {
            Some(token) => write!(f, ".{}", token.id),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::keys::Keypair;
    use proptest::prelude::*;

    fn introduction() -> Introduction {
        Introduction {
            server: Keypair::generate().unwrap().0.public().fingerprint(),
            token: Some(Token::generate().unwrap()),
        }
    }

    #[test]
    fn a_link_is_read_back_and_can_be_shown_without_its_secret() {
        let link = introduction();
        let text = link.reveal();
        assert_eq!(Introduction::parse(&text), Ok(link));
        let whole = format!("SHA256:{text}");
        assert_eq!(Introduction::parse(&whole), Ok(link));
        assert!(text.starts_with(&format!("{link}.")), "{text}");
        let secret = text.rsplit('.').next().unwrap();
        assert!(!format!("{link:?} {link}").contains(secret));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(text.chars().all(is_plain), "{text}");
    }

    #[test]
    fn a_link_that_lost_or_changed_a_letter_is_damaged_or_another() {
        let link = introduction();
        let text = link.reveal();
        for end in 44..text.len() {
            let cut = Introduction::parse(&text[..end]);
            assert_eq!(cut, Err(IntroductionError::Damaged), "{end}");
        }
        for at in 0..text.len() {
            for other in ["", "A", "b", ".", "%", "7"] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                let read = Introduction::parse(&changed);
                let is_damaged = read == Err(IntroductionError::Damaged);
                assert!(
                    changed == text || is_damaged || read != Ok(link),
                    "{changed}"
                );
            }
        }
        for wrong in ["", "me", "SHA256:x", &text[..42]] {
            let read = Introduction::parse(wrong);
            assert_eq!(read, Err(IntroductionError::NotAFingerprint), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\PC|[.:-]|SHA256:|[0-9a-f]{8}|[A-Za-z0-9_-]{22}){0,9}") {
            if let Ok(read) = Introduction::parse(&text) {
                prop_assert_eq!(Introduction::parse(&read.reveal()), Ok(read));
            }
        }
    }
}
