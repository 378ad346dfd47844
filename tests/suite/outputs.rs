//! What is told of files: in JSON, in listings, on a screen, and to a pipe that is gone.

use std::fs::File;
use std::io;

use sha2::{Digest, Sha256};

use crate::objects::objects;
use crate::place::Place;
use crate::program::Running;
use crate::rig::{noise, visible};

#[test]
fn odd_names_are_escaped_on_a_screen_and_whole_in_json() {
    let place = Place::serving("");
    let (name, shown) = ("n\n\u{1b}[2J\u{202e}.txt", r"n\n\u{1b}[2J\u{202e}.txt");
    place.says(
        &format!("put {name} [ADDRESS]"),
        10,
        "",
        &format!("*\"{shown}\"*"),
    );
    let ended = place.run(&format!("put --json {name} [ADDRESS]"));
    assert_eq!(objects(&ended.stdout)[0]["path"], name);

    place.file(name, b"abc");
    let stored = format!("stored \"{shown}\", *");
    place.says(&format!("-v put {name} [ADDRESS]"), 0, "", &stored);
    place.says("ls [ADDRESS]", 0, &format!("{name}\n"), "");
    let listed = place.run("ls --json [ADDRESS]");
    assert_eq!(objects(&listed.stdout)[0]["path"], name);
    let fetched = place.run(&format!("get --json [ADDRESS]/{name} back/"));
    assert_eq!(objects(&fetched.stdout)[0]["path"], name);
    assert_eq!(visible(&place.here().join("back")), [name]);
}

#[test]
fn json_tells_of_every_file_and_done_is_last() {
    let place = Place::serving("");
    let bytes = noise((2 << 20) + 1);
    place.file("a", &bytes);
    let sum = |bytes: &[u8]| format!("blake3:{}", blake3::hash(bytes).to_hex());
    // What a put leaves where it is was compared by size and time, and not hashed.
    for (status, is_hashed, line) in [
        ("stored", true, "put --json a [ADDRESS]/"),
        ("unchanged", false, "put --json a [ADDRESS]/"),
        ("fetched", true, "get --json [ADDRESS]/a back/"),
        ("unchanged", true, "get --json [ADDRESS]/a back/"),
    ] {
        let ended = place.run(line);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{line}");
        let read = objects(&ended.stdout);
        let [file, done] = read.as_slice() else {
            panic!("{line}: {read:?}");
        };
        let seen = ["event", "path", "size", "checksum", "status", "code"].map(|key| &file[key]);
        let size = bytes.len().to_string();
        let checksum = if is_hashed {
            sum(&bytes)
        } else {
            "null".to_owned()
        };
        assert_eq!(
            seen,
            ["file", "a", &size, &checksum, status, "null"],
            "{line}"
        );
        let seen = ["v", "event", "files", "bytes", "failed"].map(|key| &done[key]);
        assert_eq!(seen, ["1", "done", "1", &size, "0"], "{line}");
    }
    let ended = place.run("put --json none [ADDRESS]");
    let read = objects(&ended.stdout);
    assert_eq!(
        (ended.code, &*read[0]["status"], &*read[0]["code"]),
        (Some(10), "failed", "10")
    );
    assert_eq!((&*read[1]["event"], &*read[1]["failed"]), ("done", "1"));
    let ended = place.run("put --json a host.invalid:x");
    let read = objects(&ended.stdout);
    assert_eq!((&*read[0]["event"], &*read[0]["code"]), ("error", "2"));
    assert_eq!((&*read[1]["event"], ended.code), ("done", Some(2)));
}

#[test]
fn a_second_checksum_is_the_one_of_sha256sum() {
    let place = Place::serving("");
    let bytes = noise((3 << 20) + 1);
    place.file("a", &bytes);
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    // Thirty-two bytes in hexadecimal, whoever writes them.
    let hex = blake3::Hash::from_bytes(digest).to_hex();
    for line in [
        "put --json --checksum sha256 a [ADDRESS]",
        "HAUL_CHECKSUM=sha256 get --json [ADDRESS]/a back/",
    ] {
        let ended = place.run(line);
        assert_eq!(
            objects(&ended.stdout)[0]["checksum"],
            format!("sha256:{hex}"),
            "{line}"
        );
    }
}

#[test]
fn ls_lists_a_name_a_line_and_more_on_request() {
    let place = Place::serving("");
    for name in ["b", "a/c", ".hidden"] {
        place.file(name, b"abc");
    }
    place.says("put b .hidden [ADDRESS]", 0, "", "*");
    place.says("put a/c [ADDRESS]/a/", 0, "", "*");
    place.says("ls [ADDRESS]", 0, ".hidden\na/\nb\n", "");
    place.says("ls [ADDRESS]/a/", 0, "c\n", "");
    place.says("ls -R [ADDRESS]", 0, ".hidden\na/\na/c\nb\n", "");
    place.says(
        "ls -l [ADDRESS]/a",
        0,
        "-rw-r--r-- 3 20*-*-*T*:*:*Z c\n",
        "",
    );
    place.says("ls [ADDRESS]/none", 5, "", "*\"none\" is not there\n");
    let listed = place.run("ls --json [ADDRESS]");
    let read = objects(&listed.stdout);
    let seen: Vec<_> = read
        .iter()
        .map(|o| (&*o["event"], o.get("path").map_or("", |p| p)))
        .collect();
    assert_eq!(
        seen,
        [
            ("entry", ".hidden"),
            ("entry", "a"),
            ("entry", "b"),
            ("done", "")
        ]
    );
}

#[test]
fn a_reader_that_leaves_is_no_error_and_a_full_disk_is() {
    let place = Place::serving("");
    place.file("a", b"abc");
    for (n, line) in ["ls [ADDRESS]", "put --json a [ADDRESS]", "demo a"]
        .iter()
        .enumerate()
    {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut left = place.haul(line);
        left.stdout(writer);
        assert_eq!(Running::start(left).finish().code, Some(0), "{line}");
        place.says("put --overwrite a [ADDRESS]/", 0, "", "*");

        let mut full = place.haul(line);
        full.stdout(File::options().write(true).open("/dev/full").unwrap());
        let ended = Running::start(full).finish();
        assert_eq!(ended.code, Some(10), "{n} {line}: {ended:?}");
        assert!(
            ended.stderr.contains("cannot write to standard output"),
            "{line}"
        );
    }
}
