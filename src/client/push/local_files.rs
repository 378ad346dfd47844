//! Uploads of what is on this machine.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::client::Upload;
use crate::fault::Fault;
use crate::path::RemotePath;
use crate::store::{Error, Tree};

/// Directories that are held at once: more are opened each time that they are used.
const HELD_MAX: usize = 64;

/// Makes uploads of local files and trees, one after the other.
///
/// A directory is held open as long as a file of it is on its way, if not too many are;
/// files of one directory that follow each other share it.
#[derive(Debug, Default)]
pub struct LocalFiles {
    last: Option<(PathBuf, Arc<Tree>)>,
    held: Vec<Weak<Tree>>,
}

impl LocalFiles {
    /// The file or tree at a local path; links in the path are followed.
    ///
    /// What is wrong with the path is told when the job comes to it.
    pub fn upload(&mut self, path: &Path, to: Option<RemotePath>) -> Upload<Tree> {
        Upload {
            from: self.find(path),
            to,
        }
    }

    fn find(&mut self, path: &Path) -> Result<(Arc<Tree>, Option<RemotePath>), Error> {
        let (holder, name) = Tree::locate(path)?;
        let tree = match &self.last {
            Some((known, tree)) if *known == holder => Arc::clone(tree),
            _ => self.hold(&holder)?,
        };
        self.last = Some((holder, Arc::clone(&tree)));
        Ok((tree, name))
    }

    fn hold(&mut self, holder: &Path) -> Result<Arc<Tree>, Error> {
        self.held.retain(|tree| tree.strong_count() > 0);
        if self.held.len() >= HELD_MAX {
            return Ok(Arc::new(Tree::name(holder, Fault::default())?));
        }
        let tree = Arc::new(Tree::open(holder, Fault::default())?);
        self.held.push(Arc::downgrade(&tree));
        Ok(tree)
    }
}
