//! How much may still be stored: what the disk has, less what is to stay free, less what was
//! promised to those who send already.
//!
//! An offer is answered before its bytes come, and others may be answered meanwhile: each
//! would find the same space free. So what is taken is promised, block by block it becomes
//! what the disk has less, and what never comes is given back with the last user of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::StatVfs;

/// What a store takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes in one file, where there is a bound.
    pub max_file: Option<u64>,
    /// Bytes of the file system that are to stay free.
    pub min_free: u64,
}

/// What of a file system is spoken for.
#[derive(Debug, Default)]
pub(super) struct Room {
    limits: Mutex<Limits>,
    promised: Arc<Mutex<u64>>,
}

/// Bytes that were promised and have not come.
#[derive(Debug)]
pub(super) struct Promise {
    of: Arc<Mutex<u64>>,
    left: AtomicU64,
}

/// What a disk has, as it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) free: u64,
    /// What the smallest file takes.
    pub(super) unit: u64,
}

impl Space {
    /// As the system tells it.
    pub(super) fn of(space: &StatVfs) -> Self {
        Self {
            free: space.f_bavail.saturating_mul(space.f_frsize),
            unit: space.f_frsize,
        }
    }
}

impl Room {
    pub(super) fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limit(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Whether a disk has so much beside what is spoken for.
    pub(super) fn has(&self, space: Space, wanted: u64) -> bool {
        let promised = *self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = promised.saturating_add(self.limits().min_free);
        space.free.saturating_sub(taken) >= wanted
    }

    /// Promises so many bytes to each, where there are so many, one after the other: what
    /// finds none leaves it to the next. `look` says what the disk has; `make` is asked to
    /// free what one is short of, and says how much it did.
    ///
    /// # Errors
    ///
    /// Whatever `look` reports. One that finds no room is told how much there is.
    pub(super) fn promise<E>(
        &self,
        wanted: &[u64],
        look: impl FnOnce() -> Result<Space, E>,
        mut make: impl FnMut(u64) -> u64,
    ) -> Result<Vec<Result<Promise, u64>>, E> {
        let min_free = self.limits().min_free;
        // Held while the disk is looked at: what is written meanwhile counts twice, and
        // nothing not at all.
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let Space { free, unit } = look()?;
        let taken = promised.saturating_add(min_free);
        let mut left = free.saturating_sub(taken);
        let mut owed = taken.saturating_sub(free);
        let promise = |bytes: &u64| {
            let bytes = bytes
                .checked_next_multiple_of(unit.max(1))
                .unwrap_or(u64::MAX);
            if bytes > left {
                // What is below the floor already has to come first.
                let freed = make((bytes - left).saturating_add(owed));
                left = left.saturating_add(freed.saturating_sub(owed));
                owed = owed.saturating_sub(freed);
            }
            left = left.checked_sub(bytes).ok_or(left)?;
            *promised += bytes;
            Ok(Promise {
                of: Arc::clone(&self.promised),
                left: AtomicU64::new(bytes),
            })
        };
        Ok(wanted.iter().map(promise).collect())
    }
}

impl Promise {
    /// So many bytes have come, and are the disk's to count.
    pub(super) fn keep(&self, bytes: u64) {
        let keep = |left: u64| Some(left.saturating_sub(bytes));
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, keep);
        let kept = before.unwrap_or(0).min(bytes);
        *self.of.lock().unwrap_or_else(PoisonError::into_inner) -= kept;
    }

    /// What is left of another one is this one's: it goes on with what that has begun.
    pub(super) fn inherit(&self, other: &Self) {
        let theirs = other.left.swap(0, Ordering::Relaxed);
        self.left.fetch_add(theirs, Ordering::Relaxed);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.keep(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: fn(u64) -> u64 = |_| 0;

    fn room(min_free: u64) -> Room {
        let room = Room::default();
        room.limit(Limits {
            min_free,
            ..Limits::default()
        });
        room
    }

    /// Asks for these on a disk with so much free.
    fn ask(
        room: &Room,
        free: u64,
        wanted: &[u64],
        make: impl FnMut(u64) -> u64,
    ) -> Vec<Result<Promise, u64>> {
        let look = || Ok::<_, ()>(Space { free, unit: 1 });
        room.promise(wanted, look, make).unwrap()
    }

    /// Which of them were promised, and how much there was for the others.
    #[track_caller]
    fn check(promises: &[Result<Promise, u64>], expected: &[Result<(), u64>]) {
        let seen = promises.iter().map(|one| one.as_ref().map(drop));
        assert_eq!(
            seen.map(|one| one.map_err(|left| *left))
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn what_one_is_promised_nobody_else_gets() {
        let room = room(0);
        let first = ask(&room, 100, &[60, 50, 40], NOTHING);
        check(&first, &[Ok(()), Err(40), Ok(())]);
        check(&ask(&room, 100, &[1, 0], NOTHING), &[Err(0), Ok(())]);
        drop(first);
        check(&ask(&room, 100, &[100], NOTHING), &[Ok(())]);
    }

    #[test]
    fn what_has_come_is_counted_by_the_disk_and_no_longer_by_the_promise() {
        let room = room(0);
        let first = ask(&room, 100, &[60], NOTHING).remove(0).unwrap();
        first.keep(20);
        // The disk has 20 less, and 40 are still to come.
        let rest = ask(&room, 80, &[41, 40], NOTHING);
        check(&rest, &[Err(40), Ok(())]);
        first.keep(1000);
        drop(first);
        drop(rest);
        assert_eq!(*room.promised.lock().unwrap(), 0);
    }

    #[test]
    fn nothing_is_promised_of_what_is_to_stay_free() {
        let room = room(30);
        check(&ask(&room, 100, &[71, 70], NOTHING), &[Err(70), Ok(())]);
        check(&ask(&room, 20, &[1, 0], NOTHING), &[Err(0), Ok(())]);
    }

    #[test]
    fn room_is_made_for_what_is_short_and_for_what_is_below_the_floor() {
        let room = room(30);
        let mut asked = Vec::new();
        let promises = ask(&room, 20, &[5], |short| {
            asked.push(short);
            short
        });
        check(&promises, &[Ok(())]);
        assert_eq!(asked, [15]);
        drop(promises);
        // Some is freed, and not enough.
        check(&ask(&room, 20, &[5], |_| 12), &[Err(2)]);
        check(&ask(&room, 20, &[5], |_| 9), &[Err(0)]);
    }

    #[test]
    fn the_smallest_file_takes_a_unit_of_the_disk() {
        let room = room(0);
        let look = || {
            Ok::<_, ()>(Space {
                free: 8192,
                unit: 4096,
            })
        };
        let promises = room.promise(&[1, 4097, 4096, u64::MAX, 0], look, NOTHING);
        check(
            &promises.unwrap(),
            &[Ok(()), Err(4096), Ok(()), Err(0), Ok(())],
        );
    }

    #[test]
    fn who_goes_on_with_what_another_has_begun_takes_over_what_that_was_promised() {
        let room = room(0);
        let promises = ask(&room, 100, &[60, 0], NOTHING);
        let [first, second] = &promises[..] else {
            panic!("two were asked for");
        };
        let (first, second) = (first.as_ref().unwrap(), second.as_ref().unwrap());
        first.keep(10);
        second.inherit(first);
        assert_eq!(second.left.load(Ordering::Relaxed), 50);
        second.keep(50);
        assert_eq!(*room.promised.lock().unwrap(), 0);
    }
}
