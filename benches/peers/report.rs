//! What came of it: medians and ratios for a person, every sample for a file.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::bench::Bench;
use crate::entrants::Who;
use crate::ground;
use crate::json::Value;
use crate::machine;

/// What came of a row.
#[derive(Default)]
pub struct Outcome {
    pub name: &'static str,
    pub title: String,
    pub entrants: Vec<Timed>,
    pub figures: Vec<Figure>,
    /// Who could not take part, or not to the end, and why.
    failed: Vec<(Who, String)>,
}

/// What came of one who took part.
#[derive(Default)]
pub struct Timed {
    name: String,
    command: String,
    samples: Vec<Duration>,
    /// What both sides had of the processors meanwhile.
    busy: Vec<Duration>,
}

/// One sample.
#[derive(Clone, Copy)]
pub struct Turn {
    pub took: Duration,
    pub busy: Duration,
}

/// A number that has something to reach, or only to tell.
pub struct Figure {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
    pub bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
    None,
}

/// All rows so far.
pub struct Report<'b> {
    bench: &'b Bench,
    facts: Vec<(&'static str, String)>,
    outcomes: Vec<Outcome>,
}

impl<'b> Report<'b> {
    /// Says on what machine this is.
    pub fn begin(bench: &'b Bench) -> Result<Self> {
        let facts = machine::facts(bench)?;
        for (what, value) in &facts {
            println!("{what:<12} {value}");
        }
        Ok(Self {
            bench,
            facts,
            outcomes: Vec::new(),
        })
    }

    /// Tells a row, and writes it down with those before: what is interrupted was not in vain.
    pub fn add(&mut self, outcome: Outcome) -> Result<()> {
        outcome.print();
        self.outcomes.push(outcome);
        let facts = self.facts.iter().map(|(key, text)| (*key, text.into()));
        let all = Value::Object(vec![
            ("v", 1.0.into()),
            ("arguments", std::env::args().skip(1).collect()),
            ("machine", Value::Object(facts.collect())),
            ("rows", self.outcomes.iter().map(Outcome::json).collect()),
        ]);
        ground::write(&self.bench.args.json, &format!("{all}\n"))
    }

    /// Sums up.
    pub fn end(self) -> Result<()> {
        let bounds = self.outcomes.iter().flat_map(|row| &row.figures);
        let verdicts: Vec<bool> = bounds.filter_map(Figure::is_met).collect();
        let met = verdicts.iter().filter(|met| **met).count();
        println!("\n{met} of {} targets met", verdicts.len());
        println!("all samples: {}", self.bench.args.json.display());
        let broken = self.outcomes.iter().filter(|row| row.has_failed_us());
        let broken: Vec<&str> = broken.map(|row| row.name).collect();
        if broken.is_empty() {
            return Ok(());
        }
        bail!("haul failed in {}", broken.join(", "))
    }
}

impl Outcome {
    pub fn new(name: &'static str, title: String) -> Self {
        println!("\n{name}: {title}");
        Self {
            name,
            title,
            ..Self::default()
        }
    }

    /// Notes that somebody cannot go on.
    pub fn fail(&mut self, who: Who, why: &anyhow::Error) {
        println!("  {} failed: {why:#}", who.name());
        self.failed.push((who, format!("{why:#}")));
    }

    fn has_failed_us(&self) -> bool {
        self.failed.iter().any(|(who, _)| who.is_ours())
    }

    fn print(&self) {
        for timed in &self.entrants {
            let (least, most) = (timed.samples.iter().min(), timed.samples.iter().max());
            if let (Some(median), Some(least), Some(most)) = (timed.median(), least, most) {
                let (least, most) = (least.as_secs_f64(), most.as_secs_f64());
                let name = &timed.name;
                let busy = self::median(&timed.busy).unwrap_or_default();
                println!(
                    "  {name:<28} {median:>8.3} s   {least:.3} to {most:.3}   processors {busy:.2} s"
                );
            }
        }
        for figure in &self.figures {
            figure.print();
        }
    }

    fn json(&self) -> Value {
        let failed = self.failed.iter().map(|(who, why)| {
            Value::Object(vec![("name", who.name().into()), ("why", why.into())])
        });
        Value::Object(vec![
            ("row", self.name.into()),
            ("title", (&self.title).into()),
            ("entrants", self.entrants.iter().map(Timed::json).collect()),
            ("figures", self.figures.iter().map(Figure::json).collect()),
            ("failed", failed.collect()),
        ])
    }
}

/// A count as a figure.
#[expect(
    clippy::cast_precision_loss,
    reason = "no count here comes near 2^53, and a figure is told with two places"
)]
pub fn figure(count: u64) -> f64 {
    count as f64
}

impl Timed {
    pub fn new(name: String, command: String) -> Self {
        Self {
            name,
            command,
            samples: Vec::new(),
            busy: Vec::new(),
        }
    }

    /// Takes down a sample, unless its round is the one that warms up.
    pub fn sample(&mut self, round: u32, turn: Turn) {
        eprintln!(
            "  round {round}: {} {:.3} s",
            self.name,
            turn.took.as_secs_f64()
        );
        if round > 0 {
            self.samples.push(turn.took);
            self.busy.push(turn.busy);
        }
    }

    /// The middle sample, in seconds.
    pub fn median(&self) -> Option<f64> {
        median(&self.samples)
    }

    fn json(&self) -> Value {
        Value::Object(vec![
            ("name", (&self.name).into()),
            ("command", (&self.command).into()),
            ("median", self.median().into()),
            ("seconds", seconds(&self.samples).collect()),
            ("processor_seconds", seconds(&self.busy).collect()),
        ])
    }
}

impl Figure {
    /// Whether it is reached, where there is something to reach.
    fn is_met(&self) -> Option<bool> {
        match self.bound {
            Bound::AtLeast(least) => Some(self.value >= least),
            Bound::AtMost(most) => Some(self.value <= most),
            Bound::None => None,
        }
    }

    fn print(&self) {
        let Self {
            what, value, unit, ..
        } = self;
        let target = match self.bound {
            Bound::AtLeast(least) => format!("; at least {least}"),
            Bound::AtMost(most) => format!("; at most {most}"),
            Bound::None => String::new(),
        };
        let verdict = match self.is_met() {
            Some(true) => ": met",
            Some(false) => ": NOT met",
            None => "",
        };
        println!("  {value:.2} {unit} {what}{target}{verdict}");
    }

    fn json(&self) -> Value {
        let (at_least, at_most) = match self.bound {
            Bound::AtLeast(least) => (Some(least), None),
            Bound::AtMost(most) => (None, Some(most)),
            Bound::None => (None, None),
        };
        Value::Object(vec![
            ("of", (&self.what).into()),
            ("value", self.value.into()),
            ("unit", self.unit.into()),
            ("at_least", at_least.into()),
            ("at_most", at_most.into()),
            ("met", self.is_met().into()),
        ])
    }
}

fn seconds(samples: &[Duration]) -> impl Iterator<Item = f64> {
    samples.iter().map(Duration::as_secs_f64)
}

/// The middle one, in seconds; of two, what is between them.
fn median(samples: &[Duration]) -> Option<f64> {
    let mut sorted: Vec<f64> = seconds(samples).collect();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}
