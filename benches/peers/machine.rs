//! On what machine, and with which versions, something was measured.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use anyhow::Result;
use haul::utc::Utc;
use rustix::fs::statfs;
use rustix::system::uname;

use crate::bench::Bench;
use crate::children::{Interrupted, Memory};
use crate::ends::{End, find};

/// Who says which version it is, and how it is asked.
const VERSIONS: [(&str, &str); 7] = [
    ("rsync", "--version"),
    ("ssh", "-V"),
    ("nginx", "-v"),
    ("curl", "--version"),
    ("aria2c", "--version"),
    ("cp", "--version"),
    ("iperf3", "--version"),
];

/// How git is asked for what this was built from.
const COMMIT: [&str; 5] = [
    "-C",
    env!("CARGO_MANIFEST_DIR"),
    "describe",
    "--always",
    "--dirty",
];

/// What should stand beside every figure.
pub fn facts(bench: &Bench) -> Result<Vec<(&'static str, String)>> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let system = uname();
    let kernel = [system.sysname(), system.release(), system.machine()];
    let kernel = kernel.map(|part| part.to_string_lossy().into_owned());
    let mut facts = vec![
        ("date", Utc::now().to_string()),
        (
            "processor",
            format!("{}, {cores} cores", field(&cpus, "model name")),
        ),
        ("memory", field(&memory, "MemTotal").to_owned()),
        ("kernel", kernel.join(" ")),
    ];
    for (what, path) in bench.ground.places() {
        facts.push((what, format!("{} ({})", path.display(), kind(path)?)));
    }
    let haul = Path::new(env!("CARGO_BIN_EXE_haul"));
    facts.push(("haul", first_line(bench, haul, &["--version"])?));
    if let Some(git) = find("git") {
        facts.push(("commit", first_line(bench, &git, &COMMIT)?));
    }
    for (name, flag) in VERSIONS {
        if let Some(program) = find(name) {
            facts.push((name, first_line(bench, &program, &[flag])?));
        }
    }
    Ok(facts)
}

/// What stands behind a name and a colon.
fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or("unknown", |(_, value)| value.trim())
}

/// What kind of file system this is on, by the kernel's numbers.
fn kind(path: &Path) -> Result<String> {
    Ok(match statfs(path)?.f_type {
        0x0102_1994 => "tmpfs".to_owned(),
        0xEF53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683E => "btrfs".to_owned(),
        0x794C_7630 => "overlayfs".to_owned(),
        other => format!("file system {other:#x}"),
    })
}

/// The first that a program says of itself, on whichever stream.
fn first_line(bench: &Bench, program: &Path, words: &[&str]) -> Result<String> {
    let line = bench.ends.line(End::Client, program).args(words);
    match bench.watch.run(&line, Memory::Ignored) {
        Ok(ran) => {
            let said = ran.stdout + &ran.stderr;
            Ok(said.lines().next().unwrap_or_default().trim().to_owned())
        }
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(_) => Ok("unknown".to_owned()),
    }
}
