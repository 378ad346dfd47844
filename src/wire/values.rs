//! How the leaves' types are written as CBOR values.
//!
//! Each decoder ends in the constructor that checks the value, so a message that
//! was decoded holds nothing that still needs checking.

use minicbor::decode::Error as Bad;
use minicbor::encode::{Error as Unwritten, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::code::Code;
use crate::content::{Algorithm, BlockSize, Checksum, Geometry, Node};
use crate::entry::{Cursor, Entry, Kind, LinkTarget, Mode, Mtime, Recorded, Touched, Version};
use crate::offer::{Compare, EntryId, OnExisting, Reason, Ticket, TransferId, Verdict};
use crate::path::RemotePath;
use crate::token::{InvitationId, Secret, Token};
use crate::wire::message::{Above, State, StoreId};

/// Implements both directions for a type that is written as another.
macro_rules! written_as {
    ($type:ty, |$value:ident| $out:expr, |$d:ident| $in:expr) => {
        impl<C> Encode<C> for $type {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), Unwritten<W::Error>> {
                let $value = self;
                minicbor::encode($out, e.writer_mut())
            }
        }

        impl<'b, C> Decode<'b, C> for $type {
            fn decode($d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Bad> {
                $in
            }
        }
    };
}

written_as!(RemotePath, |path| path.as_str(), |d| {
    RemotePath::parse(d.str()?).map_err(Bad::custom)
});
written_as!(Cursor, |cursor| cursor.as_str(), |d| {
    Cursor::parse(d.str()?).map_err(Bad::custom)
});
written_as!(EntryId, |id| id.0, |d| d.u64().map(Self));
written_as!(Code, |code| code.number(), |d| {
    // A later version may know more reasons; that something failed is certain.
    Ok(Code::from_number(d.u8()?).unwrap_or(Code::Unexpected))
});
written_as!(Mode, |mode| mode.bits(), |d| d.u32().map(Self::masked));
written_as!(TransferId, |id| bytes(&id.0), |d| fixed(d).map(Self));
written_as!(Version, |version| bytes(&version.0), |d| fixed(d).map(Self));
written_as!(Node, |node| bytes(&node.0), |d| fixed(d).map(Self));
written_as!(Ticket, |ticket| bytes(ticket.as_bytes()), |d| {
    Ticket::new(d.bytes()?).ok_or_else(|| Bad::message("ticket too long"))
});
written_as!(Checksum, |sum| (sum.algorithm(), bytes(sum.bytes())), |d| {
    pair(d)?;
    Ok(match Algorithm::decode(d, &mut ())? {
        Algorithm::Blake3 => Self::Blake3(fixed(d)?),
        Algorithm::Sha256 => Self::Sha256(fixed(d)?),
    })
});
written_as!(
    Algorithm,
    |algorithm| match algorithm {
        Algorithm::Blake3 => 1_u8,
        Algorithm::Sha256 => 2,
    },
    |d| match d.u8()? {
        1 => Ok(Self::Blake3),
        2 => Ok(Self::Sha256),
        _ => Err(Bad::message("unknown checksum algorithm")),
    }
);
written_as!(
    State,
    |state| match state {
        State::Sound => 1_u8,
        State::Decayed => 2,
        State::Edited => 3,
        State::Unrecorded => 4,
    },
    |d| match d.u8()? {
        1 => Ok(Self::Sound),
        2 => Ok(Self::Decayed),
        3 => Ok(Self::Edited),
        4 => Ok(Self::Unrecorded),
        _ => Err(Bad::message("unknown state of a file")),
    }
);
written_as!(Mtime, |time| (time.seconds(), time.nanos()), |d| {
    pair(d)?;
    Mtime::new(d.i64()?, d.u32()?).ok_or_else(|| Bad::message("nanoseconds over a second"))
});
written_as!(OnExisting, |on| policy(on), |d| {
    pair(d)?;
    match d.u8()? {
        0 => d.null().map(|()| Self::Refuse),
        1 => d.null().map(|()| Self::IfNewer),
        2 => d.null().map(|()| Self::Replace),
        3 => fixed(d).map(|v| Self::ReplaceVersion(Version(v))),
        _ => Err(Bad::message("unknown policy")),
    }
});
written_as!(
    Compare,
    |compare| match compare {
        Compare::Quick => 0_u8,
        Compare::Content => 1,
    },
    |d| match d.u8()? {
        0 => Ok(Self::Quick),
        1 => Ok(Self::Content),
        _ => Err(Bad::message("unknown comparison")),
    }
);
written_as!(
    Above,
    |above| {
        let all: Vec<u8> = above.0.iter().flat_map(|store| store.0).collect();
        minicbor::bytes::ByteVec::from(all)
    },
    |d| match d.bytes()?.as_chunks() {
        (stores, []) => Ok(Self(stores.iter().copied().map(StoreId).collect())),
        _ => Err(Bad::message("not a whole number of stores")),
    }
);
written_as!(
    Token,
    |token| (bytes(&token.id.0), bytes(token.secret.bytes())),
    |d| {
        pair(d)?;
        Ok(Self {
            id: InvitationId(fixed(d)?),
            secret: Secret::new(fixed(d)?),
        })
    }
);
written_as!(Verdict, |verdict| VerdictFields::from(verdict), |d| {
    VerdictFields::decode(d, &mut ())?.try_into()
});
written_as!(Entry, |entry| EntryFields::from(entry), |d| {
    EntryFields::decode(d, &mut ())?.try_into()
});

fn bytes(slice: &[u8]) -> &minicbor::bytes::ByteSlice {
    slice.into()
}

fn fixed<const N: usize>(d: &mut Decoder<'_>) -> Result<[u8; N], Bad> {
    d.bytes()?
        .try_into()
        .map_err(|_| Bad::message("byte string of another length"))
}

fn pair(d: &mut Decoder<'_>) -> Result<(), Bad> {
    match d.array()? {
        Some(2) => Ok(()),
        _ => Err(Bad::message("not a pair")),
    }
}

fn policy(on: &OnExisting) -> (u8, Option<Version>) {
    match on {
        OnExisting::Refuse => (0, None),
        OnExisting::IfNewer => (1, None),
        OnExisting::Replace => (2, None),
        OnExisting::ReplaceVersion(version) => (3, Some(*version)),
    }
}

#[derive(Default, Encode, Decode)]
#[cbor(map)]
struct VerdictFields {
    #[n(0)]
    verdict: u8,
    #[n(1)]
    ticket: Option<Ticket>,
    #[n(2)]
    checksum: Option<Checksum>,
    #[n(3)]
    code: Option<Code>,
    #[n(4)]
    reason: Option<u8>,
    #[n(5)]
    bytes: Option<u64>,
}

/// A reason's number, and its figure.
fn reason(reason: Reason) -> (Option<u8>, Option<u64>) {
    let (number, bytes) = match reason {
        Reason::Unsaid => return (None, None),
        Reason::OtherContent => (1, None),
        Reason::OtherKind => (2, None),
        Reason::Link => (3, None),
        Reason::Mount => (4, None),
        Reason::LeadsOut => (5, None),
        Reason::Space(free) => (6, free),
        Reason::Quota(left) => (7, left),
        Reason::Replacing => (8, None),
        Reason::Count => (9, None),
        Reason::Size(most) => (10, most),
        Reason::ReadOnly => (11, None),
    };
    (Some(number), bytes)
}

/// A later version may know more reasons; the code says enough.
fn reason_of(number: Option<u8>, bytes: Option<u64>) -> Reason {
    match number {
        Some(1) => Reason::OtherContent,
        Some(2) => Reason::OtherKind,
        Some(3) => Reason::Link,
        Some(4) => Reason::Mount,
        Some(5) => Reason::LeadsOut,
        Some(6) => Reason::Space(bytes),
        Some(7) => Reason::Quota(bytes),
        Some(8) => Reason::Replacing,
        Some(9) => Reason::Count,
        Some(10) => Reason::Size(bytes),
        Some(11) => Reason::ReadOnly,
        Some(_) | None => Reason::Unsaid,
    }
}

impl From<&Verdict> for VerdictFields {
    fn from(verdict: &Verdict) -> Self {
        let mut fields = Self::default();
        match verdict {
            Verdict::Send(ticket) => fields.ticket.clone_from(ticket),
            Verdict::Here => fields.verdict = 1,
            Verdict::SameIf(checksum, ticket) => {
                fields.verdict = 2;
                fields.checksum = Some(*checksum);
                fields.ticket.clone_from(ticket);
            }
            Verdict::Partly(ticket) => {
                fields.verdict = 3;
                fields.ticket = Some(ticket.clone());
            }
            Verdict::Refused(code, why) => {
                fields.verdict = 4;
                fields.code = Some(*code);
                (fields.reason, fields.bytes) = reason(*why);
            }
            Verdict::Kept => fields.verdict = 5,
            Verdict::Replace => fields.verdict = 6,
        }
        fields
    }
}

impl TryFrom<VerdictFields> for Verdict {
    type Error = Bad;

    fn try_from(fields: VerdictFields) -> Result<Self, Bad> {
        let reason = reason_of(fields.reason, fields.bytes);
        match (fields.verdict, fields.ticket, fields.checksum, fields.code) {
            (0, ticket, None, None) => Ok(Self::Send(ticket)),
            (1, None, None, None) => Ok(Self::Here),
            (2, ticket, Some(checksum), None) => Ok(Self::SameIf(checksum, ticket)),
            (3, Some(ticket), None, None) => Ok(Self::Partly(ticket)),
            (4, None, None, Some(code)) => Ok(Self::Refused(code, reason)),
            (5, None, None, None) => Ok(Self::Kept),
            (6, None, None, None) => Ok(Self::Replace),
            _ => Err(Bad::message("no such verdict")),
        }
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct EntryFields {
    #[n(0)]
    path: RemotePath,
    #[n(1)]
    kind: u8,
    #[n(2)]
    size: Option<u64>,
    #[n(3)]
    block: Option<u64>,
    #[n(4)]
    mode: u32,
    #[n(5)]
    mtime: Mtime,
    #[n(6)]
    version: Option<Version>,
    #[n(7)]
    checksum: Option<Checksum>,
    #[n(8)]
    target: Option<String>,
    #[n(9)]
    touched: Option<bool>,
}

impl From<&Entry> for EntryFields {
    fn from(entry: &Entry) -> Self {
        let (kind, geometry, target) = match &entry.kind {
            Kind::File(geometry) => (1, Some(geometry), None),
            Kind::Dir => (2, None, None),
            Kind::Link(target) => (3, None, Some(target.as_str().to_owned())),
        };
        Self {
            path: entry.path.clone(),
            kind,
            size: geometry.map(|g| g.size()),
            block: geometry.map(|g| g.block().bytes()),
            mode: entry.mode.bits(),
            mtime: entry.mtime,
            version: entry.version,
            checksum: entry.checksum.map(|recorded| recorded.checksum),
            target,
            touched: entry.checksum.and_then(told),
        }
    }
}

impl TryFrom<EntryFields> for Entry {
    type Error = Bad;

    fn try_from(fields: EntryFields) -> Result<Self, Bad> {
        let kind = match (fields.kind, fields.size, fields.block, &fields.target) {
            (1, Some(size), Some(block), None) => {
                let block = BlockSize::new(block).map_err(Bad::custom)?;
                Kind::File(Geometry::new(size, block).map_err(Bad::custom)?)
            }
            (2, None, None, None) => Kind::Dir,
            (3, None, None, Some(target)) => {
                Kind::Link(LinkTarget::new(target).ok_or_else(|| Bad::message("bad link"))?)
            }
            _ => return Err(Bad::message("no such kind of entry")),
        };
        Ok(Self {
            path: fields.path,
            kind,
            mode: Mode::masked(fields.mode),
            mtime: fields.mtime,
            version: fields.version,
            checksum: fields.checksum.map(|checksum| Recorded {
                checksum,
                touched: match fields.touched {
                    Some(true) => Touched::Since,
                    Some(false) | None => Touched::Never,
                },
            }),
        })
    }
}

/// That a file was touched is told, and that it was not goes without saying.
fn told(recorded: Recorded) -> Option<bool> {
    (recorded.touched == Touched::Since).then_some(true)
}
