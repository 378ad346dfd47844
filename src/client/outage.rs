//! Picking up again when the last connection of a job is lost.
//!
//! While one connection is left the job goes on over that one, and whoever has lost theirs
//! waits. With the last one begins an outage: all wait, longer each time, and connect again.
//! What was done stays done, what was under way is given back and goes on from where it was.
//!
//! Only what another try can mend is a reason to: a lost connection, and a server that is
//! full or being stopped. A server that has never answered may just as well be a wrong
//! address, and is not waited for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Client;
use super::error::Error;
use super::monitor::Cancel;
use super::route::Route;

/// Between two looks at whether the job has ended meanwhile.
const TICK: Duration = Duration::from_millis(50);

/// How often a job connects again, and after which pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in a row that may come to nothing.
    pub most: u32,
    /// The pause before the first; each one doubles it.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Retry {
    /// A connection that is lost is the end.
    pub const NEVER: Self = Self {
        most: 0,
        first: Duration::ZERO,
        longest: Duration::ZERO,
    };

    /// The attempt with this number, after a connection has ended like this; none where there
    /// are no more.
    #[must_use]
    pub fn attempt(&self, number: u32, error: &Error) -> Option<Attempt> {
        (number <= self.most).then(|| Attempt {
            number,
            most: self.most,
            pause: self.pause(number),
            why: chain(error),
        })
    }

    /// So many attempts, the first after a second, with at most half a minute between two.
    #[must_use]
    pub fn times(most: u32) -> Self {
        Self {
            most,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
        }
    }

    /// The pause before an attempt, the first being 1. Part of it is chance, so that many
    /// clients of one server do not come back at the same moment.
    #[must_use]
    pub fn pause(&self, attempt: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1));
        let pause = self.first.saturating_mul(doubled.unwrap_or(u32::MAX));
        let pause = pause.min(self.longest);
        let mut chance = [0; 1];
        // Without chance the pause is whole, which is as good for one client.
        let _ = rustix::rand::getrandom(&mut chance, rustix::rand::GetRandomFlags::empty());
        pause.saturating_sub(pause / 2 * u32::from(chance[0]) / 256)
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::NEVER
    }
}

/// A connection was lost, and there is another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which one it is, from 1.
    pub number: u32,
    /// How many there are.
    pub most: u32,
    /// How long it is waited until then.
    pub pause: Duration,
    /// What has happened.
    pub why: String,
}

/// The outages of one job.
#[derive(Debug)]
pub(super) struct Outages {
    retry: Retry,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Workers that have a connection, or are about to.
    at_work: usize,
    outages: u64,
    /// Attempts in a row that came to nothing.
    attempts: u32,
    /// What was done when the last outage began.
    done: u64,
    /// When the next attempt is made.
    next: Instant,
    is_over: bool,
}

impl Outages {
    /// For a job of so many workers.
    pub(super) fn new(retry: Retry, workers: usize) -> Self {
        Self {
            retry,
            state: Mutex::new(State {
                at_work: workers,
                outages: 0,
                attempts: 0,
                done: 0,
                next: Instant::now(),
                is_over: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One worker more takes part.
    pub(super) fn enlist(&self) {
        self.state().at_work += 1;
    }

    /// A worker has lost its connection: waits until it is worth connecting again.
    ///
    /// `done` grows with all that the job gets done: who gets somewhere may go on for ever.
    /// `has_ended` says whether the job has ended meanwhile, `tell` hears of the attempt.
    ///
    /// # Errors
    ///
    /// The same error where it is not, or that it was interrupted.
    pub(super) fn pick_up(
        &self,
        error: Error,
        (route, cancel): (&Route, &Cancel),
        done: u64,
        has_ended: impl Fn() -> bool,
        tell: impl FnOnce(Attempt),
    ) -> Result<(), Error> {
        let is_over = || cancel.is_cancelled() || has_ended();
        let is_worth_it = route.is_worth_another_try(&error);
        match self.wait(&error, is_worth_it, done, is_over, tell) {
            true => Ok(()),
            false if cancel.is_cancelled() => Err(Error::Interrupted),
            false => Err(error),
        }
    }

    fn wait(
        &self,
        error: &Error,
        is_worth_it: bool,
        done: u64,
        is_over: impl Fn() -> bool,
        tell: impl FnOnce(Attempt),
    ) -> bool {
        let is_over = |state: &State| state.is_over || is_over();
        let mut state = self.state();
        state.at_work -= 1;
        if self.retry.most == 0 || !is_worth_it {
            return false;
        }
        let before = state.outages;
        while state.at_work > 0 && state.outages == before {
            if is_over(&state) {
                return false;
            }
            state = self.tick(state, TICK);
        }
        if state.outages == before {
            if done > state.done {
                state.attempts = 0;
            }
            state.done = state.done.max(done);
            state.attempts += 1;
            let attempt = self.retry.attempt(state.attempts, error);
            let Some(attempt) = attempt.filter(|_| !is_over(&state)) else {
                state.is_over = true;
                return false;
            };
            state.outages += 1;
            state.next = Instant::now() + attempt.pause;
            tell(attempt);
            self.changed.notify_all();
        }
        loop {
            let left = state.next.saturating_duration_since(Instant::now());
            if is_over(&state) {
                return false;
            }
            if left.is_zero() {
                state.at_work += 1;
                return true;
            }
            state = self.tick(state, left.min(TICK));
        }
    }

    fn tick<'s>(&self, state: MutexGuard<'s, State>, wait: Duration) -> MutexGuard<'s, State> {
        let waited = self.changed.wait_timeout(state, wait);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Client {
    /// The same client, whose jobs connect again as this says.
    #[must_use]
    pub fn retrying(mut self, retry: Retry) -> Self {
        self.options.retry = retry;
        self
    }

    /// Whether another try may do better than one that ended like this.
    ///
    /// That is so where the connection was lost, or the server said that it is full or being
    /// stopped; but not where no server has ever answered: that may be a wrong address.
    #[must_use]
    pub fn is_worth_another_try(&self, error: &Error) -> bool {
        self.route.is_worth_another_try(error)
    }
}

/// An error and its causes in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_lose_at_most_half_to_chance() {
        let retry = Retry::times(10);
        for (attempt, whole) in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (40, 30)] {
            let whole = Duration::from_secs(whole);
            for _ in 0..50 {
                let pause = retry.pause(attempt);
                assert!(pause <= whole && pause >= whole / 2, "{attempt}: {pause:?}");
            }
        }
        assert_eq!(Retry::NEVER.pause(3), Duration::ZERO);
    }
}
