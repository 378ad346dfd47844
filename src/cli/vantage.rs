//! From where a remote place is seen.
//!
//! On a command line a place is an address: it names a server. In a shell the server is
//! known, and a place is a path, seen from a directory there. What the path's end means is
//! the same: a slash or a dot mean into it.

use std::ffi::OsStr;
use std::path::Path;

use crate::path::{PathError, RemotePath};

use super::address::AddressError;
use super::bearings::{Bearings, Home};
use super::escape;
use super::failure::usage;
use super::links::SCHEME;
use super::lookalike;
use super::peer::Peer;
use super::remote::{Ending, Remote, beneath_home};

/// Where whoever names a place stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Vantage {
    /// Nowhere: a place is an address.
    Anywhere(Bearings),
    /// In a directory of a server, or its root.
    Within(Peer, Option<RemotePath>),
}

impl Vantage {
    /// Reads a place.
    ///
    /// # Errors
    ///
    /// Where it is none, or looks like something else.
    pub(super) fn place(&self, argument: &OsStr) -> anyhow::Result<Remote> {
        let text = argument.to_str().ok_or(AddressError::NotUtf8)?;
        match self {
            Self::Anywhere(bearings) => address(text, bearings),
            Self::Within(peer, _) if text.starts_with(SCHEME) => {
                let shown = escape::name(text);
                Err(usage(format!(
                    "{shown} is an address, and here a place is a path on {peer}"
                )))
            }
            Self::Within(peer, here) => {
                let unusable = |why| AddressError::Path {
                    path: text.to_owned(),
                    why,
                };
                let (path, ending) = walk(here.as_ref(), text).map_err(unusable)?;
                Ok(Remote {
                    peer: peer.clone(),
                    path,
                    ending,
                })
            }
        }
    }

    /// What is meant where no place is named, if that can be known.
    pub(super) fn here(&self) -> Option<&'static OsStr> {
        match self {
            Self::Anywhere(_) => None,
            Self::Within(..) => Some(OsStr::new(".")),
        }
    }

    /// Refuses what can only be a path of this machine, and says which verb has it the
    /// other way round.
    pub(super) fn refuse_local(&self, argument: &OsStr, way_out: &str) -> anyhow::Result<()> {
        let argument = Path::new(argument);
        if !matches!(self, Self::Anywhere(_)) || !lookalike::is_local(argument) {
            return Ok(());
        }
        let shown = escape::path(argument);
        Err(usage(format!("{shown} is a path here, and {way_out}")))
    }
}

/// Reads an address that a person may have mixed up with a file of theirs.
fn address(text: &str, bearings: &Bearings) -> anyhow::Result<Remote> {
    if !text.contains(':') && Path::new(text).is_file() {
        let shown = escape::name(text);
        return Err(usage(format!(
            "{shown} is a file here, and an address, HOST[:PORT][/PATH], is wanted: \
             if it is one too, write haul://{text}"
        )));
    }
    let home = bearings.home.as_ref();
    if let Some(Home { by, .. }) = home.filter(|home| home.is_typed)
        && beneath_home(text).is_none()
    {
        let shown = escape::name(text);
        return Err(usage(format!(
            "{shown} names a server, and so does {by}: a path on that one is :PATH"
        )));
    }
    let remote = Remote::parse(text, home, &bearings.secrets)?;
    match bearings.key {
        None => Ok(remote),
        Some(key) => Ok(Remote {
            peer: remote.peer.with_key(key)?,
            ..remote
        }),
    }
}

/// Walks from a directory along a path. Nothing is above the root, as in any file system.
fn walk(here: Option<&RemotePath>, text: &str) -> Result<(Option<RemotePath>, Ending), PathError> {
    let (mut names, rest): (Vec<&str>, _) = match text.strip_prefix('/') {
        Some(rest) => (Vec::new(), rest),
        None if text.is_empty() => return Err(PathError::Empty),
        None => (
            here.iter().flat_map(|here| here.components()).collect(),
            text,
        ),
    };
    let (rest, mut ending) = match rest.strip_suffix('/') {
        Some(rest) => (rest, Ending::Slash),
        None if rest.is_empty() => (rest, Ending::Slash),
        None => (rest, Ending::Name),
    };
    let mut parts = rest.split('/').filter(|_| !rest.is_empty());
    for part in parts.clone() {
        match part {
            "." => {}
            ".." => drop(names.pop()),
            "" => return Err(PathError::EmptyComponent),
            name => names.push(name),
        }
    }
    // Neither names anything: what is there is meant.
    if matches!(parts.next_back(), Some("." | "..")) {
        ending = Ending::Dot;
    }
    if names.is_empty() {
        return Ok((None, ending));
    }
    let path = RemotePath::parse(&names.join("/"))?;
    Ok((Some(path), ending))
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::super::failure::code_of;
    use super::*;
    use crate::code::Code;

    fn standing(here: &str) -> Vantage {
        let here = (!here.is_empty()).then(|| RemotePath::parse(here).unwrap());
        Vantage::Within(Peer::at(Address::parse("nas").unwrap()), here)
    }

    #[track_caller]
    fn leads(here: &str, text: &str, path: &str, ending: Ending) {
        let remote = standing(here).place(text.as_ref()).unwrap();
        let seen = remote.path.as_ref().map_or("", |path| path.as_str());
        assert_eq!((seen, remote.ending), (path, ending), "{here:?} {text:?}");
        assert_eq!(remote.peer.to_string(), "nas:4285");
    }

    #[track_caller]
    fn refused(text: &str, code: Code, hint: &str) {
        let error = standing("a/b").place(text.as_ref()).unwrap_err();
        assert_eq!(code_of(&error), code, "{text:?}: {error}");
        assert!(error.to_string().contains(hint), "{text:?}: {error}");
    }

    #[test]
    fn a_path_is_seen_from_where_one_stands() {
        leads("", "x", "x", Ending::Name);
        leads("a/b", "x/y", "a/b/x/y", Ending::Name);
        leads("a/b", "../x", "a/x", Ending::Name);
        leads("a/b", "./x/../y", "a/b/y", Ending::Name);
        leads("a/b", "x/", "a/b/x", Ending::Slash);
        leads("a/b", "nas/x", "a/b/nas/x", Ending::Name);
        leads("a/b", ":x~", "a/b/:x~", Ending::Name);
    }

    #[test]
    fn a_slash_leads_to_the_root_and_nothing_above_it() {
        leads("a/b", "/", "", Ending::Slash);
        leads("a/b", "/x", "x", Ending::Name);
        leads("a/b", "/.", "", Ending::Dot);
        leads("a", "../../..", "", Ending::Dot);
        leads("", "../x", "x", Ending::Name);
    }

    #[test]
    fn dots_have_no_name() {
        for text in [".", "./", "x/..", "x/../", "x/../."] {
            leads("a/b", text, "a/b", Ending::Dot);
        }
        leads("a/b", "..", "a", Ending::Dot);
        leads("a/b", "x/.", "a/b/x", Ending::Dot);
    }

    #[test]
    fn what_cannot_be_a_path_is_refused() {
        refused("", Code::Protocol, "empty");
        refused("//x", Code::Protocol, "empty component");
        refused("x//y", Code::Protocol, "empty component");
        refused("x//", Code::Protocol, "empty component");
        refused(".haul", Code::Protocol, "haul's own");
        refused("haul://nas/x", Code::Usage, "a path on nas:4285");
    }
}
