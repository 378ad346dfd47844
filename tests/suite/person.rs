//! Somebody with a home of their own, who types commands there.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Gid, Uid};
use tempfile::TempDir;

use crate::program::{Ended, Running, haul};

/// Somebody with a home and a directory that they could serve.
pub struct Person {
    dir: TempDir,
}

/// A key that OpenSSH made.
pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC/stjtjhwPC7C9B551fG6t5tFokkElFykUVn4xKjN2G";

/// Its fingerprint, as OpenSSH printed it.
pub const PRINT: &str = "SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";

/// Whoever is neither root nor the user who runs the tests.
pub const STRANGER: u32 = 4_000_000;

impl Person {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home", "root"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    /// Where they type.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// A file of theirs.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("home/config/haul").join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("home/state/haul")
    }

    /// Writes such a file as an editor does.
    pub fn edits(&self, name: &str, text: &str) {
        let path = self.file(name);
        let directory = path.parent().unwrap();
        fs::create_dir_all(directory).unwrap();
        chmod(directory, 0o700);
        fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
    }

    pub fn reads(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// The command of a typed line, in which `KEY` and `PRINT` stand for those above.
    pub fn command(&self, line: &str) -> Command {
        let line = self.meant(line);
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = haul(&self.root(), words);
        let home = self.dir.path().join("home");
        command
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("HOME", home);
        command
    }

    #[track_caller]
    pub fn run(&self, line: &str) -> Ended {
        Running::start(self.command(line)).finish()
    }

    /// Runs a line that reads this from standard input.
    #[track_caller]
    pub fn told(&self, line: &str, input: &str) -> Ended {
        let mut command = self.command(line);
        let child = command.stdin(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        // It may end without having read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks what a line that ends well prints and says.
    #[track_caller]
    pub fn says(&self, line: &str, out: &str, err: &str) {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        assert_eq!(ended.stdout, self.meant(out), "{line}");
        assert_eq!(ended.stderr, self.meant(err), "{line}");
    }

    /// Checks that a line fails with a code, saying something.
    #[track_caller]
    pub fn fails(&self, line: &str, code: i32, why: &str) {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
        let why = self.meant(why);
        assert!(ended.stderr.contains(&why), "{line}: {}", ended.stderr);
    }

    /// What a text means here.
    pub fn meant(&self, text: &str) -> String {
        let root = self.root().canonicalize().unwrap();
        text.replace("KEY", KEY)
            .replace("PRINT", PRINT)
            .replace("[ROOT]", root.to_str().unwrap())
    }
}

pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

pub fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

/// Gives a file to somebody else, as only root can; says whether it could.
pub fn give(path: &Path, user: u32) -> bool {
    let given = rustix::fs::chownat(
        rustix::fs::CWD,
        path,
        Some(Uid::from_raw(user)),
        Some(Gid::from_raw(user)),
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    );
    if given.is_err() {
        eprintln!("skipped: only root can give a file away");
    }
    given.is_ok()
}
