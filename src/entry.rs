//! What is said of one thing in a tree: its name, kind, mode, times and checksum.

use std::fmt;

use crate::content::{BlockSize, Checksum, Geometry, GeometryError};
use crate::path::{PathError, RemotePath};
use crate::utc::Utc;

/// Permission bits, masked to `0777`: no set-user-ID bit ever comes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode(u16);

/// A modification time: seconds since 1970 and nanoseconds below one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtime {
    seconds: i64,
    nanos: u32,
}

/// A token for "these very bytes": two versions are equal only while the bytes are.
///
/// What makes one is the store's affair; size and modification time alone do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(pub [u8; 16]);

/// Where a symbolic link points, as it is written in the link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkTarget(Box<str>);

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file, and how it is cut into blocks.
    File(Geometry),
    /// A directory.
    Dir,
    /// A symbolic link.
    Link(LinkTarget),
}

/// A place in a listing: a whole path, with a `/` behind it for a directory.
///
/// Listings are in the byte order of cursors, so that what is in a directory
/// follows it directly, and any entry's cursor is a place to go on from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(Box<str>);

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its whole path in the tree.
    pub path: RemotePath,
    /// What it is.
    pub kind: Kind,
    /// Its permission bits.
    pub mode: Mode,
    /// When it was last changed.
    pub mtime: Mtime,
    /// Its version, where a store was asked about a file.
    pub version: Option<Version>,
    /// What was recorded when it was published, if it still has size and time of then, or nobody
    /// has touched it since.
    pub checksum: Option<Recorded>,
}

/// A checksum that was recorded of a file when it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What its bytes were then: whoever reads the file can hold them against it.
    pub checksum: Checksum,
    /// Whether that may be believed without reading them.
    pub touched: Touched,
}

/// Whether anything was done to a file since it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Nothing: if its bytes are others, they have decayed.
    Never,
    /// Something, if only to its mode: somebody may have written to it, and put its time back.
    Since,
}

impl Recorded {
    /// The checksum, where it is as good as one that is computed now.
    #[must_use]
    pub fn believed(self) -> Option<Checksum> {
        (self.touched == Touched::Never).then_some(self.checksum)
    }
}

impl Mode {
    /// Readable and writable by its owner, and by nobody else.
    pub const OWNER_ONLY: Self = Self(0o600);

    /// All that its owner can do with a directory, and nothing for anybody else.
    pub const OWNERS_DIRECTORY: Self = Self(0o700);

    /// What a new directory is asked to have: the process's mask takes from it what the
    /// machine's owner does not want to give.
    pub const EVERYTHING: Self = Self(0o777);

    /// Keeps the permission bits of `bits`.
    #[must_use]
    pub fn masked(bits: u32) -> Self {
        Self((bits & 0o777) as u16)
    }

    /// Whether nobody but the owner has any right.
    #[must_use]
    pub fn is_private(self) -> bool {
        self.0 & !0o700 == 0
    }

    /// The permission bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }
}

impl Mtime {
    /// The time, or `None` where `nanos` is a second or more.
    #[must_use]
    pub fn new(seconds: i64, nanos: u32) -> Option<Self> {
        (nanos < 1_000_000_000).then_some(Self { seconds, nanos })
    }

    /// Whole seconds since 1970, negative before.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// The same without what is below one second.
    #[must_use]
    pub fn utc(self) -> Utc {
        Utc::from_seconds(self.seconds)
    }

    /// Nanoseconds below one second.
    #[must_use]
    pub fn nanos(self) -> u32 {
        self.nanos
    }
}

impl LinkTarget {
    /// Checks a link's text: not empty, no NUL, no longer than a path.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=crate::path::PATH_MAX).contains(&text.len());
        (fits && !text.contains('\0')).then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a link of this text, `depth` directories below the top of a tree, leads
    /// to a place in that tree.
    ///
    /// The text must be relative, and its `..` must come first: those lead up real
    /// directories, while one behind a name could lead up from wherever another link
    /// points. What comes after them can pass through links, which lead nowhere else
    /// either.
    #[must_use]
    pub fn stays_within(&self, depth: usize) -> bool {
        let parts = || self.0.split('/').filter(|part| !matches!(*part, "" | "."));
        let ups = parts().take_while(|part| *part == "..").count();
        let is_relative = !self.0.starts_with('/');
        is_relative && ups <= depth && !parts().skip(ups).any(|part| part == "..")
    }
}

impl Kind {
    /// A file of `size` bytes, cut as haul chooses.
    ///
    /// # Errors
    ///
    /// [`GeometryError::TooLarge`].
    pub fn file(size: u64) -> Result<Self, GeometryError> {
        Geometry::new(size, BlockSize::for_size(size)).map(Self::File)
    }
}

impl Entry {
    /// The file's blocks, or `None` for what is no file.
    #[must_use]
    pub fn geometry(&self) -> Option<Geometry> {
        match self.kind {
            Kind::File(geometry) => Some(geometry),
            Kind::Dir | Kind::Link(_) => None,
        }
    }

    /// Bytes of content: a directory or link has none.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.geometry().map_or(0, Geometry::size)
    }

    /// How many directories are above it in its tree.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.path.as_str().matches('/').count()
    }

    /// The entry's place in a listing.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let slash = match self.kind {
            Kind::Dir => "/",
            Kind::File(_) | Kind::Link(_) => "",
        };
        Cursor(format!("{}{slash}", self.path).into())
    }
}

impl Cursor {
    /// Reads a path with or without a `/` behind it.
    ///
    /// # Errors
    ///
    /// What [`RemotePath::parse`] finds wrong with the path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        RemotePath::parse(text.strip_suffix('/').unwrap_or(text))?;
        Ok(Self(text.into()))
    }

    /// The path, with a `/` behind a directory's.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_keep_permission_bits_only() {
        assert_eq!(Mode::masked(0o104_755).bits(), 0o755);
    }

    #[test]
    fn a_time_has_less_than_a_second_of_nanoseconds() {
        assert!(Mtime::new(-1, 999_999_999).is_some());
        assert!(Mtime::new(0, 1_000_000_000).is_none());
    }

    #[track_caller]
    fn link(text: &str, depth: usize, stays: bool) {
        let target = LinkTarget::new(text).unwrap();
        assert_eq!(target.stays_within(depth), stays, "{text:?} at {depth}");
    }

    #[test]
    fn a_link_stays_within_as_far_up_as_it_is_deep() {
        link("x", 0, true);
        link("./x/", 0, true);
        link("../x", 0, false);
        link("../x", 1, true);
        link("../../x", 1, false);
        link("..", 1, true);
        link("/etc", 9, false);
    }

    #[test]
    fn a_link_that_goes_up_behind_a_name_may_lead_anywhere() {
        link("x/../y", 3, false);
        link("../x/..", 3, false);
        link("x/..y/...", 0, true);
    }

    #[test]
    fn a_directory_sorts_as_if_it_ended_in_a_slash() {
        let entry = |path: &str, kind: Kind| Entry {
            path: RemotePath::parse(path).unwrap(),
            kind,
            mode: Mode::masked(0),
            mtime: Mtime::default(),
            version: None,
            checksum: None,
        };
        let mut entries = [
            entry("a/b", Kind::Dir),
            entry("a", Kind::Dir),
            entry("a.txt", Kind::file(0).unwrap()),
            entry("a0", Kind::Dir),
        ];
        entries.sort_by_key(Entry::cursor);
        let order: Vec<_> = entries.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(order, ["a.txt", "a", "a/b", "a0"]);
    }
}
