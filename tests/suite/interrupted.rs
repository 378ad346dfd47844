//! Ctrl-C: what is said of a command that was broken off, and how to go on with it.

use std::io::Read;
use std::net::TcpListener;
use std::process::Command;

use rustix::process::Signal;

use crate::objects::objects;
use crate::place::Place;
use crate::program::{Ended, Running, haul};

/// Runs haul with these words against a server that listens and never answers, and
/// interrupts it once it has spoken to that server. `[STALLED]` is where that is.
///
/// Returns what came of it, and the words as they were.
#[track_caller]
fn interrupt(place: &Place, words: &[&str]) -> (Ended, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let meant = |word: &&str| word.replace("[STALLED]", &address);
    let words: Vec<String> = words.iter().map(meant).collect();
    let command = haul(&place.here(), words.iter().map(String::as_str));
    let running = Running::start(command);
    let mut client = listener.accept().unwrap().0;
    client.read_exact(&mut [0]).unwrap();
    running.signal(Signal::INT);
    (running.finish(), words)
}

/// The words that a shell reads in a command line, but for the program's name.
fn words_of(line: &str) -> Vec<String> {
    let script = format!("set -- {line}; shift; for word; do printf '%s\\0' \"$word\"; done");
    let said = Command::new("sh").arg("-c").arg(script).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn the_first_ctrl_c_prints_the_command_that_goes_on() {
    let place = Place::serving("");
    place.file("it's a $x", b"abc");
    for words in [
        ["put", "--connections=2", "it's a $x", "[STALLED]/d/"],
        ["get", "--overwrite", "[STALLED]/a b", "back to/"],
        ["verify", "--repair-from", ".", "[STALLED]/d"],
    ] {
        let (ended, words) = interrupt(&place, &words);
        assert_eq!((ended.code, &*ended.stdout), (Some(130), ""), "{ended:?}");
        let start = "haul: interrupted: the same command goes on with what is missing: ";
        let line = ended.stderr.strip_prefix(start);
        let line = line.and_then(|line| line.strip_suffix('\n'));
        let line = line.unwrap_or_else(|| panic!("{ended:?}"));
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(words_of(line), words, "{line}");
    }
}

#[test]
fn an_interrupted_command_is_safe_on_a_screen() {
    let place = Place::serving("");
    place.file("\u{1b}[2J\n", b"abc");
    let (ended, _) = interrupt(&place, &["put", "\u{1b}[2J\n", "[STALLED]"]);
    let shown = r" put $'\033[2J\012' 127.0.0.1:";
    assert!(ended.stderr.contains(shown), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

#[test]
fn quiet_is_brief_of_an_interruption_and_json_has_it_in_the_event() {
    let place = Place::serving("");
    place.file("a", b"abc");
    let (ended, _) = interrupt(&place, &["-q", "put", "a", "[STALLED]"]);
    let seen = (ended.code, &*ended.stdout, &*ended.stderr);
    assert_eq!(seen, (Some(130), "", "haul: interrupted\n"));

    let (ended, words) = interrupt(&place, &["--json", "put", "a", "[STALLED]"]);
    let seen = (ended.code, &*ended.stderr);
    assert_eq!(seen, (Some(130), "haul: interrupted\n"));
    let read = objects(&ended.stdout);
    let (done, before) = read.split_last().unwrap();
    let error = before.last().unwrap();
    let seen = ["event", "code", "message"].map(|key| &*error[key]);
    assert_eq!(seen, ["error", "130", "interrupted"]);
    assert_eq!(words_of(&error["resume"]), words);
    assert_eq!(done["event"], "done");
}

#[test]
fn where_nothing_could_go_on_nothing_is_promised() {
    let place = Place::serving("");
    let (ended, _) = interrupt(&place, &["ls", "[STALLED]"]);
    let seen = (ended.code, &*ended.stdout, &*ended.stderr);
    assert_eq!(seen, (Some(130), "", "haul: interrupted\n"));
}
