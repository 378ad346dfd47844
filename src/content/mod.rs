//! What a file's bytes are: blocks, their nodes, and the checksum of the whole.
//!
//! A file is cut into aligned [blocks](block), and each block's checksum is a
//! [node](checksum::Node): the chaining value of that subtree of the file's
//! BLAKE3 tree. So blocks are hashed once, verified alone, in any order and over
//! any connection, and the merge of their nodes is the very checksum that `b3sum`
//! prints for the whole file.

pub mod block;
pub mod checksum;
pub mod side_by_side;
pub mod verify;

pub use block::{BlockIndex, BlockSize, Geometry, GeometryError};
pub use checksum::{Algorithm, Checksum, Node, Pass, merge};
pub use side_by_side::{Hands, side_by_side};
pub use verify::{Mismatch, Verified, node_of, observe, verify};
