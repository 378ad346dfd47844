//! How much of a whole transfer is left to one that was broken off at nine tenths: what arrived
//! is read again on both sides, and only the rest moves.
//!
//! The client is killed; the server stays up, and the same command is given again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::entrants::{Who, timed};
use crate::ground::{Place, remove};
use crate::material::{Load, compare};
use crate::report::{Bound, Figure, Outcome, Timed};
use crate::works::Way;

/// Bytes of the file where nothing else is said.
const BIG: u64 = 2 << 30;

/// The share of the whole transfer's time that is to be left: on one machine, and over a link.
const AT_MOST: [f64; 2] = [0.5, 0.25];

pub fn name(bench: &Bench) -> &'static str {
    if bench.ends.are_apart() {
        "link-resume"
    } else {
        "resume"
    }
}

pub fn title(bench: &Bench) -> String {
    let load = load(bench).title();
    format!("put and get {load}, broken off at nine tenths, and go on")
}

fn load(bench: &Bench) -> Load {
    Load::Big(bench.args.big.unwrap_or(BIG))
}

/// Runs the row.
pub fn run(bench: &Bench, outcome: &mut Outcome) -> Result<()> {
    for way in [Way::Put, Way::Get] {
        one(bench, way, outcome)?;
    }
    Ok(())
}

fn one(bench: &Bench, way: Way, outcome: &mut Outcome) -> Result<()> {
    let name = name(bench);
    let what = load(bench).make(bench.ground.source())?;
    let into = bench.ground.empty(Place::Target, name)?;
    let (root, verb) = match way {
        Way::Put => (into.clone(), "put"),
        Way::Get => (bench.served(&what, name)?, "get"),
    };
    let server = Who::Haul.start(bench, &root)?;
    let line = match way {
        Way::Put => server.put(&what),
        Way::Get => server.get(&what, &into),
    };
    let landing = into.join(what.name());
    let most = fs::metadata(&what.path)?.len() / 10 * 9;
    let [mut whole, mut rest] = ["in one go", "the rest"]
        .map(|which| Timed::new(format!("{verb}, {which}"), line.to_string()));
    for round in 0..=bench.args.rounds {
        whole.sample(round, timed(bench, server.as_ref(), &line)?);
        remove(&landing)?;
        let is_in_time = bench.watch.kill_when(&line, || staged(&into) >= most)?;
        ensure!(is_in_time, "it was done before it could be broken off");
        rest.sample(round, timed(bench, server.as_ref(), &line)?);
        if round == 0 {
            compare(&what.path, &landing)?;
        }
        remove(&landing)?;
    }
    let (all, left) = (whole.median(), rest.median());
    let (all, left) = (all.context("no sample")?, left.context("no sample")?);
    outcome.entrants.extend([whole, rest]);
    outcome.figures.push(Figure {
        what: format!("of the whole time, to go on with a {verb}"),
        value: left / all,
        unit: "x",
        bound: Bound::AtMost(AT_MOST[usize::from(bench.ends.are_apart())]),
    });
    Ok(())
}

/// Bytes of what has arrived in a directory and is not finished. Holes count for nothing.
fn staged(into: &Path) -> u64 {
    let children = |path: &Path| {
        let items = fs::read_dir(path).into_iter().flatten().flatten();
        items.map(|item| item.path()).collect::<Vec<_>>()
    };
    let files = children(&into.join(".haul"));
    let files = files.iter().flat_map(|area| children(area));
    let written = files.filter_map(|file| fs::metadata(file).ok());
    written.map(|file| file.blocks() * 512).sum()
}
