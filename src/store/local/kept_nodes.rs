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
//! published last with these bytes. They go with that file where haul replaces or removes it;
//! what went otherwise leaves some that nobody asks for any more, and they are swept. All of it
//! is a help and no promise: what cannot be kept is not, of what was moved with the directory
//! around it only the whole is known, and a sweep in the instant between nodes and the name of
//! their file, which comes after them, takes them for lost.
//!
//! Nodes are not kept where they bring little or cost much: of a file up to [`FILE_LEAST`], and
//! of one in blocks below [`BLOCK_LEAST`], which only a client of another kind sends. So they
//! take a two-thousandth of the file and one file of the disk's smallest size for each MiB at
//! most, whoever sends. Nor are they kept where that would touch what is to stay free.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::Shared;
use super::checksum_record::Record;
use super::room::{Promise, Space};
use super::staging::LocalStaged;
use super::staging_area::{Keeper, failed, find_ours, make, open_ours};
use super::sys::DIRECTORY;
use super::tree::{Held, file_type, is_gone, size_of};
use crate::content::block::BLOCKS_MAX;
use crate::content::{BlockSize, Checksum, Geometry, Node, merge};
use crate::path::{PATH_MAX, RESERVED, RemotePath};
use crate::store::error::{Action, Error};
use crate::store::{KeptNodes, Staged};

/// The directory of kept nodes, in haul's own.
pub(super) const NODES: &str = "nodes";

/// Files that are no larger have no nodes kept: a file of nodes takes a block of the disk and an
/// inode, however little is in it.
const FILE_LEAST: u64 = 1 << 20;

/// The smallest blocks whose nodes are kept: a node is a two-thousandth of these.
const BLOCK_LEAST: u64 = 64 << 10;

const MAGIC: &[u8; 8] = b"haulnode";

/// Bytes before the first node.
const HEAD: usize = 24;

/// Bytes of a node.
const EACH: usize = 32;

/// The nodes that are kept in one store.
#[derive(Debug)]
pub(super) struct NodeFiles {
    top: Arc<Held>,
    /// Held while a file of nodes is looked at to be removed or renamed, and while one gets its
    /// name: between the two it could have become another's.
    alone: Mutex<()>,
}

/// An open file of nodes.
struct Found {
    file: OwnedFd,
    block: BlockSize,
    count: usize,
    /// How long the path is.
    path: usize,
}

/// What is wrong with a file of nodes.
enum Unusable {
    /// It could not be looked at now.
    Passing,
    /// It is none, or none that anybody can use.
    Lasting,
}

fn are_worth_it(cut: Geometry) -> bool {
    cut.size() > FILE_LEAST && cut.block().bytes() >= BLOCK_LEAST && !cut.is_single()
}

impl LocalStaged {
    /// Keeps the nodes of what is published at `path`, if that is possible, and returns what
    /// they are kept as. A directory that is downloaded into is nobody's to verify.
    pub(super) fn keep_nodes(&self, path: &RemotePath) -> Option<Checksum> {
        let is_put = matches!(self.shared.keeper, Keeper::Server);
        let cut = self.geometry().filter(|cut| is_put && are_worth_it(*cut))?;
        let nodes: Option<Vec<Node>> = self.held().into_iter().collect();
        let path = self.shared.known_as(path)?;
        let (checksum, bytes) = encoded(&path, cut.block(), &nodes?)?;
        // What cannot be kept is not.
        self.keep(checksum, &bytes).ok().map(|()| checksum)
    }

    /// They are written among what is staged and get their name when they are whole: what a
    /// crash leaves there goes with the rest of it, and whoever reads meanwhile has the others.
    fn keep(&self, checksum: Checksum, bytes: &[u8]) -> Result<(), Error> {
        let (top, area) = (&self.shared.top, &self.area.directory);
        let unkept = |errno| failed(top, Action::Write, errno);
        let _promise = self.room_for(bytes.len()).map_err(unkept)?;
        let name = format!("{:x}", self.area.next_name());
        let sys = &top.sys;
        let file = sys.create(area, &name).map_err(unkept)?;
        let written = sys.write_at(&file, bytes, 0).map_err(unkept);
        let published = written.and_then(|()| {
            let nodes = &self.shared.nodes;
            let _alone = nodes.alone.lock().unwrap_or_else(PoisonError::into_inner);
            let directory = nodes.open_or_make()?;
            let renamed = sys.publish_over((area, &name), (&directory, &checksum.to_hex()));
            renamed.map_err(unkept)
        });
        if published.is_err() {
            let _ = sys.unlink(area, name.as_str());
        }
        published
    }

    /// Room for so many bytes beside what is to stay free and what others were promised.
    fn room_for(&self, bytes: usize) -> Result<Promise, Errno> {
        let look = || {
            let space = self.shared.top.sys.space(&self.area.directory)?;
            Ok(Space::of(&space))
        };
        let promised = self.shared.room.promise(&[bytes as u64], look, |_| 0)?;
        let promised = promised.into_iter().next().and_then(Result::ok);
        promised.ok_or(Errno::NOSPC)
    }
}

impl Shared {
    /// What nodes may be kept under of a file that is about to lose its name.
    pub(super) fn nodes_of(
        &self,
        (directory, name): (&OwnedFd, &str),
        stat: &Stat,
    ) -> Option<Checksum> {
        let is_put = matches!(self.keeper, Keeper::Server);
        if !is_put || file_type(stat) != FileType::RegularFile || size_of(stat) <= FILE_LEAST {
            return None;
        }
        let sys = &self.tree.sys;
        let file = sys.open_in(directory, name, OFlags::RDONLY | OFlags::NONBLOCK);
        Record::of(sys, &file.ok()?).map(|record| record.checksum)
    }

    /// The file at `from`, which has these nodes, is at `to` now.
    pub(super) fn follow_nodes(&self, checksum: Checksum, from: &RemotePath, to: &RemotePath) {
        if let (Some(from), Some(to)) = (self.known_as(from), self.known_as(to)) {
            self.nodes.follow(checksum, &from, &to);
        }
    }

    fn known_as(&self, path: &RemotePath) -> Option<RemotePath> {
        RemotePath::beneath(self.under.as_ref(), path.as_str()).ok()
    }
}

/// The checksum of these nodes, and a file of them.
fn encoded(path: &RemotePath, block: BlockSize, nodes: &[Node]) -> Option<(Checksum, Vec<u8>)> {
    let checksum = merge(nodes).filter(|_| nodes.len() as u64 <= BLOCKS_MAX)?;
    let mut bytes = Vec::with_capacity(HEAD + nodes.len() * EACH + path.as_str().len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&block.bytes().to_le_bytes());
    bytes.extend_from_slice(&(nodes.len() as u64).to_le_bytes());
    for node in nodes {
        bytes.extend_from_slice(&node.0);
    }
    bytes.extend_from_slice(path.as_str().as_bytes());
    Some((checksum, bytes))
}

impl NodeFiles {
    /// Those in the store with this top.
    pub(super) fn of(top: Arc<Held>) -> Self {
        let alone = Mutex::default();
        Self { top, alone }
    }

    /// The nodes whose merge is `checksum`, if they are kept.
    pub(super) fn find(&self, checksum: Checksum) -> Option<KeptNodes> {
        let directory = self.open()?;
        let found = self.look(&directory, &checksum.to_hex(), OFlags::RDONLY);
        let found = found.ok()?;
        let mut bytes = vec![0; found.count * EACH];
        let read = self.top.sys.read_at(&found.file, &mut bytes, HEAD as u64);
        let read = read.ok()?;
        let (nodes, _) = bytes.as_chunks();
        let nodes: Vec<Node> = nodes.iter().map(|node| Node(*node)).collect();
        let is_it = read == bytes.len() && merge(&nodes) == Some(checksum);
        is_it.then_some(KeptNodes {
            block: found.block,
            nodes,
        })
    }

    /// A file with this checksum has another name now.
    pub(super) fn follow(&self, checksum: Checksum, from: &RemotePath, to: &RemotePath) {
        let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = self.of_file(checksum, from) else {
            return;
        };
        // Cut off between the two, it has a name that nothing has, and is swept.
        let (sys, name) = (&self.top.sys, to.as_str().as_bytes());
        let written = sys.write_at(&found.file, name, found.path_at());
        if written.is_ok() {
            let len = found.path_at() + name.len() as u64;
            let _ = sys.resize(&found.file, len);
        }
    }

    /// A file with this checksum is not there any more: those of it go, unless they are of
    /// another with the same bytes.
    pub(super) fn reconsider(&self, checksum: Checksum) {
        let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let name = checksum.to_hex();
        if let Some(directory) = self.open()
            && self.is_lost(&directory, &name)
        {
            let _ = self.top.sys.unlink(&directory, name);
        }
    }

    /// The nodes with this checksum, if they are of the file at `path`.
    fn of_file(&self, checksum: Checksum, path: &RemotePath) -> Option<Found> {
        let directory = self.open()?;
        let found = self.look(&directory, &checksum.to_hex(), OFlags::RDWR);
        let found = found.ok()?;
        let is_it = matches!(self.path(&found), Ok(of) if of == *path);
        is_it.then_some(found)
    }

    /// Removes those whose file is not there any more, or not the same, for as long as it
    /// `goes_on`. There may be as many as there are files.
    pub(super) fn sweep(&self, goes_on: impl Fn() -> bool) {
        let Some(directory) = self.open() else {
            return;
        };
        let items = self.top.sys.read_dir(&directory);
        for item in items.into_iter().flatten().flatten() {
            if !goes_on() {
                return;
            }
            let name = item.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
            let is_lost = match name.to_str() {
                Ok(name) => self.is_lost(&directory, name),
                Err(_) => true,
            };
            if is_lost {
                let _ = self.top.sys.unlink(&directory, name);
            }
        }
        let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        // Both stay where something is in them.
        if let Ok(ours) = self.top.sys.open_in(&self.top.root, RESERVED, DIRECTORY) {
            let _ = self.top.sys.remove_dir(&ours, NODES);
            let _ = self.top.sys.remove_dir(&self.top.root, RESERVED);
        }
    }

    /// Whether it is known that nobody will ask for these. What cannot be looked at now, as
    /// there are too many files open or the disk gives an error, may be wanted.
    fn is_lost(&self, directory: &OwnedFd, name: &str) -> bool {
        let found = self.look(directory, name, OFlags::RDONLY);
        let path = match found.and_then(|found| self.path(&found)) {
            Ok(path) => path,
            Err(Unusable::Lasting) => return true,
            Err(Unusable::Passing) => return false,
        };
        match self.top.open_file(&path) {
            Ok((file, _)) => match Record::read(&self.top.sys, &file) {
                Ok(record) => record.is_none_or(|record| record.checksum.to_hex() != name),
                Err(_) => false,
            },
            Err(error) => matches!(
                error,
                Error::NotFound(_) | Error::NotAFile(_) | Error::Link(_)
            ),
        }
    }

    /// Opens a file of nodes whose length is what its head says.
    fn look(&self, directory: &OwnedFd, name: &str, flags: OFlags) -> Result<Found, Unusable> {
        let sys = &self.top.sys;
        let file = sys.open_in(directory, name, flags | OFlags::NONBLOCK)?;
        let len = size_of(&sys.stat(&file)?);
        let mut head = [0; HEAD];
        let read = sys.read_at(&file, &mut head, 0)?;
        let (numbers, _) = head[MAGIC.len()..].as_chunks();
        let [block, count] = [numbers[0], numbers[1]].map(u64::from_le_bytes);
        if read != HEAD || head[..MAGIC.len()] != *MAGIC || count > BLOCKS_MAX {
            return Err(Unusable::Lasting);
        }
        // It fits, as there are so few.
        let count = count as usize;
        let path = len.checked_sub((HEAD + count * EACH) as u64);
        let path = path.filter(|len| *len <= PATH_MAX as u64);
        Ok(Found {
            file,
            block: BlockSize::new(block).map_err(|_| Unusable::Lasting)?,
            count,
            path: path.ok_or(Unusable::Lasting)? as usize,
        })
    }

    /// Of which file they are.
    fn path(&self, found: &Found) -> Result<RemotePath, Unusable> {
        let mut bytes = vec![0; found.path];
        let sys = &self.top.sys;
        let read = sys.read_at(&found.file, &mut bytes, found.path_at())?;
        let path = String::from_utf8(bytes).ok().filter(|_| read == found.path);
        let path = path.and_then(|path| RemotePath::parse(&path).ok());
        path.ok_or(Unusable::Lasting)
    }

    fn open(&self) -> Option<OwnedFd> {
        let ours = find_ours(&self.top)?;
        self.top.sys.open_in(&ours, NODES, DIRECTORY).ok()
    }

    fn open_or_make(&self) -> Result<OwnedFd, Error> {
        let ours = open_ours(&self.top)?;
        make(&self.top, &ours, NODES)?;
        let opened = self.top.sys.open_in(&ours, NODES, DIRECTORY);
        opened.map_err(|errno| failed(&self.top, Action::Open, errno))
    }
}

impl Found {
    fn path_at(&self) -> u64 {
        (HEAD + self.count * EACH) as u64
    }
}

impl From<Errno> for Unusable {
    fn from(errno: Errno) -> Self {
        if is_gone(errno) {
            Self::Lasting
        } else {
            Self::Passing
        }
    }
}
