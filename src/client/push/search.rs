//! Finding what there is to put.

use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::outgoing::{Item, Work};
use crate::client::Upload;
use crate::client::job::{Job, Subject, connections};
use crate::code::Code;
use crate::entry::{Entry, Kind};
use crate::fault::Fault;
use crate::path::{PathError, RemotePath};
use crate::store::{self, Source, Tree};

/// Files that are looked at before it is decided how many connections they are worth.
pub(super) const FIRST_LOOK: usize = 1024;

/// What is found, in the order of the uploads.
pub(super) struct Search<S> {
    uploads: std::vec::IntoIter<Upload<S>>,
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

impl<S: Source> Search<S> {
    pub(super) fn new(uploads: Vec<Upload<S>>) -> Self {
        Self {
            uploads: uploads.into_iter(),
        }
    }

    /// Looks at the first `most` uploads.
    pub(super) fn look(&mut self, most: usize) -> FirstLook<S> {
        let found = self.uploads.by_ref().take(most).map(look_at).collect();
        let more = self.uploads.len() > 0;
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
            .unwrap_or_else(|| Err(store::Error::NotFound(from.clone())))?;
        match entry.kind {
            Kind::File(_) => Ok((source, from, entry)),
            Kind::Dir | Kind::Link(_) => Err(store::Error::NotAFile(from)),
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
pub(super) fn source_code(error: &store::Error) -> Code {
    match error.code() {
        Code::NotFound => Code::File,
        other => other,
    }
}

/// Opens the directory of a local file, following the links of the path as typed.
pub(in crate::client) fn local(
    path: &Path,
    to: &RemotePath,
) -> Result<(Arc<Tree>, RemotePath), store::Error> {
    let failed = |error: std::io::Error| store::Error::System {
        action: store::Action::Open,
        path: to.clone(),
        errno: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
    };
    let real = path.canonicalize().map_err(failed)?;
    let unusable = |why| store::Error::Unusable {
        under: None,
        why,
        count: 1,
    };
    let name = real.file_name().ok_or(unusable(PathError::Empty))?;
    let name = RemotePath::from_local(name).map_err(unusable)?;
    let tree = Tree::open(real.parent().unwrap_or(Path::new("/")), Fault::default())?;
    Ok((Arc::new(tree), name))
}
