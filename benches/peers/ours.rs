//! haul itself: the program that this build made, with a home of its own on each host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::children::{Memory, Running};
use crate::ends::End;
use crate::entrants::Mover;
use crate::line::Line;
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
pub struct Ours {
    server: Option<Running>,
    client: Line,
    pub address: SocketAddr,
    /// What a client on host A knows it by, where it encrypts.
    pub fingerprint: Option<String>,
    /// Where that client's own key is.
    pub home: PathBuf,
    wire: Wire,
}

/// Starts a server of `root` that admits a client on host A.
pub fn start(bench: &Bench, root: &Path, wire: Wire) -> Result<Ours> {
    start_with(bench, root, wire, &[])
}

/// The same, with more words on the server's command line.
pub fn start_with(bench: &Bench, root: &Path, wire: Wire, more: &[&str]) -> Result<Ours> {
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
    let fingerprint = match wire {
        Wire::Plain => None,
        Wire::Encrypted => Some(member(&said, "fingerprint")?.to_owned()),
    };
    if let Some(print) = fingerprint.as_ref().filter(|_| bench.ends.are_apart()) {
        let trust = client().args(["trust", &address.to_string(), print]);
        bench.watch.run(&trust, Memory::Ignored)?;
    }
    Ok(Ours {
        server: Some(daemon),
        client: client(),
        address,
        fingerprint,
        home: ours,
        wire,
    })
}

impl Ours {
    fn line(&self, words: &[&str]) -> Line {
        let line = self.client.clone().args(words);
        match self.wire {
            Wire::Plain => line.arg("--plaintext"),
            Wire::Encrypted => line,
        }
    }
}

impl Mover for Ours {
    fn put(&self, what: &Material) -> Line {
        let line = self.line(&["put", "-q"]).arg(&what.path);
        line.arg(format!("{}/{}", self.address, what.name()))
    }

    fn replace(&self, what: &Material) -> Line {
        self.put(what).arg("--overwrite")
    }

    fn get(&self, what: &Material, into: &Path) -> Line {
        let line = self.line(&["get", "-q"]);
        let from = format!("{}/{}", self.address, what.name());
        line.arg(from).arg(into.join(what.name()))
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }

    fn through(&self, address: SocketAddr) -> Option<Box<dyn Mover>> {
        Some(Box::new(Self {
            server: None,
            client: self.client.clone(),
            address,
            fingerprint: self.fingerprint.clone(),
            home: self.home.clone(),
            wire: self.wire,
        }))
    }

    fn server(&self) -> Option<&Running> {
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
