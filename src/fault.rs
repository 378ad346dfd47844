//! Fault points: where a test may make a system call fail.
//!
//! What must hold when a disk is full or a rename fails can only be shown by
//! making them fail, each of them, in turn. So the few places that call the
//! system on behalf of a transfer ask a [`Fault`] first. It belongs to one store
//! or stream, never to the process, so that tests run side by side; without a
//! watcher it costs one branch.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A kind of call, as a watcher sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is named for the call it stands for")]
pub enum Call {
    Open,
    MakeDir,
    MakeLink,
    Stat,
    ReadDir,
    ReadAt,
    Advise,
    WriteAt,
    WriteBack,
    Resize,
    Space,
    SetAttribute,
    GetAttribute,
    SetMode,
    SetTimes,
    FlushData,
    FlushAll,
    FlushDirectory,
    Rename,
    Unlink,
    Lock,
    SocketRead,
    SocketWrite,
}

/// Sees each call before it is made and may refuse it.
pub type Watcher = dyn Fn(Call) -> io::Result<()> + Send + Sync;

/// The fault points of one instance.
#[derive(Clone, Default)]
pub struct Fault(Option<Arc<Watcher>>);

impl Fault {
    /// Shows every call to `watcher`.
    pub fn watched(watcher: impl Fn(Call) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watcher)))
    }

    /// Asks whether `call` may be made.
    ///
    /// # Errors
    ///
    /// Whatever the watcher wants the call to fail with; never without one.
    pub fn ask(&self, call: Call) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |watcher| watcher(call))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "watched" } else { "none" })
    }
}
