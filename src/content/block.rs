//! Block geometry: how a file of so many bytes is cut.

use std::ops::Range;

/// Least block size: one BLAKE3 chunk, below which there is no subtree.
pub const BLOCK_MIN: u64 = 1 << 10;
/// Greatest block size: what a receiver has to hold in memory at once.
pub const BLOCK_MAX: u64 = 1 << 24;
/// Block size for files up to 64 GiB.
pub const BLOCK_DEFAULT: u64 = 1 << 20;
/// Most blocks of a file whose block size could still be doubled.
///
/// It bounds what a receiver remembers of one file: 65,536 nodes are 2 MiB.
pub const BLOCKS_MAX: u64 = 1 << 16;
/// Most bytes of a file: `off_t` is signed.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// A power of two between [`BLOCK_MIN`] and [`BLOCK_MAX`], in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockSize(u32);

/// Why a size and a block size do not make a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// Not a power of two, or out of range.
    #[error("a block size of {0} is no power of two between 1 KiB and 16 MiB")]
    BadBlockSize(u64),
    /// More blocks than a receiver remembers.
    #[error("{blocks} blocks are more than {BLOCKS_MAX}; use larger blocks")]
    TooManyBlocks {
        /// How many there would be.
        blocks: u64,
    },
    /// More bytes than a file can have.
    #[error("{0} bytes are more than a file can have")]
    TooLarge(u64),
}

impl BlockSize {
    /// Checks a block size in bytes.
    ///
    /// # Errors
    ///
    /// [`GeometryError::BadBlockSize`].
    pub fn new(bytes: u64) -> Result<Self, GeometryError> {
        if bytes.is_power_of_two() && (BLOCK_MIN..=BLOCK_MAX).contains(&bytes) {
            Ok(Self(bytes as u32))
        } else {
            Err(GeometryError::BadBlockSize(bytes))
        }
    }

    /// The block size that haul chooses for a file of `size` bytes: 1 MiB, and
    /// from 64 GiB on what keeps the file within [`BLOCKS_MAX`] blocks, at most 16 MiB.
    #[must_use]
    pub fn for_size(size: u64) -> Self {
        let wanted = size.div_ceil(BLOCKS_MAX).max(BLOCK_DEFAULT);
        let bytes = wanted.checked_next_power_of_two().unwrap_or(BLOCK_MAX);
        Self(bytes.min(BLOCK_MAX) as u32)
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        u64::from(self.0)
    }
}

/// The number of a block in its file, from 0. Only [`Geometry::index`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockIndex(u64);

impl BlockIndex {
    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A file's size and the blocks that it is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    size: u64,
    block: BlockSize,
}

impl Geometry {
    /// Checks that a receiver can remember a file of `size` bytes in such blocks.
    ///
    /// # Errors
    ///
    /// [`GeometryError::TooLarge`] or [`GeometryError::TooManyBlocks`].
    pub fn new(size: u64, block: BlockSize) -> Result<Self, GeometryError> {
        let blocks = size.div_ceil(block.bytes());
        if size > SIZE_MAX {
            Err(GeometryError::TooLarge(size))
        } else if blocks > BLOCKS_MAX && block.bytes() < BLOCK_MAX {
            Err(GeometryError::TooManyBlocks { blocks })
        } else {
            Ok(Self { size, block })
        }
    }

    /// Bytes in the file.
    #[must_use]
    pub fn size(self) -> u64 {
        self.size
    }

    /// The size of every block but the last.
    #[must_use]
    pub fn block(self) -> BlockSize {
        self.block
    }

    /// How many blocks there are: at least one, since an empty file is one empty block.
    #[must_use]
    pub fn blocks(self) -> u64 {
        self.size.div_ceil(self.block.bytes()).max(1)
    }

    /// Whether the file is one block, whose node is the plain hash.
    #[must_use]
    pub fn is_single(self) -> bool {
        self.blocks() == 1
    }

    /// The block with this number, if the file has it.
    #[must_use]
    pub fn index(self, number: u64) -> Option<BlockIndex> {
        (number < self.blocks()).then_some(BlockIndex(number))
    }

    /// Where a block begins, in bytes.
    #[must_use]
    pub fn offset(self, index: BlockIndex) -> u64 {
        index.0 * self.block.bytes()
    }

    /// How many bytes a block has.
    #[must_use]
    pub fn len(self, index: BlockIndex) -> usize {
        (self.size - self.offset(index)).min(self.block.bytes()) as usize
    }

    /// The aligned runs of blocks that are handed to connections, `segment` bytes
    /// each or one block where that is more.
    pub fn segments(self, segment: u64) -> impl Iterator<Item = Range<u64>> {
        let step = (segment / self.block.bytes()).max(1);
        let blocks = self.blocks();
        (0..blocks.div_ceil(step)).map(move |n| n * step..((n + 1) * step).min(blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const GIB: u64 = 1 << 30;

    #[test]
    fn block_sizes_are_powers_of_two_in_range() {
        for bytes in [0, 1, 512, 1025, 3 * KIB, 1 << 25, u64::MAX] {
            assert_eq!(
                BlockSize::new(bytes),
                Err(GeometryError::BadBlockSize(bytes))
            );
        }
        assert_eq!(BlockSize::new(KIB).unwrap().bytes(), KIB);
    }

    #[test]
    fn the_chosen_block_size_keeps_the_number_of_blocks_bounded() {
        let chosen = |size| BlockSize::for_size(size).bytes();
        assert_eq!(chosen(0), BLOCK_DEFAULT);
        assert_eq!(chosen(64 * GIB), BLOCK_DEFAULT);
        assert_eq!(chosen(64 * GIB + 1), 2 * BLOCK_DEFAULT);
        assert_eq!(chosen(u64::MAX), BLOCK_MAX);
        for size in [1, 65 * GIB, 1024 * GIB, SIZE_MAX] {
            assert!(Geometry::new(size, BlockSize::for_size(size)).is_ok());
        }
    }

    #[test]
    fn too_many_small_blocks_are_refused() {
        let block = BlockSize::new(KIB).unwrap();
        assert!(Geometry::new(BLOCKS_MAX * KIB, block).is_ok());
        let error = Geometry::new(BLOCKS_MAX * KIB + 1, block).unwrap_err();
        assert_eq!(error, GeometryError::TooManyBlocks { blocks: 65_537 });
        let error = Geometry::new(u64::MAX, block).unwrap_err();
        assert_eq!(error, GeometryError::TooLarge(u64::MAX));
    }

    #[test]
    fn the_last_block_is_what_is_left() {
        let block = BlockSize::new(KIB).unwrap();
        for (size, blocks, last) in [
            (0, 1, 0),
            (1, 1, 1),
            (KIB - 1, 1, 1023),
            (KIB, 1, 1024),
            (KIB + 1, 2, 1),
        ] {
            let geometry = Geometry::new(size, block).unwrap();
            assert_eq!(geometry.blocks(), blocks, "{size}");
            let index = geometry.index(blocks - 1).unwrap();
            assert_eq!(geometry.len(index), last, "{size}");
            assert_eq!(geometry.index(blocks), None);
        }
    }

    #[test]
    fn segments_cover_every_block_once() {
        let geometry = Geometry::new(10 * KIB + 1, BlockSize::new(KIB).unwrap()).unwrap();
        let cut: Vec<_> = geometry.segments(4 * KIB).collect();
        assert_eq!(cut, [0..4, 4..8, 8..11]);
        assert_eq!(geometry.segments(1).count(), 11);
    }
}
