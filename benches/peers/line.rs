//! A command that can be run again and again.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ends::search_path;

/// Program and words.
#[derive(Clone, Debug)]
pub struct Line {
    words: Vec<OsString>,
    home: PathBuf,
}

impl Line {
    /// `program`, for a person whose home is `home`, with the words of `prefix` before it.
    pub fn new(prefix: &[String], program: &Path, home: &Path) -> Self {
        let mut words: Vec<OsString> = prefix.iter().map(OsString::from).collect();
        words.push(program.into());
        Self {
            words,
            home: home.to_owned(),
        }
    }

    #[must_use]
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.words.push(word.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn args<W: AsRef<OsStr>>(self, words: impl IntoIterator<Item = W>) -> Self {
        words.into_iter().fold(self, Self::arg)
    }

    /// The command, to lead a process group. Nothing of this environment speaks to any of the
    /// programs, and what they leave where they stand is gone with this run.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", &self.home)
            .env("LC_ALL", "C")
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }
}

/// As it would be typed.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.words.iter().map(|w| w.to_string_lossy()).collect();
        let line = shlex::try_join(words.iter().map(|w| &**w));
        f.write_str(&line.unwrap_or_else(|_| words.join(" ")))
    }
}
