//! What the README, the tour and the manual show is what happens.
//!
//! Each command in a `console` or `sh` block is run as it is written, by a shell, in a
//! directory that was prepared for its document, and what a `console` block shows behind a
//! command is compared with what that says. One document is one conversation: a command
//! finds what those before it left. Addresses lead to a server of this test, and `...`
//! stands for anything. A prompt with a name, as in `nas$ `, is another machine: such a
//! line is not run here, but haul's own tests parse it, and `occasions` runs some.
//!
//! With `RECORD=1` in the environment a document that does not hold is written anew, with
//! what was said.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::document::{Shown, commands, is_as_shown};
use crate::place::Served;
use crate::program::{Running, haul};
use crate::rig::noise;

/// What documents call the home of whoever types.
const HOME: &str = "/home/you";

/// What documents call the server.
const HOSTS: [&str; 2] = ["nas", "127.0.0.1"];

/// One document's machine: a home to type in and a server to talk to.
struct Machine {
    dir: TempDir,
    server: Option<Running>,
    /// `HOST:PORT` of the server.
    address: String,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home", "stubs", "others"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self {
            dir,
            server: None,
            address: String::new(),
        }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn file(&self, name: &str, bytes: &[u8]) {
        let path = self.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }

    /// Serves a directory from now on.
    fn serve(&mut self, directory: &str) {
        let root = self.home().join(directory);
        fs::create_dir_all(&root).unwrap();
        let Served { running, address } = Served::start(&root, &self.home(), "");
        (self.server, self.address) = (Some(running), address);
    }

    /// A line for the shell, in which what is true only of documents is put right.
    fn shell(&self, line: &str) -> Command {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let bare = word.strip_prefix("haul://").unwrap_or(word);
            let host = HOSTS.iter().find(|host| {
                let rest = bare.strip_prefix(**host);
                rest.is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with(['/', ';']) || rest == ":4285"
                })
            });
            words.push(match host {
                Some(host) => word.replace(":4285", "").replacen(host, &self.address, 1),
                None => word.replace("/srv/", &format!("{}/srv/", self.home().display())),
            });
        }
        let mut line = words.join(" ");
        if let Some(at) = line.find("haul serve") {
            line.insert_str(at, "exec ");
            line = line.replace("--listen 0.0.0.0", "--listen 127.0.0.1:0");
            if !line.contains("--listen") {
                line.push_str(" --listen 127.0.0.1:0");
            }
        }
        let path = env::var("PATH").unwrap();
        let [others, stubs] = ["others", "stubs"].map(|name| self.dir.path().join(name));
        let path = [&program(), &others, Path::new(&path), &stubs];
        let path = path.map(|path| path.display().to_string()).join(":");
        let mut command = bash(&self.home(), &line);
        command.env("PATH", path);
        command
    }

    /// What a command says, in the words of a document.
    #[track_caller]
    fn says(&mut self, shown: &Shown<'_>) -> String {
        let line = shown.command;
        if line.contains("haul serve") {
            let running = Running::start(self.shell(line));
            let mut said = Vec::new();
            while !said
                .last()
                .is_some_and(|line: &String| line.contains("listening on"))
            {
                said.push(running.line());
                assert_ne!(said.last().unwrap(), "", "{line}: {said:?}");
            }
            let address = said.last().unwrap().rsplit_once("//").unwrap().1.to_owned();
            (self.server, self.address) = (Some(running), address);
            return self.in_words_of(line, &(said.join("\n") + "\n"));
        }
        let ended = Running::start(self.shell(line)).finish();
        let said = self.in_words_of(line, &ended.stdout);
        // What fails has to show that it does.
        let fails = ["haul: ", "Only in ", "\"code\":"];
        let fails = shown.said.is_some() && fails.iter().any(|sign| said.contains(sign));
        assert!(
            ended.code == Some(0) || fails,
            "{line}: {:?} {said}",
            ended.code
        );
        said
    }

    fn in_words_of(&self, line: &str, said: &str) -> String {
        let host = if line.contains("nas") {
            "nas"
        } else {
            "127.0.0.1"
        };
        let said = said.replace(self.home().to_str().unwrap(), HOME);
        if self.address.is_empty() {
            return said;
        }
        said.replace(&self.address, &format!("{host}:4285"))
    }
}

/// A line for the shell of somebody with this home, who has haul in their path.
pub fn bash(home: &Path, line: &str) -> Command {
    let mut command = Command::new("bash");
    for (name, _) in haul(home, []).get_envs() {
        command.env_remove(name);
    }
    let path = env::var("PATH").unwrap();
    command
        .args(["-c", &format!("exec 2>&1; umask 022; {line}")])
        .env("PATH", format!("{}:{path}", program().display()))
        .env("HOME", home)
        .env("LC_ALL", "C")
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// The directory that haul is in.
fn program() -> PathBuf {
    let program = env!("CARGO_BIN_EXE_haul");
    Path::new(program).parent().unwrap().to_owned()
}

/// Runs a document's commands, and compares what they say with what it shows.
#[track_caller]
fn holds(name: &str, mut machine: Machine) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let document = fs::read_to_string(&path).unwrap();
    let mut anew: Vec<String> = document.lines().map(str::to_owned).collect();
    let mut wrong = Vec::new();
    let shown = commands(&document);
    assert!(!shown.is_empty(), "{name} shows nothing");
    for shown in shown {
        let said = machine.says(&shown);
        let Some(expected) = &shown.said else {
            continue;
        };
        if !is_as_shown(said.trim_end(), &expected.join("\n")) {
            wrong.push((shown.lines, said.trim_end().to_owned(), shown.command));
        }
    }
    if env::var_os("RECORD").is_some() {
        for ((from, to), said, _) in wrong.into_iter().rev() {
            anew.splice(from..to, said.lines().map(str::to_owned));
        }
        fs::write(&path, anew.join("\n") + "\n").unwrap();
    } else {
        let told = |(lines, said, command): ((usize, usize), String, &str)| {
            format!("{name}:{}: $ {command}\n{said}\n", lines.0)
        };
        let wrong: String = wrong.into_iter().map(told).collect();
        assert_eq!(wrong, "", "RECORD=1 writes what is said:\n{wrong}");
    }
}

#[test]
fn the_readme_shows_what_happens() {
    let machine = Machine::new();
    machine.file("report.pdf", &noise(2_411_724));
    machine.file("photos/2025/hill.jpg", &noise(40_000));
    machine.file("photos/2025/sea.jpg", &noise(3_000_000));
    machine.file("photos/list.txt", b"the sea\n");
    symlink("2025/sea.jpg", machine.home().join("photos/best.jpg")).unwrap();
    stub_man(&machine);
    holds("README.md", machine);
}

#[test]
fn the_tour_shows_what_happens() {
    holds("docs/tour.md", Machine::new());
}

/// Something that reads a manual where no `man` is to be had: it stands last in the path.
fn stub_man(machine: &Machine) {
    stub(machine, "stubs/man", "cat");
}

/// Another machine that `ssh` leads to, which is this one: it stands first in the path.
fn stub_ssh(machine: &Machine) {
    stub(machine, "others/ssh", "shift; exec \"$@\"");
}

fn stub(machine: &Machine, path: &str, does: &str) {
    let path = machine.dir.path().join(path);
    let made = Command::new("sh")
        .args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod +x \"$0\"",
        ])
        .arg(path)
        .arg(does)
        .status();
    assert!(made.unwrap().success());
}

/// Every path beneath a directory that is no directory.
fn leaves(directory: &Path, under: &str, found: &mut Vec<String>) {
    for item in fs::read_dir(directory).unwrap() {
        let item = item.unwrap();
        let name = format!("{under}{}", item.file_name().to_str().unwrap());
        if name == ".haul" {
            continue;
        }
        if item.file_type().unwrap().is_dir() {
            leaves(&item.path(), &format!("{name}/"), found);
        } else {
            found.push(name);
        }
    }
}

#[test]
fn the_readme_s_table_of_places_is_right() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let readme = readme.unwrap();
    let rows = readme
        .lines()
        .filter(|line| line.starts_with("| `haul put "));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let spans = |cell: &str| -> Vec<String> {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        };
        let mut machine = Machine::new();
        machine.file("photos/a.jpg", b"a");
        machine.file("list.txt", b"list");
        machine.serve("served");
        let line = spans(cells[0]).remove(0);
        let ended = Running::start(machine.shell(&line)).finish();
        assert_eq!(ended.code, Some(0), "{row}: {ended:?}");
        let mut found = Vec::new();
        leaves(&machine.home().join("served"), "", &mut found);
        found.sort();
        assert_eq!(found, spans(cells[1]), "{row}");
        count += 1;
    }
    assert!(count > 5, "the table is gone");
}

#[test]
fn the_manual_s_examples_do_what_they_say() {
    let mut machine = Machine::new();
    let here = [
        "report.pdf",
        "notes",
        "disk.img",
        "2025/photo.jpg",
        "2025/report.pdf",
    ];
    let there = ["a", "b", "notes.txt", "draft.txt", "old/x"];
    let both = [
        "served/report.pdf",
        "served/2025/photo.jpg",
        "srv/files/x",
        "srv/log/old",
    ];
    for name in here.into_iter().chain(both) {
        machine.file(name, b"here");
    }
    for name in there {
        machine.file(&format!("served/{name}"), b"there");
    }
    machine.file("chores.txt", b"pwd\nls\n");
    machine.file(
        "anna.key",
        format!("{} anna\n", crate::person::KEY).as_bytes(),
    );
    stub_man(&machine);
    stub_ssh(&machine);
    let page = Running::start(haul(&machine.home(), ["man"]))
        .finish()
        .stdout;
    let examples = page.split("\n.SH EXAMPLES\n").nth(1).unwrap();
    let mut count = 0;
    for line in examples
        .lines()
        .filter_map(|line| line.strip_prefix("\\fBhaul "))
    {
        let line = line
            .strip_suffix("\\fR")
            .unwrap()
            .replace("\\-", "-")
            .replace("\\e", "\\");
        let line = format!("haul {line}");
        if !line.contains("haul serve") && machine.server.is_none() {
            machine.serve("served");
        }
        let mut shown = Shown {
            command: "umask 077; haul invite --write --root served --address nas > link.txt",
            said: None,
            lines: (0, 0),
        };
        if line.contains("link.txt") {
            // What a guest was sent before.
            machine.says(&shown);
        }
        shown.command = &line;
        machine.says(&shown);
        if line.contains("haul serve") {
            // Nobody else is to serve the same directory.
            machine.server = None;
        }
        count += 1;
    }
    assert_eq!(count, examples.matches("\n.TP\n").count() + 1);
    for there in ["2025/report.pdf", "2025/draft.txt", "2026/01"] {
        assert!(
            machine.home().join("served").join(there).exists(),
            "{there}"
        );
    }
    assert!(!machine.home().join("served/old").exists());
    for here in ["report.pdf", "back/a", "back/b"] {
        assert!(machine.home().join(here).exists(), "{here}");
    }
}
