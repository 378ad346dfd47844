//! Something that is done with each block of a file, over all processors.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Builder};

/// Most threads for one file: others want to get on, too.
const THREADS_MAX: usize = 4;

/// How many threads may work at one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hands {
    /// As many as there are processors, up to four.
    Many,
    /// The one that asks.
    One,
}

/// Blocks that are worth a thread.
const BLOCKS_EACH: u64 = 2;

/// Does `work` with the number of each of `blocks`, of some on other threads, each of which
/// has a buffer for it. What cannot have a thread is done on this one.
///
/// # Errors
///
/// One of those that `work` ended in; blocks that were not begun by then are left out.
pub fn side_by_side<E: Send>(
    blocks: Range<u64>,
    hands: Hands,
    work: impl Fn(u64, &mut Vec<u8>) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let next = AtomicU64::new(blocks.start);
    let some = || {
        let mut buffer = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= blocks.end {
                return Ok(());
            }
            work(number, &mut buffer).inspect_err(|_| next.store(blocks.end, Ordering::Relaxed))?;
        }
    };
    let worth = (blocks.end.saturating_sub(blocks.start) / BLOCKS_EACH) as usize;
    let processors = match hands {
        Hands::Many => thread::available_parallelism().map_or(1, usize::from),
        Hands::One => 1,
    };
    thread::scope(|scope| {
        let spawn = |_| {
            let thread = Builder::new().name("blocks".to_owned());
            thread.spawn_scoped(scope, some).ok()
        };
        let others = 1..processors.min(THREADS_MAX).min(worth);
        let others: Vec<_> = others.filter_map(spawn).collect();
        let ended = others.into_iter().map(|other| match other.join() {
            Ok(ended) => ended,
            Err(panic) => resume_unwind(panic),
        });
        some().and(ended.collect())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_block_is_worked_at_once() {
        for blocks in [0..0, 5..6, 3..4 + 1000] {
            for hands in [Hands::Many, Hands::One] {
                let seen = Mutex::new(Vec::new());
                let done: Result<(), ()> = side_by_side(blocks.clone(), hands, |number, _| {
                    seen.lock().unwrap().push(number);
                    Ok(())
                });
                assert_eq!(done, Ok(()));
                let mut seen = seen.into_inner().unwrap();
                seen.sort_unstable();
                assert_eq!(seen, blocks.clone().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn one_hand_is_the_one_that_asks() {
        let own = thread::current().id();
        let done: Result<(), ()> = side_by_side(0..1000, Hands::One, |_, _| {
            assert_eq!(thread::current().id(), own);
            Ok(())
        });
        assert_eq!(done, Ok(()));
    }

    #[test]
    fn an_error_on_any_thread_ends_it() {
        for bad in [0, 1, 500, 999] {
            let done = side_by_side(0..1000, Hands::Many, |number, _| {
                if number == bad { Err(number) } else { Ok(()) }
            });
            assert_eq!(done, Err(bad));
        }
    }
}
