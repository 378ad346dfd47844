//! iperf3: what sending so many bytes costs where nobody looks at them.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::children::Running;
use crate::ends::{End, find};
use crate::entrants::Mover;
use crate::line::Line;
use crate::material::Material;

pub struct Iperf {
    server: Running,
    client: Line,
    address: SocketAddr,
}

pub fn start(bench: &Bench) -> Result<Iperf> {
    let program = find("iperf3").context("iperf3")?;
    let (server, address) = bench.ends.serve(&bench.watch, "iperf3", |address| {
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let line = bench.ends.line(End::Server, &program);
        Ok(line.args(["-s", "-B", &ip, "-p", &port]))
    })?;
    Ok(Iperf {
        server,
        client: bench.ends.line(End::Client, &program),
        address,
    })
}

impl Iperf {
    fn send(&self, what: &Material) -> Line {
        let (ip, port) = (self.address.ip().to_string(), self.address.port());
        let line = self.client.clone().args(["-c", &ip, "-p"]);
        let bytes = what.load.bytes().to_string();
        line.args([&port.to_string(), "-n", &bytes])
    }
}

impl Mover for Iperf {
    fn put(&self, what: &Material) -> Line {
        self.send(what)
    }

    fn get(&self, what: &Material, _into: &Path) -> Line {
        self.send(what).arg("-R")
    }

    fn server(&self) -> Option<&Running> {
        Some(&self.server)
    }
}
