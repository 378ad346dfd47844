//! The engines that both ends share.
//!
//! A put is store, [`send`], wire, then wire, [`receive`], store; a get is the same
//! the other way round. So a byte is hashed, framed, verified and staged by one
//! piece of code, whichever side it starts on. [`link`] is one connection as the
//! engines see it; [`reception`] is what several connections receive together;
//! [`presence`] says whether the client is still heard whose that is; [`heartbeat`] keeps a
//! peer waiting while there is nothing to send.

pub mod budget;
pub mod error;
pub mod heartbeat;
pub mod link;
pub mod presence;
pub mod receive;
pub mod reception;
pub mod send;

pub use error::Error;
pub use link::{Deadlines, Link, Wait};
pub use reception::{Attachment, Reception};
