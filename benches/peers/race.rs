//! One row: haul, a peer, haul, a peer, so that whatever drifts hits all of them.
//!
//! The first round warms up, is compared and not counted. Between samples, outside of the
//! measured time, what landed is removed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::children::{Interrupted, Line, Memory};
use crate::entrants::{Mover, Who};
use crate::ground::remove;
use crate::material::{Material, change_a_byte, compare};
use crate::report::{Outcome, Timed};
use crate::works::{Goal, State, Way, Work};

/// One who takes part.
struct Racer {
    who: Who,
    goal: Goal,
    mover: Box<dyn Mover>,
    /// What is to be there at the end; removed before each sample of a fresh row.
    landing: PathBuf,
    samples: Vec<Duration>,
}

/// Runs a row.
pub fn run(bench: &Bench, work: &Work) -> Result<Outcome> {
    let what = bench.load(work.size).make(bench.ground.source())?;
    let mut outcome = Outcome::new(work.name, work.title(what.load));
    let mut racers = Vec::new();
    for (who, goal) in work.entrants {
        if !bench.has(*who) {
            continue;
        }
        match enter(bench, work, *who, *goal, &what) {
            Ok(racer) => racers.push(racer),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => outcome.fail(*who, format!("{error:#}")),
        }
    }
    for round in 0..=bench.args.rounds {
        if work.state == State::Changed && round > 0 {
            change_a_byte(&what.path, round.into())?;
        }
        for mut racer in std::mem::take(&mut racers) {
            match racer.turn(bench, work, &what, round) {
                Ok(took) => racer.samples.extend((round > 0).then_some(took)),
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => {
                    outcome.fail(racer.who, format!("{error:#}"));
                    remove(&racer.landing)?;
                    continue;
                }
            }
            racers.push(racer);
        }
    }
    for racer in racers {
        remove(&racer.landing)?;
        let command = racer.line(work, &what, 1);
        let command = command.map(|line| line.to_string()).unwrap_or_default();
        outcome.entrants.push(Timed {
            who: racer.who,
            goal: racer.goal,
            command,
            samples: racer.samples,
        });
    }
    Ok(outcome)
}

/// Starts the server of one who takes part.
fn enter(bench: &Bench, work: &Work, who: Who, goal: Goal, what: &Material) -> Result<Racer> {
    let landing = bench.ground.empty(work.place, &who.slug())?;
    let root = match work.way {
        Way::Put => landing.as_path(),
        Way::Get => bench.ground.source(),
    };
    Ok(Racer {
        who,
        goal,
        mover: who.start(bench, root)?,
        landing: landing.join(what.name()),
        samples: Vec::new(),
    })
}

impl Racer {
    /// Takes one turn, and says how long it took.
    fn turn(&self, bench: &Bench, work: &Work, what: &Material, round: u32) -> Result<Duration> {
        if work.state == State::Fresh {
            remove(&self.landing)?;
        }
        bench.watch.check()?;
        let Some(line) = self.line(work, what, round) else {
            anyhow::bail!("{} does not do this", self.who.name());
        };
        let ran = bench.watch.run(&line, Memory::Ignored)?;
        // Where something is only changed, the first change is what has to be seen.
        let proof = u32::from(work.state == State::Changed);
        if round <= proof && self.who.lands() {
            compare(&what.path, &self.landing)?;
        }
        if work.state == State::Fresh {
            remove(&self.landing)?;
        }
        Ok(ran.took)
    }

    fn line(&self, work: &Work, what: &Material, round: u32) -> Option<Line> {
        match (work.way, work.state) {
            (Way::Get, _) => self.mover.get(what, &self.landing),
            (Way::Put, State::Changed) if round > 0 => Some(self.mover.replace(what)),
            (Way::Put, _) => Some(self.mover.put(what)),
        }
    }
}
