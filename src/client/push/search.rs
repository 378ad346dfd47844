//! Looking through what is to be put: one upload after the other, each tree in order.

use std::iter::Peekable;
use std::sync::Arc;

use super::outgoing_file::Item;
use crate::client::job::unnamed;
use crate::client::monitor::Skip;
use crate::client::{Links, Upload};
use crate::code::Code;
use crate::entry::{Entry, Kind};
use crate::offer::Offering;
use crate::path::{PathError, RemotePath};
use crate::store::{Error, Place, Source};

/// One thing that was found.
pub(super) enum Found<S> {
    /// A file or link to be offered.
    Item(Item<S>),
    /// A directory, which is settled in the end.
    Directory(Item<S>),
    /// Something to be left out.
    Skipped(RemotePath, Skip),
    /// Something that cannot be moved.
    Failed(RemotePath, Code, String),
    /// A tree that begins.
    Tree(Top<S>),
}

/// The top of a tree.
pub(super) struct Top<S> {
    /// Its directory and all above it, innermost first.
    pub(super) places: Vec<Place>,
    /// Where it is to go.
    pub(super) to: Option<RemotePath>,
    /// The directory itself, where it has a name on both sides.
    pub(super) directory: Option<Item<S>>,
}

/// All that is to be put, in the order of the uploads.
pub(super) struct Search<I: Iterator, S: Source> {
    uploads: Peekable<I>,
    links: Links,
    /// The trees that are being walked: the last one was linked to from the one before.
    trees: Vec<Walking<S>>,
}

/// A tree that is being walked.
struct Walking<S: Source> {
    source: Arc<S>,
    /// Its top in the source and on the server.
    from: Option<RemotePath>,
    to: Option<RemotePath>,
    base: u16,
    walk: S::Walk,
    /// The directories that led here: a link to one of them has no end.
    chain: Vec<[u8; 16]>,
}

impl<S: Source, I: Iterator<Item = Upload<S>>> Search<I, S> {
    pub(super) fn new(uploads: I, links: Links) -> Self {
        Self {
            uploads: uploads.peekable(),
            links,
            trees: Vec::new(),
        }
    }

    /// Whether nothing is left to look at.
    pub(super) fn is_over(&mut self) -> bool {
        self.trees.is_empty() && self.uploads.peek().is_none()
    }

    fn begin(&mut self, upload: Upload<S>) -> Found<S> {
        // An error has to have a name, also where the upload has none on either side.
        let name = upload.to.clone();
        let asked = match &upload.from {
            Ok((_, from)) => name.or_else(|| from.clone()),
            Err(_) => name,
        };
        let begun = upload
            .from
            .and_then(|(source, from)| self.look_at(source, from, upload.to, Vec::new()));
        begun.unwrap_or_else(|error| failed(asked.as_ref(), &error))
    }

    /// Looks at the top of a tree, and begins to walk it where it is a directory.
    fn look_at(
        &mut self,
        source: Arc<S>,
        from: Option<RemotePath>,
        to: Option<RemotePath>,
        chain: Vec<[u8; 16]>,
    ) -> Result<Found<S>, Error> {
        let top = from.as_ref().map(|from| {
            let itself = source.walk(Some(from), Some(0), None)?.next();
            itself.unwrap_or_else(|| Err(Error::NotFound(from.clone())))
        });
        let top = top.transpose()?;
        let above = to.as_ref().map_or(0, depth);
        match top {
            Some(entry) if entry.kind != Kind::Dir => {
                let to = to.filter(|_| !matches!(entry.kind, Kind::Link(_)));
                let to = to.ok_or_else(|| Error::NotAFile(entry.path.clone()))?;
                Ok(Found::Item(item(source, entry, to, above)))
            }
            top => {
                // A directory that is described need not be made by anybody else.
                let described = top.zip(to.clone());
                let base = above + u16::from(described.is_none() && to.is_some());
                let found = Top {
                    places: source.places(from.as_ref()),
                    to: to.clone(),
                    directory: described
                        .map(|(entry, to)| item(Arc::clone(&source), entry, to, above)),
                };
                let walk = source.walk(from.as_ref(), None, None)?;
                self.trees.push(Walking {
                    source,
                    from,
                    to,
                    base,
                    walk,
                    chain,
                });
                Ok(Found::Tree(found))
            }
        }
    }

    fn go_on(&mut self) -> Option<Found<S>> {
        while let Some(mut tree) = self.trees.pop() {
            let at = self.trees.len();
            if let Some(next) = tree.walk.next() {
                let found = self.visit(&tree, next);
                // What it linked to comes before it goes on.
                self.trees.insert(at, tree);
                return Some(found);
            }
        }
        None
    }

    fn visit(&mut self, tree: &Walking<S>, next: Result<Entry, Error>) -> Found<S> {
        let entry = match next {
            Ok(entry) => entry,
            Err(error) => return tree.unusable(&error),
        };
        let inside = tree.inside(&entry.path);
        let to = match RemotePath::beneath(tree.to.as_ref(), inside) {
            Ok(to) => to,
            Err(why) => {
                let text = format!("under its name there, {why}");
                return Found::Failed(entry.path, Code::Protocol, text);
            }
        };
        let links_up = inside.matches('/').count();
        let source = Arc::clone(&tree.source);
        match &entry.kind {
            Kind::Dir => Found::Directory(item(source, entry, to, tree.base)),
            Kind::File(_) => Found::Item(item(source, entry, to, tree.base)),
            Kind::Link(target) => match self.links {
                Links::Skip => Found::Skipped(to, Skip::Link),
                Links::Follow => self.follow(tree, &entry.path, &to),
                Links::Keep if target.stays_within(links_up) => {
                    Found::Item(item(source, entry, to, tree.base))
                }
                Links::Keep => Found::Skipped(to, Skip::LeadsOut),
            },
        }
    }

    /// Puts what a link leads to in its place.
    fn follow(&mut self, tree: &Walking<S>, link: &RemotePath, to: &RemotePath) -> Found<S> {
        let mut chain = tree.chain.clone();
        let here = tree.source.places(link.parent().as_ref());
        chain.extend(here.into_iter().map(|place| place.id));
        let found = tree.source.follow(link).and_then(|(source, from)| {
            let leads_to = source.places(from.as_ref());
            if leads_to
                .first()
                .is_some_and(|place| chain.contains(&place.id))
            {
                return Ok(Found::Skipped(to.clone(), Skip::Loop));
            }
            self.look_at(Arc::new(source), from, Some(to.clone()), chain)
        });
        found.unwrap_or_else(|error| failed(Some(to), &error))
    }
}

impl<S: Source> Walking<S> {
    /// A path in the source as seen from the tree's top.
    fn inside<'p>(&self, path: &'p RemotePath) -> &'p str {
        let path = path.as_str();
        match &self.from {
            None => path,
            Some(from) => path
                .strip_prefix(from.as_str())
                .and_then(|rest| rest.strip_prefix('/'))
                .unwrap_or(path),
        }
    }

    /// What a walk could not list.
    fn unusable(&self, error: &Error) -> Found<S> {
        let place = match error {
            Error::Unusable { under, .. } => under.as_ref(),
            Error::NotFound(path)
            | Error::NotAFile(path)
            | Error::Link(path)
            | Error::Mount(path)
            | Error::System { path, .. } => Some(path),
            _ => None,
        };
        let name = place.and_then(|path| {
            if Some(path) == self.from.as_ref() {
                return self.to.clone();
            }
            RemotePath::beneath(self.to.as_ref(), self.inside(path)).ok()
        });
        let name = name.or_else(|| place.cloned());
        match (error, name) {
            (Error::NotAFile(_), Some(name)) => Found::Skipped(name, Skip::Special),
            // It was there a moment ago.
            (Error::NotFound(_), Some(name)) => Found::Skipped(name, Skip::Vanished),
            (
                Error::Unusable {
                    why: PathError::Reserved,
                    ..
                },
                Some(name),
            ) => Found::Skipped(name, Skip::Reserved),
            (error, name) => failed(name.as_ref(), error),
        }
    }
}

impl<S: Source, I: Iterator<Item = Upload<S>>> Iterator for Search<I, S> {
    type Item = Found<S>;

    fn next(&mut self) -> Option<Found<S>> {
        if let Some(found) = self.go_on() {
            return Some(found);
        }
        let upload = self.uploads.next()?;
        Some(self.begin(upload))
    }
}

fn depth(path: &RemotePath) -> u16 {
    // A path has 4,095 bytes at most.
    path.as_str().matches('/').count() as u16
}

/// What is offered for an entry of the source.
fn item<S>(source: Arc<S>, entry: Entry, to: RemotePath, base: u16) -> Item<S> {
    Item {
        source,
        from: entry.path,
        version: entry.version,
        offering: Offering {
            entry: Entry {
                path: to,
                version: None,
                checksum: None,
                kind: entry.kind,
                mode: entry.mode,
                mtime: entry.mtime,
            },
            base,
        },
        lost: 0,
    }
}

fn failed<S>(name: Option<&RemotePath>, error: &Error) -> Found<S> {
    let name = name.cloned().unwrap_or_else(unnamed);
    Found::Failed(name, source_code(error), error.to_string())
}

/// A source that is not there is a file error here, not "not found on the server".
pub(super) fn source_code(error: &Error) -> Code {
    match error.code() {
        Code::NotFound => Code::File,
        other => other,
    }
}
