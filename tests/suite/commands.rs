//! put, get and demo, as they are typed: what they do, claim and exit with.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::place::Place;
use crate::program::{Running, haul};
use crate::rig::noise;
use crate::samples;

const ON: &str = "verified and durable on [ADDRESS]\n";

/// Every file beneath a directory, haul's own too.
fn files(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap();
                names.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}

#[test]
fn a_job_ends_with_a_line_that_claims_what_was_proved() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.file("b", &noise(3 << 20));
    let said = |counts: &str| format!("put {counts}; {ON}");
    let stored = said("1 file, 3 B, * s: 1 stored");
    place.says("put a [ADDRESS]", 0, "", &stored);
    let both = said("2 files, 3.0 MiB, * s: 1 stored, 1 unchanged");
    place.says("put a b [ADDRESS]", 0, "", &both);
    let unchanged = said("2 files, 3.0 MiB, * s: 2 unchanged");
    place.says("put a b haul://[ADDRESS]/", 0, "", &unchanged);
    let each = format!("stored x, 3 B, blake3:*\nput *; {ON}");
    place.says("-v put a [ADDRESS]/x", 0, "", &each);
    place.says("-q put a [ADDRESS]/y", 0, "", "");
    let open = Place::serving("--plaintext");
    open.file("a", b"abc");
    open.says("put a [ADDRESS]/z --plaintext", 0, "", &stored);
    let fetched = "get 1 file, 3 B, * s: 1 fetched; verified and durable in back/\n";
    place.says("get [ADDRESS]/a back/", 0, "", fetched);
    place.says("get [ADDRESS]/a back/ -q", 0, "", "");
    place.says(
        "-q get [ADDRESS]/none",
        5,
        "",
        "haul: \"none\" is not there\n",
    );
    let none = "haul: \"none\" is not there\nget 0 files, 0 B, * s: 1 failed\n";
    place.says("get [ADDRESS]/none", 5, "", none);
}

#[test]
fn the_spelling_of_a_destination_decides_where_files_go() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.file("b", b"def");
    for line in [
        "put a b [ADDRESS]",
        "put a [ADDRESS]/in/to/",
        "put ./a [ADDRESS]/dot/.",
        "put a [ADDRESS]/exact",
        "put a [ADDRESS]/in/exact",
        "HAUL_REMOTE=[ADDRESS]/home put a :exact",
        "HAUL_REMOTE=[ADDRESS]/home put a :",
        "put a haul://[ADDRESS]/a%20b",
    ] {
        place.says(line, 0, "", "*; verified and durable on *");
    }
    let there = [
        "a",
        "a b",
        "b",
        "dot/a",
        "exact",
        "home/a",
        "home/exact",
        "in/exact",
        "in/to/a",
    ];
    assert_eq!(files(&place.root()), there);

    for line in [
        "get [ADDRESS]/in/exact",
        "get [ADDRESS]/a [ADDRESS]/b into/",
        "get [ADDRESS]/a dot/.",
        "get [ADDRESS]/b exactly",
        "get [ADDRESS]/b new/er/exactly",
    ] {
        place.says(line, 0, "", "*; verified and durable in *");
    }
    let here = [
        "a",
        "b",
        "dot/a",
        "exact",
        "exactly",
        "into/a",
        "into/b",
        "new/er/exactly",
    ];
    assert_eq!(files(&place.here()), here);
}

#[test]
fn flags_may_stand_anywhere() {
    let place = Place::serving("");
    place.file("a", b"abc");
    for line in [
        "-q put a [ADDRESS]/1",
        "put -q a [ADDRESS]/2",
        "put a -q [ADDRESS]/3",
        "put a [ADDRESS]/4 -q",
        "get -q [ADDRESS]/1 1",
        "get [ADDRESS]/1 -q 2",
    ] {
        place.says(line, 0, "", "");
    }
}

#[test]
fn a_variable_that_is_empty_counts_as_not_set() {
    let place = Place::serving("");
    place.file("a", b"abc");
    let empty: String = [
        "QUIET",
        "VERBOSE",
        "JSON",
        "PLAINTEXT",
        "COLOR",
        "OVERWRITE",
        "UPDATE",
        "CONNECTIONS",
        "CHECKSUM",
        "REMOTE",
    ]
    .map(|name| format!("HAUL_{name}= "))
    .concat();
    place.says(&format!("{empty}put a [ADDRESS]"), 0, "", "*1 stored*");
    place.says(&format!("{empty}get [ADDRESS]/a b"), 0, "", "*1 fetched*");
    place.says(&format!("{empty}ls [ADDRESS]"), 0, "a\n", "");
    // It would listen, if the one that is set were not wrong.
    let empty: String = [
        "READ_ONLY",
        "DURABILITY",
        "TRUST_NETWORK",
        "MAX_CONNECTIONS",
        "IDLE_TIMEOUT",
        "DRAIN",
        "LOG",
    ]
    .map(|name| format!("HAUL_{name}= "))
    .concat();
    let line = format!("{empty}HAUL_LISTEN=[ADDRESS] serve");
    place.says(&line, 2, "", "*cannot listen on [ADDRESS]*");
    place.says(
        "HAUL_LISTEN= serve --listen [ADDRESS]",
        2,
        "",
        "*cannot listen*",
    );
}

#[test]
fn a_variable_says_yes_or_no_as_a_number_or_a_word() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.says("put a [ADDRESS]", 0, "", "*");
    for (value, said) in [("1", ""), ("true", ""), ("0", "*\n"), ("false", "*\n")] {
        place.says(&format!("HAUL_QUIET={value} put a [ADDRESS]"), 0, "", said);
    }
}

#[test]
fn what_exists_with_other_content_is_left_unless_a_flag_says_otherwise() {
    let place = Place::serving("");
    place.file("one/a", b"first");
    place.says("put one/a [ADDRESS]/", 0, "", "*1 stored*");
    let left = "*haul: a: exists with other content\n*put 0 files, 0 B, * s: 1 failed; left 1 \
                as they are: --overwrite replaces files with other content, --update older ones\n";
    let old = File::options()
        .write(true)
        .open(place.file("old/a", b"second"))
        .unwrap();
    old.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
        .unwrap();
    place.says("put old/a [ADDRESS]/", 6, "", left);
    place.says("HAUL_OVERWRITE=0 put old/a [ADDRESS]/", 6, "", left);
    let kept = "put 1 file, 6 B, * s: 1 kept\n";
    place.says("put --update old/a [ADDRESS]/", 0, "", kept);
    place.says(
        "HAUL_OVERWRITE=1 put --update old/a [ADDRESS]/",
        0,
        "",
        kept,
    );
    assert_eq!(fs::read(place.root().join("a")).unwrap(), b"first");
    place.says(
        "put --overwrite old/a [ADDRESS]/",
        0,
        "",
        "*1 stored; verified*",
    );
    assert_eq!(fs::read(place.root().join("a")).unwrap(), b"second");
    place.says(
        "put --update one/a [ADDRESS]/",
        0,
        "",
        "*1 stored; verified*",
    );
    place.says(
        "HAUL_OVERWRITE=1 put old/a [ADDRESS]/",
        0,
        "",
        "*1 stored; verified*",
    );

    place.file("a", b"third");
    place.says(
        "get [ADDRESS]/a",
        6,
        "",
        "*left 1 as they are: --overwrite *",
    );
    place.says("get [ADDRESS]/a . --update", 0, "", "*1 kept\n");
    place.says(
        "get [ADDRESS]/a . --overwrite",
        0,
        "",
        "*1 fetched; verified*",
    );
    assert_eq!(fs::read(place.here().join("a")).unwrap(), b"second");
    fs::create_dir(place.root().join("d")).unwrap();
    let type_differs = "*if d is a directory there, d/ is into it\n*";
    place.says("put a [ADDRESS]/d --overwrite", 6, "", type_differs);
}

#[test]
fn one_file_that_fails_stops_no_other() {
    let place = Place::serving("");
    place.file("taken", b"there");
    place.says("put taken [ADDRESS]", 0, "", "*");
    for (other, failing, code) in [
        ("a", "none", 10),
        ("b", "none never", 10),
        ("c", "none taken", 11),
    ] {
        place.file("taken", b"here!!");
        place.file(other, b"abc");
        let line = format!("put {failing} {other} [ADDRESS]/");
        place.says(
            &line,
            code,
            "",
            "*haul: *put 1 file, 3 B, * s: 1 stored, * failed; *",
        );
        assert_eq!(fs::read(place.root().join(other)).unwrap(), b"abc");
    }
    let some = "*\"none\" is not there\n*1 fetched, 1 failed; verified and durable in into/\n";
    place.says("get [ADDRESS]/none [ADDRESS]/a into/", 5, "", some);
}

#[test]
fn a_missing_source_is_named_as_it_was_typed() {
    let place = Place::serving("");
    place.says("put ./of/mine [ADDRESS]/of/yours", 10, "", "*of/mine*");
}

#[test]
fn a_demo_proves_that_what_comes_back_is_the_same_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = directory.path().join("scratch");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_files");
    let count = samples::files().len() + samples::LISTS.len();
    let one = samples.join("hello.txt");
    for (paths, out) in [
        (
            [samples.to_str()].as_slice(),
            format!("same: {count} files\n"),
        ),
        (&[one.to_str()], "same: 1 file\n".to_owned()),
        (&[], "same: 5 files\n".to_owned()),
    ] {
        fs::create_dir(&scratch).unwrap();
        let words = ["demo"].into_iter().chain(paths.iter().copied().flatten());
        let mut command = haul(directory.path(), words);
        command.env("TMPDIR", &scratch);
        let ended = Running::start(command).finish();
        assert_eq!((ended.code, &ended.stdout), (Some(0), &out), "{ended:?}");
        for step in ["serving ", "put ", "get ", "comparing "] {
            assert!(ended.stderr.contains(&format!("\n{step}")) || ended.stderr.starts_with(step));
        }
        fs::remove_dir(&scratch).expect("nothing is left");
    }
}

#[test]
fn a_rehearsal_moves_nothing_and_counts_what_would_be_moved() {
    let place = Place::serving("");
    for name in ["t/new", "t/same", "t/other"] {
        place.file(name, name.as_bytes());
    }
    place.says("put t/same t/other [ADDRESS]/t/", 0, "", "*2 stored*");
    place.file("t/other", b"longer than it was");
    let would = "would store t/new\nwould replace t/other\nwould skip t/same\n";
    let comes_to = "would put 3 files, 29 B, * s: 2 to move, 1 to leave; nothing was done\n";
    place.says("put -n --overwrite t [ADDRESS]", 0, would, comes_to);
    assert_eq!(files(&place.root()), ["t/other", "t/same"]);
    let refused = "*would refuse t/other\n*";
    let left = "*haul: t/other: exists with other content\nwould put *: 1 to move, 1 to leave, 1 \
                failed; nothing was done; left 1 as they are: --overwrite *\n";
    place.says("put -n t [ADDRESS]", 6, refused, left);
    let fetched = "would store t/\nwould store t/other\nwould store t/same\n";
    let comes_to = "would get 2 files, 13 B, * s: 2 to move; nothing was done\n";
    place.says("get -n [ADDRESS]/t back", 0, fetched, comes_to);
    assert!(!place.here().join("back").exists());
}
