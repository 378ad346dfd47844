//! Putting a good copy in place of a file that has decayed.
//!
//! That is a put like any other, of one file: what the server still has of it, it copies to
//! its staging, only what differs is sent, and what is published is what was proved. Two
//! things are special. The copy must have the recorded checksum before anything is offered,
//! as a copy may have decayed, too. And what the server's file was called, when it was changed
//! and what its mode is stays as it was there: of the copy only the bytes are wanted.

use std::iter::{Once, once};
use std::path::Path;

use super::{Client, Error, JobOptions, Monitor, Summary, Upload};
use crate::content::{Checksum, merge};
use crate::entry::{Cursor, Entry, Kind, Version};
use crate::fault::Fault;
use crate::offer::{Compare, OnExisting};
use crate::path::RemotePath;
use crate::store::{self, Source, Tree};
use crate::transfer::send::nodes_of;

/// A good copy, that looks like the file which it is to take the place of.
struct GoodCopy {
    tree: Tree,
    entry: Entry,
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
        let copy = GoodCopy::find(good, decayed)?.ok_or_else(not_good)?;
        let Some(replaced) = decayed.version else {
            return Err(not_good());
        };
        if copy.checksum()? != Some(recorded) {
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
    /// What is at a local path, if it may be a copy at all.
    fn find(path: &Path, of: &Entry) -> Result<Option<Self>, store::Error> {
        let (holder, name) = Tree::locate(path)?;
        let tree = Tree::open(&holder, Fault::default())?;
        let Some(name) = name else {
            return Ok(None);
        };
        let mut found = tree.walk(Some(&name), Some(0), None)?;
        let found = found.next().transpose()?;
        let is_file = |found: &Entry| matches!(found.kind, Kind::File(_));
        let found = found.filter(|found| is_file(found) && found.size() == of.size());
        Ok(found.map(|found| Self {
            tree,
            entry: Entry {
                path: found.path,
                version: found.version,
                ..of.clone()
            },
        }))
    }

    /// What its version's bytes are.
    fn checksum(&self) -> Result<Option<Checksum>, store::Error> {
        let Some(geometry) = self.entry.geometry() else {
            return Ok(None);
        };
        let reader = self
            .tree
            .open(&self.entry.path, self.entry.version.as_ref())?;
        Ok(merge(&nodes_of(&reader, geometry)?))
    }
}

impl Source for GoodCopy {
    type Reader = <Tree as Source>::Reader;
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
        self.tree.open(path, expect)
    }
}
