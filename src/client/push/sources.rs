//! Finding what there is to put.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Sender;
use rustix::io::Errno;

use super::outgoing_file::{Item, Work};
use crate::client::Upload;
use crate::client::job::{Job, Subject, connections};
use crate::code::Code;
use crate::entry::{Entry, Kind};
use crate::fault::Fault;
use crate::path::{PathError, RemotePath};
use crate::store::{Action, Error, Source, Tree};

/// Files that are looked at before it is decided how many connections they are worth.
pub(super) const FIRST_LOOK: usize = 256;

/// What is found, in the order of the uploads.
pub(super) struct Search<I: Iterator> {
    uploads: Peekable<I>,
}

/// The first files that were found.
pub(super) struct FirstLook<S> {
    found: Vec<Found<S>>,
    more: bool,
}

enum Found<S> {
    File(Item<S>),
    Unusable(Subject, Code, String),
}

impl<S: Source, I: Iterator<Item = Upload<S>>> Search<I> {
    pub(super) fn new(uploads: I) -> Self {
        Self {
            uploads: uploads.peekable(),
        }
    }

    /// Looks at the first `most` uploads.
    pub(super) fn look(&mut self, most: usize) -> FirstLook<S> {
        let found = self.uploads.by_ref().take(most).map(look_at).collect();
        let more = self.uploads.peek().is_some();
        FirstLook { found, more }
    }

    /// Feeds the workers what is left.
    pub(super) fn tell_rest(self, job: &Job<'_, Work<S>>, feed: &Sender<Item<S>>) {
        for upload in self.uploads {
            tell(look_at(upload), job, feed);
        }
    }
}

impl<S: Source> FirstLook<S> {
    /// How many of at most `max` connections this work can use.
    pub(super) fn connections(&self, max: usize) -> usize {
        if self.more {
            return max;
        }
        let cuts = self.found.iter().filter_map(|found| match found {
            Found::File(item) => item.entry.geometry(),
            Found::Unusable(..) => None,
        });
        connections(cuts, max)
    }

    /// Feeds the workers what was found.
    pub(super) fn tell(self, job: &Job<'_, Work<S>>, feed: &Sender<Item<S>>) {
        for found in self.found {
            tell(found, job, feed);
        }
    }
}

fn tell<S: Source>(found: Found<S>, job: &Job<'_, Work<S>>, feed: &Sender<Item<S>>) {
    match found {
        Found::File(item) => {
            job.found(item.entry.size());
            // Without workers the job has ended with an error of theirs.
            let _ = feed.send(item);
        }
        Found::Unusable(subject, code, text) => {
            job.found(0);
            job.fail(&subject, code, text);
        }
    }
}

fn look_at<S: Source>(upload: Upload<S>) -> Found<S> {
    let subject = Subject {
        path: upload.to.clone(),
        size: 0,
    };
    let found = upload.from.and_then(|(source, from)| {
        let entry = source
            .walk(Some(&from), Some(0), None)?
            .next()
            .unwrap_or_else(|| Err(Error::NotFound(from.clone())))?;
        match entry.kind {
            Kind::File(_) => Ok((source, from, entry)),
            Kind::Dir | Kind::Link(_) => Err(Error::NotAFile(from)),
        }
    });
    match found {
        Ok((source, from, entry)) => Found::File(Item {
            source,
            from,
            version: entry.version,
            entry: Entry {
                path: upload.to,
                version: None,
                checksum: None,
                ..entry
            },
        }),
        Err(error) => Found::Unusable(subject, source_code(&error), error.to_string()),
    }
}

/// A source that is not there is a file error here, not "not found on the server".
pub(super) fn source_code(error: &Error) -> Code {
    match error.code() {
        Code::NotFound => Code::File,
        other => other,
    }
}

/// Makes uploads of local files, one after the other.
///
/// A directory is held open as long as a file of it is on its way; files of one
/// directory that follow each other share it.
#[derive(Debug, Default)]
pub struct LocalFiles {
    last: Option<(PathBuf, Arc<Tree>)>,
}

impl LocalFiles {
    /// The file at a local path; links in the path are followed.
    ///
    /// What is wrong with the path is told when the job comes to it.
    pub fn upload(&mut self, path: &Path, to: RemotePath) -> Upload<Tree> {
        Upload {
            from: self.find(path),
            to,
        }
    }

    fn find(&mut self, path: &Path) -> Result<(Arc<Tree>, RemotePath), Error> {
        let real = path.canonicalize().map_err(|error| Error::Root {
            action: Action::Open,
            path: path.to_owned(),
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        let unusable = |why| Error::Unusable {
            under: None,
            why,
            count: 1,
        };
        let name = real.file_name().ok_or(unusable(PathError::Empty))?;
        let name = RemotePath::from_local(name).map_err(unusable)?;
        let parent = real.parent().unwrap_or(Path::new("/"));
        let tree = match &self.last {
            Some((known, tree)) if known == parent => Arc::clone(tree),
            _ => Arc::new(Tree::open(parent, Fault::default())?),
        };
        self.last = Some((parent.to_owned(), Arc::clone(&tree)));
        Ok((tree, name))
    }
}
