//! Uploads of what is on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::client::Upload;
use crate::fault::Fault;
use crate::path::RemotePath;
use crate::store::{Error, Tree};

/// Makes uploads of local files and trees, one after the other.
///
/// A directory is held open as long as a file of it is on its way; files of one
/// directory that follow each other share it.
#[derive(Debug, Default)]
pub struct LocalFiles {
    last: Option<(PathBuf, Arc<Tree>)>,
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
            _ => Arc::new(Tree::open(&holder, Fault::default())?),
        };
        self.last = Some((holder, Arc::clone(&tree)));
        Ok((tree, name))
    }
}
