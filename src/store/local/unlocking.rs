//! Letting go of a lock and of what it is on.

use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, FlockOperation};

/// A file or directory whose lock, if it has one, ends when this goes.
///
/// To close it is not enough: a process that this one starts has it open too, from its fork until
/// it runs another program, and the lock is the file's as long as anybody has it open.
#[derive(Debug)]
pub(super) struct Unlocking(Option<OwnedFd>);

impl From<OwnedFd> for Unlocking {
    fn from(file: OwnedFd) -> Self {
        Self(Some(file))
    }
}

impl AsFd for Unlocking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (**self).as_fd()
    }
}

impl Unlocking {
    /// The file alone. Its lock ends when nobody has it open any more.
    pub(super) fn into_file(mut self) -> Option<OwnedFd> {
        self.0.take()
    }
}

impl Deref for Unlocking {
    type Target = OwnedFd;

    fn deref(&self) -> &OwnedFd {
        self.0.as_ref().expect("it goes when it is given away")
    }
}

impl Drop for Unlocking {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = fs::flock(file, FlockOperation::Unlock);
        }
    }
}
