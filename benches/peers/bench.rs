//! One run: what it has to work with, and its rows one after the other.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::args::Args;
use crate::children::{Interrupted, Watch};
use crate::ends::{Ends, find};
use crate::entrants::Who;
use crate::ground::{Ground, Place};
use crate::material::{Load, Material};
use crate::ours::Wire;
use crate::report::{Outcome, Report};
use crate::warm::Warm;
use crate::works::{self, Size, Work};
use crate::{growth, load, memory, race, resume};

/// A row of the report.
#[derive(Clone, Copy)]
enum Row {
    Race(&'static Work),
    Growth,
    Memory,
    Resume,
    Load(Wire),
}

pub struct Bench {
    pub args: Args,
    pub ends: Ends,
    pub watch: Watch,
    pub ground: Ground,
}

impl Bench {
    pub fn prepare(args: Args) -> Result<Self> {
        let ground = Ground::new(&args)?;
        let desk = ground.desk("children")?;
        Ok(Self {
            ends: Ends::new(&args, &desk),
            watch: Watch::new(&desk)?,
            ground,
            args,
        })
    }

    /// Runs the rows that were asked for, and writes down what came of them.
    pub fn run(&self) -> Result<()> {
        let rows = self.rows()?;
        if self.args.list {
            for row in rows {
                println!("{:<20} {}", row.name(self), row.title(self));
            }
            return Ok(());
        }
        let _kept = Warm::up(self.args.warm)?;
        let mut report = Report::begin(self)?;
        for row in rows {
            let mut outcome = Outcome::new(row.name(self), row.title(self));
            match row.run(self, &mut outcome) {
                Ok(()) => {}
                Err(error) if error.is::<Interrupted>() => return Err(error),
                // The other rows may still tell something.
                Err(error) => outcome.fail(Who::Haul, &error),
            }
            report.add(outcome)?;
        }
        report.end()
    }

    /// Whether somebody takes part: who is not there is named, and left out.
    pub fn has(&self, who: Who) -> bool {
        let asked = &self.args.peers;
        if who.is_ours() {
            return true;
        }
        if !asked.is_empty() && !asked.iter().any(|name| name == who.family()) {
            return false;
        }
        let mut needs = who.needs().iter();
        let Some((program, package)) = needs.find(|(program, _)| find(program).is_none()) else {
            return true;
        };
        println!(
            "  {} skipped: there is no {program} here; Debian has it in {package}",
            who.name()
        );
        false
    }

    /// A directory to serve, in which nothing else is than this: a server of haul wants its
    /// directory for itself.
    pub fn served(&self, what: &Material, name: &str) -> Result<PathBuf> {
        let root = self.ground.empty(Place::Source, name)?;
        what.link_into(&root)?;
        Ok(root)
    }

    pub fn load(&self, size: Size) -> Load {
        let (big, small) = if self.ends.are_apart() {
            (256 << 20, 2_000)
        } else {
            (2 << 30, 10_000)
        };
        match size {
            Size::Big => Load::Big(self.args.big.unwrap_or(big)),
            Size::Small => Load::Small {
                files: self.args.small.unwrap_or(small),
                size: self.args.small_size,
            },
        }
    }

    fn rows(&self) -> Result<Vec<Row>> {
        let all: Vec<Row> = if self.ends.are_apart() {
            let races = works::APART.iter().map(Row::Race);
            races.chain([Row::Resume]).collect()
        } else {
            let races = works::HERE.iter().map(Row::Race);
            races.chain(Row::OTHERS).collect()
        };
        let asked = &self.args.rows;
        if asked.is_empty() && !self.args.list {
            let is_usual = |row: &Row| !matches!(row, Row::Load(_));
            return Ok(all.into_iter().filter(is_usual).collect());
        }
        if asked.is_empty() {
            return Ok(all);
        }
        let row = |name: &String| {
            let row = all.iter().find(|row| row.name(self) == name);
            row.copied().with_context(|| {
                format!("there is no row {name}: --list prints those that there are")
            })
        };
        asked.iter().map(row).collect()
    }
}

impl Row {
    /// Those that are no races, on one machine.
    const OTHERS: [Self; 5] = [
        Self::Growth,
        Self::Memory,
        Self::Resume,
        Self::Load(Wire::Plain),
        Self::Load(Wire::Encrypted),
    ];

    fn name(self, bench: &Bench) -> &'static str {
        match self {
            Self::Race(work) => work.name,
            Self::Growth => growth::NAME,
            Self::Memory => memory::NAME,
            Self::Resume => resume::name(bench),
            Self::Load(wire) => load::name(wire),
        }
    }

    fn title(self, bench: &Bench) -> String {
        match self {
            Self::Race(work) => work.title(bench.load(work.size)),
            Self::Growth => growth::title(bench),
            Self::Memory => memory::title(bench),
            Self::Resume => resume::title(bench),
            Self::Load(wire) => load::title(bench, wire),
        }
    }

    fn run(self, bench: &Bench, outcome: &mut Outcome) -> Result<()> {
        match self {
            Self::Race(work) => race::run(bench, work, outcome),
            Self::Growth => growth::run(bench, outcome),
            Self::Memory => memory::run(bench, outcome),
            Self::Resume => resume::run(bench, outcome),
            Self::Load(wire) => load::run(bench, wire, outcome),
        }
    }
}
