//! The eight bytes that open a connection, each way.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 6 | `haul` CR LF |
//! | 6 | 2 | version, big-endian |
//!
//! The line end unmasks a channel that translates text, before any length is
//! read through it.

use super::error::Error;

/// The protocol version of this crate.
pub const VERSION: u16 = 1;

/// Bytes in a preface.
pub const LEN: usize = 8;

const MAGIC: &[u8; 6] = b"haul\r\n";

/// What is said to a peer that does not speak haul, as one line of text.
pub const NOT_HAUL: &[u8] = b"This is a haul server: it talks to haul clients only.\r\n";

/// The preface that names `version`.
#[must_use]
pub fn encode(version: u16) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..6].copy_from_slice(MAGIC);
    bytes[6..].copy_from_slice(&version.to_be_bytes());
    bytes
}

/// Reads the version from a preface.
///
/// # Errors
///
/// [`Error::NotHaul`], with what came escaped for a screen.
pub fn decode(bytes: &[u8; LEN]) -> Result<u16, Error> {
    match bytes {
        [b'h', b'a', b'u', b'l', b'\r', b'\n', high, low] => Ok(u16::from_be_bytes([*high, *low])),
        other => Err(Error::NotHaul(other.escape_ascii().to_string())),
    }
}

/// Whether these first bytes, at most [`LEN`], can still become a preface.
///
/// A peer that speaks something else may send fewer than eight bytes and wait, so
/// it is told at its first wrong byte.
#[must_use]
pub fn may_become(bytes: &[u8]) -> bool {
    bytes.iter().zip(MAGIC).all(|(came, wanted)| came == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_names_its_version() {
        assert_eq!(decode(&encode(1)).unwrap(), 1);
        assert_eq!(decode(&encode(0x1234)).unwrap(), 0x1234);
    }

    #[test]
    fn other_protocols_are_known_by_their_first_byte() {
        assert!(may_become(b""));
        assert!(may_become(b"hau"));
        assert!(!may_become(b"GET / "));
        assert!(!may_become(b"\x16\x03\x01"));
        let error = decode(b"SSH-2.0-").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the other side does not speak haul: it began with \"SSH-2.0-\""
        );
    }
}
