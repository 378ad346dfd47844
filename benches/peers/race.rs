//! One row: haul, a peer, haul, a peer, so that whatever drifts hits all of them.
//!
//! The first round warms up, is compared and not counted. Between samples, outside of the
//! measured time, what landed is removed, or put aside where removing it would be felt.

use std::path::PathBuf;

use anyhow::Result;

use crate::bench::Bench;
use crate::children::{Interrupted, Memory};
use crate::entrants::{Mover, Who, timed};
use crate::ground::{Place, remove};
use crate::line::Line;
use crate::material::{Material, change_a_byte, compare};
use crate::meter::Meter;
use crate::report::{Bound, Figure, Outcome, Timed, Turn, figure};
use crate::works::{Goal, State, Way, Work};

/// MiB that haul may send for one byte that has changed.
const SENT: f64 = 2.0;

/// One who takes part.
struct Racer {
    who: Who,
    goal: Goal,
    mover: Box<dyn Mover>,
    /// The directory in which it lands, on whichever side that is.
    into: PathBuf,
    /// What is to be there at the end; removed before each sample of a fresh row.
    landing: PathBuf,
    timed: Timed,
}

/// Runs a row.
pub fn run(bench: &Bench, work: &Work, outcome: &mut Outcome) -> Result<()> {
    let what = bench.load(work.size).make(bench.ground.source())?;
    let mut racers = Vec::new();
    for (who, goal) in work.entrants {
        if !bench.has(*who) {
            continue;
        }
        match enter(bench, work, *who, *goal, &what) {
            Ok(racer) => racers.push(racer),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => outcome.fail(*who, &error),
        }
    }
    for round in 0..=bench.args.rounds {
        if work.state == State::Changed && round > 0 {
            change_a_byte(&what.path, round.into())?;
        }
        for mut racer in std::mem::take(&mut racers) {
            match racer.turn(bench, work, &what, round) {
                Ok(turn) => racer.timed.sample(round, turn),
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => {
                    outcome.fail(racer.who, &error);
                    remove(&racer.landing)?;
                    continue;
                }
            }
            racers.push(racer);
        }
    }
    if work.state == State::Changed {
        change_a_byte(&what.path, u64::from(bench.args.rounds) + 1)?;
        for racer in &racers {
            match racer.measure(bench, &what) {
                Ok(sent) => outcome.figures.extend(sent),
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => outcome.fail(racer.who, &error),
            }
        }
    }
    figures(outcome, &racers, bench.args.lossy);
    for racer in racers {
        remove(&racer.landing)?;
        outcome.entrants.push(racer.timed);
    }
    bench.ground.clear_aside()
}

/// Holds each median against what is to be reached.
fn figures(outcome: &mut Outcome, racers: &[Racer], lossy: bool) {
    for racer in racers {
        let Some(theirs) = racer.timed.median() else {
            continue;
        };
        if let Goal::Seconds { clean, lossy: with } = racer.goal {
            outcome.figures.push(Figure {
                what: racer.who.name(),
                value: theirs,
                unit: "s",
                bound: Bound::AtMost(if lossy { with } else { clean }),
            });
        }
        let rival = racers.iter().find(|us| Some(us.who) == racer.who.rival());
        if let Some(ours) = rival.and_then(|us| us.timed.median()) {
            outcome.figures.push(Figure {
                what: racer.who.name(),
                value: theirs / ours,
                unit: "x",
                bound: match racer.goal {
                    Goal::Times(least) => Bound::AtLeast(least),
                    Goal::Seconds { .. } | Goal::None => Bound::None,
                },
            });
        }
    }
}

/// Starts the server of one who takes part.
fn enter(bench: &Bench, work: &Work, who: Who, goal: Goal, what: &Material) -> Result<Racer> {
    let into = bench.ground.empty(work.place, &who.slug())?;
    let root = match work.way {
        Way::Put => into.clone(),
        Way::Get => bench.served(what, &who.slug())?,
    };
    let mut racer = Racer {
        who,
        goal,
        mover: who.start(bench, &root)?,
        landing: into.join(what.name()),
        into,
        timed: Timed::default(),
    };
    // Of what is measured, and not of what goes before.
    let line = racer.line(work, what, 1);
    racer.timed = Timed::new(who.name(), line.to_string());
    Ok(racer)
}

impl Racer {
    /// Takes one turn.
    fn turn(&self, bench: &Bench, work: &Work, what: &Material, round: u32) -> Result<Turn> {
        if work.state == State::Fresh {
            remove(&self.landing)?;
        }
        bench.watch.check()?;
        let line = self.line(work, what, round);
        let turn = timed(bench, self.mover.as_ref(), &line)?;
        // Where something is only changed, the first change is what has to be seen.
        let proof = u32::from(work.state == State::Changed);
        if round <= proof && self.who.lands() {
            compare(&what.path, &self.landing)?;
        }
        if work.state == State::Fresh {
            if work.place == Place::Disk && what.is_a_tree() {
                let name = format!("{}-{round}", self.who.slug());
                bench.ground.put_aside(&self.landing, &name)?;
            } else {
                remove(&self.landing)?;
            }
        }
        Ok(turn)
    }

    fn line(&self, work: &Work, what: &Material, round: u32) -> Line {
        match (work.way, work.state) {
            (Way::Get, _) => self.mover.get(what, &self.into),
            (Way::Put, State::Changed) if round > 0 => self.mover.replace(what),
            (Way::Put, _) => self.mover.put(what),
        }
    }

    /// Counts what is sent for one more byte that has changed, where that can be counted.
    fn measure(&self, bench: &Bench, what: &Material) -> Result<Option<Figure>> {
        let Some(address) = self.mover.address() else {
            return Ok(None);
        };
        let meter = Meter::before(address)?;
        let Some(through) = self.mover.through(meter.address) else {
            return Ok(None);
        };
        bench.watch.run(&through.replace(what), Memory::Ignored)?;
        compare(&what.path, &self.landing)?;
        Ok(Some(Figure {
            what: format!("sent by {}", self.who.name()),
            value: figure(meter.sent()) / f64::from(1 << 20),
            unit: "MiB",
            bound: if self.who.is_ours() {
                Bound::AtMost(SENT)
            } else {
                Bound::None
            },
        }))
    }
}
