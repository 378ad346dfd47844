//! The client in Python, which knows haul by `docs/protocol.md` alone, against the real server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::place::Place;
use crate::rig::noise;

/// Three blocks of 1 MiB, the last of them not full.
const LARGE: usize = (2 << 20) + 5;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Runs a program of `examples/python` to its end; `[ADDRESS]` stands for the server's.
#[track_caller]
fn run(place: &Place, program: &str, line: &str, code: i32, says: &str) {
    let line = place.meant(line);
    let output = Command::new("python3")
        .arg("-B")
        .arg(top().join("examples/python").join(program))
        .args(line.split(' ').filter(|word| !word.is_empty()))
        .current_dir(place.here())
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}: {said}");
    assert!(said.contains(says), "{line}: {said:?} has not {says:?}");
}

/// Whether there is a Python to run it, and says so where there is none.
fn has_python() -> bool {
    let has = Command::new("python3").arg("--version").output().is_ok();
    if !has {
        println!("skipped: python3 is not here");
    }
    has
}

fn touch(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
        .unwrap();
}

#[test]
fn a_client_from_the_document_alone_puts_gets_and_checks() {
    if !has_python() {
        return;
    }
    let place = Place::serving("--plaintext");
    let client = |line: &str, code, says| run(&place, "haul_client.py", line, code, says);
    for (name, len) in [("empty", 0), ("small", 700), ("large", LARGE)] {
        let bytes = noise(len);
        let path = place.file(name, &bytes);
        let there = place.root().join("d").join(name);
        client(
            &format!("put {name} [ADDRESS]/d/{name}"),
            0,
            "stored, durable",
        );
        client(
            &format!("put {name} [ADDRESS]/d/{name}"),
            0,
            "already there, durable",
        );
        assert_eq!(fs::read(&there).unwrap(), bytes, "{name}");
        client(
            &format!("get [ADDRESS]/d/{name} back-{name}"),
            0,
            "fetched and verified",
        );
        assert_eq!(
            fs::read(place.here().join(format!("back-{name}"))).unwrap(),
            bytes
        );
        client(&format!("check {name} [ADDRESS]/d/{name}"), 0, "same: ");
        place.says(
            &format!("put --plaintext {name} [ADDRESS]/d/"),
            0,
            "",
            "*: 1 unchanged; *",
        );

        // The same bytes with another time get that time, and nothing moves.
        touch(&path);
        client(
            &format!("put {name} [ADDRESS]/d/{name}"),
            0,
            "already there, durable",
        );
        let moment = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(moment(&there), moment(&path), "{name}");
    }
}

#[test]
fn what_it_is_refused_it_calls_by_its_code() {
    if !has_python() {
        return;
    }
    let place = Place::serving("--plaintext");
    let client = |line: &str, code, says| run(&place, "haul_client.py", line, code, says);
    for (name, len) in [("small", 700), ("large", LARGE)] {
        let mut bytes = noise(len);
        place.file(name, &bytes);
        client(&format!("put {name} [ADDRESS]/{name}"), 0, "stored");
        bytes[3] ^= 1;
        touch(&place.file(name, &bytes));
        client(&format!("check {name} [ADDRESS]/{name}"), 7, "differs");
        client(
            &format!("put {name} [ADDRESS]/{name}"),
            6,
            "exists with other content",
        );
        client(
            &format!("put --content {name} [ADDRESS]/{name}"),
            6,
            "exists with other",
        );
        client(
            &format!("put --overwrite {name} [ADDRESS]/{name}"),
            0,
            "stored, durable",
        );
        assert_eq!(fs::read(place.root().join(name)).unwrap(), bytes, "{name}");
    }
    fs::create_dir(place.root().join("d")).unwrap();
    client("put --overwrite small [ADDRESS]/d", 6, "of another kind");
    client("get [ADDRESS]/d x", 10, "no regular file");
    client("get [ADDRESS]/none x", 5, "is not there");
    client("put small [ADDRESS]/../x", 9, "cannot be a path");
    client("put none [ADDRESS]/x", 10, "none");
    client("put small", 2, "usage");
}

#[test]
fn its_messages_hold_against_every_vector_of_the_document() {
    if !has_python() {
        return;
    }
    let place = Place::serving("--plaintext");
    let document = top().join("docs/protocol.md");
    let line = document.to_str().unwrap();
    run(&place, "haul_vectors.py", line, 0, " vectors hold");
}
