//! Putting a good copy in place of a file that has decayed.
//!
//! That is a put like any other, of one file: what the server still has of it, it copies to
//! its staging, only what differs is sent, and what is published is what was proved. Two
//! things are special. The copy must have the recorded checksum before anything is offered,
//! as a copy may have decayed, too. And what the server's file was called, when it was changed
//! and what its mode is stays as it was there: of the copy only the bytes are wanted.

use std::iter::{Once, once};
use std::path::Path;
use std::sync::Arc;

use super::{Client, Error, JobOptions, Monitor, Summary, Upload};
use crate::content::{BlockIndex, Checksum, Geometry, Node, merge, node_of};
use crate::entry::{Cursor, Entry, Kind, Version};
use crate::fault::Fault;
use crate::offer::{Compare, OnExisting};
use crate::path::RemotePath;
use crate::store::{self, ReadAt, Source, Tree};
use crate::transfer::send::nodes_of;

/// A good copy, that looks like the file which it is to take the place of.
struct GoodCopy {
    tree: Tree,
    entry: Entry,
    /// What each of its blocks was when it was found to be good.
    nodes: Arc<[Node]>,
}

/// The copy as it is sent. Its version says that nobody has written to it since it was found to
/// be good; that a disk, or memory, gives the same bytes once more is looked at here.
struct Proved<R> {
    reader: R,
    path: RemotePath,
    geometry: Geometry,
    nodes: Arc<[Node]>,
}

impl Client {
    /// Puts the copy at the local path `good` in place of a file that has decayed, if it has
    /// the checksum that was recorded of that; as much as the server still has of it is not
    /// sent. `decayed` is as it was listed when it was [verified](Client::verify): a file that
    /// was changed since is left as it is.
    ///
    /// What failed once the copy was found to be good is in the summary.
    ///
    /// # Errors
    ///
    /// [`Error::NotGood`] where the copy has another checksum, [`Error::Store`] where it
    /// cannot be read; else what ended the job.
    pub fn repair(
        &self,
        decayed: &Entry,
        recorded: Checksum,
        good: &Path,
        monitor: &Monitor,
    ) -> Result<Summary, Error> {
        let not_good = || Error::NotGood(good.to_owned());
        let mut copy = GoodCopy::find(good, decayed)?.ok_or_else(not_good)?;
        let Some(replaced) = decayed.version else {
            return Err(not_good());
        };
        copy.nodes = copy.nodes_now()?.into();
        if merge(&copy.nodes) != Some(recorded) {
            return Err(not_good());
        }
        let options = JobOptions {
            on_existing: OnExisting::ReplaceVersion(replaced),
            // Its size and time are those of the file that has decayed.
            compare: Compare::Content,
            ..JobOptions::default()
        };
        let from = Some(copy.entry.path.clone());
        let upload = Upload {
            from: Ok((copy.into(), from)),
            to: Some(decayed.path.clone()),
        };
        self.put([upload], &options, monitor)
    }
}

impl GoodCopy {
    /// What is at a local path, if it may be a copy at all. What has decayed may have lost its
    /// end: how long it was, the copy's checksum proves.
    fn find(path: &Path, of: &Entry) -> Result<Option<Self>, store::Error> {
        let (holder, name) = Tree::locate(path)?;
        let tree = Tree::open(&holder, Fault::default())?;
        let Some(name) = name else {
            return Ok(None);
        };
        let mut found = tree.walk(Some(&name), Some(0), None)?;
        let found = found.next().transpose()?;
        let found = found.filter(|found| matches!(found.kind, Kind::File(_)));
        Ok(found.map(|found| Self {
            tree,
            entry: Entry {
                path: found.path,
                kind: found.kind,
                version: found.version,
                ..of.clone()
            },
            nodes: Arc::default(),
        }))
    }

    /// What the blocks of its version are.
    fn nodes_now(&self) -> Result<Vec<Node>, store::Error> {
        let Some(geometry) = self.entry.geometry() else {
            return Ok(Vec::new());
        };
        let reader = self
            .tree
            .open(&self.entry.path, self.entry.version.as_ref())?;
        nodes_of(&reader, geometry)
    }
}

impl<R: ReadAt> ReadAt for Proved<R> {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<(), store::Error> {
        self.reader.read_at(into, offset)?;
        let number = offset / self.geometry.block().bytes();
        let index = self.geometry.index(number);
        let is_block = |index: &BlockIndex| {
            self.geometry.offset(*index) == offset && self.geometry.len(*index) == into.len()
        };
        let node = index
            .filter(is_block)
            .map(|index| node_of(self.geometry, index, into));
        if node.is_some() && node.as_ref() == self.nodes.get(number as usize) {
            Ok(())
        } else {
            Err(store::Error::Changed(self.path.clone()))
        }
    }

    fn size(&self) -> u64 {
        self.reader.size()
    }

    fn check_version(&self) -> Result<(), store::Error> {
        self.reader.check_version()
    }
}

impl Source for GoodCopy {
    type Reader = Proved<<Tree as Source>::Reader>;
    type Walk = Once<Result<Entry, store::Error>>;

    fn walk(
        &self,
        _: Option<&RemotePath>,
        _: Option<u32>,
        _: Option<Cursor>,
    ) -> Result<Self::Walk, store::Error> {
        Ok(once(Ok(self.entry.clone())))
    }

    fn open(
        &self,
        path: &RemotePath,
        expect: Option<&Version>,
    ) -> Result<Self::Reader, store::Error> {
        let reader = self.tree.open(path, expect)?;
        let changed = || store::Error::Changed(path.clone());
        Ok(Proved {
            reader,
            path: path.clone(),
            geometry: self.entry.geometry().ok_or_else(changed)?,
            nodes: Arc::clone(&self.nodes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::BlockSize;

    /// A disk that gives these bytes.
    struct Disk(Vec<u8>);

    impl ReadAt for Disk {
        fn read_at(&self, into: &mut [u8], offset: u64) -> Result<(), store::Error> {
            let at = offset as usize;
            into.copy_from_slice(&self.0[at..at + into.len()]);
            Ok(())
        }

        fn size(&self) -> u64 {
            self.0.len() as u64
        }

        fn check_version(&self) -> Result<(), store::Error> {
            Ok(())
        }
    }

    #[test]
    fn bytes_that_are_others_when_they_are_read_again_are_not_sent() {
        let geometry = Geometry::new(2500, BlockSize::new(1024).unwrap()).unwrap();
        let good: Vec<u8> = (0..2500_u32).map(|n| n as u8).collect();
        let nodes = nodes_of(&Disk(good.clone()), geometry).unwrap();
        let mut rotten = good.clone();
        rotten[1500] ^= 1;
        for (bytes, is_good) in [(good, [true; 3]), (rotten, [true, false, true])] {
            let proved = Proved {
                reader: Disk(bytes),
                path: RemotePath::parse("x").unwrap(),
                geometry,
                nodes: nodes.as_slice().into(),
            };
            for (number, is_good) in (0..).zip(is_good) {
                let index = geometry.index(number).unwrap();
                let mut block = vec![0; geometry.len(index)];
                let read = proved.read_at(&mut block, geometry.offset(index));
                assert_eq!(read.is_ok(), is_good, "{number}");
            }
            // What is no block has no proof.
            assert!(proved.read_at(&mut [0; 5], 0).is_err());
        }
    }
}
