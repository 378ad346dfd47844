//! Messages on a byte stream: prefix, header, body.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | kind |
//! | 1 | 1 | flags, zero in version 1 |
//! | 2 | 2 | header length, big-endian: the map and its 8 check bytes |
//! | 4 | 4 | body length, big-endian |
//! | 8 | | header: a CBOR map, then the first 8 bytes of BLAKE3 over prefix, map and, except in `Block`, body |
//! | | | body |
//!
//! A block's body is covered by its node instead, so that it is hashed once.
//! Lengths are checked against their limits before anything is allocated for them.

use std::fmt;

use super::error::Error;
use crate::content::block::BLOCK_MAX;

/// Bytes in a prefix.
pub const PREFIX: usize = 8;
/// Bytes of check at the end of a header.
pub const CHECK: usize = 8;
/// Most bytes in a header, check bytes included: room for the longest path and more.
pub const HEADER_MAX: usize = 16 << 10;
/// Most bytes in a body that is a list.
pub const LIST_MAX: usize = 64 << 10;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is documented at its message")]
pub enum Kind {
    Hello = 1,
    Welcome = 2,
    List = 3,
    Entries = 4,
    Offer = 5,
    Want = 6,
    Block = 7,
    Drop = 8,
    Commit = 9,
    Receipt = 10,
    End = 11,
    Done = 12,
    Fetch = 13,
    Sent = 14,
    Nodes = 15,
    NodesAre = 16,
    Stop = 17,
    Working = 18,
    Fail = 19,
    Sum = 20,
    SumIs = 21,
    MakeDir = 22,
    Rename = 23,
    Remove = 24,
    Verify = 25,
    Finding = 26,
}

impl Kind {
    /// Every kind of version 1.
    pub const ALL: [Self; 26] = [
        Self::Hello,
        Self::Welcome,
        Self::List,
        Self::Entries,
        Self::Offer,
        Self::Want,
        Self::Block,
        Self::Drop,
        Self::Commit,
        Self::Receipt,
        Self::End,
        Self::Done,
        Self::Fetch,
        Self::Sent,
        Self::Nodes,
        Self::NodesAre,
        Self::Stop,
        Self::Working,
        Self::Fail,
        Self::Sum,
        Self::SumIs,
        Self::MakeDir,
        Self::Rename,
        Self::Remove,
        Self::Verify,
        Self::Finding,
    ];

    /// The kind with this number, if version 1 has it.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Most bytes that a body of this kind may have.
    #[must_use]
    pub fn body_max(self) -> usize {
        match self {
            // The block size of the file at hand is checked once the header is read.
            Self::Block => BLOCK_MAX as usize,
            Self::Entries
            | Self::Offer
            | Self::Want
            | Self::Commit
            | Self::Receipt
            | Self::End
            | Self::Fetch
            | Self::Sent
            | Self::NodesAre
            | Self::Finding => LIST_MAX,
            Self::Hello
            | Self::Welcome
            | Self::List
            | Self::Drop
            | Self::Done
            | Self::Nodes
            | Self::Stop
            | Self::Working
            | Self::Fail
            | Self::Sum
            | Self::SumIs
            | Self::MakeDir
            | Self::Rename
            | Self::Remove
            | Self::Verify => 0,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A prefix whose lengths are within their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// What the message is, or the number of a kind that version 1 does not know.
    pub kind: Result<Kind, u8>,
    /// Bytes in the header.
    pub header: usize,
    /// Bytes in the body.
    pub body: usize,
}

impl Prefix {
    /// Reads a prefix and checks its lengths.
    ///
    /// # Errors
    ///
    /// A header or body beyond its limit, or a flag that is set. A message of an
    /// unknown kind may be as long as a list, since it will be skipped.
    pub fn decode(bytes: &[u8; PREFIX]) -> Result<Self, Error> {
        let [number, flags, h1, h0, b3, b2, b1, b0] = *bytes;
        let header = usize::from(u16::from_be_bytes([h1, h0]));
        let body = u32::from_be_bytes([b3, b2, b1, b0]) as usize;
        let kind = Kind::from_number(number).ok_or(number);
        if flags != 0 {
            return Err(Error::UnknownFlags(flags));
        }
        if header > HEADER_MAX {
            return Err(Error::HeaderTooLong {
                len: header,
                max: HEADER_MAX,
            });
        }
        if header < CHECK {
            return Err(Error::HeaderTooShort(header));
        }
        let max = kind.map_or(LIST_MAX, Kind::body_max);
        if body > max {
            return Err(Error::BodyTooLong { len: body, max });
        }
        Ok(Self { kind, header, body })
    }
}

/// Appends prefix, header and check bytes of a message to `out`.
///
/// `covered` is the body that the check bytes include: empty for a block, whose
/// `body_len` bytes are covered by its node.
///
/// # Panics
///
/// If `map` is longer than a header may be: no message of this crate is.
pub fn encode(out: &mut Vec<u8>, kind: Kind, map: &[u8], covered: &[u8], body_len: usize) {
    let header = map.len() + CHECK;
    assert!(header <= HEADER_MAX, "{kind} header of {header} bytes");
    assert!(
        body_len <= kind.body_max(),
        "{kind} body of {body_len} bytes"
    );
    let start = out.len();
    out.extend_from_slice(&[kind as u8, 0]);
    out.extend_from_slice(&(header as u16).to_be_bytes());
    out.extend_from_slice(&(body_len as u32).to_be_bytes());
    out.extend_from_slice(map);
    let check = check(&out[start..], covered);
    out.extend_from_slice(&check);
}

/// Checks a header's last bytes against prefix, map and body, and returns the map.
///
/// # Errors
///
/// [`Error::Damaged`].
pub fn open<'h>(prefix: &[u8], header: &'h [u8], covered: &[u8]) -> Result<&'h [u8], Error> {
    let (map, came) = header
        .split_last_chunk::<CHECK>()
        .ok_or(Error::HeaderTooShort(header.len()))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(prefix).update(map).update(covered);
    if hasher.finalize().as_bytes()[..CHECK] == *came {
        Ok(map)
    } else {
        Err(Error::Damaged)
    }
}

fn check(prefix_and_map: &[u8], covered: &[u8]) -> [u8; CHECK] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(prefix_and_map).update(covered);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(kind: u8, flags: u8, header: u16, body: u32) -> Result<Prefix, Error> {
        let [h1, h0] = header.to_be_bytes();
        let [b3, b2, b1, b0] = body.to_be_bytes();
        Prefix::decode(&[kind, flags, h1, h0, b3, b2, b1, b0])
    }

    #[test]
    fn lengths_beyond_their_limit_are_refused_before_anything_is_allocated() {
        assert!(matches!(
            prefix(5, 0, u16::MAX, 0),
            Err(Error::HeaderTooLong { .. })
        ));
        assert!(matches!(
            prefix(5, 0, 16, u32::MAX),
            Err(Error::BodyTooLong { .. })
        ));
        assert!(matches!(
            prefix(7, 0, 16, (1 << 24) + 1),
            Err(Error::BodyTooLong { .. })
        ));
        assert!(matches!(
            prefix(1, 0, 16, 1),
            Err(Error::BodyTooLong { .. })
        ));
        assert!(matches!(prefix(1, 0, 7, 0), Err(Error::HeaderTooShort(7))));
        assert!(matches!(prefix(1, 1, 16, 0), Err(Error::UnknownFlags(1))));
    }

    #[test]
    fn an_unknown_kind_keeps_its_number_and_its_bounds() {
        assert_eq!(prefix(200, 0, 16, 9).unwrap().kind, Err(200));
        assert!(prefix(200, 0, 16, 1 << 20).is_err());
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let mut frame = Vec::new();
        encode(&mut frame, Kind::Offer, &[0xa0], b"body", 4);
        let split = PREFIX + 1 + CHECK;
        assert_eq!(
            open(&frame[..PREFIX], &frame[PREFIX..split], b"body").unwrap(),
            [0xa0]
        );
        frame.extend_from_slice(b"body");
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let result = open(&bad[..PREFIX], &bad[PREFIX..split], &bad[split..]);
            assert!(matches!(result, Err(Error::Damaged)), "bit {bit}");
        }
    }
}
