//! Programs that are run: clients to their end and by the clock, servers for as long as
//! somebody holds on to them.
//!
//! Nothing outlives the benchmark. Each child leads a process group of its own, so that a
//! prefix word, or a server that forks, takes the rest along. A signal to the benchmark is
//! seen wherever it waits, becomes an error like any other, and drops what holds the children.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::line::Line;
use crate::processors::busy;

/// How long a client may take: far beyond any of the works.
const PATIENCE: Duration = Duration::from_secs(1800);
/// How long a server may take to stop when it is asked to.
const STOPPING: Duration = Duration::from_secs(10);

/// What became of a client.
pub struct Ran {
    pub took: Duration,
    /// What it had of the processors.
    pub busy: Duration,
    pub stdout: String,
    pub stderr: String,
    /// The most memory that it held at once, in KiB, where that was asked for.
    pub peak: Option<u64>,
}

/// Whether a client's memory is watched. That wakes somebody, so it is no part of a race.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    Ignored,
    Watched,
}

/// Somebody wants the benchmark to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted by {0}")]
pub struct Interrupted(&'static str);

/// How that is said.
const SIGNALS: [(i32, &str); 3] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];

/// Runs children, and hears signals.
pub struct Watch {
    /// Each readable from its first signal on.
    signals: Vec<(UnixStream, &'static str)>,
    /// Where what children say goes, a file each.
    logs: PathBuf,
    logged: Cell<u32>,
}

/// A child that nobody has waited for. It is stopped when it is let go of.
pub struct Running {
    child: Child,
    /// Readable once the child has ended.
    end: OwnedFd,
    log: PathBuf,
    is_over: bool,
}

impl Watch {
    /// Listens for signals; what children say goes into `dir`.
    pub fn new(dir: &Path) -> Result<Self> {
        let mut signals = Vec::new();
        for (signal, name) in SIGNALS {
            let (comes, raise) = UnixStream::pair()?;
            signal_hook::low_level::pipe::register(signal, raise)?;
            signals.push((comes, name));
        }
        Ok(Self {
            signals,
            logs: dir.to_owned(),
            logged: Cell::new(0),
        })
    }

    /// Fails once there was a signal.
    pub fn check(&self) -> Result<()> {
        self.wait(None, Instant::now()).map(drop)
    }

    /// Runs a client to its end, which has to be a good one.
    pub fn run(&self, line: &Line, memory: Memory) -> Result<Ran> {
        let out = self.log();
        let began = Instant::now();
        let mut child = self.start(line, create(&out)?.into())?;
        let mut peak = None;
        loop {
            let pause = match memory {
                Memory::Ignored => PATIENCE,
                Memory::Watched => Duration::from_millis(2),
            };
            let by = (Instant::now() + pause).min(began + PATIENCE);
            if self.wait(Some(child.end.as_fd()), by)? {
                break;
            }
            if began.elapsed() >= PATIENCE {
                bail!("{line}: did not end");
            }
            // It only ever grows; a child that has just ended has none.
            peak = child.peak().or(peak);
        }
        let took = began.elapsed();
        // Gone as it is, its counts are there until somebody has waited for it.
        let busy = child.busy();
        let status = child.child.wait()?;
        child.is_over = true;
        if !status.success() {
            bail!("{line}: {status}: {}", child.said());
        }
        Ok(Ran {
            took,
            busy,
            stdout: fs::read_to_string(&out)?,
            stderr: child.said(),
            peak,
        })
    }

    /// Starts a client and kills it once `is_time`, and says whether it had not ended by then.
    pub fn kill_when(&self, line: &Line, is_time: impl Fn() -> bool) -> Result<bool> {
        let mut child = self.start(line, Stdio::null())?;
        let began = Instant::now();
        while !is_time() {
            let by = Instant::now() + Duration::from_millis(1);
            if self.wait(Some(child.end.as_fd()), by)? {
                return Ok(false);
            }
            if began.elapsed() >= PATIENCE {
                bail!("{line}: is not on its way");
            }
        }
        kill_process_group(Pid::from_child(&child.child), Signal::KILL)?;
        child.child.wait()?;
        child.is_over = true;
        Ok(true)
    }

    /// Starts a server that prints a line when it is ready, and reads that line.
    pub fn serve_until_it_says(&self, line: &Line, within: Duration) -> Result<(Running, String)> {
        let mut server = self.start(line, Stdio::piped())?;
        let mut stdout = server.child.stdout.take().context("no standard output")?;
        let mut said = Vec::new();
        let by = Instant::now() + within;
        while !said.ends_with(b"\n") {
            let mut some = [0; 512];
            if !self.wait(Some(stdout.as_fd()), by)? {
                bail!("{line}: said nothing for {within:?}: {}", server.said());
            }
            match stdout.read(&mut some)? {
                0 => bail!("{line}: ended: {}", server.said()),
                n => said.extend(&some[..n]),
            }
        }
        Ok((server, String::from_utf8(said)?))
    }

    /// Starts a server that says nothing when it is ready.
    pub fn serve(&self, line: &Line) -> Result<Running> {
        self.start(line, Stdio::null())
    }

    fn start(&self, line: &Line, stdout: Stdio) -> Result<Running> {
        let log = self.log();
        let mut command = line.command();
        command.stdout(stdout).stderr(create(&log)?);
        let child = command.spawn().with_context(|| line.to_string())?;
        let end = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        Ok(Running {
            child,
            end,
            log,
            is_over: false,
        })
    }

    /// A file that nobody has written to.
    fn log(&self) -> PathBuf {
        self.logged.set(self.logged.get() + 1);
        self.logs.join(format!("{}.log", self.logged.get()))
    }

    /// Waits until `fd` is readable, and says whether it was in time.
    fn wait(&self, fd: Option<BorrowedFd<'_>>, by: Instant) -> Result<bool> {
        let left = by.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left)?;
        let signals = self.signals.iter().map(|(comes, _)| comes.as_fd());
        let mut fds: Vec<PollFd<'_>> = signals
            .chain(fd)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let ready = loop {
            match poll(&mut fds, Some(&left)) {
                // The signal's byte is in its pipe by now.
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(ready) => break ready,
            }
        };
        let mut came = self.signals.iter().zip(&fds);
        match came.find(|(_, fd)| !fd.revents().is_empty()) {
            Some(((_, name), _)) => Err(Interrupted(name).into()),
            None => Ok(ready > 0),
        }
    }
}

impl Running {
    /// Whether it still runs.
    pub fn is_up(&mut self) -> Result<bool> {
        self.is_over |= self.child.try_wait()?.is_some();
        Ok(!self.is_over)
    }

    /// The last that it said on standard error.
    pub fn said(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        let last = said.len().saturating_sub(2000);
        String::from_utf8_lossy(&said[last..]).trim().to_owned()
    }

    /// The most memory that it has held at once, in KiB.
    pub fn peak(&self) -> Option<u64> {
        self.status("VmHWM:")
    }

    /// The memory that it holds, in KiB.
    pub fn resident(&self) -> Option<u64> {
        self.status("VmRSS:")
    }

    /// What it and those that descend from it have had of the processors so far, with those
    /// that have ended and were waited for.
    pub fn busy(&self) -> Duration {
        busy(self.child.id())
    }

    fn status(&self, field: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with(field))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its number may be another's by now.
        if self.is_over {
            return;
        }
        let group = Pid::from_child(&self.child);
        // Each may fail only because whom it is for is gone already.
        let _ = kill_process_group(group, Signal::TERM);
        let mut fds = [PollFd::new(&self.end, PollFlags::IN)];
        let _ = poll(&mut fds, Timespec::try_from(STOPPING).ok().as_ref());
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a log in a private directory of this run"
)]
fn create(path: &Path) -> Result<File> {
    Ok(File::create(path)?)
}
