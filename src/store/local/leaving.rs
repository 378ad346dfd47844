//! What was replaced, and still gives its space back.
//!
//! A file is gone with the last who has it open, and a large one takes a while for that. So it is
//! held until whoever waits for an answer has it. Whoever wants the space it took waits for it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an offer waits for the space of what was replaced. A large file on a slow disk may
/// take longer.
const LEAVING_MAX: Duration = Duration::from_secs(30);
/// Between two looks at what has become free meanwhile.
const TICK: Duration = Duration::from_millis(50);

/// How many files were replaced and are still giving their space back.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    count: Mutex<usize>,
    gone: Condvar,
}

/// A file that was replaced. It is there until this is dropped, and a large one takes a while
/// to go.
#[derive(Debug)]
pub struct Replaced {
    file: Arc<OwnedFd>,
    // The file goes first.
    _counted: Counted,
}

/// One of those that are counted.
#[derive(Debug)]
struct Counted(Arc<Leaving>);

impl Leaving {
    pub(super) fn expect(self: &Arc<Self>, file: Arc<OwnedFd>) -> Replaced {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Replaced {
            file,
            _counted: Counted(Arc::clone(self)),
        }
    }

    /// Waits for those that are leaving while `is_short` says that it takes them.
    pub(super) fn wait_while(&self, is_short: impl Fn() -> bool) {
        let until = Instant::now() + LEAVING_MAX;
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count > 0 && Instant::now() < until && is_short() {
            let waited = self.gone.wait_timeout(count, TICK);
            count = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl AsFd for Replaced {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.gone.notify_all();
    }
}
