//! What is downloaded into: found, held against what is fetched, opened or made.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::root::Root;
use crate::client::into_itself;
use crate::client::{Effect, Error, Options};
use crate::fault::Fault;
use crate::offer::TransferId;
use crate::path::RemotePath;
use crate::store::{Action, LocalStore, Place, Source, Store, Tree};
use crate::wire::message::Welcome;

/// Where a download goes, found before any of it is made.
#[derive(Default)]
pub(super) struct Landing {
    /// The innermost directory on the way that is there, and all above it.
    places: Vec<Place>,
    /// The names beneath it that are to be made.
    missing: Option<RemotePath>,
}

impl Landing {
    /// Finds the place of `into`. One that cannot be told is nowhere.
    pub(super) fn find(into: &Path) -> Self {
        let into = plain(into);
        let mut names: Vec<&str> = Vec::new();
        for above in into.ancestors() {
            if let Ok(tree) = Tree::open(or_here(above), Fault::default()) {
                let missing = names.iter().rev().try_fold(None, |above, name| {
                    RemotePath::beneath(above.as_ref(), name).map(Some)
                });
                return missing.map_or_else(
                    |_| Self::default(),
                    |missing| Self {
                        places: tree.places(None),
                        missing,
                    },
                );
            }
            match above.file_name().and_then(|name| name.to_str()) {
                Some(name) => names.push(name),
                None => break,
            }
        }
        Self::default()
    }

    /// Checks that a tree is not fetched into itself.
    ///
    /// # Errors
    ///
    /// [`Error::IntoItself`].
    pub(super) fn is_beside(&self, root: &Root, server: &Welcome) -> Result<(), Error> {
        let to = match (&self.missing, &root.to) {
            (Some(missing), Some(to)) => RemotePath::beneath(Some(missing), to.as_str()).ok(),
            (missing, to) => missing.clone().or_else(|| to.clone()),
        };
        let target = (&self.places[..], to.as_ref());
        if into_itself::get(target, root.from.as_ref(), server) {
            return Err(Error::IntoItself(root.from.clone()));
        }
        Ok(())
    }
}

/// A path without dots: `dir/.` names nothing that could be made.
fn plain(into: &Path) -> PathBuf {
    into.components().collect()
}

/// A path that is none is the directory where the program runs.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// Opens what is downloaded into, making it where it is not there, unless nothing is to
/// be done.
pub(super) fn receive(
    into: &Path,
    effect: Effect,
    transfer: TransferId,
    options: &Options,
) -> Result<Option<LocalStore>, Error> {
    let into = plain(into);
    let into = or_here(&into);
    match effect {
        Effect::Dry if !into.exists() => return Ok(None),
        Effect::Dry => {}
        Effect::Real => make_directory(into)?,
    }
    let store = LocalStore::receive(into, transfer, options.fault.clone())?;
    if effect == Effect::Real {
        store.sweep();
    }
    Ok(Some(store))
}

/// Makes the directory and all above it, and flushes each directory that a new name
/// was made in: what is stored there is to be found after a power cut.
fn make_directory(into: &Path) -> Result<(), Error> {
    let made: Vec<&Path> = into.ancestors().take_while(|path| !path.exists()).collect();
    let flush = |path: &&Path| {
        let above = path.parent().unwrap_or(Path::new("."));
        File::open(or_here(above))?.sync_all()
    };
    let result = std::fs::create_dir_all(into).and_then(|()| made.iter().try_for_each(flush));
    result.map_err(|error| {
        Error::Store(crate::store::Error::Root {
            action: Action::MakeDir,
            path: into.to_owned(),
            errno: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
        })
    })
}
