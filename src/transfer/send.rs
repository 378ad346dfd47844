//! From a source to the wire: read, hash, frame, while the block is in cache.

use std::ops::{ControlFlow, Range};
use std::sync::OnceLock;

use super::error::Error;
use super::heartbeat::{PULSE, say_working};
use super::link::Link;
use crate::content::{Algorithm, BlockIndex, Checksum, Geometry, Node, Pass};
use crate::content::{Hands, node_of, side_by_side};
use crate::offer::{EntryId, Ticket, TransferId};
use crate::path::RemotePath;
use crate::store::{self, ReadAt};
use crate::wire::message::Block;

/// Bytes that are read at once for a checksum in order.
const AT_ONCE: usize = 1 << 20;

/// One run of blocks of one file, to be sent in order.
#[derive(Debug)]
pub struct Run<'r, R> {
    /// The transfer that the blocks name.
    pub transfer: TransferId,
    /// The entry that the blocks name.
    pub entry: EntryId,
    /// The file, open for reading.
    pub reader: &'r R,
    /// How it is cut.
    pub geometry: Geometry,
    /// Which blocks.
    pub blocks: Range<u64>,
    /// What the file's first block on a connection carries.
    pub tag: Option<Tag<'r>>,
    /// The nodes of those that the receiver has, from the first of the run on: they need
    /// not be sent if they are the same.
    pub here: Vec<Option<Node>>,
    /// The nodes of the whole file, where it was hashed before in this very version: what the
    /// receiver has of it need not be read again.
    pub hashed: Option<&'r [Node]>,
}

/// What tells a receiver which staging a block belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'r> {
    /// The receiver's ticket.
    pub ticket: &'r Ticket,
    /// The file's final path.
    pub path: &'r RemotePath,
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It was sent.
    Sent,
    /// The receiver has it.
    Spared,
}

/// How a run ended, while the connection is well.
#[derive(Debug)]
pub enum Ended {
    /// All blocks were sent, and are of one version of the file.
    Whole,
    /// The receiver wants no more of it.
    Stopped,
    /// The source failed, or changed while it was read.
    SourceFailed(store::Error),
}

/// Sends a run of blocks, but for those that the receiver has.
///
/// `passed` hears of each block's node and length; `heard` is called when the other
/// side has said something, and says whether to go on. While there is nothing to send, the
/// other side is told every few seconds that it is being worked on.
///
/// The version is checked on the open descriptor after the last block, as it was when
/// that was opened, so that what was sent is of one version, or is known not to be.
///
/// # Errors
///
/// Whatever the connection failed with, or `heard` reports.
pub fn send<R: ReadAt>(
    link: &mut Link,
    run: &Run<'_, R>,
    buffer: &mut Vec<u8>,
    mut passed: impl FnMut(BlockIndex, Node, usize, Passage),
    mut heard: impl FnMut(&mut Link) -> Result<ControlFlow<()>, Error>,
) -> Result<Ended, Error> {
    let mut tag = run.tag;
    let compared = match compared(run) {
        Ok(compared) => compared,
        Err(error) => return Ok(Ended::SourceFailed(error)),
    };
    for number in run.blocks.clone() {
        let index = run
            .geometry
            .index(number)
            .ok_or(Error::Broken("a block beyond the file's end is wanted"))?;
        let len = run.geometry.len(index);
        let place = (number - run.blocks.start) as usize;
        let theirs = run.here.get(place);
        let is_theirs = |node: &Node| theirs.is_some_and(|theirs| *theirs == Some(*node));
        let known = match run.hashed {
            Some(nodes) => nodes.get(number as usize).copied(),
            None => compared.get(place).and_then(|node| node.get()).copied(),
        };
        let node = if let Some(known) = known.filter(|node| is_theirs(node)) {
            known
        } else {
            match read(run, index, buffer) {
                Ok(node) => node,
                Err(error) => return Ok(Ended::SourceFailed(error)),
            }
        };
        if is_theirs(&node) {
            passed(index, node, len, Passage::Spared);
            if link.silent_for() >= PULSE {
                say_working(link)?;
            }
        } else {
            let tag = tag.take();
            let header = Block {
                transfer: run.transfer,
                entry: run.entry,
                index: number,
                node,
                ticket: tag.map(|tag| tag.ticket.clone()),
                path: tag.map(|tag| tag.path.clone()),
                size: tag.map(|_| run.geometry.size()),
            };
            link.send_block(&header, &buffer[..len])?;
            passed(index, node, len, Passage::Sent);
        }
        while link.has_news()? {
            if heard(link)?.is_break() {
                return Ok(Ended::Stopped);
            }
        }
    }
    match run.reader.check_version() {
        Ok(()) => Ok(Ended::Whole),
        Err(error) => Ok(Ended::SourceFailed(error)),
    }
}

/// The nodes of those blocks of a run that the receiver has something of, read and hashed on all
/// processors: where nothing has to be sent, nothing else takes time.
fn compared<R: ReadAt>(run: &Run<'_, R>) -> Result<Vec<OnceLock<Node>>, store::Error> {
    if run.hashed.is_some() || run.here.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let nodes: Vec<OnceLock<Node>> = run.here.iter().map(|_| OnceLock::new()).collect();
    side_by_side(run.blocks.clone(), Hands::Many, |number, buffer| {
        let place = (number - run.blocks.start) as usize;
        let is_theirs = run.here.get(place).is_some_and(Option::is_some);
        if let (true, Some(index)) = (is_theirs, run.geometry.index(number)) {
            let node = read(run, index, buffer)?;
            nodes[place].get_or_init(|| node);
        }
        Ok(())
    })?;
    Ok(nodes)
}

/// Reads a block to the buffer's beginning, and hashes it.
fn read<R: ReadAt>(
    run: &Run<'_, R>,
    index: BlockIndex,
    buffer: &mut Vec<u8>,
) -> Result<Node, store::Error> {
    let bytes = room(buffer, run.geometry.len(index));
    run.reader.read_at(bytes, run.geometry.offset(index))?;
    Ok(node_of(run.geometry, index, bytes))
}

fn room(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

/// Reads a whole file for the nodes of its blocks, on all processors.
///
/// # Errors
///
/// What the source failed with, or that it changed meanwhile.
pub fn nodes_of<R: ReadAt>(reader: &R, geometry: Geometry) -> Result<Vec<Node>, store::Error> {
    let nodes = nodes_by(reader, geometry, (Hands::Many, Unreadable::Failure))?;
    Ok(nodes.into_iter().flatten().collect())
}

/// What becomes of a block that the disk does not give any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It has no node.
    Missing,
    /// The whole fails.
    Failure,
}

/// The same by so many hands, and with such blocks treated so.
///
/// # Errors
///
/// As [`nodes_of`].
pub fn nodes_by<R: ReadAt>(
    reader: &R,
    geometry: Geometry,
    (hands, unreadable): (Hands, Unreadable),
) -> Result<Vec<Option<Node>>, store::Error> {
    let blocks = geometry.blocks();
    let nodes: Vec<OnceLock<Node>> = (0..blocks).map(|_| OnceLock::new()).collect();
    side_by_side(0..blocks, hands, |number, buffer| {
        let Some(index) = geometry.index(number) else {
            return Ok(());
        };
        let bytes = room(buffer, geometry.len(index));
        match reader.read_at(bytes, geometry.offset(index)) {
            Ok(()) => {
                nodes[number as usize].get_or_init(|| node_of(geometry, index, bytes));
                Ok(())
            }
            Err(error) if unreadable == Unreadable::Missing && error.is_of_the_disk() => Ok(()),
            Err(error) => Err(error),
        }
    })?;
    reader.check_version()?;
    Ok(nodes.into_iter().map(OnceLock::into_inner).collect())
}

/// Reads a whole file in order for a checksum of its bytes.
///
/// # Errors
///
/// What the source failed with, or that it changed meanwhile.
pub fn in_order<R: ReadAt>(reader: &R, algorithm: Algorithm) -> Result<Checksum, store::Error> {
    let mut pass = Pass::new(algorithm);
    let mut buffer = vec![0; AT_ONCE];
    let mut offset = 0;
    while offset < reader.size() {
        let len = (reader.size() - offset).min(AT_ONCE as u64) as usize;
        reader.read_at(&mut buffer[..len], offset)?;
        pass.update(&buffer[..len]);
        offset += len as u64;
    }
    reader.check_version()?;
    Ok(pass.finish())
}
