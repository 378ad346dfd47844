//! What changes a tree without moving content: making, renaming, removing.

use super::{Aside, Error, Source};
use crate::path::RemotePath;

/// What to do about directories above one that is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parents {
    /// They must be there, and the directory must not.
    #[default]
    Expect,
    /// Those that are missing are made too; a directory that is there already is fine.
    Make,
}

/// How much a removal takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Removal {
    /// One thing: what is no directory, or an empty one.
    #[default]
    Single,
    /// A directory with everything beneath it, too.
    Whole,
}

/// A tree that can be changed. Each call says that it is done only once that is as
/// durable as the store makes things.
pub trait Changes: Source {
    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// [`Error::Taken`] where something has the name, unless [`Parents::Make`] finds a
    /// directory; [`Error::NotADirectory`] where something else stands above it. Neither
    /// where the store [tells nothing](super::Telling::Nothing): there a directory of that
    /// name is fine, and those above it are made.
    fn make_dir(&self, path: &RemotePath, parents: Parents) -> Result<Option<Aside>, Error>;

    /// Gives what is at `from` the name `to`, in one step for whoever looks.
    ///
    /// # Errors
    ///
    /// [`Error::Taken`] where something has the new name: it is never replaced;
    /// [`Error::IntoItself`] for a directory that would be in itself.
    fn rename(&self, from: &RemotePath, to: &RemotePath) -> Result<(), Error>;

    /// Removes what has a name: a link itself, never what it leads to.
    ///
    /// # Errors
    ///
    /// [`Error::NotEmpty`] for a full directory, unless all of it is to go;
    /// [`Error::NotAllRemoved`] where some of it could not be: the rest is gone.
    fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), Error>;
}
