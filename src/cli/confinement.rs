//! A server that the system keeps from all that it does not need (Landlock).
//!
//! Everything that a client names is resolved beneath the served root already. Should a
//! flaw lead round that, the kernel refuses: the process reaches its root and a few of its
//! own files, starts no program and connects to nobody. Only a thread and those that it
//! starts later are confined, so this comes before the first of them; and only what was
//! opened before stays open, as listeners and keys are.
//!
//! Without `Refer` (Linux 5.19) nothing can be moved from one directory into another, which
//! is how a file gets its name here. Such a system confines nothing.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure};
use landlock::{ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath};
use landlock::{PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope};

use super::escape;

/// What may be done at and beneath a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// To read.
    Read,
    /// To read, and to change anything.
    Change,
    /// To make files, and to write to any.
    Write,
}

/// What a process needs.
#[derive(Debug)]
pub(super) struct Needs(Vec<(PathBuf, Use)>);

/// What tells whether two directories are on one machine (`store::local::places`): it is
/// asked for when somebody comes in.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

impl Needs {
    /// To use a path in this way, and nothing else.
    pub(super) fn of(path: &Path, how: Use) -> Self {
        Self(Vec::new()).and(path, how)
    }

    /// To use another one too.
    pub(super) fn and(mut self, path: &Path, how: Use) -> Self {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.0.push((path, how));
        self
    }

    /// Confines the thread that calls this, and all that it starts, to what is needed.
    /// Returns what a person is told of it: where it cannot be done, that.
    pub(super) fn confine(&self) -> Vec<String> {
        match self.restrict() {
            Ok(()) => {
                let mut said = vec![format!("confined to {self}")];
                said.extend(self.too_wide().map(|directory| {
                    let directory = escape::path(directory);
                    format!(
                        "the audit file is best in a directory of its own: all beneath {directory} \
                         can be written to for its sake"
                    )
                }));
                said
            }
            Err(why) => vec![format!("not confined: {why}")],
        }
    }

    /// A directory that is written to for one file's sake, and has other things that are
    /// needed beneath it: what is allowed in a directory is allowed in all beneath it.
    fn too_wide(&self) -> Option<&Path> {
        let mut writing = self.0.iter().filter(|(_, how)| *how == Use::Write);
        let is_above = |above: &Path| {
            let mut others = self.0.iter().filter(|(_, how)| *how != Use::Write);
            others.any(|(path, _)| path.starts_with(above))
        };
        let found = writing.find(|(path, _)| is_above(path));
        found.map(|(path, _)| &**path)
    }

    fn restrict(&self) -> anyhow::Result<()> {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V2))
            .and_then(|rules| {
                // What newer systems can refuse besides.
                rules
                    .set_compatibility(CompatLevel::BestEffort)
                    .handle_access(AccessFs::from_all(ABI::V5))?
                    .handle_access(AccessNet::from_all(ABI::V4))?
                    .scope(Scope::from_all(ABI::V6))?
                    .create()
            })
            // What is missing the crate says in bits.
            .map_err(|_| anyhow!("it takes Linux 5.19, with Landlock enabled"))?;
        let boot = (PathBuf::from(BOOT), Use::Read);
        for (path, how) in self.0.iter().chain([&boot]) {
            if path.exists() {
                let rule = PathBeneath::new(PathFd::new(path)?, how.rights(path));
                rules = rules.add_rule(rule)?;
            }
        }
        let status = rules.restrict_self()?;
        ensure!(
            status.ruleset != RulesetStatus::NotEnforced,
            "the system did not do it"
        );
        Ok(())
    }
}

impl Use {
    fn rights(self, path: &Path) -> BitFlags<AccessFs> {
        let rights = match self {
            Self::Read => AccessFs::ReadFile | AccessFs::ReadDir,
            Self::Write => AccessFs::MakeReg | AccessFs::WriteFile,
            // Devices are left out: who can make one reads the disk beneath the files.
            Self::Change => {
                AccessFs::from_all(ABI::V3)
                    & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock)
            }
        };
        if path.is_dir() {
            rights
        } else {
            rights & AccessFs::from_file(ABI::V3)
        }
    }
}

/// `/srv/files, /home/me/.config/haul (to read)`.
impl std::fmt::Display for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, (path, how)) in self.0.iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            let how = match how {
                Use::Read => " (to read)",
                Use::Change => "",
                Use::Write => " (to write files)",
            };
            write!(f, "{comma}{}{how}", escape::path(path))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, OpenOptions, create_dir, read_dir, remove_file};
    use std::io::{self, ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::thread;

    /// Set for the process that is confined: nothing can undo that, so it is one of its own.
    const TO: &str = "CONFINED_TO";

    const WORD: &str = "everything else was refused";

    #[test]
    fn a_confined_process_and_its_threads_reach_what_they_need_and_nothing_else() {
        if let Some(top) = std::env::var_os(TO) {
            return try_all(Path::new(&top));
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["root", "root/a", "root/b", "config", "audit", "outside"] {
            create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["root/file", "config/access", "audit/old", "outside/secret"] {
            let mut file = File::create_new(dir.path().join(name)).unwrap();
            file.write_all(name.as_bytes()).unwrap();
        }
        let name = concat!(
            "cli::confinement::tests::",
            "a_confined_process_and_its_threads_reach_what_they_need_and_nothing_else"
        );
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", name])
            .env(TO, dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        let complained = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success(), "{said}{complained}");
        if complained.contains("not confined: ") {
            writeln!(io::stderr(), "skipped: {complained}").unwrap();
            return;
        }
        assert!(complained.contains(WORD), "{said}{complained}");
        let secret = fs::read_to_string(dir.path().join("outside/secret")).unwrap();
        assert_eq!(secret, "outside/secret");
    }

    /// What a confined process can do: run in a process of its own.
    fn try_all(top: &Path) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let before = File::open(top.join("outside/secret")).unwrap();
        let needs = Needs::of(&top.join("root"), Use::Change)
            .and(&top.join("config"), Use::Read)
            .and(&top.join("audit"), Use::Write);
        let said = needs.confine();
        if said[0].starts_with("not confined") {
            writeln!(io::stderr(), "{}", said[0]).unwrap();
            return;
        }
        thread::scope(|scope| {
            let later = thread::Builder::new().spawn_scoped(scope, || try_paths(top));
            later.unwrap().join().unwrap();
        });
        try_paths(top);
        let mut open = String::new();
        (&before).read_to_string(&mut open).unwrap();
        assert_eq!(open, "outside/secret");
        refused("a program", Command::new("/bin/true").status());
        // Older systems cannot refuse this one.
        if TcpStream::connect(address).is_ok() {
            writeln!(io::stderr(), "connections are not refused here").unwrap();
            listener.accept().unwrap();
        }
        writeln!(io::stderr(), "{WORD}").unwrap();
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what is tried is whether it works"
    )]
    fn try_paths(top: &Path) {
        let at = |name: &str| top.join(name);
        let append = |name: &str| OpenOptions::new().append(true).create(true).open(at(name));

        fs::write(at("root/a/new"), "new").unwrap();
        fs::rename(at("root/a/new"), at("root/b/new")).unwrap();
        fs::rename(at("root/a"), at("root/b/a")).unwrap();
        fs::rename(at("root/b/a"), at("root/a")).unwrap();
        symlink("file", at("root/link")).unwrap();
        assert_eq!(fs::read_to_string(at("root/file")).unwrap(), "root/file");
        assert_eq!(read_dir(at("root")).unwrap().count(), 4);
        remove_file(at("root/b/new")).unwrap();
        remove_file(at("root/link")).unwrap();
        assert_eq!(
            fs::read_to_string(at("config/access")).unwrap(),
            "config/access"
        );
        append("audit/old").unwrap().write_all(b"+").unwrap();
        append("audit/new").unwrap();
        assert!(!Path::new(BOOT).exists() || fs::read(BOOT).is_ok());

        refused("reading", File::open(at("outside/secret")));
        refused("reading", File::open("/etc/passwd"));
        refused("listing", read_dir(at("outside")));
        refused("listing", read_dir(top));
        refused("writing", append("outside/secret"));
        refused("making", append("outside/new"));
        refused("making", create_dir(at("outside/new")));
        refused("removing", remove_file(at("outside/secret")));
        refused(
            "moving in",
            fs::rename(at("outside/secret"), at("root/secret")),
        );
        refused(
            "moving out",
            fs::rename(at("root/file"), at("outside/file")),
        );
        refused(
            "linking in",
            fs::hard_link(at("outside/secret"), at("root/secret")),
        );
        refused("changing a key", append("config/access"));
        refused("adding a key", append("config/new"));
        refused("removing a key", remove_file(at("config/access")));
        refused("reading a record", File::open(at("audit/old")));
        refused("removing a record", remove_file(at("audit/old")));
        symlink("../outside/secret", at("root/way")).unwrap();
        refused("a link out", File::open(at("root/way")));
        remove_file(at("root/way")).unwrap();
    }

    #[track_caller]
    fn refused<T>(what: &str, result: io::Result<T>) {
        let kind = result.err().map(|error| error.kind());
        let is_refused = matches!(
            kind,
            Some(ErrorKind::PermissionDenied | ErrorKind::CrossesDevices)
        );
        assert!(is_refused, "{what}: {kind:?}");
    }

    #[test]
    fn a_directory_that_is_written_to_should_hold_nothing_else_that_counts() {
        let with = |log: &str| {
            let needs = Needs::of(Path::new("/no/root"), Use::Change);
            needs.and(Path::new(log), Use::Write)
        };
        for (log, is_wide) in [("/no", true), ("/no/root", true), ("/no/log", false)] {
            assert_eq!(with(log).too_wide().is_some(), is_wide, "{log}");
        }
    }

    #[test]
    fn a_person_is_told_what_may_be_done_where() {
        let needs = Needs::of(Path::new("/no/root"), Use::Change)
            .and(Path::new("/no/a\nb"), Use::Read)
            .and(Path::new("/no/log"), Use::Write);
        let said = r#"/no/root, "/no/a\nb" (to read), /no/log (to write files)"#;
        assert_eq!(needs.to_string(), said);
    }
}
