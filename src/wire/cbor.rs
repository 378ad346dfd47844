//! The part of CBOR (RFC 8949) that headers and list items may use.
//!
//! Each is one map with ascending integer keys and definite lengths throughout.
//! Ascending, so that a key cannot be given twice and mean two things to two
//! readers; definite, so that a count is known before what it counts. What is
//! newer than this version adds positive keys, which are skipped, or negative
//! ones, which must be understood.

use std::error::Error as _;

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error as Cbor};
use minicbor::{Decode, Encode};

use super::error::Error;
use super::frame::Kind;

/// Deepest nesting that version 1 has, and some room: a list item, its entry, a pair.
const DEPTH_MAX: u8 = 8;

/// Appends one map to `out`.
pub(super) fn encode<T: Encode<()>>(value: &T, out: &mut Vec<u8>) {
    minicbor::encode(value, out).expect("a Vec takes every byte");
}

/// Reads one map that must fill `bytes` to its end.
pub(super) fn decode<T: for<'b> Decode<'b, ()>>(kind: Kind, bytes: &[u8]) -> Result<T, Error> {
    let (value, rest) = decode_first(kind, bytes)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(Error::Malformed {
            kind,
            why: format!("{} bytes are left over", rest.len()),
        })
    }
}

/// Reads the first map of `bytes` and returns what follows it.
pub(super) fn decode_first<T: for<'b> Decode<'b, ()>>(
    kind: Kind,
    bytes: &[u8],
) -> Result<(T, &[u8]), Error> {
    let mut shape = Decoder::new(bytes);
    check(&mut shape, 0).map_err(|found| found.into_error(kind))?;
    let (map, rest) = bytes.split_at(shape.position());
    let value = minicbor::decode(map).map_err(|e| Found::Cbor(e).into_error(kind))?;
    Ok((value, rest))
}

/// What the shape check can find.
enum Found {
    Critical(i64),
    Unordered(i64),
    Deep,
    Indefinite,
    Cbor(Cbor),
}

impl From<Cbor> for Found {
    fn from(error: Cbor) -> Self {
        Self::Cbor(error)
    }
}

impl Found {
    fn into_error(self, kind: Kind) -> Error {
        let why = match self {
            Self::Critical(key) => return Error::Critical { kind, key },
            Self::Unordered(key) => format!("key {key} is not above the one before it"),
            Self::Deep => format!("it nests deeper than {DEPTH_MAX}"),
            Self::Indefinite => "a length is indefinite".to_owned(),
            // A value that its own type refuses says why in the source.
            Self::Cbor(error) => match error.source() {
                Some(why) => why.to_string(),
                None => error.to_string(),
            },
        };
        Error::Malformed { kind, why }
    }
}

/// Walks over one item and holds it against the rules of the module.
fn check(d: &mut Decoder<'_>, depth: u8) -> Result<(), Found> {
    if depth > DEPTH_MAX {
        return Err(Found::Deep);
    }
    match d.datatype()? {
        Type::Map => {
            let pairs = d.map()?.unwrap_or(0);
            let mut before = None;
            for _ in 0..pairs {
                let key = d.i64()?;
                if key < 0 {
                    return Err(Found::Critical(key));
                }
                if before.is_some_and(|before| key <= before) {
                    return Err(Found::Unordered(key));
                }
                before = Some(key);
                check(d, depth + 1)?;
            }
            Ok(())
        }
        Type::Array => {
            let items = d.array()?.unwrap_or(0);
            (0..items).try_for_each(|_| check(d, depth + 1))
        }
        Type::Tag => {
            d.tag()?;
            check(d, depth + 1)
        }
        Type::MapIndef | Type::ArrayIndef | Type::BytesIndef | Type::StringIndef | Type::Break => {
            Err(Found::Indefinite)
        }
        _ => Ok(d.skip()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    #[cbor(map)]
    struct Sample {
        #[n(0)]
        number: u64,
        #[n(2)]
        text: Option<String>,
    }

    fn read(bytes: &[u8]) -> Result<Sample, Error> {
        decode(Kind::Hello, bytes)
    }

    #[track_caller]
    fn refused(bytes: &[u8], needle: &str) {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    }

    #[test]
    fn an_unknown_positive_key_is_skipped() {
        let sample = read(&[0xa2, 0x00, 0x07, 0x05, 0x82, 0x01, 0x02]).unwrap();
        assert_eq!(
            sample,
            Sample {
                number: 7,
                text: None
            }
        );
    }

    #[test]
    fn an_unknown_negative_key_is_critical() {
        let error = read(&[0xa2, 0x00, 0x07, 0x22, 0x01]).unwrap_err();
        assert!(matches!(error, Error::Critical { key: -3, .. }));
    }

    #[test]
    fn what_is_not_one_plain_map_is_malformed() {
        refused(&[0xa2, 0x00, 0x07, 0x00, 0x08], "not above");
        refused(&[0xbf, 0x00, 0x07, 0xff], "indefinite");
        refused(&[0xa2, 0x00, 0x07, 0x02, 0x7f, 0xff], "indefinite");
        refused(&[0xa2, 0x00, 0x07, 0x05, 0xff], "indefinite");
        refused(&[0xa1, 0x00, 0x07, 0x00], "left over");
        refused(&[0xa0], "missing");
        refused(&[0xa1, 0x00], "end of input");
        refused(&[], "end of input");
        let deep = [[0xa1, 0x05].repeat(20), vec![0xa0]].concat();
        refused(&deep, "deeper");
    }

    #[test]
    fn a_count_of_two_to_the_sixty_four_ends_at_the_first_missing_item() {
        refused(
            &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            "end of input",
        );
        refused(
            &[
                0xa1, 0x05, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            ],
            "end of input",
        );
    }
}
