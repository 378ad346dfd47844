//! Modes and times of directories, once all is in them.

use rustix::io::Errno;

use super::Shared;
use super::directories::{Directories, is_beneath};
use super::drop_box::DropBox;
use crate::offer::Offering;
use crate::path::RemotePath;
use crate::store::Aside;
use crate::store::error::{Action, Error};

/// Settles `directories`, deepest first; the answers are in their order.
pub(super) fn settle(
    shared: &Shared,
    drop_box: Option<&DropBox<'_>>,
    directories: &[Offering],
) -> Vec<Result<Option<Aside>, Error>> {
    let paths: Vec<&RemotePath> = directories.iter().map(|d| &d.entry.path).collect();
    if let Some(drop_box) = drop_box {
        return drop_box.make(&paths);
    }
    each(
        shared,
        &paths,
        || Ok(()),
        |held, at| set(shared, held, &directories[at]).map(|()| None),
    )
}

/// Does something with each of these directories, and has them on disk once `first` is; the
/// answers are in their order.
pub(super) fn each(
    shared: &Shared,
    paths: &[&RemotePath],
    first: impl Fn() -> Result<(), Errno>,
    mut what: impl FnMut(&mut Directories<'_>, usize) -> Result<Option<Aside>, Error>,
) -> Vec<Result<Option<Aside>, Error>> {
    let mut held = Directories::new(shared);
    let mut results = Vec::with_capacity(paths.len());
    let mut since = 0;
    for at in 0..paths.len() {
        results.push(what(&mut held, at));
        if held.are_many() || results.len() == paths.len() {
            let told = paths[since..].iter().zip(&mut results[since..]);
            let_go(shared, &mut held, first(), told);
            since = results.len();
        }
    }
    results
}

fn set(shared: &Shared, held: &mut Directories<'_>, directory: &Offering) -> Result<(), Error> {
    let entry = &directory.entry;
    let sys = &shared.tree.sys;
    let opened = held.reach(Some(&entry.path), directory.base, &entry.path)?;
    held.keeps_mode(&entry.path);
    sys.set_mode(&opened, entry.mode)
        .and_then(|()| sys.set_mtime(&opened, entry.mtime))
        .map_err(|errno| Error::system(Action::Settle, &entry.path, errno))
}

/// Flushes the directories and the names above them.
fn let_go<'d>(
    shared: &Shared,
    held: &mut Directories<'_>,
    first: Result<(), Errno>,
    told: impl Iterator<Item = (&'d &'d RemotePath, &'d mut Result<Option<Aside>, Error>)>,
) {
    let mut told: Vec<_> = told.collect();
    let mut failed = |at: Option<&RemotePath>, errno: Errno| {
        for (asked, result) in &mut told {
            let is_at = match result {
                Ok(Some(Aside { stored, .. })) => at == Some(stored) || is_beneath(stored, at),
                Ok(None) => at == Some(asked) || is_beneath(asked, at),
                Err(_) => false,
            };
            if is_at {
                let path = (**asked).clone();
                **result = Err(Error::PerhapsNotDurable { path, errno });
            }
        }
    };
    if let Err(errno) = first {
        // All are beneath the root.
        failed(None, errno);
    }
    held.flush(shared, failed);
}
