//! The protocol: what crosses a connection, without sockets or files.
//!
//! A [`frame`] is a prefix, a header and a body; a [`message`] is what they say.
//! [`Frames`] reads and writes them on anything that is `Read`
//! and `Write`. `docs/protocol.md` is the specification; its test vectors are
//! read by the tests.

mod cbor;
pub mod error;
pub mod frame;
pub mod message;
pub mod preface;
pub mod stream;
mod values;

pub use error::Error;
pub use frame::Kind;
pub use message::Message;
pub use stream::{Frames, Incoming};
