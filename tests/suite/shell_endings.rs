//! How a shell begins, and what ends it.

use std::fs::{self, File};
use std::io::{self, Write};

use rustix::process::Signal;

use crate::program::{Running, haul};
use crate::relay::Relay;
use crate::rig::noise;
use crate::shell_scripts::{planted, says};

#[test]
fn a_shell_begins_where_a_server_and_a_directory_are() {
    let place = planted();
    for (remote, code, said) in [
        ("[ADDRESS]/none", 5, "haul: \"none\" is not there\n"),
        ("[ADDRESS]/h", 10, "haul: \"h\" is no directory\n"),
        (
            "[ADDRESS]/a/../x",
            9,
            "haul: \"a/../x\": the name has a component \"..\"\n",
        ),
        (
            "/a",
            2,
            "haul: \"\" names no host: an address is [haul://]HOST[:PORT][/PATH]\n",
        ),
    ] {
        says(&place, &format!("shell {remote}"), "pwd", code, "", said);
    }
    let address = place.server.address.clone();
    place.server.running.signal(Signal::TERM);
    place.server.running.finish();
    let ended = Running::start(haul(place.dir.path(), ["shell", &*address])).finish();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let said = format!("haul: cannot connect to {address}: Connection refused (os error 111)\n");
    assert_eq!(ended.stderr, said);
}

#[test]
fn a_server_that_goes_away_ends_a_script_and_one_that_comes_back_goes_on() {
    let mut place = planted();
    let relay = Relay::to(&place.server.address);
    let (input, mut script) = io::pipe().unwrap();
    let mut command = place.haul(&format!("shell -k {}", relay.address));
    command.stdin(input);
    let running = Running::start(command);
    script.write_all(b"cd a\npwd\n").unwrap();
    assert_eq!(running.line(), "/a");
    place.server.running.signal(Signal::TERM);
    drop(place.restart_with(""));
    relay.lead_to(&place.server.address);
    script.write_all(b"ls\n").unwrap();
    assert_eq!([running.line(), running.line()], ["b/", "f"]);
    place.server.running.signal(Signal::TERM);
    place.server.running.finish();
    script.write_all(b"ls\npwd\n").unwrap();
    assert_eq!(running.line(), "/a");
    drop(script);
    let ended = running.finish();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let again = format!(
        "the connection to {} was lost, and is open again",
        relay.address
    );
    assert_eq!((lines.len(), lines[0]), (2, &*again), "{ended:?}");
    assert!(lines[1].starts_with("haul: "), "{ended:?}");
}

#[test]
fn a_signal_ends_a_script_whatever_it_waits_for() {
    let place = planted();
    fs::write(place.root().join("big"), noise(3 << 20)).unwrap();
    for (signal, flags) in [
        (Signal::INT, ""),
        (Signal::TERM, "-k"),
        (Signal::INT, "-k --json"),
    ] {
        // Between two lines.
        let (input, mut script) = io::pipe().unwrap();
        let mut command = place.haul(&format!("shell {flags} [ADDRESS]"));
        command.stdin(input);
        let running = Running::start(command);
        script.write_all(b"pwd\n").unwrap();
        assert!(running.line().contains('/'));
        running.signal(signal);
        let ended = running.finish();
        assert_eq!(ended.code, Some(130), "{ended:?}");
        assert_eq!(ended.stderr, "haul: interrupted\n");
        assert_eq!(
            ended.stdout.contains("done"),
            flags.contains("json"),
            "{ended:?}"
        );

        // In the middle of one.
        let relay = Relay::to(&place.server.address);
        relay.allow(Some(1 << 20));
        let script = place.dir.path().join("script");
        fs::write(&script, "get big\npwd\n").unwrap();
        let mut command = place.haul(&format!("shell {flags} {}", relay.address));
        command.stdin(File::open(script).unwrap());
        let running = Running::start(command);
        relay.until_stalled();
        running.signal(signal);
        let ended = running.finish();
        assert_eq!(ended.code, Some(130), "{ended:?}");
        let said = ended.stderr.lines().next().unwrap_or_default();
        assert!(said.starts_with("haul: interrupted"), "{ended:?}");
        assert!(
            !ended.stdout.contains("pwd") && !ended.stdout.starts_with('/'),
            "{ended:?}"
        );
    }
}
