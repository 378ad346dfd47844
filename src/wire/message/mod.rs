//! One struct a message; its layout is its documentation.
//!
//! Numbers in front of the fields are the keys of the header's map. A field that
//! is an `Option` may be left out. A list is a body of maps one after another
//! (a CBOR sequence, RFC 8742): it ends with the body, so no count can lie.
//! Key 0 is the request's number, which every answer repeats.

mod changes;
mod control;
mod download;
mod listing;
mod upload;
mod verifying;

pub use changes::{MakeDir, Remove, Rename};
pub use control::{Above, Fail, Hello, Rights, Stop, StoreId, Welcome, Working, short};
pub use download::{FETCH_MAX, Fetch, Sent, Unsent, Wanted};
pub use listing::{Entries, List, NODES_MAX, Nodes, NodesAre, Sum, SumIs};
pub use upload::{
    Answered, Block, COMMIT_MAX, Commit, Committed, Done, Drop, End, Exception, OFFER_MAX, Offer,
    Offered, Range, Receipt, Want,
};
pub use verifying::{Finding, RUNS_MAX, State, Verify};

use minicbor::{Decode, Encode};

use super::cbor;
use super::error::Error;
use super::frame::{self, Kind, LIST_MAX};

/// The number of a request, chosen by the side that asks.
pub type Request = u64;

/// One message with its own header and, where its kind has one, a body.
pub trait Encoded: Encode<()> + for<'b> Decode<'b, ()> {
    /// Which kind it is.
    const KIND: Kind;

    /// Appends the body to `out`.
    fn write_body(&self, _out: &mut Vec<u8>) {}

    /// Takes the body that came with the header.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`].
    fn read_body(&mut self, _body: &[u8]) -> Result<(), Error> {
        // A kind without a body has a limit of zero, so there is nothing to take.
        Ok(())
    }
}

/// Implements [`Encoded`] for messages without a body, and for lists in a field.
macro_rules! encoded {
    ($($type:ident),* $(,)?) => {$(
        impl crate::wire::message::Encoded for $type {
            const KIND: crate::wire::Kind = crate::wire::Kind::$type;
        }
    )*};
    ($($type:ident [$list:ident]),* $(,)?) => {$(
        impl crate::wire::message::Encoded for $type {
            const KIND: crate::wire::Kind = crate::wire::Kind::$type;

            fn write_body(&self, out: &mut Vec<u8>) {
                for item in &self.$list {
                    crate::wire::cbor::encode(item, out);
                }
            }

            fn read_body(&mut self, mut body: &[u8]) -> Result<(), crate::wire::Error> {
                while !body.is_empty() {
                    let (item, rest) = crate::wire::cbor::decode_first(Self::KIND, body)?;
                    self.$list.push(item);
                    body = rest;
                }
                Ok(())
            }
        }
    )*};
}
pub(crate) use encoded;

/// Any message but a block, whose body is read apart.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is documented at its struct")]
pub enum Message {
    Hello(Hello),
    Welcome(Welcome),
    List(List),
    Entries(Entries),
    Offer(Offer),
    Want(Want),
    Drop(Drop),
    Commit(Commit),
    Receipt(Receipt),
    End(End),
    Done(Done),
    Fetch(Fetch),
    Sent(Sent),
    Nodes(Nodes),
    NodesAre(NodesAre),
    Stop(Stop),
    Working(Working),
    Fail(Fail),
    Sum(Sum),
    SumIs(SumIs),
    MakeDir(MakeDir),
    Rename(Rename),
    Remove(Remove),
    Verify(Verify),
    Finding(Finding),
}

impl Message {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Welcome(_) => Kind::Welcome,
            Self::List(_) => Kind::List,
            Self::Entries(_) => Kind::Entries,
            Self::Offer(_) => Kind::Offer,
            Self::Want(_) => Kind::Want,
            Self::Drop(_) => Kind::Drop,
            Self::Commit(_) => Kind::Commit,
            Self::Receipt(_) => Kind::Receipt,
            Self::End(_) => Kind::End,
            Self::Done(_) => Kind::Done,
            Self::Fetch(_) => Kind::Fetch,
            Self::Sent(_) => Kind::Sent,
            Self::Nodes(_) => Kind::Nodes,
            Self::NodesAre(_) => Kind::NodesAre,
            Self::Stop(_) => Kind::Stop,
            Self::Working(_) => Kind::Working,
            Self::Fail(_) => Kind::Fail,
            Self::Sum(_) => Kind::Sum,
            Self::SumIs(_) => Kind::SumIs,
            Self::MakeDir(_) => Kind::MakeDir,
            Self::Rename(_) => Kind::Rename,
            Self::Remove(_) => Kind::Remove,
            Self::Verify(_) => Kind::Verify,
            Self::Finding(_) => Kind::Finding,
        }
    }

    /// Reads a message from its header's map and its body.
    ///
    /// `None` for a block, whose header [`Block::read`] takes.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] or [`Error::Critical`].
    pub fn read(kind: Kind, map: &[u8], body: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match kind {
            Kind::Hello => Self::Hello(parts(map, body)?),
            Kind::Welcome => Self::Welcome(parts(map, body)?),
            Kind::List => Self::List(parts(map, body)?),
            Kind::Entries => Self::Entries(parts(map, body)?),
            Kind::Offer => Self::Offer(parts(map, body)?),
            Kind::Want => Self::Want(parts(map, body)?),
            Kind::Block => return Ok(None),
            Kind::Drop => Self::Drop(parts(map, body)?),
            Kind::Commit => Self::Commit(parts(map, body)?),
            Kind::Receipt => Self::Receipt(parts(map, body)?),
            Kind::End => Self::End(parts(map, body)?),
            Kind::Done => Self::Done(parts(map, body)?),
            Kind::Fetch => Self::Fetch(parts(map, body)?),
            Kind::Sent => Self::Sent(parts(map, body)?),
            Kind::Nodes => Self::Nodes(parts(map, body)?),
            Kind::NodesAre => Self::NodesAre(parts(map, body)?),
            Kind::Stop => Self::Stop(parts(map, body)?),
            Kind::Working => Self::Working(parts(map, body)?),
            Kind::Fail => Self::Fail(parts(map, body)?),
            Kind::Sum => Self::Sum(parts(map, body)?),
            Kind::SumIs => Self::SumIs(parts(map, body)?),
            Kind::MakeDir => Self::MakeDir(parts(map, body)?),
            Kind::Rename => Self::Rename(parts(map, body)?),
            Kind::Remove => Self::Remove(parts(map, body)?),
            Kind::Verify => Self::Verify(parts(map, body)?),
            Kind::Finding => Self::Finding(parts(map, body)?),
        }))
    }
}

/// The number of the request that a message of an unknown kind makes, if it has one.
pub(super) fn request_of(map: &[u8]) -> Option<Request> {
    let request = cbor::decode::<Numbered>(Kind::Fail, map).ok()?;
    request.number
}

/// What all requests have in common.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Numbered {
    #[n(0)]
    number: Option<Request>,
}

fn parts<M: Encoded>(map: &[u8], body: &[u8]) -> Result<M, Error> {
    let mut message: M = cbor::decode(M::KIND, map)?;
    message.read_body(body)?;
    Ok(message)
}

/// Appends a whole message to `out`.
///
/// # Panics
///
/// If the body is longer than its kind may have: who fills a list asks
/// [`fits`] before each item.
pub fn write<M: Encoded>(message: &M, out: &mut Vec<u8>) {
    let (mut map, mut body) = (Vec::new(), Vec::new());
    cbor::encode(message, &mut map);
    message.write_body(&mut body);
    frame::encode(out, M::KIND, &map, &body, body.len());
    out.extend_from_slice(&body);
}

/// Whether `item` may be added to a list of `len` bytes; if so, `len` grows by it.
pub fn fits<I: Encode<()>>(item: &I, len: &mut usize, max: usize) -> bool {
    let mut bytes = Vec::new();
    cbor::encode(item, &mut bytes);
    let grown = *len + bytes.len();
    let fits = grown <= max.min(LIST_MAX);
    if fits {
        *len = grown;
    }
    fits
}
