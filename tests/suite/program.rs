//! haul's binary, run as a person or a script runs it.
//!
//! Whatever is started here is ended here: a child is killed and reaped when its handle
//! goes, also when a test fails. Nothing waits by the clock. A line, the end of a child and
//! a change in a directory are events; each wait for one has a deadline, and meets it only
//! where something hangs.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Far beyond what anything takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A child that has not ended, or was not waited for.
pub struct Running {
    child: Child,
    /// Readable once the child has ended.
    end: OwnedFd,
    line: String,
    stdout: Option<Lines>,
    stderr: Option<Lines>,
}

/// What came of a child.
#[derive(Debug)]
pub struct Ended {
    /// The exit code, or none for a signal.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A pipe that is read to its end, whoever listens.
struct Lines(Receiver<Vec<u8>>);

/// Variables of others that say how a program is to look.
const LOOKS: [&str; 5] = [
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "NO_COLOR",
    "TERM",
];

/// Variables of a service manager, for the programs that it runs.
const MANAGED: [&str; 5] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// haul with these words, to be run in `here`; nothing in the environment speaks to it.
pub fn haul<'w>(here: &Path, words: impl IntoIterator<Item = &'w str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haul"));
    on_its_own(&mut command)
        .args(words)
        .current_dir(here)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Takes from a command's environment what would speak to haul.
pub fn on_its_own(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("HAUL_") || LOOKS.contains(&&*text) || MANAGED.contains(&&*text) {
            command.env_remove(name);
        }
    }
    // No test sees or changes a real home. This one is for whoever has no other, and is
    // kept from run to run, as a person's is.
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("home");
    command
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_STATE_HOME")
        .env("HOME", home)
}

/// A command that a shell runs, which is told this first.
pub fn in_shell(told: &str, typed: &Command) -> Command {
    let words = ["-c", &format!("{told}; exec \"$0\" \"$@\"")];
    wrapped("sh", &words, typed)
}

/// A command that another program runs, which is given these words first.
pub fn wrapped(program: &str, words: &[&str], typed: &Command) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command.arg(typed.get_program()).args(typed.get_args());
    if let Some(here) = typed.get_current_dir() {
        command.current_dir(here);
    }
    as_given(typed, &mut command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Gives a command the environment that another one was given.
pub fn as_given(from: &Command, to: &mut Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
}

impl Running {
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let line = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let mut child = command.spawn().unwrap();
        let end = pidfd_open(pid(&child), PidfdFlags::empty()).unwrap();
        Self {
            stdout: child.stdout.take().map(Lines::of),
            stderr: child.stderr.take().map(Lines::of),
            child,
            end,
            line,
        }
    }

    /// The same with a terminal for standard error.
    #[track_caller]
    pub fn on_terminal(mut command: Command) -> Self {
        let (ours, theirs) = terminal();
        command.stderr(theirs);
        let mut running = Self::start(command);
        running.stderr = Some(Lines::of(ours));
        running
    }

    /// The same with one terminal for all that is said, which is read as standard output.
    #[track_caller]
    pub fn on_screen(mut command: Command) -> Self {
        let (ours, theirs) = terminal();
        command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
        let mut running = Self::start(command);
        running.stdout = Some(Lines::of(ours));
        running
    }

    /// The next line of standard output, without its end.
    #[track_caller]
    pub fn line(&self) -> String {
        let stdout = self.stdout.as_ref().expect("standard output is a pipe");
        let line = stdout.0.recv_timeout(PATIENCE).unwrap_or_default();
        String::from_utf8(line)
            .unwrap()
            .trim_end_matches('\n')
            .to_owned()
    }

    /// The number that the system knows the child by.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child), signal).unwrap();
    }

    /// What is readable once the child has ended.
    pub fn end(&self) -> &OwnedFd {
        &self.end
    }

    /// Whether the child ended before `deadline`.
    pub fn ends_by(&self, deadline: Instant) -> bool {
        is_readable(&[&self.end], deadline)
    }

    /// The most memory that the child has held at once, in KiB, or none where it has ended.
    pub fn peak(&self) -> Option<u64> {
        self.status("VmHWM:")
    }

    /// The memory that the child holds now, in KiB, or none where it has ended.
    pub fn resident(&self) -> Option<u64> {
        self.status("VmRSS:")
    }

    /// How many threads the child has, or none where it has ended.
    pub fn threads(&self) -> Option<u64> {
        self.status("Threads:")
    }

    /// A figure that the system keeps of the child.
    fn status(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Waits for the end.
    #[track_caller]
    pub fn finish(self) -> Ended {
        self.finish_within(PATIENCE)
    }

    #[track_caller]
    pub fn finish_within(mut self, patience: Duration) -> Ended {
        if !self.ends_by(Instant::now() + patience) {
            self.signal(Signal::KILL);
            let said = self.stderr.take().map_or(String::new(), |all| all.rest());
            panic!("haul {} did not end; it said: {said}", self.line);
        }
        let status = self.child.wait().unwrap();
        Ended {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.take().map_or(String::new(), |all| all.rest()),
            stderr: self.stderr.take().map_or(String::new(), |all| all.rest()),
        }
    }
}

impl Ended {
    /// Whether it was killed, and had not ended by itself before.
    pub fn was_killed(&self) -> bool {
        self.signal == Some(Signal::KILL.as_raw())
    }

    /// The server had no place.
    #[track_caller]
    pub fn is_full(&self) -> &Self {
        assert_eq!(self.code, Some(3), "{self:?}");
        assert!(self.stderr.contains("the server is full"), "{self:?}");
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, and been waited for, already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (to, lines) = mpsc::channel();
        let read = move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let mut line = Vec::new();
                // A terminal that everyone has left is an error of reading.
                let len = pipe.read_until(b'\n', &mut line).unwrap_or(0);
                if len == 0 || to.send(line).is_err() {
                    return;
                }
            }
        };
        let name = "pipe".to_owned();
        thread::Builder::new().name(name).spawn(read).unwrap();
        Self(lines)
    }

    /// Everything that was not read yet, until the child has closed its end.
    fn rest(&self) -> String {
        let mut all = Vec::new();
        while let Ok(line) = self.0.recv_timeout(PATIENCE) {
            all.extend(line);
        }
        String::from_utf8(all).unwrap()
    }
}

/// A terminal: the side of whoever looks, and that of whoever draws.
fn terminal() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (File::from(ours), theirs)
}

/// Waits until one of these can be read, or has ended.
pub fn is_readable(these: &[&OwnedFd], deadline: Instant) -> bool {
    let mut polled: Vec<_> = these
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::IN))
        .collect();
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).unwrap();
    poll(&mut polled, Some(&left)).unwrap() > 0
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
