//! A served directory and one to type commands in, as two people would have them.

use std::fs::{self, File};
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::nobody;
use crate::program::{self, Ended, PATIENCE, Running, haul};

/// A directory that is served, and one to type commands in.
pub struct Place {
    pub dir: TempDir,
    pub server: Served,
    user: User,
}

/// Who serves and types.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    /// Whoever runs the tests.
    Ours,
    /// Somebody who is not root.
    Nobody,
}

/// A `haul serve` that accepts clients.
pub struct Served {
    pub running: Running,
    /// `HOST:PORT`, as it was announced.
    pub address: String,
}

impl Place {
    /// With a server that was given these flags, besides a port of its own.
    pub fn serving(flags: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["root", "here"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self::serving_in(dir, flags)
    }

    /// The same, where both directories are there already.
    pub fn serving_in(dir: TempDir, flags: &str) -> Self {
        let server = Served::start(&dir.path().join("root"), &home_in(&dir), flags);
        let user = User::Ours;
        Self { dir, server, user }
    }

    /// The same with a server that a shell starts, which is told this first.
    pub fn in_shell(told: &str, flags: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["root", "here"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let command = Served::command(&dir.path().join("root"), &home_in(&dir), flags);
        let server = Served::of(program::in_shell(told, &command));
        let user = User::Ours;
        Self { dir, server, user }
    }

    /// The same with a server whose root is a disk of so many MiB, in memory. None, and said
    /// so, where that cannot be had.
    pub fn on_a_disk_of(mib: usize, flags: &str) -> Option<Self> {
        Self::on_a_disk(&format!("size={mib}m"), flags)
    }

    /// The same with a disk on which a shell did this, and that nobody can write to since.
    pub fn on_a_read_only_disk(done: &str, flags: &str) -> Option<Self> {
        let done = format!("; {done}; mount -o remount,ro .");
        Self::mounted("size=8m", &done, flags)
    }

    /// The same with what a mount in memory is told.
    pub fn on_a_disk(told: &str, flags: &str) -> Option<Self> {
        Self::mounted(told, "", flags)
    }

    fn mounted(told: &str, done: &str, flags: &str) -> Option<Self> {
        let may_mount = |status: ExitStatus| status.success();
        let mut tried = Command::new("unshare");
        tried.args(["-rm", "mount", "-t", "tmpfs", "small", "/mnt"]);
        if !tried.status().is_ok_and(may_mount) {
            eprintln!("not tried, as the system allows no mount");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["root", "here"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let root = dir.path().join("root");
        let mount = format!("mount -t tmpfs -o {told},mode=700 small .; cd \"$PWD\"{done}");
        let inside = program::in_shell(&mount, &Served::command(&root, &home_in(&dir), flags));
        let server = Served::of(program::wrapped("unshare", &["-rm"], &inside));
        let user = User::Ours;
        Some(Self { dir, server, user })
    }

    /// The same where nobody is root: both directories are theirs, and commands are run by
    /// them. None, and said so, where that cannot be had.
    pub fn of_nobody() -> Option<Self> {
        Self::of_nobody_with("")
    }

    /// The same with a server that was given these flags.
    pub fn of_nobody_with(flags: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let [root, _] = ["root", "here"].map(|name| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        });
        nobody::own(dir.path());
        let server = Served::of(nobody::run(Served::command(&root, &home_in(&dir), flags))?);
        let user = User::Nobody;
        Some(Self { dir, server, user })
    }

    /// Serves the same directory again, once the server that was told to go is gone: as
    /// long as it lives it holds the root. Returns that one.
    #[track_caller]
    pub fn restart_with(&mut self, flags: &str) -> Running {
        let ended = self.server.running.ends_by(Instant::now() + PATIENCE);
        assert!(ended, "the server did not end");
        let again = Served::start(&self.root(), &self.home(), flags);
        mem::replace(&mut self.server, again).running
    }

    /// Has the server end, so that nobody holds the root.
    #[track_caller]
    pub fn stop(&self) {
        self.server.running.signal(Signal::TERM);
        let ended = self.server.running.ends_by(Instant::now() + PATIENCE);
        assert!(ended, "the server did not end");
    }

    /// Where whoever serves and types has their keys.
    pub fn home(&self) -> PathBuf {
        home_in(&self.dir)
    }

    /// The served directory.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Where commands are typed.
    pub fn here(&self) -> PathBuf {
        self.dir.path().join("here")
    }

    /// Makes a file where commands are typed.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.here().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Makes a file that has a size and next to no bytes, so that it takes long to send
    /// and no time to make.
    pub fn sparse(&self, name: &str, len: u64) {
        let file = File::create(self.here().join(name)).unwrap();
        file.set_len(len).unwrap();
    }

    /// The command of a typed line. `[ADDRESS]` stands for the server's, and words before
    /// the verb that are `NAME=VALUE` are its environment, as in a shell.
    pub fn haul(&self, line: &str) -> Command {
        let line = self.meant(line);
        let mut words = line.split(' ').filter(|word| !word.is_empty()).peekable();
        let mut set = Vec::new();
        while let Some(word) = words.next_if(|word| word.contains('=') && !word.starts_with('-')) {
            set.extend(word.split_once('='));
        }
        let mut command = haul(&self.here(), words);
        command.env("HOME", self.home()).envs(set);
        self.as_user(command)
    }

    /// A command as whoever serves and types runs it.
    pub fn as_user(&self, command: Command) -> Command {
        match self.user {
            User::Ours => command,
            User::Nobody => nobody::run(command).expect("it could be had before"),
        }
    }

    /// Runs a typed line to its end.
    #[track_caller]
    pub fn run(&self, line: &str) -> Ended {
        Running::start(self.haul(line)).finish()
    }

    /// Checks what a typed line comes to: its exit code, and all that it says on standard
    /// output and standard error, where `*` stands for anything.
    #[track_caller]
    pub fn says(&self, line: &str, code: i32, out: &str, err: &str) {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
        for (said, expected) in [(&ended.stdout, out), (&ended.stderr, err)] {
            let expected = self.meant(expected);
            assert!(is_like(said, &expected), "{line}: {ended:?}\n{expected:?}");
        }
    }

    /// What a text means here, as addresses differ from run to run.
    pub fn meant(&self, text: &str) -> String {
        text.replace("[ADDRESS]", &self.server.address)
            .replace("[ROOT]", self.root().to_str().unwrap())
    }
}

impl Served {
    /// Serves `root`, for whom this is the home, and waits until it says that clients may
    /// come, and where.
    #[track_caller]
    pub fn start(root: &Path, home: &Path, flags: &str) -> Self {
        Self::of(Self::command(root, home, flags))
    }

    fn command(root: &Path, home: &Path, flags: &str) -> Command {
        let mut command = haul(root, ["serve", "--listen", "127.0.0.1:0"]);
        command.env("HOME", home);
        command.args(flags.split(' ').filter(|flag| !flag.is_empty()));
        command
    }

    #[track_caller]
    fn of(command: Command) -> Self {
        let running = Running::start(command);
        let line = running.line();
        let Some(address) = line.strip_prefix("listening on haul://") else {
            panic!("no address in {line:?}: {:?}", running.finish());
        };
        let address = address.to_owned();
        Self { running, address }
    }
}

fn home_in(dir: &TempDir) -> PathBuf {
    dir.path().join("home")
}

/// Whether a text is as the pattern has it, in which `*` stands for anything.
pub fn is_like(text: &str, pattern: &str) -> bool {
    let Some((first, parts)) = pattern.split_once('*') else {
        return text == pattern;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let (parts, last) = parts.rsplit_once('*').unwrap_or(("", parts));
    for part in parts.split('*') {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn a_pattern_is_the_whole_text() {
    for (text, pattern, is) in [
        ("ab", "ab", true),
        ("ab", "a", false),
        ("", "", true),
        ("", "*", true),
        ("abcab", "a*b", true),
        ("abc", "*b*", true),
        ("abc", "*c*b*", false),
        ("abc", "b*", false),
        ("aba", "ab*ba", false),
    ] {
        assert_eq!(is_like(text, pattern), is, "{text:?} {pattern:?}");
    }
}
