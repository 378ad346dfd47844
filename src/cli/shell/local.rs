//! What is on this machine: where a shell stands here, and what is there.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use crate::client::{Cancel, Listing};
use crate::code::Code;
use crate::fault::Fault;
use crate::path::PathError;
use crate::store::{Error, Source, Tree};

use crate::cli::escape;
use crate::cli::failure::failure;
use crate::cli::ls;
use crate::cli::report::Report;
use crate::cli::settings::{Depth, Detail};

use super::spoken::LlsArgs;

/// Goes to a directory: what is local is seen from there.
pub(super) fn lcd(dir: &Path) -> anyhow::Result<()> {
    env::set_current_dir(dir).map_err(|error| unusable("go to", dir, &error))
}

/// Where one stands.
pub(super) fn lpwd() -> anyhow::Result<PathBuf> {
    env::current_dir().map_err(|error| unusable("find", Path::new("."), &error))
}

fn unusable(what: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    let shown = escape::path(path);
    failure(Code::File, format!("cannot {what} {shown}: {error}"))
}

/// Lists a directory, as `ls` lists one on a server.
pub(super) fn lls(
    args: &LlsArgs,
    cancel: &Cancel,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    let detail = if args.long {
        Detail::Long
    } else {
        Detail::Name
    };
    let (levels, depth) = if args.recursive {
        (None, Depth::Whole)
    } else {
        (Some(1), Depth::One)
    };
    let listing = look(&args.path, levels)?;
    ls::show(&listing, (detail, depth), cancel, report)
}

fn look(path: &Path, levels: Option<u32>) -> Result<Listing, Error> {
    let (holder, name) = if path.is_dir() {
        (path.to_owned(), None)
    } else {
        Tree::locate(path)?
    };
    let mut listing = Listing::default();
    for item in Tree::open(&holder, Fault::default())?.walk(name.as_ref(), levels, None)? {
        match item {
            Ok(entry) => listing.entries.push(entry),
            Err(Error::Unusable {
                why: PathError::Reserved,
                ..
            }) => {}
            Err(Error::Unusable { count, .. }) => listing.unnamed += count,
            Err(Error::NotAFile(_)) => listing.special += 1,
            Err(_) => listing.unreadable += 1,
        }
    }
    Ok(listing)
}
