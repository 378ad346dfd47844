//! One run: what it has to work with, and its rows one after the other.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::args::Args;
use crate::children::Watch;
use crate::ends::{Ends, find};
use crate::entrants::Who;
use crate::ground::Ground;
use crate::material::Load;
use crate::race;
use crate::report::Report;
use crate::works::{self, Size, Work};

pub struct Bench {
    pub args: Args,
    pub ends: Ends,
    pub watch: Watch,
    pub ground: Ground,
    /// What was said to be missing: once is enough.
    missed: RefCell<BTreeSet<String>>,
}

impl Bench {
    pub fn prepare(args: Args) -> Result<Self> {
        let ground = Ground::new(&args)?;
        let desk = ground.desk("children")?;
        Ok(Self {
            ends: Ends::new(&args, &desk)?,
            watch: Watch::new(&desk)?,
            ground,
            args,
            missed: RefCell::default(),
        })
    }

    /// Runs the rows that were asked for, and writes down what came of them.
    pub fn run(&self) -> Result<()> {
        let rows = self.rows()?;
        if self.args.list {
            for work in rows {
                println!("{:<20} {}", work.name, work.title(self.load(work.size)));
            }
            return Ok(());
        }
        let mut report = Report::begin(self)?;
        for work in rows {
            report.add(race::run(self, work)?)?;
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
        let missing = |name: &&&str| find(name).is_none();
        let Some(missing) = who.needs().iter().find(missing) else {
            return true;
        };
        self.miss(&format!("{}: there is no {missing} here", who.name()));
        false
    }

    /// Says once what is missing.
    pub fn miss(&self, what: &str) {
        if self.missed.borrow_mut().insert(what.to_owned()) {
            println!("skipped {what}");
        }
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

    fn rows(&self) -> Result<Vec<&'static Work>> {
        let all = if self.ends.are_apart() {
            works::APART
        } else {
            works::HERE
        };
        let asked = &self.args.rows;
        if asked.is_empty() {
            return Ok(all.iter().collect());
        }
        let row = |name: &String| match all.iter().find(|work| work.name == name) {
            Some(work) => Ok(work),
            None => bail!("there is no row {name}: --list prints those that there are"),
        };
        asked.iter().map(row).collect()
    }
}
