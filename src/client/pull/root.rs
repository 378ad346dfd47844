//! A place on the server that is looked through, and where what is found there goes.

use crate::client::Download;
use crate::client::job::unnamed;
use crate::entry::{Cursor, Entry, Kind};
use crate::path::{PathError, RemotePath};
use crate::transfer::Error;

/// Links that are followed one after the other: beyond, they lead around.
pub(super) const HOPS_MAX: u8 = 8;

/// A file or tree to be fetched, as far as it was looked through.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) from: Option<RemotePath>,
    pub(super) to: Option<RemotePath>,
    /// Links that led here.
    pub(super) hops: u8,
    /// The last entry that was seen.
    pub(super) after: Option<Cursor>,
    /// The innermost directory that was listed: what follows is in it, or in one above.
    within: Option<RemotePath>,
    /// Whether it has turned out to be a file or link: nothing is beneath it.
    is_alone: bool,
    /// Whether the directory itself was listed, and so will be given its mode.
    pub(super) is_described: bool,
}

impl Root {
    pub(super) fn new(download: Download) -> Self {
        Self {
            from: download.from,
            to: download.to,
            hops: 0,
            after: None,
            within: None,
            is_alone: false,
            is_described: false,
        }
    }

    /// What a link at `link` leads to, to be fetched as `to`; `None` where that is not
    /// in the served tree.
    pub(super) fn behind(&self, link: &RemotePath, target: &str, to: RemotePath) -> Option<Self> {
        let mut parts: Vec<&str> = link.components().collect();
        parts.pop();
        if target.starts_with('/') {
            return None;
        }
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                name => parts.push(name),
            }
        }
        let from = match parts.as_slice() {
            [] => None,
            parts => Some(RemotePath::parse(&parts.join("/")).ok()?),
        };
        Some(Self {
            hops: self.hops + 1,
            ..Self::new(Download { from, to: Some(to) })
        })
    }

    /// Whether this place holds what is at `path`.
    pub(super) fn holds(&self, path: &RemotePath) -> bool {
        match &self.from {
            None => true,
            Some(from) => path
                .as_str()
                .strip_prefix(from.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }

    /// Takes note of the next entry of the listing.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] where the place cannot have it.
    pub(super) fn see(&mut self, entry: &Entry) -> Result<(), Error> {
        let cursor = entry.cursor();
        if self.is_alone || self.after.as_ref().is_some_and(|after| *after >= cursor) {
            return Err(Error::Broken("a listing of more than was asked for"));
        }
        let is_first = self.after.is_none() && self.from.is_some();
        if !self.holds(&entry.path) || (is_first && Some(&entry.path) != self.from.as_ref()) {
            return Err(Error::Broken("a listing of something else"));
        }
        let above = entry.path.parent();
        if Some(&entry.path) == self.from.as_ref() {
            self.is_alone = entry.kind != Kind::Dir;
            self.is_described = entry.kind == Kind::Dir;
        } else if !self.is_open(above.as_ref()) {
            return Err(Error::Broken("a listing of what is in no directory"));
        }
        self.within = match entry.kind {
            Kind::Dir => Some(entry.path.clone()),
            Kind::File(_) | Kind::Link(_) => above,
        };
        self.after = Some(cursor);
        Ok(())
    }

    /// Whether something in `directory` may be next: it was listed, and not left since.
    fn is_open(&self, directory: Option<&RemotePath>) -> bool {
        let Some(directory) = directory else {
            return self.from.is_none();
        };
        self.within.as_ref().is_some_and(|within| {
            let rest = within.as_str().strip_prefix(directory.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Checks that a listing which goes on, or does not, has begun with the place itself.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`].
    pub(super) fn is_listed(&self, goes_on: bool) -> Result<(), Error> {
        if self.from.is_some() && self.after.is_none() && !goes_on {
            return Err(Error::Broken("a listing without what was asked for"));
        }
        Ok(())
    }

    /// The name here of something that was listed; `None` is the directory that is
    /// downloaded into.
    ///
    /// # Errors
    ///
    /// What is wrong with that name.
    pub(super) fn name_here(&self, path: &RemotePath) -> Result<Option<RemotePath>, PathError> {
        let inside = self.inside(path);
        match (&self.to, inside) {
            (to, "") => Ok(to.clone()),
            (to, inside) => RemotePath::beneath(to.as_ref(), inside).map(Some),
        }
    }

    /// A path as seen from the top of the tree; empty for the top itself.
    pub(super) fn inside<'p>(&self, path: &'p RemotePath) -> &'p str {
        let path = path.as_str();
        match &self.from {
            None => path,
            Some(from) => path
                .strip_prefix(from.as_str())
                .map_or(path, |rest| rest.trim_start_matches('/')),
        }
    }

    /// What it is called where something is said of all of it.
    pub(super) fn shown(&self) -> RemotePath {
        let name = self.from.as_ref().or(self.to.as_ref());
        name.cloned().unwrap_or_else(unnamed)
    }

    /// How many components of the names here are the destination's own.
    pub(super) fn base(&self) -> u16 {
        let names = self.to.as_ref().map_or(0, |to| to.components().count());
        let own = names - usize::from(self.is_alone || self.is_described).min(names);
        // A path has 4,095 bytes at most.
        own as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(text).unwrap()
    }

    #[track_caller]
    fn leads(link: &str, target: &str, to: Option<&str>) {
        let from = path("a");
        let root = Root::new(Download {
            from: Some(from),
            to: None,
        });
        let behind = root.behind(&path(link), target, path("x"));
        assert_eq!(
            behind.and_then(|root| root.from),
            to.map(path),
            "{link} -> {target}"
        );
    }

    #[test]
    fn a_link_leads_where_its_text_says_in_the_served_tree() {
        leads("a/b/l", "../c", Some("a/c"));
        leads("a/l", "./c//d/.", Some("a/c/d"));
        leads("a/l", "../../c", None);
        leads("a/l", "/etc", None);
        leads("a/l", ".haul/x", None);
    }

    #[test]
    fn names_here_are_those_beneath_the_top() {
        let root = Root::new(Download {
            from: Some(path("a/b")),
            to: Some(path("x")),
        });
        assert_eq!(root.name_here(&path("a/b")), Ok(Some(path("x"))));
        assert_eq!(root.name_here(&path("a/b/c/d")), Ok(Some(path("x/c/d"))));
        let all = Root::new(Download {
            from: None,
            to: None,
        });
        assert_eq!(all.name_here(&path("a")), Ok(Some(path("a"))));
    }
}
