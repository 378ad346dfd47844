//! A file of lines as a server asks it: anew with everything that is done.
//!
//! What a person takes away must be gone at once, also from a conversation that is under
//! way, so each question looks whether the file has changed. That look is one system call;
//! only where it finds a change is the file read again. What cannot be read says nothing.

use std::path::PathBuf;

use crate::utc::Utc;

use super::error::Error;
use super::line::LineError;
use super::line_file::LineFile;
use super::private_file::Stamp;

/// How old a change must be, in seconds, before another one is sure to have another
/// time: file systems count in coarse steps.
const SETTLED: i64 = 2;

/// A file, and what was made of it.
#[derive(Debug)]
pub(super) struct Watched<T> {
    file: LineFile,
    path: PathBuf,
    read: Read<T>,
    /// What was logged last, so that it is not said with every question.
    told: Option<Error>,
}

/// What was read.
#[derive(Debug, Default)]
struct Read<T> {
    /// What the file was then; `None` is a file that is not there.
    stamp: Option<Stamp>,
    /// Whether an equal stamp means that nothing has changed since.
    is_settled: bool,
    made: T,
}

/// What a file says, and the lines of it that say nothing.
pub(super) type Made<T> = (T, Vec<(usize, LineError)>);

impl<T: Default> Watched<T> {
    /// Nothing is read yet.
    pub(super) fn new(file: LineFile) -> Self {
        Self {
            path: file.path(),
            file,
            read: Read::default(),
            told: None,
        }
    }

    /// The file.
    pub(super) fn file(&self) -> &LineFile {
        &self.file
    }

    /// What was made of the file when it was last looked at.
    pub(super) fn known(&self) -> &T {
        &self.read.made
    }

    /// Looks at the file, and has `parse` read it again where it has changed.
    pub(super) fn look(&mut self, parse: impl FnOnce(&str) -> Made<T>) {
        let is_same = self.read.is_settled
            && Stamp::of(&self.path).is_ok_and(|stamp| stamp == self.read.stamp);
        if is_same {
            return;
        }
        match self.read(parse) {
            Ok((read, broken)) => {
                if read.stamp != self.read.stamp {
                    for (line, why) in broken {
                        let line = self.file.broken(line, why);
                        tracing::warn!("{line}: it admits nobody");
                    }
                    self.told = None;
                }
                self.read = read;
            }
            Err(error) => {
                // The next question tries again.
                self.read = Read::default();
                if self.told.as_ref() != Some(&error) {
                    tracing::warn!("{error}: nobody is admitted by it");
                    self.told = Some(error);
                }
            }
        }
    }

    fn read(&self, parse: impl FnOnce(&str) -> Made<T>) -> Result<Made<Read<T>>, Error> {
        let now = Utc::now();
        let Some(found) = self.file.read()? else {
            let read = Read {
                is_settled: true,
                ..Read::default()
            };
            return Ok((read, Vec::new()));
        };
        let (made, broken) = parse(&found.text);
        let read = Read {
            stamp: Some(found.stamp),
            is_settled: found.stamp.changed().plus(SETTLED) < now,
            made,
        };
        Ok((read, broken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_is_settled_is_looked_at_and_read_when_it_has_changed() {
        let home = tempfile::tempdir().unwrap();
        let file = LineFile::new(&home.path().join("haul"), "access", "");
        file.change(|_| Ok((Some("one".to_owned()), ()))).unwrap();
        let mut watched = Watched::<String>::new(file);
        let says = |watched: &mut Watched<String>| {
            watched.look(|text| (text.to_owned(), Vec::new()));
            watched.known().clone()
        };
        assert_eq!(says(&mut watched), "one");
        // Nobody can make a change an old one, but what was read can say that it was.
        watched.read.made = "two".to_owned();
        watched.read.is_settled = true;
        assert_eq!(says(&mut watched), "two");
        // Of one that was changed a moment ago an equal stamp says nothing.
        watched.read.is_settled = false;
        assert_eq!(says(&mut watched), "one");
        watched.read.made = "two".to_owned();
        watched.read.is_settled = true;
        set_permissions(&watched.path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(says(&mut watched), "one");
    }
}
