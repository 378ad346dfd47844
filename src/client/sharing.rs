//! How work is shared among the connections of a job.

use std::ops::Range;

use super::options::Options;
use crate::content::Geometry;

/// Least bytes in a segment, whatever a server wants: a file is cut into no more pieces of
/// work than that makes. So much is worth a connection: a new one sends little at first, and far
/// away it takes longer to become fast than to be opened.
const SEGMENT_MIN: u64 = 1 << 20;

/// Small files that are worth a connection: sixteen of 10 KiB take a new one four round trips.
/// Fewer would be more commits, and each may have to wait for a disk.
const FILES_EACH: usize = 16;

/// How many of the connections that there may be can be of use to things cut like this; what
/// has no content is not cut.
pub(super) fn connections(
    found: impl Iterator<Item = Option<Geometry>>,
    options: &Options,
) -> usize {
    let max = options.connections;
    let (mut segments, mut small) = (0, 0_usize);
    for cut in found {
        match cut {
            Some(cut) if !cut.is_single() => segments += cut.size().div_ceil(SEGMENT_MIN),
            Some(_) | None => small += 1,
        }
    }
    let segments = usize::try_from(segments).unwrap_or(max);
    let segments = segments.min(options.for_large.max(1));
    segments.saturating_add(small.div_ceil(FILES_EACH)).min(max)
}

/// How many of the small files that wait one connection offers at once, so that enough are left
/// for the others.
pub(super) fn share(waiting: usize, connections: usize, most: usize) -> usize {
    match connections {
        0 | 1 => most,
        several => (waiting / several).clamp(FILES_EACH, most),
    }
}

/// The segments of a large file of which something is there already, where the server wants them
/// to have so many bytes.
///
/// They are not cut any smaller: what differs is mostly little and close together, and a commit
/// that overtakes a block on another connection has it sent again.
pub(super) fn segments(file: Geometry, segment: u64) -> impl Iterator<Item = Range<u64>> {
    file.segments(segment.max(SEGMENT_MIN))
}

/// The runs of blocks that connections take of a large file of which nothing is there.
///
/// Connections are not equally fast, and in the end all wait for the slowest. So the last
/// segments, one for each connection, are cut small: who is fast takes more of them.
pub(super) fn pieces(
    file: Geometry,
    segment: u64,
    options: &Options,
) -> impl Iterator<Item = Range<u64>> {
    let least = (SEGMENT_MIN / file.block().bytes()).max(1);
    let shared = match options.connections.min(options.for_large) {
        0 | 1 => 0,
        several => several,
    };
    let whole = segments(file, segment).count().saturating_sub(shared);
    segments(file, segment)
        .enumerate()
        .flat_map(move |(number, Range { start, end })| {
            let step = if number < whole { end - start } else { least };
            let pieces = (end - start).div_ceil(step);
            (0..pieces).map(move |n| start + n * step..(start + (n + 1) * step).min(end))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::BlockSize;

    const MIB: u64 = 1 << 20;

    fn cut(size: u64, connections: usize, for_large: usize) -> Vec<Range<u64>> {
        let file = Geometry::new(size, BlockSize::for_size(size)).unwrap();
        let options = Options {
            connections,
            for_large,
            ..Options::default()
        };
        pieces(file, 4 * MIB, &options).collect()
    }

    #[test]
    fn each_megabyte_and_each_few_small_files_are_worth_a_connection() {
        let file = |size| Geometry::new(size, BlockSize::for_size(size)).ok();
        let worth = |sizes: &[u64], for_large| {
            let options = Options {
                connections: 16,
                for_large,
                ..Options::default()
            };
            connections(sizes.iter().map(|size| file(*size)), &options)
        };
        assert_eq!(worth(&[5 * MIB], 16), 5);
        assert_eq!(worth(&[MIB + 1], 16), 2);
        assert_eq!(worth(&[100 * MIB], 16), 16);
        assert_eq!(worth(&[100 * MIB, 7], 1), 2);
        assert_eq!(worth(&[7; 16], 16), 1);
        assert_eq!(worth(&[7; 17], 16), 2);
    }

    #[test]
    fn small_files_are_shared_evenly_and_not_one_by_one() {
        assert_eq!(share(512, 16, 256), 32);
        assert_eq!(share(3, 4, 256), 16);
        assert_eq!(share(3, 1, 256), 256);
    }

    #[test]
    fn the_last_segments_are_cut_small_where_several_share_a_file() {
        let expected = [0..4, 4..8, 8..9, 9..10, 10..11, 11..12, 12..13, 13..14];
        assert_eq!(cut(13 * MIB + 1, 2, 8), expected);
        assert_eq!(cut(2 * MIB, 16, 16), [0..1, 1..2]);
    }

    #[test]
    fn who_has_a_file_alone_takes_it_in_segments() {
        assert_eq!(cut(9 * MIB, 4, 1), [0..4, 4..8, 8..9]);
        assert_eq!(cut(9 * MIB, 1, 8), [0..4, 4..8, 8..9]);
    }

    #[test]
    fn a_block_is_not_cut() {
        let gib = 1 << 30;
        let all = cut(200 * gib, 2, 2);
        assert!(all.iter().all(|piece| piece.end - piece.start == 1));
        assert_eq!(all.len(), 50 * 1024);
    }
}
