//! The two hosts of a run, and what is installed on them.
//!
//! Both are this machine, unless words that make a command run elsewhere are put before it.
//! Nothing here knows what those words do: in a namespace, a port is free or reached only for
//! who stands there, so that is found out by this program, run there too.

use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::children::{Memory, Running, Watch};
use crate::line::Line;

/// How long a server may take to come up.
const COMING_UP: Duration = Duration::from_secs(20);

/// Where a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Host A, where clients are.
    Client,
    /// Host B, where servers are.
    Server,
}

/// Both hosts.
pub struct Ends {
    client: Vec<String>,
    server: Vec<String>,
    /// Where host A reaches host B.
    pub address: IpAddr,
    home: PathBuf,
}

impl Ends {
    pub fn new(args: &Args, home: &Path) -> Self {
        let words = |words: &Option<crate::args::Words>| words.clone().unwrap_or_default().0;
        Self {
            client: words(&args.host_a),
            server: words(&args.host_b),
            address: args.address.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            home: home.to_owned(),
        }
    }

    /// Whether there is a link between the hosts.
    pub fn are_apart(&self) -> bool {
        !self.address.is_loopback()
    }

    /// A command on one of them.
    pub fn line(&self, end: End, program: &Path) -> Line {
        self.line_at(end, program, &self.home)
    }

    /// The same for a person with another home.
    pub fn line_at(&self, end: End, program: &Path, home: &Path) -> Line {
        let prefix = match end {
            End::Client => &self.client,
            End::Server => &self.server,
        };
        Line::new(prefix, program, home)
    }

    /// Starts a server that has to be told its port. Another may take that port in between,
    /// so a server that does not come up gets another one.
    pub fn serve(
        &self,
        watch: &Watch,
        name: &str,
        line: impl Fn(SocketAddr) -> Result<Line>,
    ) -> Result<(Running, SocketAddr)> {
        let mut said = String::new();
        for _ in 0..3 {
            let ask = self.line(End::Server, &ourselves()?);
            let ask = ask.arg("port").arg(self.address.to_string());
            let port = watch.run(&ask, Memory::Ignored)?.stdout;
            let port = port.trim().parse().context("a port")?;
            let address = SocketAddr::new(self.address, port);
            let mut server = watch.serve(&line(address)?)?;
            if self.comes_up(watch, &mut server, address)? {
                return Ok((server, address));
            }
            said = server.said();
        }
        bail!("{name} does not come up: {said}")
    }

    /// Waits until host A reaches a server, or the server has ended.
    fn comes_up(&self, watch: &Watch, server: &mut Running, address: SocketAddr) -> Result<bool> {
        let line = self.line(End::Client, &ourselves()?);
        let line = line.args(["reach", &address.to_string(), "1"]);
        let by = Instant::now() + COMING_UP;
        while server.is_up()? && Instant::now() < by {
            let reached = watch.run(&line, Memory::Ignored);
            watch.check()?;
            if reached.is_ok() {
                return server.is_up();
            }
        }
        Ok(false)
    }
}

/// Where programs are looked for: servers of other packages are often no part of a user's PATH.
pub fn search_path() -> OsString {
    let own = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let all = env::split_paths(&own).chain(more);
    env::join_paths(all).unwrap_or(own)
}

/// This program, for what it has to do elsewhere.
pub fn ourselves() -> Result<PathBuf> {
    Ok(env::current_exe()?)
}

/// Finds a program by its name.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = search_path();
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_absolute() && file.is_file())
}

/// Prints a port of `address` that nobody uses.
pub fn print_port(address: IpAddr) -> Result<()> {
    let listener = TcpListener::bind((address, 0))?;
    println!("{}", listener.local_addr()?.port());
    Ok(())
}

/// Connects to a server, as soon as it listens.
#[expect(
    clippy::disallowed_methods,
    reason = "a foreign server's readiness is no event that could be waited for"
)]
pub fn reach(address: SocketAddr, seconds: u64) -> Result<()> {
    let by = Instant::now() + Duration::from_secs(seconds);
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > by => bail!("{address}: {e}"),
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(_) => {}
        }
    }
}
