//! The one door between bytes that came and bytes that may be written.

use blake3::hazmat::HasherExt;

use super::block::{BlockIndex, Geometry};
use super::checksum::Node;

/// A block whose bytes were hashed and are the announced ones.
///
/// Only [`verify`] and [`observe`] make one, and a store writes nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'b> {
    index: BlockIndex,
    node: Node,
    bytes: &'b [u8],
}

impl<'b> Verified<'b> {
    /// Which block it is.
    #[must_use]
    pub fn index(&self) -> BlockIndex {
        self.index
    }

    /// Its node.
    #[must_use]
    pub fn node(&self) -> Node {
        self.node
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }
}

/// A block's bytes are not the ones that its header announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {index} has not the announced checksum", index = index.number())]
pub struct Mismatch {
    /// Which block it is.
    pub index: BlockIndex,
}

/// Hashes a block: the chaining value of its subtree, or the plain hash where it
/// is the whole file. A sole block is a root, and BLAKE3 finishes a root differently.
#[must_use]
pub fn node_of(geometry: Geometry, index: BlockIndex, bytes: &[u8]) -> Node {
    let mut hasher = blake3::Hasher::new();
    if geometry.is_single() {
        return Node(*hasher.update(bytes).finalize().as_bytes());
    }
    hasher.set_input_offset(geometry.offset(index));
    Node(hasher.update(bytes).finalize_non_root())
}

/// Hashes a block that nobody has announced: it was read here, and has the node that it has.
///
/// # Panics
///
/// When `bytes` has not the length that the block must have.
#[must_use]
pub fn observe(geometry: Geometry, index: BlockIndex, bytes: &[u8]) -> Verified<'_> {
    assert_eq!(bytes.len(), geometry.len(index), "all of a block is read");
    Verified {
        index,
        node: node_of(geometry, index, bytes),
        bytes,
    }
}

/// Checks a block against the node that its header announced.
///
/// # Errors
///
/// [`Mismatch`], also when `bytes` has not the length that the block must have.
pub fn verify(
    geometry: Geometry,
    index: BlockIndex,
    node: Node,
    bytes: &[u8],
) -> Result<Verified<'_>, Mismatch> {
    // An empty or overlong subtree would make the tree hash panic, not differ.
    if bytes.len() != geometry.len(index) || node_of(geometry, index, bytes) != node {
        return Err(Mismatch { index });
    }
    Ok(Verified { index, node, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::BlockSize;

    fn two_blocks() -> (Geometry, BlockIndex) {
        let geometry = Geometry::new(2048, BlockSize::new(1024).unwrap()).unwrap();
        (geometry, geometry.index(1).unwrap())
    }

    #[test]
    fn the_announced_bytes_are_verified() {
        let (geometry, index) = two_blocks();
        let bytes = [7; 1024];
        let node = node_of(geometry, index, &bytes);
        let verified = verify(geometry, index, node, &bytes).unwrap();
        assert_eq!(verified.bytes(), bytes);
    }

    #[test]
    fn a_flipped_bit_and_a_wrong_length_are_not() {
        let (geometry, index) = two_blocks();
        let mut bytes = [7; 1024];
        let node = node_of(geometry, index, &bytes);
        assert!(verify(geometry, index, node, &bytes[1..]).is_err());
        assert!(verify(geometry, index, node, &[]).is_err());
        bytes[1023] ^= 1;
        assert_eq!(
            verify(geometry, index, node, &bytes).unwrap_err(),
            Mismatch { index }
        );
    }

    #[test]
    fn a_block_of_another_place_is_not_verified() {
        let (geometry, index) = two_blocks();
        let bytes = [7; 1024];
        let first = geometry.index(0).unwrap();
        let node = node_of(geometry, first, &bytes);
        assert!(verify(geometry, index, node, &bytes).is_err());
    }
}
