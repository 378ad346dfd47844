//! The most memory that haul holds at once, on either side, for one large file.
//!
//! Of both it is the kernel's own count (`VmHWM` in `/proc/PID/status`). The server is asked
//! once the job is done; the client, who is gone by then, every two milliseconds while it
//! runs. So the last of its growth could be missed, and nothing here is timed.

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::children::{Memory, Running};
use crate::entrants::Who;
use crate::ground::{Place, remove};
use crate::report::{Bound, Figure, Outcome, Timed, figure};
use crate::works::{Size, Way};

pub const NAME: &str = "memory";
/// MiB, on each side.
const AT_MOST: f64 = 64.0;

pub fn title(bench: &Bench) -> String {
    format!(
        "the most memory, to put and get {}",
        bench.load(Size::Big).title()
    )
}

/// Runs the row.
pub fn run(bench: &Bench, outcome: &mut Outcome) -> Result<()> {
    for who in [Who::Haul, Who::HaulEncrypted] {
        for way in [Way::Put, Way::Get] {
            one(bench, who, way, outcome)?;
        }
    }
    Ok(())
}

/// A server that does one thing only, as often as there are rounds; the greatest counts.
fn one(bench: &Bench, who: Who, way: Way, outcome: &mut Outcome) -> Result<()> {
    let what = bench.load(Size::Big).make(bench.ground.source())?;
    let into = bench.ground.empty(Place::Target, NAME)?;
    let (root, verb) = match way {
        Way::Put => (into.clone(), "put"),
        Way::Get => (bench.served(&what, NAME)?, "get"),
    };
    let (mut clients, mut servers) = (0, 0);
    for round in 0..bench.args.rounds {
        let server = who.start(bench, &root)?;
        let line = match way {
            Way::Put => server.put(&what),
            Way::Get => server.get(&what, &into),
        };
        let ran = bench.watch.run(&line, Memory::Watched)?;
        clients = clients.max(ran.peak.context("the client's memory was not seen")?);
        let peak = server.server().and_then(Running::peak);
        servers = servers.max(peak.context("the server's memory was not seen")?);
        remove(&into.join(what.name()))?;
        if round == 0 {
            let name = format!("{} {verb}", who.name());
            outcome.entrants.push(Timed::new(name, line.to_string()));
        }
    }
    for (side, peak) in [("client", clients), ("server", servers)] {
        outcome.figures.push(Figure {
            what: format!("{side}, {} {verb}", who.name()),
            value: figure(peak) / 1024.0,
            unit: "MiB",
            bound: Bound::AtMost(AT_MOST),
        });
    }
    Ok(())
}
