//! What the store costs for a file: staged, written, committed, and read again.
//!
//!     cargo bench --bench store
//!
//! Files are on memory where there is any as a file system, so that the calls are measured
//! and not a disk; what a flush costs is in the row `durable` of the bench `peers`.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use haul::content::{BlockIndex, Geometry, merge, node_of, verify};
use haul::entry::{Entry, Kind, Mode, Mtime};
use haul::fault::Fault;
use haul::offer::{Offering, Terms};
use haul::path::RemotePath;
use haul::store::{Claim, Durability, LocalStore, ReadAt, Source, Staged, Store, Tree};
use tempfile::TempDir;

const SMALL: usize = 10 << 10;
const MIB: usize = 1 << 20;

fn main() {
    divan::main();
}

/// So many small files, from the offer to the receipt.
#[divan::bench(args = [1, 16, 256], sample_count = 30, sample_size = 1)]
fn small_files_stored(bencher: Bencher<'_, '_>, files: usize) {
    let dir = room();
    let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default()).unwrap();
    let bytes = vec![7; SMALL];
    // Names that were not there before; one directory for each offer, as in a tree.
    let offer = AtomicU64::new(0);
    bencher
        .counter(ItemsCount::new(files))
        .with_inputs(|| {
            let above = offer.fetch_add(1, Ordering::Relaxed);
            let name = |n| format!("{above}/{n}");
            (0..files).map(|n| file(&name(n), SMALL)).collect()
        })
        .bench_refs(|batch: &mut Vec<Offering>| put(&store, batch, &bytes));
}

/// One file of several blocks.
#[divan::bench(args = [4, 64], sample_count = 20, sample_size = 1)]
fn large_file_stored(bencher: Bencher<'_, '_>, blocks: usize) {
    let dir = room();
    let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default()).unwrap();
    let bytes = vec![7; MIB];
    let offer = AtomicU64::new(0);
    bencher
        .counter(BytesCount::new(blocks * MIB))
        .with_inputs(|| {
            let name = offer.fetch_add(1, Ordering::Relaxed).to_string();
            vec![file(&name, blocks * MIB)]
        })
        .bench_refs(|batch: &mut Vec<Offering>| put(&store, batch, &bytes));
}

/// So many small files, as a sender reads them: listed, opened, read and hashed.
#[divan::bench(args = [256], sample_count = 30)]
fn small_files_read(bencher: Bencher<'_, '_>, files: usize) {
    let dir = room();
    let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default()).unwrap();
    let batch: Vec<Offering> = (0..files).map(|n| file(&format!("d/{n}"), SMALL)).collect();
    put(&store, &batch, &vec![7; SMALL]);
    let tree = Tree::open(dir.path(), Fault::default()).unwrap();
    let mut bytes = vec![0; SMALL];
    bencher.counter(ItemsCount::new(files)).bench_local(|| {
        for entry in tree.walk(None, None, None).unwrap() {
            let entry = entry.unwrap();
            let Some(geometry) = entry.geometry() else {
                continue;
            };
            let reader = tree.open(&entry.path, entry.version.as_ref()).unwrap();
            reader.read_at(&mut bytes, 0).unwrap();
            black_box(node_of(geometry, index(geometry, 0), &bytes));
        }
    });
}

/// A directory on memory, if there is any.
fn room() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

fn file(name: &str, size: usize) -> Offering {
    Offering {
        entry: Entry {
            path: RemotePath::parse(name).unwrap(),
            kind: Kind::file(size as u64).unwrap(),
            mode: Mode::masked(0o644),
            mtime: Mtime::new(1_700_000_000, 0).unwrap(),
            version: None,
            checksum: None,
        },
        base: 0,
    }
}

/// Stores a batch; each of its blocks is `bytes`.
fn put(store: &LocalStore, batch: &[Offering], bytes: &[u8]) {
    let staged = store.stage(batch, Terms::default());
    let claims = staged.into_iter().map(|staged| {
        let staged = staged.unwrap();
        let geometry = staged.entry().geometry().unwrap();
        let nodes = (0..geometry.blocks()).map(|number| {
            let index = index(geometry, number);
            let node = node_of(geometry, index, bytes);
            // As a receiver does: what is announced is not believed.
            let block = verify(geometry, index, node, bytes).unwrap();
            staged.put(block).unwrap();
            node
        });
        let nodes: Vec<_> = nodes.collect();
        let whole = merge(&nodes);
        (
            staged,
            Claim {
                whole,
                second: None,
            },
        )
    });
    for published in store.commit(claims.collect()) {
        published.unwrap();
    }
}

fn index(geometry: Geometry, number: u64) -> BlockIndex {
    geometry.index(number).unwrap()
}
