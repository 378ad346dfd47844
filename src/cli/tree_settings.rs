//! What a command on the remote tree means, decided before anything is asked.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::client::{Parents, Removal};
use crate::content::Algorithm;
use crate::path::{PathError, RemotePath};

use super::destination::Place;
use super::escape;
use super::failure::usage;
use super::peer::Peer;
use super::remote::{Ending, Remote};
use super::settings::algorithm;
use super::tree_args::{MkdirArgs, MvArgs, RmArgs, StatArgs, SumArgs, VerifyArgs};
use super::vantage::Vantage;

/// Something on a server that has a name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) peer: Peer,
    pub(super) path: RemotePath,
}

/// What to remove.
#[derive(Debug)]
pub(super) struct Rm {
    pub(super) targets: Vec<Named>,
    pub(super) removal: Removal,
}

/// What to rename.
#[derive(Debug)]
pub(super) struct Mv {
    pub(super) peer: Peer,
    pub(super) from: RemotePath,
    pub(super) to: RemotePath,
    pub(super) place: Place,
}

/// Directories to make; one of them may be the root.
#[derive(Debug)]
pub(super) struct Mkdir {
    pub(super) targets: Vec<Remote>,
    pub(super) parents: Parents,
}

/// What to look at.
#[derive(Debug)]
pub(super) struct Stat {
    pub(super) targets: Vec<Remote>,
}

/// What to read on the server.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) targets: Vec<Remote>,
    pub(super) algorithm: Algorithm,
}

/// What to hold against its records.
#[derive(Debug)]
pub(super) struct Verify {
    pub(super) targets: Vec<Remote>,
    /// Where the copies are that take the place of what has decayed.
    pub(super) repair_from: Option<PathBuf>,
}

pub(super) fn stat(args: &StatArgs, from: &Vantage) -> anyhow::Result<Stat> {
    let targets: anyhow::Result<_> = args.remotes.iter().map(|r| from.place(r)).collect();
    Ok(Stat { targets: targets? })
}

pub(super) fn sum(args: &SumArgs, from: &Vantage) -> anyhow::Result<Sum> {
    let targets: anyhow::Result<_> = args.remotes.iter().map(|r| from.place(r)).collect();
    Ok(Sum {
        targets: targets?,
        algorithm: algorithm(args.checksum),
    })
}

pub(super) fn verify(args: VerifyArgs, from: &Vantage) -> anyhow::Result<Verify> {
    let targets: anyhow::Result<_> = args.remotes.iter().map(|r| from.place(r)).collect();
    if args.repair_from.is_some() && args.remotes.len() > 1 {
        let rule = "a directory has the copies of one place: --repair-from goes with one REMOTE";
        return Err(usage(rule));
    }
    Ok(Verify {
        targets: targets?,
        repair_from: args.repair_from,
    })
}

pub(super) fn rm(args: &RmArgs, from: &Vantage) -> anyhow::Result<Rm> {
    let targets: anyhow::Result<_> = args
        .remotes
        .iter()
        .map(|remote| named(remote, from, "removed"))
        .collect();
    Ok(Rm {
        targets: targets?,
        removal: if args.recursive {
            Removal::Whole
        } else {
            Removal::Single
        },
    })
}

pub(super) fn mv(args: &MvArgs, from: &Vantage) -> anyhow::Result<Mv> {
    let Named { peer, path } = named(&args.from, from, "renamed")?;
    let to = from.place(&args.to)?;
    let rule = ", and mv renames on one: get and put copy from one to another";
    peer.check_same(&to.peer, rule)?;
    let place = Place::remote(&to);
    Ok(Mv {
        peer,
        to: target(&place, &path)?,
        from: path,
        place,
    })
}

pub(super) fn mkdir(args: &MkdirArgs, from: &Vantage) -> anyhow::Result<Mkdir> {
    let targets: anyhow::Result<_> = args.remotes.iter().map(|r| from.place(r)).collect();
    Ok(Mkdir {
        targets: targets?,
        parents: if args.parents {
            Parents::Make
        } else {
            Parents::Expect
        },
    })
}

/// The whole name that `from` gets at a place.
fn target(place: &Place, from: &RemotePath) -> Result<RemotePath, PathError> {
    match place {
        Place::Exactly(path) => Ok(path.clone()),
        Place::Into(directory) => RemotePath::beneath(directory.as_ref(), from.name()),
    }
}

/// Reads an address of something that can be removed or renamed: of a root, or of all
/// that is in a directory, neither can be said.
fn named(argument: &OsStr, from: &Vantage, participle: &str) -> anyhow::Result<Named> {
    let remote = from.place(argument)?;
    let shown = escape::path(Path::new(argument));
    match (remote.path, remote.ending) {
        (Some(path), Ending::Name | Ending::Slash) => Ok(Named {
            peer: remote.peer,
            path,
        }),
        (Some(_), Ending::Dot) => Err(usage(format!(
            "{shown} is what is in a directory: only a directory itself is {participle}"
        ))),
        (None, _) => Err(usage(format!(
            "{shown} is the root of a tree, and is never {participle}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bearings::{Bearings, BearingsArgs};
    use super::*;

    #[track_caller]
    fn goes(from: &str, to: &str, target: &str) {
        let args = MvArgs {
            from: from.into(),
            to: to.into(),
            bearings: BearingsArgs::default(),
        };
        let from_anywhere = Vantage::Anywhere(Bearings::default());
        assert_eq!(
            mv(&args, &from_anywhere).unwrap().to.as_str(),
            target,
            "{from} to {to}"
        );
    }

    #[test]
    fn the_spelling_of_a_new_name_decides_what_it_is() {
        goes("nas/a/b", "nas/c", "c");
        goes("nas/a/b", "nas:4285/c/d", "c/d");
        goes("nas/a/b", "nas/c/", "c/b");
        goes("nas/a/b/", "nas/c/.", "c/b");
        goes("nas/a/b", "nas", "b");
        goes("nas/a/b", "nas/.", "b");
        goes("haul://nas/a%20b", "nas/c/", "c/a b");
    }
}
