//! scp, and rsync over ssh, against an sshd with keys of this run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::children::{Memory, Running};
use crate::ends::{End, find};
use crate::entrants::Mover;
use crate::ground;
use crate::line::Line;
use crate::material::Material;
use crate::rsync::contents;

/// What the configuration calls host B.
const HOST: &str = "bench";

/// A server, and what uses it: both clients name a file as `HOST:PATH`.
pub struct Ssh {
    server: Running,
    client: Line,
    program: Program,
    root: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Scp,
    Rsync,
}

/// scp with these `flags`.
pub fn scp(bench: &Bench, root: &Path, flags: &[&str]) -> Result<Ssh> {
    let (server, config) = serve(bench)?;
    let program = find("scp").context("scp")?;
    let client = bench.ends.line(End::Client, &program);
    Ok(Ssh {
        server,
        client: client.args(["-q", "-F"]).arg(config).args(flags),
        program: Program::Scp,
        root: root.to_owned(),
    })
}

/// rsync, with ssh in between.
pub fn rsync(bench: &Bench, root: &Path) -> Result<Ssh> {
    let (server, config) = serve(bench)?;
    let program = find("rsync").context("rsync")?;
    let ssh = shlex::try_join(["ssh", "-F", &config.to_string_lossy()])?;
    let client = bench.ends.line(End::Client, &program);
    Ok(Ssh {
        server,
        client: client.args(["-a", "-e", &ssh]),
        program: Program::Rsync,
        root: root.to_owned(),
    })
}

/// Starts an sshd, and makes the client's configuration for it.
fn serve(bench: &Bench) -> Result<(Running, PathBuf)> {
    let desk = bench.ground.desk("ssh")?;
    let (theirs, ours) = (key(bench, &desk, "host")?, key(bench, &desk, "user")?);
    let program = find("sshd").context("sshd")?;
    let (server, address) = bench.ends.serve(&bench.watch, "sshd", |address| {
        let path = desk.join(format!("sshd-{}.conf", address.port()));
        let (ip, port) = (address.ip(), address.port());
        let text = format!(
            "ListenAddress {ip}\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\n\
             UsePAM no\nStrictModes no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nPidFile none\n\
             UseDNS no\nPrintMotd no\nLogLevel ERROR\nSubsystem sftp internal-sftp\n",
            theirs.display(),
            ours.with_extension("pub").display(),
        );
        ground::write(&path, &text)?;
        let line = bench.ends.line(End::Server, &program);
        Ok(line.args(["-D", "-e", "-f"]).arg(path))
    })?;
    let (ip, port) = (address.ip(), address.port());
    let known = desk.join(format!("known-{port}"));
    let print = std::fs::read_to_string(theirs.with_extension("pub"))?;
    ground::write(&known, &format!("[{ip}]:{port} {print}"))?;
    let config = desk.join(format!("ssh-{port}.conf"));
    let text = format!(
        "Host {HOST}\nHostName {ip}\nPort {port}\nIdentityFile {}\nIdentitiesOnly yes\n\
         UserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\n\
         BatchMode yes\nLogLevel ERROR\n",
        ours.display(),
        known.display(),
    );
    ground::write(&config, &text)?;
    Ok((server, config))
}

/// A key of this run, made at first need.
fn key(bench: &Bench, desk: &Path, name: &str) -> Result<PathBuf> {
    let path = desk.join(name);
    if !path.exists() {
        let program = find("ssh-keygen").context("ssh-keygen")?;
        let line = bench.ends.line(End::Client, &program);
        let line = line
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&path);
        bench.watch.run(&line, Memory::Ignored)?;
    }
    Ok(path)
}

impl Ssh {
    fn client(&self, what: &Material) -> Line {
        let client = self.client.clone();
        if self.program == Program::Scp && what.is_a_tree() {
            return client.arg("-r");
        }
        client
    }

    /// A path, with a slash where the program asks for one.
    fn source(&self, path: &Path, what: &Material) -> std::ffi::OsString {
        match self.program {
            Program::Scp => path.as_os_str().to_owned(),
            Program::Rsync => contents(path, what),
        }
    }

    fn there(&self, what: &Material) -> PathBuf {
        let path = self.root.join(what.name());
        PathBuf::from(format!("{HOST}:{}", path.display()))
    }
}

impl Mover for Ssh {
    fn put(&self, what: &Material) -> Line {
        let source = self.source(&what.path, what);
        self.client(what).arg(source).arg(self.there(what))
    }

    fn get(&self, what: &Material, into: &Path) -> Line {
        let source = self.source(&self.there(what), what);
        self.client(what).arg(source).arg(into.join(what.name()))
    }

    fn server(&self) -> Option<&Running> {
        Some(&self.server)
    }
}
