//! Thousands of connections that want nothing: what each costs a server, and what a put that
//! comes beside them.
//!
//! Whoever holds them is another process than server and benchmark, and where descriptors are
//! few there are several of them: each connection takes two on either side, one of them to end it
//! from elsewhere.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use haul::client::{Client, Idle, Options};
use haul::net::keys::Fingerprint;
use haul::net::tls::{ClientSide, Expected};
use haul::trust::{Places, Variables};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bench::Bench;
use crate::children::Running;
use crate::ends::{End, ourselves};
use crate::entrants::{Mover, timed};
use crate::ground::{Place, remove};
use crate::ours::{self, Ours, Wire};
use crate::report::{Bound, Figure, Outcome, Timed, figure};
use crate::works::Size;

/// Descriptors of a process besides those of its connections.
const OTHERS: u64 = 256;
/// How long it may take until all are connected.
const CONNECTING: Duration = Duration::from_secs(600);

pub fn name(wire: Wire) -> &'static str {
    match wire {
        Wire::Plain => "load",
        Wire::Encrypted => "load-encrypted",
    }
}

pub fn title(bench: &Bench, wire: Wire) -> String {
    let small = bench.load(Size::Small).title();
    let idle = bench.args.idle;
    match wire {
        Wire::Plain => format!("{idle} idle connections, and put {small} beside them"),
        Wire::Encrypted => {
            format!("{idle} idle encrypted connections, and put {small} beside them")
        }
    }
}

/// Runs the row.
pub fn run(bench: &Bench, wire: Wire, outcome: &mut Outcome) -> Result<()> {
    let asked = bench.args.idle;
    let most = allow(2 * asked + OTHERS)?;
    let idle = asked.min(most.saturating_sub(OTHERS) / 2);
    if idle < asked {
        println!("  a process may have {most} descriptors here: {idle} connections");
    }
    let what = bench.load(Size::Small).make(bench.ground.source())?;
    let [beside, alone] = ["beside", "alone"].map(|name| -> Result<_> {
        let root = bench.ground.empty(Place::Target, name)?;
        let places = (idle + OTHERS).to_string();
        let more = ["--max-connections", &places, "--idle-timeout", "60m"];
        Ok((ours::start_with(bench, &root, wire, &more)?, root))
    });
    let (beside, alone) = (beside?, alone?);
    let before = resident(&beside.0)?;
    let _holding = hold(bench, &beside.0, idle)?;
    let each = figure(resident(&beside.0)?.saturating_sub(before)) / figure(idle);

    for (server, name) in [(&beside, "haul, beside them"), (&alone, "haul, alone")] {
        let line = server.0.put(&what).to_string();
        outcome.entrants.push(Timed::new(name.to_owned(), line));
    }
    for round in 0..=bench.args.rounds {
        for (n, (server, root)) in [&beside, &alone].into_iter().enumerate() {
            let turn = timed(bench, server, &server.put(&what))?;
            outcome.entrants[n].sample(round, turn);
            remove(&root.join(what.name()))?;
        }
    }
    let [beside, alone] = [0, 1].map(|n: usize| outcome.entrants[n].median());
    outcome.figures.push(Figure {
        what: format!("resident in the server for each of {idle}"),
        value: each,
        unit: "KiB",
        bound: Bound::AtMost(match wire {
            Wire::Plain => 40.0,
            Wire::Encrypted => 80.0,
        }),
    });
    outcome.figures.push(Figure {
        what: "the time alone, beside them".to_owned(),
        value: beside.context("no sample")? / alone.context("no sample")?,
        unit: "x",
        bound: Bound::None,
    });
    Ok(())
}

/// Starts as many processes as it takes to hold `idle` connections, and waits until they do.
fn hold(bench: &Bench, server: &Ours, idle: u64) -> Result<Vec<Running>> {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let at_once = ((most - OTHERS) / 2).min(idle);
    let mut holding = Vec::new();
    let mut left = idle;
    while left > 0 {
        let now = left.min(at_once);
        let line = bench.ends.line(End::Client, &ourselves()?);
        let line = line.args(["hold", &server.address.to_string(), &now.to_string()]);
        let line = match &server.fingerprint {
            Some(print) => line
                .arg("--server-key")
                .arg(print)
                .arg("--home")
                .arg(&server.home),
            None => line,
        };
        holding.push(bench.watch.serve_until_it_says(&line, CONNECTING)?.0);
        left -= now;
    }
    Ok(holding)
}

/// Connects so many times, says so, and holds on until it is stopped.
pub fn hold_on(
    address: SocketAddr,
    connections: u64,
    encrypted: Option<(&str, &Path)>,
) -> Result<()> {
    let encryption = match encrypted {
        Some((print, home)) => {
            let variables = Variables {
                home: Some(home.into()),
                ..Variables::default()
            };
            let key = Places::find(&variables)?.identity().load()?;
            let key = key.context("haul has no key in this home")?;
            let expected = Expected::Fingerprint(Fingerprint::parse(print)?);
            Some(ClientSide::new(&key, expected)?)
        }
        None => None,
    };
    let options = Options {
        encryption,
        idle: Idle::Keep {
            trust: Duration::from_secs(3600),
        },
        ..Options::default()
    };
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = Client::new(&address.to_string(), options.clone());
        client.connect()?;
        clients.push(client);
    }
    println!("{} connections", clients.len());
    loop {
        std::thread::park();
    }
}

/// Lets this process and its children have so many descriptors, or as many as the system
/// allows; returns how many that is.
fn allow(descriptors: u64) -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|most| most >= descriptors);
    if is_enough(limit.current) {
        return Ok(limit.current.unwrap_or(u64::MAX));
    }
    if !is_enough(limit.maximum) {
        // Only root may have more than that.
        let more = Rlimit {
            current: Some(descriptors),
            maximum: Some(descriptors),
        };
        if setrlimit(Resource::Nofile, more).is_ok() {
            return Ok(descriptors);
        }
    }
    let most = limit
        .maximum
        .map_or(descriptors, |most| most.min(descriptors));
    let soft = Rlimit {
        current: Some(most),
        ..limit
    };
    setrlimit(Resource::Nofile, soft)?;
    Ok(most)
}

fn resident(server: &Ours) -> Result<u64> {
    let resident = server.server().and_then(Running::resident);
    resident.context("the server's memory was not seen")
}
