//! What a block costs on its way: hashing, merging, framing.
//!
//!     cargo bench --bench blocks

use std::io::Cursor;

use divan::Bencher;
use divan::counter::BytesCount;
use haul::content::{Algorithm, BlockSize, Geometry, Node, Pass, merge, node_of};
use haul::offer::{EntryId, TransferId};
use haul::wire::Frames;
use haul::wire::message::Block;

const MIB: usize = 1 << 20;

fn main() {
    divan::main();
}

/// The node of one block of a large file.
#[divan::bench(args = [10 << 10, MIB])]
fn node(bencher: Bencher<'_, '_>, len: usize) {
    let bytes = vec![7; len];
    let block = BlockSize::new(MIB as u64).unwrap();
    let geometry = Geometry::new(MIB as u64 + len as u64, block).unwrap();
    let last = geometry.index(1).unwrap();
    bencher
        .counter(BytesCount::new(len))
        .bench(|| node_of(geometry, last, &bytes));
}

/// The nodes of 64 GiB, merged.
#[divan::bench]
fn merge_of_65536_nodes(bencher: Bencher<'_, '_>) {
    let nodes = vec![Node([7; 32]); 65_536];
    bencher.bench(|| merge(&nodes));
}

/// A second checksum, in order.
#[divan::bench(args = [Algorithm::Blake3, Algorithm::Sha256])]
fn ordered_pass(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let bytes = vec![7; MIB];
    bencher.counter(BytesCount::new(MIB)).bench(|| {
        let mut pass = Pass::new(algorithm);
        pass.update(&bytes);
        pass.finish()
    });
}

/// A block written to memory, header included.
#[divan::bench(args = [10 << 10, MIB])]
fn frame(bencher: Bencher<'_, '_>, len: usize) {
    let bytes = vec![7; len];
    let header = Block {
        transfer: TransferId([1; 16]),
        entry: EntryId(2),
        index: 3,
        node: Node([4; 32]),
        ticket: None,
        path: None,
        size: None,
    };
    let mut frames = Frames::new(Cursor::new(Vec::with_capacity(2 * len)));
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        frames.io().set_position(0);
        frames.send_block(&header, &bytes).unwrap();
        frames.flush().unwrap();
    });
}
