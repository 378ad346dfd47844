//! Messages that change the tree without moving content.
//!
//! Each names what is to be done in one request, so that it is done whole or not at
//! all, as far as the store can: all are answered by [`Done`](super::Done), which is as
//! good a word for durable as a receipt, or by a [`Fail`](super::Fail) that names them.

use minicbor::{Decode, Encode};

use super::{Request, encoded};
use crate::path::RemotePath;

/// Asks for a directory.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct MakeDir {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// The directory.
    #[n(1)]
    pub path: RemotePath,
    /// Whether missing directories above it are made too, and one that is there is fine.
    #[n(2)]
    pub parents: bool,
}

/// Asks for another name. What has the new name is never replaced.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Rename {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// What is renamed.
    #[n(1)]
    pub from: RemotePath,
    /// Its whole new name.
    #[n(2)]
    pub to: RemotePath,
}

/// Asks to remove what has a name.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Remove {
    /// The request's number.
    #[n(0)]
    pub request: Request,
    /// What is removed; a link itself, never what it leads to.
    #[n(1)]
    pub path: RemotePath,
    /// Whether a directory goes with everything beneath it.
    #[n(2)]
    pub tree: bool,
}

encoded!(MakeDir, Rename, Remove);
