//! Nodes, checksums, and how the one becomes the other.
//!
//! The tree is BLAKE3's own (section 2.1 of its paper): a subtree of `n` blocks
//! splits at the greatest power of two below `n`, and only the topmost merge is
//! finished as a root. Blocks are powers of two of at least one chunk, so each
//! block is a whole subtree and the split falls between blocks.

use std::fmt;

use blake3::hazmat::{Mode, merge_subtrees_non_root, merge_subtrees_root};
use sha2::{Digest, Sha256};

/// A block's checksum: the chaining value of its subtree; for a file of one block
/// the plain BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node(pub [u8; 32]);

/// Which checksum proves a whole file to a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// The merge of the nodes: what `b3sum` prints.
    #[default]
    Blake3,
    /// A second pass in file order, beside the nodes: what `sha256sum` prints.
    Sha256,
}

/// A whole file's checksum, with its algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// What `b3sum` prints.
    Blake3([u8; 32]),
    /// What `sha256sum` prints.
    Sha256([u8; 32]),
}

impl Checksum {
    /// What made it.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Blake3(_) => Algorithm::Blake3,
            Self::Sha256(_) => Algorithm::Sha256,
        }
    }

    /// The 32 bytes, whatever made them.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        match self {
            Self::Blake3(bytes) | Self::Sha256(bytes) => bytes,
        }
    }

    /// The bytes in lower-case hexadecimal, as `b3sum` and `sha256sum` print them.
    #[must_use]
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(*self.bytes()).to_hex().to_string()
    }

    /// Reads the form that [`fmt::Display`] writes: `blake3:HEX` or `sha256:HEX`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (algorithm, hex) = text.split_once(':')?;
        let bytes = *blake3::Hash::from_hex(hex).ok()?.as_bytes();
        match algorithm {
            "blake3" => Some(Self::Blake3(bytes)),
            "sha256" => Some(Self::Sha256(bytes)),
            _ => None,
        }
    }
}

/// Merges all nodes of a file, in order, into the checksum of the whole.
///
/// `None` for no nodes: an empty file still has one.
#[must_use]
pub fn merge(nodes: &[Node]) -> Option<Checksum> {
    match nodes {
        [] => None,
        [only] => Some(Checksum::Blake3(only.0)),
        _ => {
            let (left, right) = nodes.split_at(left_blocks(nodes.len()));
            let root = merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash);
            Some(Checksum::Blake3(*root.as_bytes()))
        }
    }
}

/// The chaining value over some blocks. Recursion halves, so it is at most 64 deep.
fn subtree(nodes: &[Node]) -> [u8; 32] {
    if let [only] = nodes {
        return only.0;
    }
    let (left, right) = nodes.split_at(left_blocks(nodes.len()));
    merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
}

/// The greatest power of two below `blocks`, which is at least 2.
fn left_blocks(blocks: usize) -> usize {
    blocks.next_power_of_two() / 2
}

/// A checksum over a file's bytes in order.
#[derive(Debug)]
pub enum Pass {
    /// Under way to what `b3sum` prints.
    Blake3(Box<blake3::Hasher>),
    /// Under way to what `sha256sum` prints.
    Sha256(Sha256),
}

impl Pass {
    /// Begins before the first byte.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Blake3 => Self::Blake3(Box::default()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The checksum of all that was taken.
    #[must_use]
    pub fn finish(self) -> Checksum {
        match self {
            Self::Blake3(hasher) => Checksum::Blake3(*hasher.finalize().as_bytes()),
            Self::Sha256(hasher) => Checksum::Sha256(hasher.finalize().into()),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self {
            Self::Blake3(_) => "blake3",
            Self::Sha256(_) => "sha256",
        };
        write!(f, "{algorithm}:{}", blake3::Hash::from_bytes(*self.bytes()))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Checksum::Blake3(self.0).to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{BlockSize, Geometry, node_of};
    use proptest::prelude::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new()
            .update(b"noise")
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Any partition into blocks, hashed in any order, gives `blake3::hash`.
        #[test]
        fn any_partition_in_any_order_gives_the_plain_hash(
            len in 0usize..300_000,
            exponent in 10u32..19,
            seed in any::<u64>(),
        ) {
            let bytes = noise(len);
            let geometry =
                Geometry::new(len as u64, BlockSize::new(1 << exponent).unwrap()).unwrap();
            let mut order: Vec<u64> = (0..geometry.blocks()).collect();
            order.sort_by_key(|n| blake3::hash(&(n ^ seed).to_le_bytes()).as_bytes()[..8].to_vec());
            let mut nodes = vec![Node([0; 32]); order.len()];
            for number in order {
                let index = geometry.index(number).unwrap();
                let start = geometry.offset(index) as usize;
                let block = &bytes[start..start + geometry.len(index)];
                nodes[number as usize] = node_of(geometry, index, block);
            }
            let plain = Checksum::Blake3(*blake3::hash(&bytes).as_bytes());
            prop_assert_eq!(merge(&nodes), Some(plain));
        }
    }

    #[test]
    fn no_nodes_are_no_checksum() {
        assert_eq!(merge(&[]), None);
    }

    #[test]
    fn a_checksum_reads_what_it_writes() {
        let mut pass = Pass::new(Algorithm::Sha256);
        pass.update(b"abc");
        let sum = pass.finish();
        assert_eq!(
            sum.to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(Checksum::parse(&sum.to_string()), Some(sum));
        assert_eq!(Checksum::parse("md5:00"), None);
        assert_eq!(Checksum::parse("blake3:00"), None);
    }
}
