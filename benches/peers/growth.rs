//! How the time of haul grows with the number of files: ten times as many should take hardly
//! more than ten times as long.

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::entrants::{Who, timed};
use crate::ground::{Place, remove};
use crate::material::{Load, compare};
use crate::report::{Bound, Figure, Outcome, Timed};
use crate::works::Size;

pub const NAME: &str = "growth";
/// Times as many files, and times as long that may take.
const MORE: u64 = 10;
const AT_MOST: f64 = 11.0;

pub fn title(bench: &Bench) -> String {
    let [few, many] = loads(bench).map(Load::title);
    format!("put {many}, and put {few}")
}

/// Runs the row.
pub fn run(bench: &Bench, outcome: &mut Outcome) -> Result<()> {
    let root = bench.ground.empty(Place::Target, NAME)?;
    let server = Who::Haul.start(bench, &root)?;
    for load in loads(bench) {
        let what = load.make(bench.ground.source())?;
        outcome.entrants.push(Timed::new(
            format!("haul, {}", load.title()),
            server.put(&what).to_string(),
        ));
    }
    for round in 0..=bench.args.rounds {
        for (n, load) in loads(bench).into_iter().enumerate() {
            let what = load.make(bench.ground.source())?;
            let landing = root.join(what.name());
            let turn = timed(bench, server.as_ref(), &server.put(&what))?;
            outcome.entrants[n].sample(round, turn);
            if round == 0 {
                compare(&what.path, &landing)?;
            }
            remove(&landing)?;
        }
    }
    let [few, many] = [0, 1].map(|n: usize| outcome.entrants[n].median());
    let (few, many) = (few.context("no sample")?, many.context("no sample")?);
    outcome.figures.push(Figure {
        what: format!("the time of a tenth, for {MORE} times as many"),
        value: many / few,
        unit: "x",
        bound: Bound::AtMost(AT_MOST),
    });
    Ok(())
}

fn loads(bench: &Bench) -> [Load; 2] {
    let few = bench.load(Size::Small);
    let many = match few {
        Load::Small { files, size } => Load::Small {
            files: files * MORE,
            size,
        },
        big @ Load::Big(_) => big,
    };
    [few, many]
}
