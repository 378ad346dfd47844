//! completions and man: what shells and `man` make of them, where these are to be had.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::objects::objects;
use crate::program::{Ended, Running, haul};

const COMMANDS: [&str; 22] = [
    "serve",
    "put",
    "get",
    "ls",
    "stat",
    "mkdir",
    "mv",
    "rm",
    "sum",
    "verify",
    "shell",
    "key",
    "authorize",
    "invite",
    "revoke",
    "access",
    "trust",
    "forget",
    "demo",
    "completions",
    "man",
    "help",
];

const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "elvish", "powershell"];

fn run(line: &str) -> Ended {
    Running::start(haul(Path::new("."), line.split(' '))).finish()
}

/// What a line prints that ends well and says nothing else.
#[track_caller]
fn prints(line: &str) -> String {
    let ended = run(line);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{line}");
    ended.stdout
}

/// What another program says when it reads this, or none where it is not there.
fn told(program: &str, words: &[&str], input: &str) -> Option<(bool, String)> {
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(said).unwrap()))
}

#[test]
fn every_shell_learns_of_every_command() {
    for shell in SHELLS {
        let script = prints(&format!("completions {shell}"));
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} and {command}");
        }
        // A shell that is here reads it without a complaint.
        if let Some(told) = told(shell, &["-n"], &script) {
            assert_eq!(told, (true, String::new()), "{shell}");
        }
    }
}

#[test]
fn bash_completes_commands_and_flags() {
    let script = prints("completions bash");
    for (words, expected) in [
        ("haul mk", "mkdir"),
        ("haul sum --ch", "--checksum"),
        ("haul sum --checksum s", "sha256"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let last = words.len() - 1;
        let ask = format!(
            "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n_haul haul {} {}\n\
             echo \"${{COMPREPLY[@]}}\"\n",
            words.join(" "),
            words[last],
            words[last - 1],
        );
        if let Some((_, said)) = told("bash", &["--norc"], &ask) {
            assert_eq!(said.trim(), expected, "{words:?}");
        }
    }
}

#[test]
fn the_manual_has_every_command_code_and_variable() {
    let page = prints("man");
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "COMMANDS",
        "OPTIONS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "EXAMPLES",
    ] {
        assert!(page.contains(&format!("\n.SH {section}\n")), "{section}");
    }
    for command in COMMANDS.iter().filter(|command| **command != "help") {
        assert!(page.contains(&format!("\n.SS {command}\n")), "{command}");
    }
    for tag in ["130", "11", "HAUL_REMOTE", "HAUL_CHECKSUM", "NO_COLOR"] {
        assert!(page.contains(&format!("\n\\fB{tag}\\fR\n")), "{tag}");
    }
    assert!(
        page.contains("\n\\-\\-checksum of put, get, sum\n"),
        "{page}"
    );
    reads_well(&page, "haul");
}

/// A formatter has nothing to complain of, where there is one.
#[track_caller]
fn reads_well(page: &str, name: &str) {
    if let Some((is_fine, said)) = told("groff", &["-man", "-ww", "-z"], page) {
        assert!(is_fine && said.is_empty(), "{name}: {said}");
    }
}

#[test]
fn every_command_has_a_page_of_its_own() {
    for command in COMMANDS.iter().filter(|command| **command != "help") {
        let page = prints(&format!("man {command}"));
        assert!(page.contains(&format!("\nhaul\\-{command} \\- ")), "{page}");
        for part in [
            "\n.SH SYNOPSIS\nhaul ",
            "\n.SH EXAMPLES\n.TP\n\\fBhaul ",
            "\n.SH EXIT STATUS\n",
            "\\fB\\-\\-quiet\\fR",
        ] {
            assert!(page.contains(part), "{command} and {part:?}: {page}");
        }
        reads_well(&page, command);
    }
    let page = prints("man rm");
    assert!(page.contains("haul rm [OPTIONS] <REMOTE>...\n"), "{page}");
    let examples = page.split(".SH EXAMPLES").nth(1).unwrap();
    assert_eq!(examples.matches("\n.TP\n").count(), 1, "{examples}");
    assert!(!page.contains("HAUL_OVERWRITE"), "{page}");
    assert!(page.contains("\n\\fBHAUL_QUIET\\fR\n"), "{page}");
}

#[test]
fn what_is_no_shell_or_command_is_refused_and_a_program_reads_one_event() {
    for (line, words) in [
        ("completions", "<SHELL>"),
        ("completions tcsh", "tcsh"),
        ("completions bash zsh", "unexpected"),
        ("man fetch", "fetch is no command"),
        ("man put get", "unexpected"),
    ] {
        let ended = run(line);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{line}");
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
    }
    for line in ["completions bash", "man", "man put"] {
        let plain = prints(line);
        let told = objects(&prints(&format!("{line} --json")));
        let event = line.split(' ').next().unwrap();
        let seen: Vec<&str> = told.iter().map(|line| &*line["event"]).collect();
        assert_eq!(seen, [event, "done"]);
        assert_eq!(told[0]["text"].trim_end(), plain.trim_end());
    }
    for line in ["completions bash", "man"] {
        let mut full = haul(Path::new("."), line.split(' '));
        full.stdout(File::options().write(true).open("/dev/full").unwrap());
        assert_eq!(Running::start(full).finish().code, Some(10), "{line}");
    }
}
