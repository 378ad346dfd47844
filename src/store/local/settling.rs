//! Modes and times of directories, once all is in them.

use rustix::io::Errno;

use super::Shared;
use super::core::Writer;
use super::directories::{Directories, is_beneath};
use super::drop_box::DropBox;
use crate::identity::Identity;
use crate::offer::Offering;
use crate::path::RemotePath;
use crate::store::error::{Action, Error};
use crate::store::{Aside, Touching};

/// Settles `directories`, deepest first; the answers are in their order.
pub(super) fn settle(
    shared: &Shared,
    writer: Writer<'_>,
    directories: &[Offering],
) -> Vec<Result<Option<Aside>, Error>> {
    let paths: Vec<&RemotePath> = directories.iter().map(|d| &d.entry.path).collect();
    if let Some(drop_box) = DropBox::of(shared, writer.by, writer.telling) {
        return drop_box.make(&paths);
    }
    each(
        (shared, writer.by),
        &paths,
        || Ok(()),
        |held, at| set((shared, writer), held, &directories[at]).map(|()| None),
    )
}

/// Does something with each of these directories, and has them on disk once `first` is; the
/// answers are in their order.
pub(super) fn each(
    (shared, by): (&Shared, &Identity),
    paths: &[&RemotePath],
    first: impl Fn() -> Result<(), Errno>,
    mut what: impl FnMut(&mut Directories<'_>, usize) -> Result<Option<Aside>, Error>,
) -> Vec<Result<Option<Aside>, Error>> {
    let mut held = Directories::new(shared, by);
    let mut results = Vec::with_capacity(paths.len());
    let mut since = 0;
    for at in 0..paths.len() {
        results.push(what(&mut held, at));
        if held.are_many() || results.len() == paths.len() {
            let told = paths[since..].iter().zip(&mut results[since..]);
            let_go(&mut held, first(), told);
            since = results.len();
        }
    }
    results
}

fn set(
    (shared, writer): (&Shared, Writer<'_>),
    held: &mut Directories<'_>,
    directory: &Offering,
) -> Result<(), Error> {
    let entry = &directory.entry;
    let sys = &shared.tree.sys;
    let opened = held.reach(Some(&entry.path), directory.base, &entry.path)?;
    let failed = |errno| Error::system(Action::Settle, &entry.path, errno);
    if writer.touching == Touching::Leave {
        let stat = sys.stat(&opened).map_err(failed)?;
        if !shared.made.is_by(&stat, writer.by) {
            return Ok(());
        }
    }
    held.keeps_mode(&entry.path);
    sys.set_directory_mode(&opened, entry.mode)
        .and_then(|()| sys.set_mtime(&opened, entry.mtime))
        .map_err(failed)
}

/// Flushes the directories and the names above them.
fn let_go<'d>(
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
    held.flush(failed);
}
