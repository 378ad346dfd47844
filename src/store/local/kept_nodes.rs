//! The nodes of published files above one block, so that decay can be placed.
//!
//! A file's record has the checksum of the whole: it says that bytes have changed, not which.
//! So a server keeps the nodes, in `.haul/nodes`, each file's under its checksum:
//!
//! ```text
//! "haulnode"  block size  how many  nodes         path
//! 8 bytes     8           8         32 for each   to the end
//! ```
//!
//! Numbers are little-endian. The nodes need no other proof than their name, which is their
//! merge: what has decayed itself is not believed. The path is that of the file which was
//! published last with these bytes; once that has another checksum, or is gone, nobody asks
//! for them any more, and they are swept. All of it is a help and no promise: what cannot be
//! kept is not, and of what was moved with the directory around it only the whole is known.

use std::os::fd::OwnedFd;

use rustix::fs::OFlags;

use super::checksum_record::Record;
use super::staging::LocalStaged;
use super::staging_area::{Keeper, failed, is_private, make, names, open_ours};
use super::sys::DIRECTORY;
use super::tree::{Held, size_of};
use crate::content::block::BLOCKS_MAX;
use crate::content::{BlockSize, Checksum, Node, merge};
use crate::path::{PATH_MAX, RESERVED, RemotePath};
use crate::store::error::{Action, Error};
use crate::store::{Aside, KeptNodes, Staged};

/// The directory of kept nodes, in haul's own.
pub(super) const NODES: &str = "nodes";

const MAGIC: &[u8; 8] = b"haulnode";

/// Bytes before the first node.
const HEAD: usize = 24;

/// Bytes of a node.
const EACH: usize = 32;

/// An open file of nodes.
struct Found {
    file: OwnedFd,
    block: BlockSize,
    count: usize,
    /// How long the path is.
    path: usize,
}

impl Found {
    fn path_at(&self) -> u64 {
        (HEAD + self.count * EACH) as u64
    }

    fn path(&self, tree: &Held) -> Option<RemotePath> {
        let mut bytes = vec![0; self.path];
        let read = tree
            .sys
            .read_at(&self.file, &mut bytes, self.path_at())
            .ok()?;
        let path = String::from_utf8(bytes).ok().filter(|_| read == self.path);
        RemotePath::parse(&path?).ok()
    }
}

impl LocalStaged {
    /// Keeps the nodes of what was published, if that is possible. A directory that is
    /// downloaded into is nobody's to verify.
    pub(super) fn keep_nodes(&self, aside: Option<&Aside>) {
        let is_put = matches!(self.shared.keeper, Keeper::Server);
        let Some(geometry) = self.geometry().filter(|cut| is_put && !cut.is_single()) else {
            return;
        };
        let path = aside.map_or(&self.entry().path, |aside| &aside.stored);
        let path = RemotePath::beneath(self.shared.under.as_ref(), path.as_str());
        let nodes: Option<Vec<Node>> = self.held().into_iter().collect();
        if let (Ok(path), Some(nodes)) = (path, nodes) {
            keep(&self.shared.top, &path, geometry.block(), &nodes);
        }
    }
}

/// Keeps the nodes of the file at `path`, from the top of the store.
fn keep(top: &Held, path: &RemotePath, block: BlockSize, nodes: &[Node]) {
    let Some(checksum) = merge(nodes).filter(|_| nodes.len() as u64 <= BLOCKS_MAX) else {
        return;
    };
    let mut bytes = Vec::with_capacity(HEAD + nodes.len() * EACH + path.as_str().len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&block.bytes().to_le_bytes());
    bytes.extend_from_slice(&(nodes.len() as u64).to_le_bytes());
    for node in nodes {
        bytes.extend_from_slice(&node.0);
    }
    bytes.extend_from_slice(path.as_str().as_bytes());
    let Ok(directory) = open_or_make(top) else {
        return;
    };
    // Never written over: another thread may read what is there.
    let name = checksum.to_hex();
    let _ = top.sys.unlink(&directory, name.as_str());
    let written = top
        .sys
        .create(&directory, &name)
        .and_then(|file| top.sys.write_at(&file, &bytes, 0));
    if written.is_err() {
        let _ = top.sys.unlink(&directory, name.as_str());
    }
}

/// The nodes whose merge is `checksum`, if they are kept.
pub(super) fn find(top: &Held, checksum: Checksum) -> Option<KeptNodes> {
    let directory = open(top)?;
    let found = look(top, &directory, &checksum.to_hex(), OFlags::RDONLY)?;
    let mut bytes = vec![0; found.count * EACH];
    let read = top.sys.read_at(&found.file, &mut bytes, HEAD as u64).ok()?;
    let (nodes, _) = bytes.as_chunks();
    let nodes: Vec<Node> = nodes.iter().map(|node| Node(*node)).collect();
    let is_it = read == bytes.len() && merge(&nodes) == Some(checksum);
    is_it.then_some(KeptNodes {
        block: found.block,
        nodes,
    })
}

/// A file with this checksum has another name now.
pub(super) fn follow(top: &Held, checksum: Checksum, from: &RemotePath, to: &RemotePath) {
    let Some(directory) = open(top) else {
        return;
    };
    let found = look(top, &directory, &checksum.to_hex(), OFlags::RDWR);
    let Some(found) = found.filter(|found| found.path(top).as_ref() == Some(from)) else {
        return;
    };
    // Cut off between the two, it has a name that nothing has, and is swept.
    let name = to.as_str().as_bytes();
    let written = top.sys.write_at(&found.file, name, found.path_at());
    if written.is_ok() {
        let len = found.path_at() + name.len() as u64;
        let _ = top.sys.resize(&found.file, len);
    }
}

/// Removes those whose file is not there any more, or not the same.
pub(super) fn sweep(top: &Held) {
    let Some(directory) = open(top) else {
        return;
    };
    for name in names(top, &directory) {
        if !is_wanted(top, &directory, &name) {
            let _ = top.sys.unlink(&directory, &name);
        }
    }
    // Both stay where something is in them.
    if let Ok(ours) = top.sys.open_in(&top.root, RESERVED, DIRECTORY) {
        let _ = top.sys.remove_dir(&ours, NODES);
        let _ = top.sys.remove_dir(&top.root, RESERVED);
    }
}

fn is_wanted(top: &Held, directory: &OwnedFd, name: &str) -> bool {
    let path = look(top, directory, name, OFlags::RDONLY).and_then(|found| found.path(top));
    let file = path.and_then(|path| top.open_file(&path).ok());
    let record = file.and_then(|(file, _)| Record::of(&top.sys, &file));
    record.is_some_and(|record| record.checksum.to_hex() == name)
}

/// Opens a file of nodes whose length is what its head says.
fn look(top: &Held, directory: &OwnedFd, name: &str, flags: OFlags) -> Option<Found> {
    let file = top
        .sys
        .open_in(directory, name, flags | OFlags::NONBLOCK)
        .ok()?;
    let len = size_of(&top.sys.stat(&file).ok()?);
    let mut head = [0; HEAD];
    let read = top.sys.read_at(&file, &mut head, 0).ok()?;
    let (numbers, _) = head[MAGIC.len()..].as_chunks();
    let (block, count) = (
        u64::from_le_bytes(*numbers.first()?),
        u64::from_le_bytes(*numbers.get(1)?),
    );
    if read != HEAD || head[..MAGIC.len()] != *MAGIC || count > BLOCKS_MAX {
        return None;
    }
    let count = usize::try_from(count).ok()?;
    let path = len.checked_sub((HEAD + count * EACH) as u64)?;
    let path = usize::try_from(path).ok().filter(|len| *len <= PATH_MAX)?;
    Some(Found {
        file,
        block: BlockSize::new(block).ok()?,
        count,
        path,
    })
}

fn open(top: &Held) -> Option<OwnedFd> {
    let ours = top.sys.open_in(&top.root, RESERVED, DIRECTORY).ok()?;
    if !is_private(top, &ours).unwrap_or(false) {
        return None;
    }
    top.sys.open_in(&ours, NODES, DIRECTORY).ok()
}

fn open_or_make(top: &Held) -> Result<OwnedFd, Error> {
    let ours = open_ours(top)?;
    make(top, &ours, NODES)?;
    let opened = top.sys.open_in(&ours, NODES, DIRECTORY);
    opened.map_err(|errno| failed(top, Action::Open, errno))
}
