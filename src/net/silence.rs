//! How long a peer has been waited for, as any thread may see it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Since when a connection's owner waits for the peer in vain, for any thread to see.
/// Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub struct Silence(Arc<AtomicU64>);

/// What [`Silence`] counts from.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Silence {
    /// How long the wait lasts that is under way; no time where there is none.
    #[must_use]
    pub fn length(&self) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => BEGAN.elapsed().saturating_sub(Duration::from_millis(since)),
        }
    }

    pub(super) fn during<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.begin();
        let came = wait();
        self.end();
        came
    }

    /// A wait begins, unless one was in vain just now: then it goes on.
    pub(super) fn begin(&self) {
        if self.0.load(Ordering::Relaxed) == 0 {
            let now = BEGAN.elapsed().as_millis() as u64;
            self.0.store(now.max(1), Ordering::Relaxed);
        }
    }

    pub(super) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
