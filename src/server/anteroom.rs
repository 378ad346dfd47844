//! Connections that have not been let in yet.
//!
//! They are bounded by themselves, so that whoever only reaches the port cannot take all
//! places. When there are too many, one is dropped by lot in place of refusing whoever
//! comes: an opening that is meant takes a moment, and one that is not lasts until its
//! deadline, so the lot falls on the latter.

use std::hash::{BuildHasher, RandomState};

use super::sources::{OpeningLimits, Source};

/// Connections in opening that are never too many in all: one client opens so many at once.
/// In a server of fewer places none are kept free.
const FEW: usize = 64;

/// Those that wait to be let in.
#[derive(Debug)]
pub(super) struct Anteroom {
    limits: OpeningLimits,
    most: usize,
    /// In no order.
    waiting: Vec<Opening>,
}

/// A connection that opens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) number: u64,
    /// Where it comes from, if that is an address.
    pub(super) source: Option<Source>,
    /// Whether somebody was let in from there lately.
    pub(super) is_known: bool,
}

impl Anteroom {
    /// The room before so many places.
    pub(super) fn new(limits: OpeningLimits, places: usize) -> Self {
        Self {
            limits,
            most: limits.at_once.min(places / 2).max(FEW),
            waiting: Vec::new(),
        }
    }

    /// Whether nobody has to go, though all places be taken.
    pub(super) fn has_few(&self) -> bool {
        self.waiting.len() <= FEW
    }

    /// Takes one in, and returns the number of the one that has to go for it: where there
    /// are too many from its own source, one of those.
    pub(super) fn enter(&mut self, newcomer: Opening, places: Places) -> Option<u64> {
        let is_same = |o: &Opening| o.source.is_some() && o.source == newcomer.source;
        let same = self.waiting.iter().filter(|o| is_same(o)).count();
        let dropped = if same >= self.limits.of_a_source {
            self.draw(is_same)
        } else if self.waiting.len() >= self.most || places == Places::AllTaken {
            let all_known = self.waiting.iter().all(|o| o.is_known);
            self.draw(|o| all_known || !o.is_known)
        } else {
            None
        };
        self.waiting.push(newcomer);
        dropped
    }

    /// Takes one of them out, by lot.
    fn draw(&mut self, among: impl Fn(&Opening) -> bool) -> Option<u64> {
        let drawn: Vec<usize> = (0..self.waiting.len())
            .filter(|at| among(&self.waiting[*at]))
            .collect();
        // A hasher's keys are as random as a lot has to be, and cost no system call.
        let lot = RandomState::new().hash_one(0) as usize;
        let at = drawn.get(lot % drawn.len().max(1))?;
        Some(self.waiting.swap_remove(*at).number)
    }

    /// Notes that one is let in, or gone.
    pub(super) fn leave(&mut self, number: u64) {
        if let Some(at) = self.waiting.iter().position(|o| o.number == number) {
            self.waiting.swap_remove(at);
        }
    }

    /// Whether one still waits.
    pub(super) fn holds(&self, number: u64) -> bool {
        self.waiting.iter().any(|o| o.number == number)
    }
}

/// Whether there are places behind the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Places {
    Free,
    AllTaken,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    /// A room for 200, and 100 from one source.
    fn room(places: usize) -> Anteroom {
        let limits = OpeningLimits {
            at_once: 200,
            of_a_source: 100,
            ..OpeningLimits::default()
        };
        Anteroom::new(limits, places)
    }

    /// Has so many enter from 192.0.2.`host`, and returns their numbers.
    fn enter(room: &mut Anteroom, count: u64, host: u8, is_known: bool) -> Vec<u64> {
        let first = 1000 * u64::from(host) + u64::from(is_known) * 500;
        let numbers: Vec<u64> = (first..first + count).collect();
        for number in &numbers {
            let source = IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
            let newcomer = Opening {
                number: *number,
                source: Some(Source::of(source)),
                is_known,
            };
            room.enter(newcomer, Places::Free);
            assert!(room.holds(*number), "whoever comes is heard");
        }
        numbers
    }

    fn still_there(room: &Anteroom, numbers: &[u64]) -> usize {
        numbers.iter().filter(|number| room.holds(**number)).count()
    }

    #[test]
    fn a_source_that_opens_too_many_loses_its_own_and_nobody_else_s() {
        let mut room = room(1024);
        let others = enter(&mut room, 50, 1, false);
        let flood = enter(&mut room, 150, 2, false);
        assert_eq!(still_there(&room, &others), 50);
        assert_eq!(still_there(&room, &flood), 100);
    }

    #[test]
    fn too_many_in_all_lose_one_and_those_of_known_sources_last() {
        let mut room = room(1024);
        let office = enter(&mut room, 60, 1, true);
        let flood: Vec<u64> = (2..250)
            .flat_map(|host| enter(&mut room, 1, host, false))
            .collect();
        assert_eq!(still_there(&room, &office), 60);
        assert_eq!(still_there(&room, &flood), 140);
        for number in flood {
            room.leave(number);
        }
        // Where all are known, one of them goes all the same.
        enter(&mut room, 100, 2, true);
        enter(&mut room, 100, 3, true);
        assert_eq!(room.waiting.len(), 200);
        assert!(still_there(&room, &office) < 60);
    }

    #[test]
    fn the_lot_does_not_always_fall_on_the_same() {
        let mut room = room(1024);
        let first = enter(&mut room, 100, 1, false);
        let second = enter(&mut room, 100, 1, true);
        let kept = still_there(&room, &first);
        assert_eq!(kept + still_there(&room, &second), 100);
        assert!((5..95).contains(&kept), "{kept} of the first hundred");
    }

    #[test]
    fn they_are_at_most_half_of_what_there_may_be_where_that_is_many() {
        for (places, most) in [(1, 64), (64, 64), (150, 75), (300, 150), (10_000, 200)] {
            let mut room = room(places);
            for host in 1..10 {
                enter(&mut room, 50, host, false);
            }
            assert_eq!(room.waiting.len(), most, "{places}");
        }
    }

    #[test]
    fn where_all_places_are_taken_one_goes_for_each_that_comes() {
        let mut room = room(1024);
        enter(&mut room, 70, 1, false);
        let newcomer = Opening {
            number: 9,
            source: None,
            is_known: false,
        };
        assert!(room.enter(newcomer, Places::AllTaken).is_some());
        assert_eq!(room.waiting.len(), 70);
        assert!(room.holds(9));
    }
}
