//! What is written beside a file that waits for its sender to come back: of whom and of
//! what it is a part.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | `haulpart` |
//! | 8 | 4 | length of the map, big-endian |
//! | 12 | n | the map, in CBOR |
//! | 12 + n | 32 | BLAKE3 of all that is before |
//! | 8192 | 32 each | of a download: the nodes of the blocks that were verified, zeros elsewhere |
//!
//! It is written once and never changed. What a power cut leaves of it has not this form or
//! not this hash, and then nobody knows of what the file beside it is a part.

use std::ops::Range;
use std::os::fd::OwnedFd;

use minicbor::{Decode, Encode};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::sys::Sys;
use super::tree::is_gone;
use crate::content::{Geometry, Node};
use crate::entry::Entry;
use crate::identity::Identity;
use crate::path::RemotePath;

const MAGIC: &[u8; 8] = b"haulpart";
const HASH: usize = 32;
/// The longest path, and room for everything else.
const LABEL_MAX: usize = 8 << 10;
/// Where the notes begin.
const NOTES: u64 = LABEL_MAX as u64;
const NODE: usize = 32;

/// What a part of a file is a part of. Only what has an equal one can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Label {
    /// For whom it is received.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    by: Vec<u8>,
    /// Its final path from the top of the store, wherever it was seen from.
    #[n(1)]
    path: String,
    #[n(2)]
    pub(super) size: u64,
    #[n(3)]
    block: u64,
    #[n(4)]
    seconds: i64,
    #[n(5)]
    nanos: u32,
    /// The version that is fetched; of what is put, none is known.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    version: Option<Vec<u8>>,
}

impl Label {
    /// What a part of `entry` is labelled with, which is cut like this.
    pub(super) fn of(by: &Identity, path: &RemotePath, entry: &Entry, cut: Geometry) -> Self {
        Self {
            by: by.as_bytes().to_vec(),
            path: path.as_str().to_owned(),
            size: cut.size(),
            block: cut.block().bytes(),
            seconds: entry.mtime.seconds(),
            nanos: entry.mtime.nanos(),
            version: entry.version.map(|version| version.0.to_vec()),
        }
    }

    /// The name of what is received for this identity to become this path: whoever comes
    /// back finds it without a search.
    pub(super) fn name(&self, way: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [way.as_bytes(), &self.by, self.path.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// Whether it is received for this identity.
    pub(super) fn is_for(&self, by: &Identity) -> bool {
        self.by == by.as_bytes()
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.size.div_ceil(self.block) as usize
    }

    /// Those of which some bytes are in this part of the file.
    pub(super) fn blocks_in(&self, bytes: &Range<u64>) -> Range<usize> {
        (bytes.start / self.block) as usize..bytes.end.div_ceil(self.block) as usize
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0; 4]);
        // Writing to a vector cannot fail.
        let _ = minicbor::encode(self, &mut bytes);
        let len = (bytes.len() - MAGIC.len() - 4) as u32;
        bytes[MAGIC.len()..][..4].copy_from_slice(&len.to_be_bytes());
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (len, rest) = rest.split_first_chunk()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let (map, rest) = rest.split_at_checked(len)?;
        let hash = blake3::hash(&bytes[..MAGIC.len() + 4 + len]);
        if rest.get(..HASH)? != hash.as_bytes() {
            return None;
        }
        minicbor::decode(map).ok()
    }

    /// Writes it under a new name, and returns what it can be added to.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    pub(super) fn write(
        &self,
        sys: &Sys,
        directory: &OwnedFd,
        name: &str,
    ) -> Result<OwnedFd, Errno> {
        let file = sys.create(directory, name)?;
        sys.write_at(&file, &self.encode(), 0)?;
        Ok(file)
    }

    /// Reads what is written under a name, and returns what it can be added to. None where
    /// there is none that can be believed.
    ///
    /// # Errors
    ///
    /// Whatever the system reports where it could not be looked at now.
    pub(super) fn read(
        sys: &Sys,
        directory: &OwnedFd,
        name: &str,
    ) -> Result<Option<(Self, OwnedFd)>, Errno> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK;
        let file = match sys.open_in(directory, name, flags) {
            Err(errno) if is_gone(errno) => return Ok(None),
            file => file?,
        };
        let mut bytes = vec![0; LABEL_MAX];
        let len = sys.read_at(&file, &mut bytes, 0)?;
        Ok(Self::decode(&bytes[..len]).map(|label| (label, file)))
    }
}

/// Notes the node that was verified for a block.
///
/// # Errors
///
/// Whatever the system reports.
pub(super) fn note(sys: &Sys, notes: &OwnedFd, block: u64, node: Node) -> Result<(), Errno> {
    sys.write_at(notes, &node.0, NOTES + block * NODE as u64)
}

/// The nodes that are noted for the first `blocks` blocks.
///
/// # Errors
///
/// Whatever the system reports.
pub(super) fn noted(sys: &Sys, notes: &OwnedFd, blocks: usize) -> Result<Vec<Option<Node>>, Errno> {
    let mut bytes = vec![0; blocks * NODE];
    sys.read_at(notes, &mut bytes, NOTES)?;
    let (chunks, _) = bytes.as_chunks::<NODE>();
    let node = |bytes: &[u8; NODE]| (*bytes != [0; NODE]).then_some(Node(*bytes));
    Ok(chunks.iter().map(node).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Kind, Mode, Mtime, Version};

    fn label(path: &str, version: Option<Version>) -> Label {
        let path = RemotePath::parse(path).unwrap();
        let entry = Entry {
            path: path.clone(),
            kind: Kind::file(3 << 20).unwrap(),
            mode: Mode::OWNER_ONLY,
            mtime: Mtime::new(-1, 5).unwrap(),
            version,
            checksum: None,
        };
        Label::of(&Identity::Anyone, &path, &entry, entry.geometry().unwrap())
    }

    #[test]
    fn a_label_reads_what_it_writes() {
        let longest = vec!["x".repeat(255); 16].join("/");
        for label in [label("a", None), label(&longest, Some(Version([7; 16])))] {
            let bytes = label.encode();
            assert!(bytes.len() <= LABEL_MAX);
            assert_eq!(Label::decode(&bytes), Some(label.clone()));
            // What notes there are behind it is not its own.
            let followed = [&bytes[..], &[9; 100]].concat();
            assert_eq!(Label::decode(&followed), Some(label));
        }
    }

    #[test]
    fn a_label_that_is_cut_or_damaged_anywhere_is_none() {
        let bytes = label("a/b", Some(Version([7; 16]))).encode();
        for at in 0..bytes.len() {
            assert_eq!(Label::decode(&bytes[..at]), None, "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Label::decode(&damaged), None, "damaged at {at}");
        }
    }

    #[test]
    fn a_name_is_of_one_identity_one_path_and_one_way() {
        let name = |path: &str, way| label(path, None).name(way);
        assert_eq!(
            name("a", "put"),
            label("a", Some(Version([1; 16]))).name("put")
        );
        assert_ne!(name("a", "put"), name("a", "get"));
        assert_ne!(name("a", "put"), name("b", "put"));
        let other = Label {
            by: Identity::Owner.as_bytes().to_vec(),
            ..label("a", None)
        };
        assert_ne!(other.name("put"), name("a", "put"));
    }
}
