//! haul itself: the program that this build made, with a home of its own on each host.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::children::{Daemon, Line, Memory};
use crate::ends::End;
use crate::entrants::Mover;
use crate::material::Material;

/// How long it may take to come up.
const COMING_UP: Duration = Duration::from_secs(60);

/// Whether it encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Plain,
    Encrypted,
}

/// A server, and whoever uses it.
pub struct Haul {
    server: Option<Daemon>,
    client: Line,
    address: SocketAddr,
    wire: Wire,
}

/// Starts a server of `root` that admits a client on host A.
pub fn start(bench: &Bench, root: &Path, wire: Wire) -> Result<Haul> {
    start_with(bench, root, wire, &[])
}

/// The same, with more words on the server's command line.
pub fn start_with(bench: &Bench, root: &Path, wire: Wire, more: &[&str]) -> Result<Haul> {
    let program = Path::new(env!("CARGO_BIN_EXE_haul"));
    let home = |end: &str| bench.ground.desk(&format!("home-{end}"));
    // On one machine haul needs no introduction, as long as both ends have one home.
    let (ours, theirs) = if bench.ends.are_apart() {
        (home("a")?, home("b")?)
    } else {
        (home("a")?, home("a")?)
    };
    let client = || bench.ends.line_at(End::Client, program, &ours);
    let server = || bench.ends.line_at(End::Server, program, &theirs);

    let mut serve = server().arg("serve").arg(root).arg("--json");
    let listen = SocketAddr::new(bench.ends.address, 0);
    serve = serve.args(["--listen", &listen.to_string()]).args(more);
    if bench.ends.are_apart() && rustix::process::getuid().is_root() {
        serve = serve.arg("--allow-root");
    }
    match wire {
        Wire::Plain if bench.ends.are_apart() => {
            serve = serve.args(["--plaintext", "--trust-network"]);
        }
        Wire::Plain => serve = serve.arg("--plaintext"),
        Wire::Encrypted if bench.ends.are_apart() => {
            let key = bench.watch.run(&client().arg("key"), Memory::Ignored)?;
            let key = key.stdout.lines().next().unwrap_or_default().to_owned();
            let rights = ["--name", "bench", "--read", "--write", "--replace"];
            let admit = server().args(["authorize", &key, "--root"]).arg(root);
            bench.watch.run(&admit.args(rights), Memory::Ignored)?;
        }
        Wire::Encrypted => {}
    }
    let (daemon, said) = bench.watch.serve_until_it_says(&serve, COMING_UP)?;
    let address: SocketAddr = member(&said, "address")?.parse()?;
    if wire == Wire::Encrypted && bench.ends.are_apart() {
        let (host, print) = (address.to_string(), member(&said, "fingerprint")?);
        let trust = client().args(["trust", &host, print]);
        bench.watch.run(&trust, Memory::Ignored)?;
    }
    Ok(Haul {
        server: Some(daemon),
        client: client(),
        address,
        wire,
    })
}

impl Haul {
    fn line(&self, words: &[&str]) -> Line {
        let line = self.client.clone().args(words);
        match self.wire {
            Wire::Plain => line.arg("--plaintext"),
            Wire::Encrypted => line,
        }
    }
}

impl Mover for Haul {
    fn put(&self, what: &Material) -> Line {
        let line = self.line(&["put", "-q"]).arg(&what.path);
        line.arg(format!("{}/{}", self.address, what.name()))
    }

    fn replace(&self, what: &Material) -> Line {
        self.put(what).arg("--overwrite")
    }

    fn get(&self, what: &Material, into: &Path) -> Option<Line> {
        let line = self.line(&["get", "-q"]);
        let from = format!("{}/{}", self.address, what.name());
        Some(line.arg(from).arg(into))
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }

    fn through(&self, address: SocketAddr) -> Option<Box<dyn Mover>> {
        Some(Box::new(Self {
            server: None,
            client: self.client.clone(),
            address,
            wire: self.wire,
        }))
    }

    fn server(&self) -> Option<&Daemon> {
        self.server.as_ref()
    }
}

/// A text in a line of haul's JSON, which is never nested. What is asked for here has
/// nothing that would be escaped.
fn member<'l>(line: &'l str, key: &str) -> Result<&'l str> {
    let after = line.split(&format!("\"{key}\":\"")).nth(1);
    let value = after.and_then(|after| after.split('"').next());
    value.with_context(|| format!("haul serve does not say its {key}: {line}"))
}
