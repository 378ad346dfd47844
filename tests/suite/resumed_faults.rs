//! Each call failing in turn, at either end, of a file that is new, goes on from a part that is
//! kept, or replaces one of which it takes what is the same.
//!
//! `faults` has many files in one job, of which some fail; here one file takes all the ways that
//! there are to receive one, in blocks of 1 KiB, and an error of each kind has the code that
//! `haul --help` promises for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use haul::client::Event;
use haul::fault::Call;
use haul::offer::OnExisting;
use haul::transfer::Deadlines;

use crate::both_ways::{WAYS, Way};
use crate::exchange::{Exchange, Ran, Setting};
use crate::faults::CALLS;
use crate::memory::{Damage, Side};
use crate::rig::forget_partials;
use crate::saboteur::Saboteur;
use crate::watch::staged;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a system says of a disk that is broken, full, over quota or read-only, and of a process
/// that has no descriptor or memory left; and the code that each ends in.
const ERRORS: [(i32, u8); 6] = [(5, 10), (28, 8), (122, 8), (30, 10), (24, 10), (12, 10)];

/// What is there before of the file that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// A part, of an earlier try.
    Part,
    /// Another file, one block of which is different.
    Other,
}

/// Jobs of one kind, whose calls fail at one end.
struct Sweep {
    way: Way,
    side: Side,
    before: Before,
    saboteur: Saboteur,
    exchange: Exchange,
    /// Bytes that the sender says when nothing is there.
    whole: usize,
}

impl Sweep {
    fn new(way: Way, side: Side, before: Before) -> Self {
        let saboteur = Saboteur::default();
        let mut setting = Setting {
            keep: WEEK,
            on_existing: OnExisting::Replace,
            // A connection that a test breaks is whole beneath, and would be heard out.
            deadlines: Deadlines {
                closing: Duration::from_millis(20),
                ..Deadlines::default()
            },
            ..Setting::default()
        };
        setting.faults[side as usize] = saboteur.fault();
        let mut sweep = Self {
            way,
            side,
            before,
            saboteur,
            exchange: Exchange::with(setting),
            whole: 0,
        };
        let ran = sweep.run(Damage::None);
        ran.outcome.is_fine();
        sweep.whole = ran.said[sweep.sender() as usize].len();
        sweep
    }

    /// The side that sends the file.
    fn sender(&self) -> Side {
        match self.way {
            Way::Put => Side::Client,
            Way::Get => Side::Server,
        }
    }

    fn directory(&self) -> PathBuf {
        let name = match self.way {
            Way::Put => "root",
            Way::Get => "into",
        };
        self.exchange.dir.path().join(name)
    }

    fn target(&self) -> PathBuf {
        self.directory().join("new")
    }

    fn run(&self, damage: Damage) -> Ran {
        match self.way {
            Way::Put => self.exchange.put(self.sender(), damage),
            Way::Get => self.exchange.get(self.sender(), damage),
        }
    }

    /// Makes what is there before, and returns what the name is to have if nothing comes of it.
    fn begins(&self) -> Option<Vec<u8>> {
        self.saboteur.arm(None);
        forget_partials(&self.directory());
        // It may have come to nothing before.
        let _ = fs::remove_file(self.target());
        match self.before {
            Before::Nothing => None,
            Before::Part => {
                // In the third block.
                self.run(Damage::Cut(self.whole - 250));
                assert!(
                    staged(&self.directory()) > 0,
                    "there is something to go on with"
                );
                None
            }
            Before::Other => {
                let mut other = self.exchange.content.clone();
                other[1500] ^= 1;
                fs::write(self.target(), &other).unwrap();
                let file = fs::File::options().write(true).open(self.target());
                file.unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
                Some(other)
            }
        }
    }

    /// Fails one call and checks what came of it; `false` where it was not made.
    #[track_caller]
    fn fails(&self, call: Call, n: usize, (errno, expected): (i32, u8)) -> bool {
        let before = self.begins();
        self.saboteur.arm(Some((call, n, errno)));
        let ran = self.run(Damage::None);
        let has_failed = self.saboteur.failed();
        self.saboteur.arm(None);
        let (way, side, then) = (self.way, self.side, self.before);
        let what = format!(
            "{way:?} {then:?} {side:?} {call:?} {n} {errno}: {:?}",
            ran.outcome
        );
        let is_socket = matches!(call, Call::SocketRead | Call::SocketWrite);
        let code = ran.outcome.code();
        let there = fs::read(self.target()).ok();
        let is_new = there.as_ref() == Some(&self.exchange.content);
        if !has_failed {
            assert!(code == 0 && is_new, "{what}");
            return false;
        }
        let is_durable = |event: &Event| match event {
            Event::Failed { text, .. } => !text.contains("in place, perhaps not durable"),
            _ => true,
        };
        let may_be_new = is_socket || !ran.outcome.events.iter().all(is_durable);
        if code == 0 {
            assert!(is_new, "{what}: a success of nothing");
            // What cannot be copied from the old file is sent, and what cannot be noted for a
            // later try is not needed: these may fail and leave a success.
            let counts = [Call::FlushData, Call::FlushDirectory, Call::Rename];
            assert!(!counts.contains(&call), "{what}: it was not told of");
        } else {
            let right = if is_socket { 3 } else { expected };
            assert_eq!(code, right, "{what}");
            assert!(
                there == before || (is_new && may_be_new),
                "{what}: it is visible"
            );
        }
        if call != Call::Unlink {
            let left = fs::read_dir(self.directory().join(".haul/staging"));
            assert_eq!(
                left.map_or(0, Iterator::count),
                0,
                "{what}: staging is left"
            );
        }
        let again = self.run(Damage::None);
        assert_eq!(
            again.outcome.code(),
            0,
            "{what}, again: {:?}",
            again.outcome
        );
        assert!(
            fs::read(self.target()).unwrap() == self.exchange.content,
            "{what}"
        );
        true
    }

    /// Fails the n-th call of each kind, for all n, with each of the errors that `which` gives
    /// for it; returns how often each has failed.
    fn all(&self, which: fn(usize) -> Vec<(i32, u8)>) -> BTreeMap<Call, usize> {
        let mut failed = BTreeMap::new();
        for call in CALLS {
            let fails = |n: &usize| {
                let errors = which(*n).into_iter();
                errors.fold(true, |made, error| made & self.fails(call, *n, error))
            };
            // A job makes a finite number of calls.
            failed.insert(call, (0..10_000).take_while(fails).count());
        }
        failed
    }
}

/// Fails every call of every job at one end, and says how many those were.
fn sweeps(side: Side, which: fn(usize) -> Vec<(i32, u8)>) -> usize {
    let mut total = 0;
    for way in WAYS {
        for before in [Before::Nothing, Before::Part, Before::Other] {
            let sweep = Sweep::new(way, side, before);
            let failed = sweep.all(which);
            let receives = sweep.sender() != side;
            let made: &[Call] = if receives {
                &[
                    Call::Open,
                    Call::WriteAt,
                    Call::SetAttribute,
                    Call::SetMode,
                    Call::SetTimes,
                    Call::FlushData,
                    Call::Rename,
                    Call::FlushDirectory,
                    Call::SocketRead,
                    Call::SocketWrite,
                ]
            } else {
                &[
                    Call::Open,
                    Call::ReadAt,
                    Call::SocketRead,
                    Call::SocketWrite,
                ]
            };
            for call in made {
                assert!(
                    failed[call] > 0,
                    "{way:?} {before:?}: {call:?} never failed: {failed:?}"
                );
            }
            total += failed.values().sum::<usize>();
        }
    }
    total
}

/// One error for each call, another for the next.
fn in_turn(n: usize) -> Vec<(i32, u8)> {
    vec![ERRORS[n % ERRORS.len()]]
}

#[test]
fn whatever_call_fails_at_the_server_a_file_is_the_old_one_or_whole_and_the_code_is_right() {
    sweeps(Side::Server, in_turn);
}

#[test]
fn whatever_call_fails_at_the_client_a_file_is_the_old_one_or_whole_and_the_code_is_right() {
    sweeps(Side::Client, in_turn);
}

/// Fails each call with each error:
///
///     cargo test --test suite -- --ignored --nocapture every_call_fails_with_every_error
#[test]
#[ignore = "takes two minutes"]
fn every_call_fails_with_every_error() {
    for side in [Side::Client, Side::Server] {
        let calls = sweeps(side, |_| ERRORS.to_vec());
        println!("{side:?}: {calls} calls, {} errors each", ERRORS.len());
    }
}
