//! One exchange, damaged at its bytes in each of the ways there are, in both directions.
//!
//! In clear every byte is flipped, dropped, repeated, and the connection cut and reset before
//! it; where it stalls, the clock has to end it, so that is tried at some. Encrypted, some bytes
//! of each record stand for the others, which one seal protects. The long form leaves none out.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use haul::transfer::Deadlines;

use crate::both_ways::{WAYS, Way};
use crate::exchange::{Exchange, Ran, Setting};
use crate::memory::{DAMAGES, Damage, Side};
use crate::rig::forget_partials;
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::tampering::{Place, before_goodbye, place, places};

plain_and_encrypted! {
    no_damage_to_what_the_client_says_in_a_put_publishes_anything,
    no_damage_to_what_the_server_says_in_a_put_passes_for_success,
    no_damage_to_what_the_client_says_in_a_get_publishes_anything,
    no_damage_to_what_the_server_says_in_a_get_publishes_anything,
}

/// How many exchanges are under way at once: where one waits for its end, others go on.
const LANES: usize = 8;

/// For what only the clock ends.
const MOMENT: Duration = Duration::from_millis(100);

/// Of the bytes at which only the clock ends an exchange, every so manieth is tried.
const STEP: usize = 61;

/// Which bytes are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Some,
    Every,
}

/// A kind of exchange, and who is damaged in it.
#[derive(Clone, Copy, Debug)]
struct Kind {
    way: Way,
    from: Side,
    secrecy: Secrecy,
}

/// An exchange of a kind, and another in which nothing is waited for long.
struct Exchanges {
    kind: Kind,
    patient: Exchange,
    hasty: Exchange,
}

impl Kind {
    /// Each damage to what was said.
    fn damages(self, said: &[u8], pace: Pace) -> Vec<Damage> {
        let every = || 0..said.len();
        let all = |places: Vec<usize>, which: fn(Damage) -> bool| {
            let each = |at| {
                DAMAGES
                    .map(|damage| damage(at))
                    .into_iter()
                    .filter(move |d| which(*d))
            };
            places.into_iter().flat_map(each).collect::<Vec<_>>()
        };
        let clocked = |damage| matches!(damage, Damage::Stall(_));
        let unclocked = |damage| !matches!(damage, Damage::Stall(_));
        // What is sealed comes a byte short or long, and one end waits for the next record.
        let misfit = |d| matches!(d, Damage::Stall(_) | Damage::Drop(_) | Damage::Repeat(_));
        let fit = |d| !matches!(d, Damage::Stall(_) | Damage::Drop(_) | Damage::Repeat(_));
        match (pace, self.secrecy) {
            (Pace::Every, _) => all(every().collect(), |_| true),
            (Pace::Some, Secrecy::Plain) => {
                let mut damages = all(every().collect(), unclocked);
                damages.extend(all(every().step_by(STEP).collect(), clocked));
                damages
            }
            (Pace::Some, Secrecy::Encrypted) => {
                let places = places(said);
                let some = places.iter().copied().step_by(4).collect();
                let mut damages = all(places, fit);
                damages.extend(all(some, misfit));
                damages
            }
        }
    }

    /// Whether the clock ends what comes of damage.
    fn is_clocked(self, damage: Damage, said: &[u8]) -> bool {
        match (self.secrecy, damage) {
            (_, Damage::Stall(_)) | (Secrecy::Encrypted, Damage::Drop(_) | Damage::Repeat(_)) => {
                true
            }
            (Secrecy::Encrypted, Damage::Flip(at)) => place(said, at) == Place::Length,
            _ => false,
        }
    }

    /// Whether damage had to be noticed, by what was said when it was done: whether there is
    /// a record more or less is the affair of the clock.
    fn must_fail(self, damage: Damage, said: &[u8]) -> bool {
        match (self.secrecy, damage) {
            (Secrecy::Encrypted, Damage::Flip(at)) => {
                matches!(place(said, at), Place::Length | Place::Content)
            }
            (Secrecy::Plain, _) => !damage.carry(0, said).0.starts_with(said),
            (Secrecy::Encrypted, _) => {
                let needed = before_goodbye(said);
                !damage.carry(0, said).0.starts_with(needed)
            }
        }
    }
}

impl Exchanges {
    fn new(kind: Kind) -> Self {
        let hasty = Deadlines {
            opening: MOMENT,
            idle: MOMENT,
            stall: MOMENT,
            closing: MOMENT,
            ..Deadlines::default()
        };
        Self {
            kind,
            patient: Exchange::new(kind.secrecy),
            hasty: Exchange::with(Setting {
                secrecy: kind.secrecy,
                deadlines: hasty,
                ..Setting::default()
            }),
        }
    }

    fn run(&self, exchange: &Exchange, damage: Damage) -> Ran {
        match self.kind.way {
            Way::Put => exchange.put(self.kind.from, damage),
            Way::Get => exchange.get(self.kind.from, damage),
        }
    }

    /// Takes away what was published, and says whether it was there.
    #[track_caller]
    fn published(&self, exchange: &Exchange, what: &str) -> bool {
        match self.kind.way {
            Way::Put => exchange.published("root", &["there"], what),
            Way::Get => exchange.published("into", &[], what),
        }
    }

    /// Has an exchange end well, and returns what the one said that is to be damaged.
    #[track_caller]
    fn is_well(&self, exchange: &Exchange, what: &str) -> Vec<u8> {
        let ran = self.run(exchange, Damage::None);
        assert_eq!(ran.outcome.code(), 0, "{what}: {:?}", ran.outcome);
        assert!(self.published(exchange, what), "{what}");
        ran.said[self.kind.from as usize].clone()
    }

    /// Does one damage, and holds what came of it against what had to; says whether it had to
    /// be noticed.
    fn is_noticed(&self, damage: Damage, said: &[u8]) -> bool {
        let what = format!("{:?} {damage:?} of {}", self.kind, said.len());
        let exchange = if self.kind.is_clocked(damage, said) {
            &self.hasty
        } else {
            &self.patient
        };
        let ran = self.run(exchange, damage);
        let code = ran.outcome.code();
        let published = self.published(exchange, &what);
        let must_fail = self
            .kind
            .must_fail(damage, &ran.said[self.kind.from as usize]);
        if must_fail {
            let is_named = match (self.kind.secrecy, damage) {
                (_, Damage::Stall(_) | Damage::Cut(_) | Damage::Reset(_)) => code == 3,
                // In clear a damaged block is one of other bytes.
                (Secrecy::Plain, _) => code != 0,
                (Secrecy::Encrypted, _) => matches!(code, 3 | 9),
            };
            assert!(is_named, "{what}: {:?}", ran.outcome);
        }
        assert!(code != 0 || published, "{what}: a success of nothing");
        // The commit is the last that a client says in a put; in a get it has the last word.
        let says_last = (self.kind.way, self.kind.from) != (Way::Put, Side::Server);
        assert!(
            !says_last || !published || code == 0,
            "{what}: published without an end"
        );
        let target = exchange.dir.path().join(match self.kind.way {
            Way::Put => "root",
            Way::Get => "into",
        });
        is_swept(&target.join(".haul/staging"), &what);
        if self.kind.way == Way::Get {
            forget_partials(&target);
        }
        must_fail
    }
}

/// Does every damage to an exchange of a kind; after each the next one ends well, where there
/// is time for that, and else after the last.
fn is_damaged(kind: Kind, pace: Pace) {
    let said = Exchanges::new(kind).is_well(&Exchange::new(kind.secrecy), "undamaged");
    assert!(said.len() > 100, "{said:?} is no exchange");
    let damages = kind.damages(&said, pace);
    let (all, noticed) = (damages.len(), AtomicUsize::new(0));
    let damages = Mutex::new(damages.into_iter());
    let lane = || {
        let exchanges = Exchanges::new(kind);
        loop {
            let Some(damage) = damages.lock().unwrap().next() else {
                break;
            };
            let must_fail = exchanges.is_noticed(damage, &said);
            noticed.fetch_add(usize::from(must_fail), Ordering::SeqCst);
            if pace == Pace::Every {
                exchanges.is_well(&exchanges.patient, &format!("after {damage:?}"));
            }
        }
        exchanges.is_well(&exchanges.patient, "after all");
        exchanges
    };
    let last = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        let ended = lanes.into_iter().map(|lane| lane.join().unwrap());
        ended.last().unwrap()
    });
    let noticed = noticed.into_inner();
    assert!(
        noticed > all / 2,
        "{kind:?}: {noticed} of {all} had to be noticed"
    );
    if pace == Pace::Every {
        println!(
            "{kind:?}: {all} damages to {} bytes, {noticed} had to be noticed",
            said.len()
        );
    }
    let after = last.run(&last.patient, Damage::Cut(usize::MAX));
    assert!(last.published(&last.patient, "after the last answer"));
    after.outcome.is_fine();
}

/// Nothing is left of what was staged.
#[track_caller]
fn is_swept(staging: &Path, what: &str) {
    let left = fs::read_dir(staging).map_or(0, Iterator::count);
    assert_eq!(left, 0, "{what}: staging is left behind");
}

fn some_are_damaged(way: Way, from: Side, secrecy: Secrecy) {
    is_damaged(Kind { way, from, secrecy }, Pace::Some);
}

fn no_damage_to_what_the_client_says_in_a_put_publishes_anything(secrecy: Secrecy) {
    some_are_damaged(Way::Put, Side::Client, secrecy);
}

fn no_damage_to_what_the_server_says_in_a_put_passes_for_success(secrecy: Secrecy) {
    some_are_damaged(Way::Put, Side::Server, secrecy);
}

fn no_damage_to_what_the_client_says_in_a_get_publishes_anything(secrecy: Secrecy) {
    some_are_damaged(Way::Get, Side::Client, secrecy);
}

fn no_damage_to_what_the_server_says_in_a_get_publishes_anything(secrecy: Secrecy) {
    some_are_damaged(Way::Get, Side::Server, secrecy);
}

/// Leaves out no byte:
///
///     cargo test --release --test suite -- --ignored --nocapture every_byte_of_an_exchange
#[test]
#[ignore = "takes twelve minutes"]
fn every_byte_of_an_exchange_is_damaged_in_every_way() {
    for secrecy in [Secrecy::Plain, Secrecy::Encrypted] {
        for way in WAYS {
            for from in [Side::Client, Side::Server] {
                let kind = Kind { way, from, secrecy };

                is_damaged(kind, Pace::Every);
            }
        }
    }
}
