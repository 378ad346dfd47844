//! rsync, against its daemon.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::children::Running;
use crate::ends::{End, find};
use crate::entrants::Mover;
use crate::ground;
use crate::line::Line;
use crate::material::Material;

pub struct Rsync {
    server: Option<Running>,
    client: Line,
    address: SocketAddr,
}

/// Starts a daemon that serves `root`; the client has `flags` besides `-a`.
pub fn daemon(bench: &Bench, root: &Path, flags: &[&str]) -> Result<Rsync> {
    let program = find("rsync").context("rsync")?;
    let desk = bench.ground.desk("rsync")?;
    let (server, address) = bench.ends.serve(&bench.watch, "rsync", |address| {
        let path = desk.join(format!("rsyncd-{}.conf", address.port()));
        ground::write(&path, &config(root))?;
        let line = bench.ends.line(End::Server, &program);
        let line = line.args(["--daemon", "--no-detach", "--config"]).arg(path);
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        Ok(line.args(["--address", &ip, "--port", &port]))
    })?;
    let client = bench.ends.line(End::Client, &program);
    Ok(Rsync {
        server: Some(server),
        client: client.arg("-a").args(flags),
        address,
    })
}

/// The daemon's configuration. As root it would become nobody, who may write nowhere here.
fn config(root: &Path) -> String {
    let user = if rustix::process::getuid().is_root() {
        "uid = 0\ngid = 0\n"
    } else {
        ""
    };
    format!(
        "use chroot = no\nlog file = /dev/null\nreverse lookup = no\n{user}\
         [m]\npath = {}\nread only = no\n",
        root.display()
    )
}

impl Mover for Rsync {
    fn put(&self, what: &Material) -> Line {
        let line = self.client.clone().arg(contents(&what.path, what));
        line.arg(format!("rsync://{}/m/{}", self.address, what.name()))
    }

    fn get(&self, what: &Material, into: &Path) -> Line {
        let from = format!("rsync://{}/m/{}", self.address, what.name());
        let from = contents(Path::new(&from), what);
        self.client.clone().arg(from).arg(into.join(what.name()))
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }

    fn through(&self, address: SocketAddr) -> Option<Box<dyn Mover>> {
        Some(Box::new(Self {
            server: None,
            client: self.client.clone(),
            address,
        }))
    }

    fn server(&self) -> Option<&Running> {
        self.server.as_ref()
    }
}

/// How rsync is told to make of a tree's source exactly the target: without the slash, its
/// last component would go into that.
pub fn contents(source: &Path, what: &Material) -> OsString {
    let mut source = source.as_os_str().to_owned();
    if what.is_a_tree() {
        source.push("/");
    }
    source
}
