//! Modes and times of directories, once all is in them.

use rustix::io::Errno;

use super::Shared;
use super::directories::{Directories, is_beneath};
use crate::offer::Offering;
use crate::path::RemotePath;
use crate::store::error::{Action, Error};

/// Settles `directories`, deepest first; the answers are in their order.
pub(super) fn settle(shared: &Shared, directories: &[Offering]) -> Vec<Result<(), Error>> {
    let mut held = Directories::new(shared);
    let mut results = Vec::with_capacity(directories.len());
    let mut since = 0;
    for directory in directories {
        results.push(set(shared, &mut held, directory));
        if held.are_many() || results.len() == directories.len() {
            let told = directories[since..].iter().zip(&mut results[since..]);
            let_go(shared, &mut held, told);
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
    told: impl Iterator<Item = (&'d Offering, &'d mut Result<(), Error>)>,
) {
    let mut told: Vec<_> = told.collect();
    held.flush(shared, |at: Option<&RemotePath>, errno: Errno| {
        for (directory, result) in &mut told {
            let path = &directory.entry.path;
            if result.is_ok() && (at == Some(path) || is_beneath(path, at)) {
                let path = path.clone();
                **result = Err(Error::PerhapsNotDurable { path, errno });
            }
        }
    });
}
