//! The lessons in `examples/`: each is run, and shows what it says that it shows.

use std::fs;
use std::io::{self, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::place::is_like;
use crate::program::{Ended, Running};

/// Every lesson; `library` is an example of another kind.
pub const LESSONS: [&str; 7] = [
    "backlog",
    "echo_client",
    "echo_server",
    "file_review",
    "peer_exit",
    "socket_buffers",
    "sticky_packets",
];

/// A lesson fits a screen or two.
const LONGEST: usize = 119;

fn source(name: &str) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    top.join("examples").join(name).with_extension("rs")
}

/// Where cargo has put an example, beside haul itself.
///
/// A full `cargo test` builds them all; one that names a test or a target builds none.
#[track_caller]
pub fn built(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_haul")).parent().unwrap();
    let path = beside.join("examples").join(name);
    let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified());
    let is_fresh = changed(&path).is_ok_and(|built| built >= changed(&source(name)).unwrap());
    let place = path.display();
    assert!(
        is_fresh,
        "{place} is missing or older than its source: run `cargo build --examples` first, with \
         the same --release or --target"
    );
    path
}

fn lesson(name: &str, words: &[&str]) -> Command {
    let mut command = Command::new(built(name));
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[track_caller]
fn run(name: &str) -> Ended {
    Running::start(lesson(name, &[])).finish()
}

/// Runs a lesson that must succeed, and checks that it prints these lines in this order,
/// perhaps with others between; `*` stands for anything.
#[track_caller]
fn shows(name: &str, lines: &[&str]) {
    let ended = run(name);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    let mut printed = ended.stdout.lines().map(str::trim_start);
    for line in lines {
        let is_there = printed.any(|printed| is_like(printed, line));
        assert!(
            is_there,
            "{line:?} is not in its place in\n{}",
            ended.stdout
        );
    }
}

/// Runs a lesson that must fail with one line that says why.
#[track_caller]
fn refuses(name: &str, words: &[&str], code: i32, why: &str) {
    let ended = Running::start(lesson(name, words)).finish();
    let said = (ended.code, ended.stderr);
    assert_eq!(said, (Some(code), format!("{name}: {why}\n")));
    assert_eq!(ended.stdout, "");
}

/// An echo server and the address that it announced.
fn server() -> (Running, String) {
    let running = Running::start(lesson("echo_server", &[]));
    let line = running.line();
    let address = line.strip_prefix("listening on ").expect("an address");
    let address = address.to_owned();
    (running, address)
}

/// A client that is connected, and what it reads its lines from.
fn client(address: &str) -> (Running, PipeWriter) {
    let (input, typed) = io::pipe().unwrap();
    let mut command = lesson("echo_client", &[address]);
    command.stdin(input);
    let running = Running::start(command);
    assert_eq!(running.line(), format!("connected to {address}"));
    (running, typed)
}

/// The numbers of a line, in their order.
fn numbers(line: &str) -> Vec<u64> {
    let words = line.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn every_lesson_is_short_on_std_alone_and_says_how_it_is_run() {
    let mut found = Vec::new();
    for item in fs::read_dir(source("library").parent().unwrap()).unwrap() {
        let name = item.unwrap().file_name().into_string().unwrap();
        found.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    found.retain(|name| name != "library");
    found.sort();
    assert_eq!(found, LESSONS);
    for name in LESSONS {
        let text = fs::read_to_string(source(name)).unwrap();
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{name} has {lines} lines");
        let run = format!("//!     cargo run --example {name}");
        assert!(text.starts_with("//!") && text.contains(&run), "{name}");
        let uses = text.lines().filter_map(|line| line.strip_prefix("use "));
        let other: Vec<&str> = uses.filter(|path| !path.starts_with("std::")).collect();
        assert!(other.is_empty() && !text.contains("haul::"), "{name}");
    }
}

#[test]
fn a_client_sends_and_receives_again_and_again_while_others_do_too() {
    let (server, address) = server();
    let (one, to_one) = client(&address);
    let came = server.line();
    let one_is = came.strip_suffix(" came").unwrap();
    let (two, to_two) = client(&address);
    let came = server.line();
    let two_is = came.strip_suffix(" came").unwrap();
    // The second is served while the first is there, and the first again after it.
    for (text, at, mut typed, client) in [
        ("hello", two_is, &to_two, &two),
        ("hello", one_is, &to_one, &one),
        ("世界", one_is, &to_one, &one),
        ("and again", two_is, &to_two, &two),
    ] {
        writeln!(typed, "{text}").unwrap();
        let (chars, bytes) = (text.chars().count(), text.len());
        let said = format!("sent {chars} characters as {bytes} bytes, got back: {text}");
        assert_eq!(client.line(), said);
        assert_eq!(server.line(), format!("{at} sent {bytes} bytes"));
    }
    for (at, sum, typed, client) in [(one_is, 11, to_one, one), (two_is, 14, to_two, two)] {
        drop(typed);
        let ended = client.finish();
        let said = (ended.code, &*ended.stdout, &*ended.stderr);
        assert_eq!(said, (Some(0), "no more input: closing\n", ""));
        assert_eq!(server.line(), format!("{at} left, {sum} bytes in all"));
    }
}

#[test]
fn a_line_of_any_length_comes_back_whole() {
    let (_server, address) = server();
    for len in [0, 1, 1024, 1025, 100_000] {
        let (client, mut typed) = client(&address);
        let text = "x".repeat(len);
        writeln!(typed, "{text}").unwrap();
        drop(typed);
        let said = format!(
            "sent {len} characters as {len} bytes, got back: {text}\nno more input: closing\n"
        );
        let ended = client.finish();
        assert!(
            ended.code == Some(0) && ended.stdout == said,
            "{len}: {ended:?}"
        );
    }
}

#[test]
fn a_server_that_leaves_and_input_that_is_no_text_are_explained() {
    let (server, address) = server();
    let (waiting, mut typed) = client(&address);
    typed.write_all(b"\xff\n").unwrap();
    let ended = waiting.finish();
    let said = (ended.code, &*ended.stderr);
    assert_eq!(
        said,
        (Some(1), "echo_client: the input is not text in UTF-8\n")
    );

    let (waiting, mut typed) = client(&address);
    server.signal(Signal::KILL);
    server.finish();
    typed.write_all(b"is anybody there?\n").unwrap();
    let ended = waiting.finish();
    let said = (ended.code, &*ended.stderr);
    assert_eq!(said, (Some(1), "echo_client: the server has left\n"));
}

#[test]
fn what_stands_in_the_way_is_said_in_one_line() {
    let (server, address) = server();
    let here = [address.as_str()];
    let taken = format!("cannot listen on {address}: another program has this port");
    refuses("echo_server", &here, 1, &taken);
    drop(server);
    let missing = format!("cannot reach {address}: nobody listens there; is echo_server running?");
    refuses("echo_client", &here, 1, &missing);
    let which = "which server? Give the address that echo_server prints";
    refuses("echo_client", &[], 2, which);
    let no_port = "cannot reach here: an address is HOST:PORT";
    refuses("echo_client", &["here"], 1, no_port);
    let no_port = "cannot listen on here: an address is HOST:PORT, such as 127.0.0.1:0";
    refuses("echo_server", &["here"], 1, no_port);
    // An address for documentation, which no machine has.
    let foreign = "cannot listen on 192.0.2.1:0: this machine does not have this address";
    refuses("echo_server", &["192.0.2.1:0"], 1, foreign);
}

#[test]
fn a_peer_that_leaves_ends_recv_and_breaks_send() {
    shows(
        "peer_exit",
        &[
            "our recv returns at once, with 0 bytes: that is the end",
            "the first send: all 5 bytes are taken, *",
            "a later send: Broken pipe *",
            "our recv: Connection reset by peer *",
        ],
    );
}

#[test]
fn buffers_take_less_than_given_and_pace_the_sender() {
    let ended = run("socket_buffers");
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let lines: Vec<Vec<u64>> = ended.stdout.lines().map(numbers).collect();
    let [_, first, full, received, _, sips @ .., _, rest, _, pace] = lines.as_slice() else {
        panic!("{}", ended.stdout);
    };
    let ([given, took], [all]) = (&**first, &**full) else {
        panic!("{}", ended.stdout);
    };
    assert!(
        took < given && all >= took && all < given,
        "{first:?} {full:?}"
    );
    assert_eq!(*received, [0]);
    assert_eq!(sips.len(), 4);
    for (n, sip) in sips.iter().enumerate() {
        assert_eq!(sip[0], 256 * (n as u64 + 1));
        // Each is rounded down on its own.
        assert!(sip[2].abs_diff(sip[1] - sip[0]) <= 1, "{sip:?}");
    }
    let last = &sips[3];
    assert!(rest[0].abs_diff(last[2]) <= 1, "{last:?} {rest:?}");
    assert!(ended.stdout.contains("KiB: all that was sent has come\n"));
    assert!(pace[1] < pace[0], "{pace:?}");
}

#[test]
fn messages_stick_and_each_cure_but_the_delay_holds() {
    let three = r#"["one", "two\nlines", "three"]"#;
    let stuck = r#"received: ["onetwo\nlinesthree"]"#;
    let read = format!("received with the mark escaped in the data: {three}");
    let lucky = format!("*s, and a reader that waits: {three}");
    let busy = r#"*s, and a reader that is busy meanwhile: ["onetwo\nlinesthree"]"#;
    shows(
        "sticky_packets",
        &[
            "1. three sends *",
            stuck,
            "2. one send *",
            r#"received: ["hell", "o wo", "rld"]"#,
            "3. first cure: *",
            r#"received: ["one", "two", "lines", "three"]"#,
            &read,
            "4. second cure: *",
            &lucky,
            busy,
            "5. third cure: *",
            &format!("received: {three}"),
        ],
    );
}

#[test]
fn a_queue_holds_clients_until_it_is_full() {
    let first = "accept returns the first, from its own address: true";
    let third = "accept returns the third, from its own address: true";
    shows(
        "backlog",
        &[
            first,
            third,
            "*the queue took * clients",
            "*gave up after 500 ms *",
        ],
    );
    let ended = run("backlog");
    let took = |line: &&str| line.contains("the queue took");
    let count = numbers(ended.stdout.lines().find(took).unwrap())[0];
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let asked = 128.min(most.trim().parse().unwrap());
    assert!(count >= asked, "{count} of {asked}");
}

#[test]
fn files_are_reviewed_with_what_an_error_leaves_and_nothing_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = lesson("file_review", &[]);
    command.env("TMPDIR", scratch.path());
    let ended = Running::start(command).finish();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    let left = fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(left, 0);
    shows(
        "file_review",
        &[
            "creating it again: File exists *",
            r#"left behind: "first""#,
            r#"the later block alone: "\0\0\0\0\0\0world""#,
            r#"and the first one: "hello world""#,
            "reading the rest: Is a directory *",
            r#"left behind: "the first half, ""#,
            r#"the name has: "second""#,
            r#"who has the old file open still reads: "first""#,
            "linking to a name that is taken: File exists *",
            r#"left behind: "second""#,
            r#"a free name, once the first name is removed: "third""#,
        ],
    );
}
