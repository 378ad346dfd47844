//! Turns to do with many threads what is done with one otherwise: whoever finds all taken goes on
//! without, so that nobody waits for anybody.

use std::sync::atomic::{AtomicUsize, Ordering};

/// So many turns.
#[derive(Debug)]
pub(super) struct Turns(AtomicUsize);

/// One of them, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t>(&'t Turns);

impl Turns {
    pub(super) fn of(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }

    /// A turn, if one is free.
    pub(super) fn take(&self) -> Option<Turn<'_>> {
        let less = |free: usize| free.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok().then_some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_each_comes_back() {
        let turns = Turns::of(2);
        let held = [turns.take(), turns.take()];
        assert!(held.iter().all(Option::is_some) && turns.take().is_none());
        drop(held);
        assert!(turns.take().is_some());
    }
}
