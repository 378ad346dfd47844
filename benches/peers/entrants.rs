//! Who takes part in a race: haul in its forms, and each of its peers.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use crate::bench::Bench;
use crate::children::{Memory, Running};
use crate::line::Line;
use crate::material::Material;
use crate::report::Turn;
use crate::{cp, iperf, ours, rsync, ssh, web};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// With `--plaintext` on both sides.
    Haul,
    /// As it comes.
    HaulEncrypted,
    RsyncDaemon,
    /// Flushes each file.
    RsyncFsync,
    RsyncSsh,
    Scp,
    ScpAes,
    /// PUT and GET, against nginx.
    Curl,
    /// So many connections, against nginx.
    Aria2(u8),
    Cp,
    /// Moves as many bytes, and looks at none.
    Iperf3,
}

/// A peer whose server runs.
pub trait Mover {
    /// Puts something under its name, where nothing is.
    fn put(&self, what: &Material) -> Line;

    /// Puts something under its name, where it is with other content.
    fn replace(&self, what: &Material) -> Line {
        self.put(what)
    }

    /// Gets what has that name into the directory `into`, under the same name.
    fn get(&self, what: &Material, into: &Path) -> Line;

    /// Where its server is reached, for who counts what is sent there; else `None`.
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// The same server through another address; `None` where there is no address.
    fn through(&self, _address: SocketAddr) -> Option<Box<dyn Mover>> {
        None
    }

    /// The server, for who asks what it costs.
    fn server(&self) -> Option<&Running> {
        None
    }
}

/// Runs what a client does, by the clock, with what both sides have of the processors for it.
pub fn timed(bench: &Bench, mover: &dyn Mover, line: &Line) -> Result<Turn> {
    let busy = || mover.server().map(Running::busy).unwrap_or_default();
    let before = busy();
    let ran = bench.watch.run(line, Memory::Ignored)?;
    Ok(Turn {
        took: ran.took,
        busy: ran.busy + busy().saturating_sub(before),
    })
}

impl Who {
    pub fn name(self) -> String {
        match self {
            Self::Haul => "haul --plaintext".to_owned(),
            Self::HaulEncrypted => "haul".to_owned(),
            Self::RsyncDaemon => "rsync daemon".to_owned(),
            Self::RsyncFsync => "rsync --fsync".to_owned(),
            Self::RsyncSsh => "rsync over ssh".to_owned(),
            Self::Scp => "scp".to_owned(),
            Self::ScpAes => "scp, aes128-gcm".to_owned(),
            Self::Curl => "curl and nginx".to_owned(),
            Self::Aria2(connections) => format!("aria2 -x{connections}"),
            Self::Cp => "cp".to_owned(),
            Self::Iperf3 => "iperf3".to_owned(),
        }
    }

    /// Which haul it is held against: what is encrypted, against what is.
    pub fn rival(self) -> Option<Self> {
        match self {
            Self::Haul | Self::HaulEncrypted => None,
            Self::Scp | Self::ScpAes | Self::RsyncSsh => Some(Self::HaulEncrypted),
            _ => Some(Self::Haul),
        }
    }

    /// What `--peers` calls it.
    pub fn family(self) -> &'static str {
        match self {
            Self::Haul | Self::HaulEncrypted => "haul",
            Self::RsyncDaemon | Self::RsyncFsync | Self::RsyncSsh => "rsync",
            Self::Scp | Self::ScpAes => "scp",
            Self::Curl => "curl",
            Self::Aria2(_) => "aria2",
            Self::Cp => "cp",
            Self::Iperf3 => "iperf3",
        }
    }

    pub fn is_ours(self) -> bool {
        matches!(self, Self::Haul | Self::HaulEncrypted)
    }

    /// The programs that it takes, each with the package of Debian that has it.
    pub fn needs(self) -> &'static [(&'static str, &'static str)] {
        const RSYNC: (&str, &str) = ("rsync", "rsync");
        const SSH: (&str, &str) = ("ssh", "openssh-client");
        const SCP: (&str, &str) = ("scp", "openssh-client");
        const KEYGEN: (&str, &str) = ("ssh-keygen", "openssh-client");
        const SSHD: (&str, &str) = ("sshd", "openssh-server");
        const NGINX: (&str, &str) = ("nginx", "nginx");
        match self {
            Self::Haul | Self::HaulEncrypted => &[],
            Self::RsyncDaemon | Self::RsyncFsync => &[RSYNC],
            Self::RsyncSsh => &[RSYNC, SSH, KEYGEN, SSHD],
            Self::Scp | Self::ScpAes => &[SCP, SSH, KEYGEN, SSHD],
            Self::Curl => &[("curl", "curl"), NGINX],
            Self::Aria2(_) => &[("aria2c", "aria2"), NGINX],
            Self::Cp => &[("cp", "coreutils")],
            Self::Iperf3 => &[("iperf3", "iperf3")],
        }
    }

    /// Whether anything lands: iperf3's bytes go nowhere.
    pub fn lands(self) -> bool {
        self != Self::Iperf3
    }

    /// A name for a directory of its own.
    pub fn slug(self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        self.name().chars().map(plain).collect()
    }

    /// Starts its server.
    pub fn start(self, bench: &Bench, root: &Path) -> Result<Box<dyn Mover>> {
        Ok(match self {
            Self::Haul => Box::new(ours::start(bench, root, ours::Wire::Plain)?),
            Self::HaulEncrypted => Box::new(ours::start(bench, root, ours::Wire::Encrypted)?),
            Self::RsyncDaemon => Box::new(rsync::daemon(bench, root, &[])?),
            Self::RsyncFsync => Box::new(rsync::daemon(bench, root, &["--fsync"])?),
            Self::RsyncSsh => Box::new(ssh::rsync(bench, root)?),
            Self::Scp => Box::new(ssh::scp(bench, root, &[])?),
            Self::ScpAes => Box::new(ssh::scp(bench, root, &["-c", "aes128-gcm@openssh.com"])?),
            Self::Curl => Box::new(web::curl(bench, root)?),
            Self::Aria2(connections) => Box::new(web::aria2(bench, root, connections)?),
            Self::Cp => Box::new(cp::Cp::new(bench, root)),
            Self::Iperf3 => Box::new(iperf::start(bench)?),
        })
    }
}
