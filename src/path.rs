//! Names as they cross the wire.
//!
//! A name that comes from the other side is the one input that could make a
//! server write outside its root, so it is checked once, here, and everything
//! below takes a [`RemotePath`]: a type that cannot hold a name worth checking
//! again. The rules are the same on both sides; a client applies them before it
//! sends, so that a person hears of a bad name at once.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// The directory in which a receiving tree keeps what is not yet published.
///
/// It is refused as a component at every depth, so that no name from outside
/// can ever reach into it.
pub const RESERVED: &str = ".haul";

/// Most bytes in one component: `NAME_MAX` on Linux.
pub const COMPONENT_MAX: usize = 255;

/// Most bytes in a whole path: `PATH_MAX` less its NUL.
pub const PATH_MAX: usize = 4095;

/// A relative path of plain components, joined by `/`.
///
/// It is never empty and holds no `.`, `..`, NUL or empty component. The root of
/// a tree has no name; where it may be meant, an `Option` says so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemotePath(Box<str>);

/// Why a text is no [`RemotePath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is no text at all.
    #[error("the name is empty")]
    Empty,
    /// It begins with `/`.
    #[error("the name begins with \"/\"")]
    Absolute,
    /// Two slashes meet, or one ends the path.
    #[error("the name has an empty component")]
    EmptyComponent,
    /// A component is `.` or `..`.
    #[error("the name has a component {0:?}")]
    Dots(Box<str>),
    /// It holds a NUL, which no file system can store.
    #[error("the name holds a NUL")]
    Nul,
    /// It names haul's own directory.
    #[error("{RESERVED:?} is haul's own and cannot be used as a name")]
    Reserved,
    /// One component is too long for a file system.
    #[error("a component has {len} bytes, more than {COMPONENT_MAX}")]
    ComponentTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The whole is too long for a system call.
    #[error("the name has {len} bytes, more than {PATH_MAX}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A local name that is not UTF-8.
    #[error("the name is not UTF-8")]
    NotUtf8,
}

impl RemotePath {
    /// Checks `text` against every rule of the module.
    ///
    /// # Errors
    ///
    /// The first rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > PATH_MAX {
            return Err(PathError::TooLong { len: text.len() });
        }
        if text.starts_with('/') {
            return Err(PathError::Absolute);
        }
        text.split('/').try_for_each(check_component)?;
        Ok(Self(text.into()))
    }

    /// Checks a name that the local file system gave.
    ///
    /// # Errors
    ///
    /// [`PathError::NotUtf8`], or the first rule that the name breaks.
    pub fn from_local(name: &OsStr) -> Result<Self, PathError> {
        Self::parse(name.to_str().ok_or(PathError::NotUtf8)?)
    }

    /// The text that was checked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same path for system calls.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&*self.0)
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// The path without its last component; `None` means the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.into()))
    }

    /// `name` beneath `parent`, where `None` is the root.
    ///
    /// # Errors
    ///
    /// What [`RemotePath::parse`] finds wrong with the joined path.
    pub fn beneath(parent: Option<&Self>, name: &str) -> Result<Self, PathError> {
        match parent {
            None => Self::parse(name),
            // The joined text is checked whole: its length may break a rule
            // that neither part does.
            Some(parent) => Self::parse(&format!("{parent}/{name}")),
        }
    }
}

/// Quoted and escaped: safe on any screen and in any log.
impl fmt::Debug for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// As it is: for a file that is named by it, and for JSON.
impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_component(component: &str) -> Result<(), PathError> {
    match component {
        "" => Err(PathError::EmptyComponent),
        "." | ".." => Err(PathError::Dots(component.into())),
        RESERVED => Err(PathError::Reserved),
        _ if component.len() > COMPONENT_MAX => Err(PathError::ComponentTooLong {
            len: component.len(),
        }),
        _ if component.contains('\0') => Err(PathError::Nul),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, why: PathError) {
        assert_eq!(RemotePath::parse(text), Err(why), "{text:?}");
    }

    #[test]
    fn names_that_could_leave_the_root_are_refused() {
        refused("", PathError::Empty);
        refused("/x", PathError::Absolute);
        refused("../x", PathError::Dots("..".into()));
        refused("a/../x", PathError::Dots("..".into()));
        refused(".", PathError::Dots(".".into()));
        refused("a//b", PathError::EmptyComponent);
        refused("a/", PathError::EmptyComponent);
        refused("a\0b", PathError::Nul);
    }

    #[test]
    fn the_reserved_directory_is_refused_at_every_depth() {
        refused(".haul", PathError::Reserved);
        refused("a/.haul/b", PathError::Reserved);
        assert!(RemotePath::parse(".haulage").is_ok());
    }

    #[test]
    fn lengths_end_where_file_systems_end() {
        let longest = "x".repeat(COMPONENT_MAX);
        assert!(RemotePath::parse(&longest).is_ok());
        refused(
            &format!("{longest}x"),
            PathError::ComponentTooLong { len: 256 },
        );
        let whole = format!("{}{}", "ab/".repeat(1364), "abc");
        assert_eq!(whole.len(), PATH_MAX);
        assert!(RemotePath::parse(&whole).is_ok());
        refused(&format!("{whole}d"), PathError::TooLong { len: 4096 });
    }

    #[test]
    fn odd_names_are_names() {
        for name in [
            "aux.c",
            "a\nb",
            "\u{202e}gnp",
            "...",
            "-rf",
            "~",
            "a b",
            "\\",
        ] {
            assert_eq!(RemotePath::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_path_knows_its_parent_and_name() {
        let path = RemotePath::parse("a/b/c").unwrap();
        assert_eq!(path.name(), "c");
        assert_eq!(path.parent().unwrap().as_str(), "a/b");
        assert_eq!(RemotePath::parse("a").unwrap().parent(), None);
        assert_eq!(
            RemotePath::beneath(path.parent().as_ref(), "c").unwrap(),
            path
        );
    }
}
