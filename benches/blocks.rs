//! What a block costs on its way: hashing, merging, framing.
//!
//!     cargo bench --bench blocks

use std::hint::black_box;
use std::io::Cursor;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use haul::content::{Algorithm, BlockSize, Geometry, Node, Pass, merge, node_of};
use haul::entry::{Entry, Kind, Mode, Mtime};
use haul::offer::{Compare, EntryId, OnExisting, TransferId};
use haul::path::RemotePath;
use haul::wire::Frames;
use haul::wire::message::{Block, OFFER_MAX, Offer, Offered};

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
    let header = header();
    let mut frames = Frames::new(Cursor::new(Vec::with_capacity(2 * len)));
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        frames.io().set_position(0);
        frames.send_block(&header, &bytes).unwrap();
        frames.flush().unwrap();
    });
}

/// A block read from memory, header included.
#[divan::bench(args = [10 << 10, MIB])]
fn frame_read(bencher: Bencher<'_, '_>, len: usize) {
    let mut written = Frames::new(Cursor::new(Vec::new()));
    written.send_block(&header(), &vec![7; len]).unwrap();
    written.flush().unwrap();
    let mut frames = Frames::new(written.into_io());
    let mut body = vec![0; len];
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        frames.io().set_position(0);
        let prefix = frames.prefix().unwrap().unwrap();
        black_box(frames.message(prefix).unwrap());
        frames.body(&mut body).unwrap();
    });
}

/// An offer of as many files as one may have, written.
#[divan::bench]
fn offer(bencher: Bencher<'_, '_>) {
    let offer = full_offer();
    let mut frames = Frames::new(Cursor::new(Vec::new()));
    bencher.counter(ItemsCount::new(OFFER_MAX)).bench_local(|| {
        frames.io().set_position(0);
        frames.queue(&offer);
        frames.flush().unwrap();
    });
}

/// The same, read.
#[divan::bench]
fn offer_read(bencher: Bencher<'_, '_>) {
    let mut written = Frames::new(Cursor::new(Vec::new()));
    written.queue(&full_offer());
    written.flush().unwrap();
    let mut frames = Frames::new(written.into_io());
    bencher.counter(ItemsCount::new(OFFER_MAX)).bench_local(|| {
        frames.io().set_position(0);
        let prefix = frames.prefix().unwrap().unwrap();
        frames.message(prefix).unwrap()
    });
}

fn header() -> Block {
    Block {
        transfer: TransferId([1; 16]),
        entry: EntryId(2),
        index: 3,
        node: Node([4; 32]),
        ticket: None,
        path: None,
        size: None,
    }
}

fn full_offer() -> Offer {
    let entry = |n: u64| Offered {
        entry: EntryId(n),
        what: Entry {
            path: RemotePath::parse(&format!("photos/2025/{n:06}.jpg")).unwrap(),
            kind: Kind::file(10 << 10).unwrap(),
            mode: Mode::masked(0o644),
            mtime: Mtime::new(1_700_000_000, 123_456_789).unwrap(),
            version: None,
            checksum: None,
        },
        base: 0,
    };
    Offer {
        request: 1,
        transfer: TransferId([1; 16]),
        on: OnExisting::Refuse,
        dry: false,
        compare: Compare::Quick,
        entries: (0..OFFER_MAX as u64).map(entry).collect(),
    }
}
