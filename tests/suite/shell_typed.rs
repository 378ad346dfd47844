//! `haul shell` as a person types it, on a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::place::Place;
use crate::relay::Relay;
use crate::rig::noise;
use crate::typing::{CTRL_C, CTRL_D, TAB, Typing};

/// A shell on a server that has `a/b c`, `a/big`, and a directory `empty`.
fn begin() -> (Place, Relay, Typing) {
    let place = Place::serving("");
    fs::create_dir_all(place.root().join("a")).unwrap();
    fs::create_dir(place.root().join("empty")).unwrap();
    fs::write(place.root().join("a/b c"), "text").unwrap();
    fs::write(place.root().join("a/big"), noise(3 << 20)).unwrap();
    let relay = Relay::to(&place.server.address);
    let mut typing = Typing::begin(&place, &format!("shell {}", relay.address));
    typing.until(&format!("{}/> ", relay.address));
    (place, relay, typing)
}

/// Leaves with Ctrl-D, which at a prompt means just that.
#[track_caller]
fn leaves_well(mut typing: Typing) {
    typing.until("> ");
    typing.keys(CTRL_D);
    ends_well(typing);
}

#[track_caller]
fn ends_well(typing: Typing) {
    let ended = typing.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_prompt_shows_where_one_is_and_ctrl_d_leaves() {
    let (_place, relay, mut typing) = begin();
    typing.line("ls");
    typing.until("a/\r\nempty/\r\n");
    typing.line("cd a");
    typing.until(&format!("{}/a> ", relay.address));
    typing.line("ls");
    typing.until("b c\r\nbig\r\n");
    typing.line("cd ..");
    typing.until("/> ");
    typing.line("pwd");
    typing.until("/\r\n");
    typing.line("cd nowhere");
    typing.until("haul: \"nowhere\" is not there\r\n");
    typing.line("cd a/big");
    typing.until("haul: \"a/big\" is no directory\r\n");
    typing.line("lss");
    typing.until("haul: lss is no command: perhaps ls was meant\r\n");
    leaves_well(typing);
    assert_eq!(relay.accepted(), 1);
}

#[test]
fn files_go_both_ways_with_a_bar_and_the_command_exit_leaves() {
    let (place, relay, mut typing) = begin();
    place.file("up", &noise(5 << 20));
    typing.line("put --connections 1 up empty/");
    // The bar names the file that it is of.
    typing.until("empty/up ");
    typing.until("1 stored; verified and durable on ");
    assert_eq!(
        fs::read(place.root().join("empty/up")).unwrap(),
        noise(5 << 20)
    );
    typing.line("get --connections 1 'a/b c' a/big there/");
    typing.until("2 fetched; verified and durable in there/");
    assert_eq!(
        fs::read(place.here().join("there/big")).unwrap(),
        noise(3 << 20)
    );
    assert_eq!(fs::read(place.here().join("there/b c")).unwrap(), b"text");
    typing.line("exit");
    ends_well(typing);
    assert_eq!(relay.accepted(), 1);
}

#[test]
fn ctrl_c_stops_what_runs_and_not_the_shell() {
    let (place, relay, mut typing) = begin();
    for n in 0..3 {
        relay.allow(Some(1 << 20));
        typing.line(&format!("get a/big copy-{n}"));
        relay.until_stalled();
        typing.keys(CTRL_C);
        typing.until(&format!(
            "haul: interrupted: the same command goes on with what is missing: get a/big copy-{n}\r\n"
        ));
        typing.until("/> ");
        relay.allow(None);
        typing.line("ls a");
        typing.until("b c\r\nbig\r\n");
        typing.until("/> ");
    }
    typing.line("get a/big copy");
    typing.until("1 fetched");
    typing.until("/> ");
    assert!(place.here().join("copy").exists());
    assert!(!place.here().join("copy-0").exists());
    // At the prompt it takes the line back.
    typing.keys(&format!("rm -r a{CTRL_C}"));
    typing.until("rm -r a\r\n");
    typing.until("/> ");
    typing.line("ls");
    typing.until("a/\r\nempty/\r\n");
    leaves_well(typing);
}

#[test]
fn tab_completes_commands_flags_and_names_there_and_here() {
    let (place, _relay, mut typing) = begin();
    place.file("local name", b"abc");
    typing.keys(&format!("lpw{TAB}\r"));
    typing.until(&format!("{}\r\n", place.here().display()));
    typing.keys(&format!("cd e{TAB}\r"));
    typing.until("/empty> ");
    typing.keys(&format!("stat /a/b{TAB}{TAB}"));
    typing.until("b c");
    typing.until("big");
    typing.until("/empty> stat /a/b");
    typing.keys(CTRL_C);
    typing.until("\r\n");
    typing.until("/empty> ");
    typing.keys(&format!("stat /a/b\\ {TAB}\r"));
    typing.until("path: a/b c\r\n");
    typing.keys(&format!("stat '/a/b {TAB}\r"));
    typing.until("path: a/b c\r\n");
    typing.keys(&format!("put --overw{TAB} loc{TAB}\r"));
    typing.until("1 stored; verified");
    assert!(place.root().join("empty/local name").exists());
    // A name that came meanwhile is offered, as the command before may have made it.
    typing.keys(&format!("mv lo{TAB} moved\rmv mo{TAB} /\r"));
    typing.until("/empty> ");
    typing.line("stat /moved");
    typing.until("path: moved\r\n");
    leaves_well(typing);
}

#[test]
fn a_connection_that_was_lost_is_opened_again() {
    let (mut place, relay, mut typing) = begin();
    typing.line("cd a");
    typing.until("/a> ");
    place.server.running.signal(Signal::TERM);
    drop(place.restart_with(""));
    relay.lead_to(&place.server.address);
    typing.line("ls");
    typing.until(&format!(
        "the connection to {} was lost, and is open again\r\n",
        relay.address
    ));
    typing.until("b c\r\nbig\r\n");
    place.server.running.signal(Signal::KILL);
    assert!(place.server.running.finish().code.is_none());
    for _ in 0..2 {
        typing.until("/a> ");
        typing.line("ls");
        typing.until("haul: ");
        typing.until("\r\n");
    }
    leaves_well(typing);
}

#[test]
fn lines_are_there_the_next_time_and_for_nobody_else() {
    let (place, relay, mut typing) = begin();
    typing.line("stat 'a/b c'");
    typing.until("path: a/b c\r\n");
    typing.line(" pwd");
    typing.until("/\r\n");
    leaves_well(typing);
    let kept = place.dir.path().join("state/haul/history");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "stat 'a/b c'\n");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let mut typing = Typing::begin(&place, &format!("shell {}", relay.address));
    typing.until("/> ");
    typing.keys("\u{1b}[A\r");
    typing.until("path: a/b c\r\n");
    leaves_well(typing);
}

#[test]
fn a_shell_that_is_told_to_go_leaves_the_terminal_as_it_was() {
    for signal in [Signal::TERM, Signal::HUP] {
        let (_place, _relay, mut typing) = begin();
        let raw = typing.has_echo();
        typing.running.signal(signal);
        typing.until("haul: interrupted");
        assert!(!raw && typing.has_echo());
        let ended = typing.finish();
        assert_eq!(ended.code, Some(130), "{ended:?}");
    }
}

#[test]
fn names_on_the_screen_do_not_act_on_it() {
    let (place, _relay, mut typing) = begin();
    let odd = "x\u{1b}]0;t\u{7}";
    fs::create_dir(place.root().join(odd)).unwrap();
    typing.line("ls");
    typing.until("\"x\\u{1b}]0;t\\u{7}\"/\r\n");
    leaves_well(typing);
    let mut typing = Typing::begin(&place, &format!("shell [ADDRESS]/{odd}"));
    typing.until("\"/x\\u{1b}]0;t\\u{7}\"");
    leaves_well(typing);
}
