//! The documents that show commands: each is run as it stands, and says what is shown.
//!
//! A fenced block marked `console` has commands, each behind `$ `, and beneath each what it
//! prints. A shell runs them in a place like a clone. `cargo run` finds what cargo has built
//! already. A command whose first line says where it listens is a server: it runs until the
//! page ends, and its port takes the place of the one that the page shows.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::lessons;
use crate::program::{Running, on_its_own};

/// What the shell takes for haul and cargo: what `cargo run` would build is built, and the
/// tests that `cargo test` would run are running.
const PROGRAMS: &str = r#"
haul() { $BECOME "$HAUL" "$@"; }
example() { name=$1; shift; $BECOME "$EXAMPLES/$name" "$@"; }
cargo() {
    case "$*" in
    "test" | "install --locked --path .") ;;
    "run -q --example "*) shift 3; example "$@" ;;
    "run --release -- "*) shift 3; haul "$@" ;;
    *) echo "cargo $*: not known here" ;;
    esac
}
"#;

/// haul's own port, which an address need not name.
const USUAL: &str = "127.0.0.1:4285";

/// A command and the lines that it prints.
#[derive(Debug, PartialEq)]
struct Shown {
    command: String,
    lines: Vec<String>,
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn page(name: &str) -> String {
    fs::read_to_string(top().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The commands of a page, in its order.
fn shown(page: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let mut lines = page.lines();
    while lines.by_ref().any(|line| line == "```console") {
        for line in lines.by_ref().take_while(|line| *line != "```") {
            match line.strip_prefix("$ ") {
                Some(command) => found.push(Shown {
                    command: command.to_owned(),
                    lines: Vec::new(),
                }),
                None => found
                    .last_mut()
                    .expect("a command")
                    .lines
                    .push(line.to_owned()),
            }
        }
    }
    found
}

/// Where the commands of a page are run.
struct Shell {
    dir: TempDir,
    /// Shown addresses, and those that they are here.
    addresses: HashMap<String, String>,
}

impl Shell {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home", "clone"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let clone = dir.path().join("clone");
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(top().join("sample_files")).arg(clone);
        assert!(copy.status().unwrap().success());
        Self {
            dir,
            addresses: HashMap::new(),
        }
    }

    /// A line as it is typed.
    fn command(&self, line: &str) -> Command {
        let mut line = line.to_owned();
        for (shown, real) in &self.addresses {
            line = line.replace(shown, real);
            if shown == USUAL {
                line = line.replace("127.0.0.1/", &format!("{real}/"));
            }
        }
        let mut command = Command::new("sh");
        on_its_own(&mut command)
            .args(["-c", &format!("{PROGRAMS}{line}")])
            .current_dir(self.dir.path().join("clone"))
            .env("BECOME", "")
            .env("HAUL", env!("CARGO_BIN_EXE_haul"))
            .env("EXAMPLES", lessons::built("echo_server").parent().unwrap())
            .env("HOME", self.dir.path().join("home"))
            .env("HAUL_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts a server, of which only standard output is shown, and keeps in mind where it is.
    #[track_caller]
    fn serve(&mut self, shown: &Shown) -> Running {
        let mut command = self.command(&shown.command);
        // In the shell's place, so that to end the one is to end the other.
        command.env("BECOME", "exec");
        let running = Running::start(command);
        let line = running.line();
        assert_eq!(alike(&line), alike(&shown.lines[0]), "{}", shown.command);
        let address = |line: &str| line.trim_start_matches("listening on ").to_owned();
        let bare = |line: &str| address(line).trim_start_matches("haul://").to_owned();
        self.addresses.insert(bare(&shown.lines[0]), bare(&line));
        running
    }

    /// Runs every command of a page and compares what it prints.
    #[track_caller]
    fn run(&mut self, page: &[Shown]) {
        let mut servers = Vec::new();
        for shown in page {
            let first = shown.lines.first();
            if first.is_some_and(|line| line.starts_with("listening on ")) {
                servers.push((self.serve(shown), shown));
                continue;
            }
            // On a terminal both outputs are one.
            let command = self.command(&format!("exec 2>&1\n{}", shown.command));
            let said = Running::start(command).finish().stdout;
            let said: Vec<String> = said.lines().map(alike).collect();
            let lines: Vec<String> = shown.lines.iter().map(|line| alike(line)).collect();
            assert_eq!(said, lines, "{}", shown.command);
        }
        for (server, shown) in servers {
            for line in &shown.lines[1..] {
                assert_eq!(alike(&server.line()), alike(line), "{}", shown.command);
            }
        }
    }
}

/// A line without what differs from run to run and from machine to machine: ports, times,
/// sizes of the system's buffers, the length of its queue, names of temporary directories.
fn alike(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let unit = |word: &str| word.trim_end_matches([',', ';', ':']).to_owned();
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    let mut alike = Vec::new();
    for (n, word) in words.iter().enumerate() {
        let next = words.get(n + 1).map(|word| unit(word));
        let next = next.as_deref().unwrap_or_default();
        let (bare, end) = word.split_at(unit(word).len());
        alike.push(
            if let Some((before, port)) = bare.split_once("127.0.0.1:") {
                let after = port.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{before}127.0.0.1:PORT{after}{end}")
            } else if is_number(bare) && ["KiB", "ms", "s", "clients"].contains(&next) {
                format!("N{end}")
            } else if is_number(bare.trim_end_matches(['m', 's'])) && bare.ends_with('s') {
                format!("TIME{end}")
            } else if let Some((_, name)) = bare.split_once("/haul-demo-") {
                let after = name.trim_start_matches(|c: char| c.is_ascii_hexdigit());
                format!("DIRECTORY{after}{end}")
            } else {
                (*word).to_owned()
            },
        );
    }
    alike.join(" ")
}

/// The source files that a page links to, each with the functions that it names there: they
/// follow the link in brackets.
fn named(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    for after in page.split("](").skip(1) {
        let (target, rest) = after.split_once(')').expect("the end of a link");
        if target.contains("src/") {
            let rest = rest.trim_start_matches([' ', '\n']);
            let inside = rest.strip_prefix(['(', '（']).unwrap_or_default();
            let inside = inside.split([')', '）']).next().unwrap_or_default();
            found.push((target, inside.split('`').skip(1).step_by(2).collect()));
        }
    }
    found
}

/// Checks that what a page links to is there, and that source has the functions that it names.
#[track_caller]
fn is_true(name: &str) {
    let text = page(name);
    let directory = top().join(name).parent().unwrap().to_owned();
    for after in text.split("](").skip(1) {
        let target = after.split([')', '#']).next().unwrap_or_default();
        let is_there = target.contains("://") || directory.join(target).exists();
        assert!(is_there, "{name} links to {target}, which is not there");
    }
    for (target, functions) in named(&text) {
        assert!(
            !functions.is_empty(),
            "{name}: which functions of {target}?"
        );
        let source = fs::read_to_string(directory.join(target)).unwrap();
        for function in functions {
            let has = |open| source.contains(&format!("fn {function}{open}"));
            assert!(has('(') || has('<'), "{name}: {target} has no `{function}`");
        }
    }
}

#[test]
fn what_the_lessons_show_is_what_comes() {
    let english = shown(&page("docs/lessons.md"));
    for lesson in lessons::LESSONS {
        let is_run = |shown: &Shown| shown.command.contains(&format!("--example {lesson}"));
        assert!(english.iter().any(is_run), "{lesson} is not shown");
        // Whether it is up to date: its command only finds the file.
        lessons::built(lesson);
    }
    Shell::new().run(&english);
}

#[test]
fn what_the_chinese_readme_shows_is_what_comes() {
    Shell::new().run(&shown(&page("README.zh-CN.md")));
}

#[test]
fn both_languages_show_the_same() {
    let [english, chinese] = ["docs/lessons.md", "docs/lessons.zh-CN.md"].map(page);
    assert_eq!(shown(&english), shown(&chinese));
    assert_eq!(named(&english), named(&chinese));
}

#[test]
fn files_and_functions_that_the_pages_name_are_there() {
    for name in [
        "docs/lessons.md",
        "docs/lessons.zh-CN.md",
        "README.zh-CN.md",
    ] {
        is_true(name);
    }
}

#[test]
fn only_what_differs_from_run_to_run_is_left_out() {
    for (line, left) in [
        (
            "listening on 127.0.0.1:40123",
            "listening on 127.0.0.1:PORT",
        ),
        (
            "on haul://127.0.0.1:1, and",
            "on haul://127.0.0.1:PORT, and",
        ),
        (
            "sent 5 bytes, 64.8 KiB, 0.3 s: 14",
            "sent 5 bytes, N KiB, N s: 14",
        ),
        ("   10ms, and 1.28s", "   TIME, and TIME"),
        ("took 129 clients after 500 ms", "took N clients after N ms"),
        ("/tmp/haul-demo-0f/served on s", "DIRECTORY/served on s"),
        ("3. 4 messages, 11 bytes", "3. 4 messages, 11 bytes"),
    ] {
        assert_eq!(alike(line), left);
    }
}
