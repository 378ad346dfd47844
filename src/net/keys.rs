//! Keys that say who somebody is: Ed25519, and nothing else.
//!
//! A public key is written as OpenSSH writes its own, so that a person can compare it
//! with tools they have: the line `ssh-ed25519 AAAA...` (RFC 8709, section 4), and as
//! fingerprint the SHA-256 of that line's binary form, as `ssh-keygen -lf` prints it. On
//! the wire a key is a `SubjectPublicKeyInfo` (RFC 7250, RFC 8410).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

/// Bytes of a public key.
const LEN: usize = 32;

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo`
/// (RFC 8410, section 4).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The algorithm's name in OpenSSH's forms.
const ALGORITHM: &str = "ssh-ed25519";

/// The label of a private key in PEM (RFC 7468, section 10).
const LABEL: &str = "PRIVATE KEY";

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; LEN]);

/// What a person compares in place of a key: its SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// A private key and its public half.
#[derive(Clone)]
pub struct Keypair {
    certified: Arc<CertifiedKey>,
    public: PublicKey,
}

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not a line of the form that is wanted.
    #[error("a key is a line \"{ALGORITHM} AAAA...\"")]
    NotALine,
    /// It is a key, of another algorithm.
    #[error("only {ALGORITHM} keys are known here")]
    OtherAlgorithm,
    /// Its text is cut off, or holds something else.
    #[error("the key is damaged")]
    Damaged,
    /// It is no fingerprint.
    #[error("a fingerprint is \"SHA256:\" and 43 letters and digits")]
    NotAFingerprint,
    /// A private key that cannot be read.
    #[error("the private key is not Ed25519 in PKCS#8")]
    NotPrivate,
    /// The system has no randomness for a new one.
    #[error("no key can be made")]
    NotMade,
}

impl PublicKey {
    /// Reads `ssh-ed25519 AAAA...`, with or without a comment behind it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        let (algorithm, text) = words.next().zip(words.next()).ok_or(KeyError::NotALine)?;
        if algorithm != ALGORITHM {
            let is_key = algorithm.starts_with("ssh-") || algorithm.starts_with("ecdsa-");
            return Err(if is_key {
                KeyError::OtherAlgorithm
            } else {
                KeyError::NotALine
            });
        }
        let blob = STANDARD.decode(text).map_err(|_| KeyError::Damaged)?;
        let key = blob
            .strip_prefix(&Self::blob_head()[..])
            .and_then(|key| key.try_into().ok());
        key.map(Self).ok_or(KeyError::Damaged)
    }

    /// Reads the form that a key has on the wire.
    #[must_use]
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        spki.strip_prefix(&SPKI)?.try_into().ok().map(Self)
    }

    /// What a person compares.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut blob = Self::blob_head();
        blob.extend_from_slice(&self.0);
        Fingerprint(Sha256::digest(blob).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    fn spki(&self) -> Vec<u8> {
        [&SPKI[..], &self.0].concat()
    }

    /// What stands before the 32 bytes in OpenSSH's binary form: two lengths, and the
    /// algorithm's name (RFC 4253, section 6.6).
    fn blob_head() -> Vec<u8> {
        let mut head = Vec::new();
        head.extend_from_slice(&(ALGORITHM.len() as u32).to_be_bytes());
        head.extend_from_slice(ALGORITHM.as_bytes());
        head.extend_from_slice(&(LEN as u32).to_be_bytes());
        head
    }
}

impl Fingerprint {
    /// Reads the form that [`fmt::Display`] writes, also in the alphabet of addresses.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAFingerprint`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_prefix("SHA256:").unwrap_or_default();
        let standard = STANDARD_NO_PAD.decode(text).ok();
        let bytes = standard.or_else(|| URL_SAFE_NO_PAD.decode(text).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(KeyError::NotAFingerprint)
    }

    /// Reads what stands in an address: [`in_address`](Self::in_address), or the whole
    /// form in either alphabet.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAFingerprint`].
    pub fn parse_in_address(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_prefix("SHA256:").unwrap_or(text);
        Self::parse(&format!("SHA256:{text}"))
    }

    /// Writes it for an address: 43 characters of the alphabet without `/` and `+`
    /// (RFC 4648, section 5).
    #[must_use]
    pub fn in_address(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl Keypair {
    /// Makes a new key, and returns it with the PEM text that keeps it.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotMade`].
    pub fn generate() -> Result<(Self, String), KeyError> {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&random)
            .map_err(|_| KeyError::NotMade)?;
        let text = STANDARD.encode(pkcs8.as_ref());
        let mut pem = format!("-----BEGIN {LABEL}-----\n");
        // PEM has lines of 64 characters, all of them ASCII.
        for (at, letter) in text.chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem.extend(["\n-----END ", LABEL, "-----\n"]);
        Ok((Self::from_pem(&pem)?, pem))
    }

    /// Reads a private key in PKCS#8 from its PEM text.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotPrivate`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key =
            PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::NotPrivate)?;
        let key = PrivateKeyDer::Pkcs8(key);
        let signing = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|_| KeyError::NotPrivate)?;
        let spki = signing.public_key().ok_or(KeyError::NotPrivate)?;
        let public = PublicKey::from_spki(&spki).ok_or(KeyError::NotPrivate)?;
        // With raw public keys the "certificate" is the key itself (RFC 7250).
        let shown = CertificateDer::from(public.spki());
        let certified = CertifiedKey::new(vec![shown], signing);
        Ok(Self {
            certified: Arc::new(certified),
            public,
        })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

/// The line that OpenSSH writes.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = Self::blob_head();
        blob.extend_from_slice(&self.0);
        write!(f, "{ALGORITHM} {}", STANDARD.encode(blob))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.fingerprint(), f)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Its fingerprint: a private key is never shown.
impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({:?})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that OpenSSH 9.2 made, and the fingerprint that it printed.
    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC/stjtjhwPC7C9B551fG6t5tFokkElFykUVn4xKjN2G";
    const PRINT: &str = "SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";

    #[test]
    fn a_key_is_written_and_fingerprinted_as_openssh_does() {
        let key = PublicKey::parse(&format!("{LINE} me@here")).unwrap();
        assert_eq!(key.to_string(), LINE);
        assert_eq!(key.fingerprint().to_string(), PRINT);
        assert_eq!(Fingerprint::parse(PRINT), Ok(key.fingerprint()));
        let in_address = key.fingerprint().in_address();
        assert_eq!(in_address, PRINT[7..].replace('/', "_"));
        for text in [
            PRINT,
            &PRINT[7..],
            &in_address,
            &format!("SHA256:{in_address}"),
        ] {
            let read = Fingerprint::parse_in_address(text);
            assert_eq!(read, Ok(key.fingerprint()), "{text}");
        }
        assert_eq!(PublicKey::from_spki(&key.spki()), Some(key));
    }

    #[track_caller]
    fn refused(line: &str, why: KeyError) {
        assert_eq!(PublicKey::parse(line), Err(why), "{line:?}");
    }

    #[test]
    fn what_is_no_key_of_this_kind_is_refused() {
        refused("", KeyError::NotALine);
        refused("ssh-ed25519", KeyError::NotALine);
        refused("hello world", KeyError::NotALine);
        refused("ssh-rsa AAAAB3NzaC1yc2E=", KeyError::OtherAlgorithm);
        refused("ssh-ed25519 AAAA", KeyError::Damaged);
        refused(&LINE[..LINE.len() - 4], KeyError::Damaged);
        refused(&format!("{LINE}AAAA"), KeyError::Damaged);
        assert!(Fingerprint::parse("SHA256:abc").is_err());
        assert!(Fingerprint::parse(&PRINT[7..]).is_err());
        assert!(Fingerprint::parse(&PRINT.replace('w', "-")).is_err());
        assert!(Fingerprint::parse_in_address("").is_err());
    }

    #[test]
    fn a_new_key_is_read_back_from_its_text_and_never_shown() {
        let (key, pem) = Keypair::generate().unwrap();
        assert_eq!(Keypair::from_pem(&pem).unwrap().public(), key.public());
        assert_ne!(Keypair::generate().unwrap().0.public(), key.public());
        assert!(pem.lines().all(|line| line.len() <= 64));
        assert_eq!(
            format!("{key:?}"),
            format!("Keypair({})", key.public().fingerprint())
        );
        assert_eq!(Keypair::from_pem("x").unwrap_err(), KeyError::NotPrivate);
    }
}
