//! One bad thing in a tree never stops the others.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use haul::client::{Client, Event, JobOptions, Options, Skip, Upload};
use haul::net::Transport;
use haul::net::plain::Plain;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::both_ways::{WAYS, Way};
use crate::landscape::{file, look, put_tree, set_time};
use crate::place::Place;
use crate::rig::{Rig, noise, outcome, remote, visible};

/// What is done to a tree.
type Plant = fn(&Path);

/// What is said of it, and the exit code.
type Said = (i32, &'static [&'static str]);

fn node(path: &Path, kind: FileType) {
    mknodat(CWD, path, kind, Mode::RWXU, 0).unwrap();
}

/// Moves a tree in which something is bad, among files that are not.
#[track_caller]
fn goes_alone(what: &str, plant: Plant, [put, get]: [Said; 2], left_out: &[&str]) {
    for (way, (code, said)) in WAYS.into_iter().zip([put, get]) {
        let place = Place::serving("");
        let (here, there) = (place.here().join("t"), place.root().join("to/t"));
        let (source, target, line) = match way {
            Way::Put => (here, there, "put t [ADDRESS]/to/"),
            Way::Get => (there, here, "get [ADDRESS]/to/t ."),
        };
        let good = ["a/good", "bad/good", "zz/good"];
        for name in good {
            file(&source.join(name), 10);
        }
        plant(&source.join("bad"));
        let ended = place.run(line);
        let case = format!("{what}, {way:?}: {ended:?}");
        assert_eq!(ended.code, Some(code), "{case}");
        for words in said {
            assert!(ended.stderr.contains(words), "{words}: {case}");
        }
        for name in good {
            assert_eq!(look(&source.join(name)), look(&target.join(name)), "{case}");
        }
        for name in left_out {
            let there = fs::symlink_metadata(target.join("bad").join(name));
            assert!(there.is_err(), "{name}: {case}");
        }
    }
}

const SPECIAL: [Said; 2] = [
    (0, &["skipped to/t/bad/x: it is no file", "1 skipped"]),
    (0, &["it is no file", "1 skipped"]),
];

#[test]
fn what_is_no_file_directory_or_link_is_left_out() {
    goes_alone(
        "a FIFO",
        |bad| node(&bad.join("x"), FileType::Fifo),
        SPECIAL,
        &["x"],
    );
    let bind = |bad: &Path| drop(UnixListener::bind(bad.join("x")).unwrap());
    goes_alone("a socket", bind, SPECIAL, &["x"]);
    let link = |bad: &Path| symlink(OsStr::from_bytes(b"\xff"), bad.join("x")).unwrap();
    goes_alone("a link that is no text", link, SPECIAL, &["x"]);
}

#[test]
fn a_name_that_cannot_be_sent_fails() {
    let both: [Said; 2] = [
        (9, &["cannot be sent", "3 stored, 1 failed"]),
        (9, &["cannot be sent", "3 fetched, 1 failed"]),
    ];
    let name = |bad: &Path| fs::write(bad.join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    goes_alone("a name that is not UTF-8", name, both, &[]);
    let name = |bad: &Path| file(&bad.join(OsStr::from_bytes(b"\xff")).join("x"), 1);
    goes_alone("a directory of such a name", name, both, &[]);
}

#[test]
fn what_has_haul_s_own_name_is_left_out() {
    let plant = |bad: &Path| file(&bad.join(".haul/x"), 1);
    let said: [Said; 2] = [
        (0, &["skipped to/t/bad: what is called .haul in it is"]),
        (0, &[]),
    ];
    goes_alone("a directory", plant, said, &[".haul"]);
    let plant = |bad: &Path| file(&bad.join(".haul"), 1);
    goes_alone("a file", plant, said, &[".haul"]);
}

#[test]
fn links_that_lead_out_are_left_out() {
    let plant = |bad: &Path| {
        for (name, text) in [
            ("absolute", "/etc/passwd"),
            ("up", "../../x"),
            ("far", "../../../../../../../x"),
            ("behind", "good/../../.."),
        ] {
            symlink(text, bad.join(name)).unwrap();
        }
    };
    let out = "the link leads out of the tree";
    let said: [Said; 2] = [(0, &["4 skipped"]), (0, &["4 skipped"])];
    goes_alone(out, plant, said, &["absolute", "up", "far", "behind"]);
}

#[test]
fn a_name_that_becomes_too_long_fails_and_no_other() {
    let place = Place::serving("");
    // With what is before it here, it is just short enough to be opened at all.
    let long = vec!["n".repeat(250); 15].join("/");
    for name in ["a", "z", &format!("{long}/{}", "m".repeat(100))] {
        file(&place.here().join("t").join(name), 10);
    }
    let to = vec!["o".repeat(200); 2].join("/");
    let ended = place.run(&format!("put t [ADDRESS]/{to}/"));
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert!(ended.stderr.contains("2 stored"), "{ended:?}");
    for name in ["a", "z"] {
        let there = fs::read(place.root().join(&to).join("t").join(name));
        assert_eq!(there.unwrap(), noise(10));
    }
    place.says("put t [ADDRESS]", 0, "", "*3 stored*");
    let ended = place.run(&format!("get [ADDRESS]/t {}", "t".repeat(250)));
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert!(ended.stderr.contains("2 fetched"), "{ended:?}");
}

/// A client that does something when the first look at the sources is done: before it
/// connects.
fn client(rig: &Rig, meddle: impl Fn() + Send + Sync + 'static) -> Client {
    let address = rig.address.clone();
    let connect = move || -> io::Result<Box<dyn Transport>> {
        meddle();
        Ok(Box::new(Plain::new(TcpStream::connect(&address)?)?))
    };
    let options = Options {
        connections: 1,
        ..Options::default()
    };
    Client::over(connect, options)
}

fn planted() -> (Rig, PathBuf) {
    let rig = Rig::new();
    let source = rig.dir.path().join("t");
    for (name, len) in [("a", 10), ("d/b", 20), ("d/c", 3 << 20), ("z", 30)] {
        file(&source.join(name), len);
    }
    (rig, source)
}

#[test]
fn a_source_that_vanishes_is_no_failure() {
    for compare in [haul::offer::Compare::Quick, haul::offer::Compare::Content] {
        let (rig, source) = planted();
        // It is to be compared, too, before it is found to be gone.
        file(&rig.root().join("t/d/b"), 20);
        let vanish = {
            let source = source.clone();
            move || fs::remove_dir_all(source.join("d")).unwrap()
        };
        let options = JobOptions {
            compare,
            ..JobOptions::default()
        };
        let outcome = put_tree(&client(&rig, vanish), &source, Some("t"), &options);
        let summary = outcome.is_fine().result.as_ref().unwrap();
        assert_eq!((summary.moved, summary.skipped), (2, 2), "{outcome:?}");
        let vanished = |event: &&Event| {
            let why = Skip::Vanished;
            matches!(event, Event::Skipped { why: came, .. } if *came == why)
        };
        assert_eq!(outcome.events.iter().filter(vanished).count(), 2);
        assert_eq!(visible(&rig.root().join("t")), ["a", "d", "z"]);
        assert_eq!(visible(&rig.root().join("t/d")), ["b"]);
    }
}

#[test]
fn a_source_that_became_another_is_not_published() {
    let changes: [(&str, Plant); 4] = [
        ("shrinks", |path| fs::write(path, noise(19)).unwrap()),
        ("grows", |path| fs::write(path, noise(21)).unwrap()),
        ("changes", |path| fs::write(path, vec![1; 20]).unwrap()),
        ("is replaced", |path| {
            fs::write(path.with_extension("new"), noise(20)).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }),
    ];
    for (what, change) in changes {
        for name in ["d/b", "d/c"] {
            let (rig, source) = planted();
            let path = source.join(name);
            let client = client(&rig, move || change(&path));
            let outcome = put_tree(&client, &source, Some("t"), &JobOptions::default());
            assert_eq!(outcome.code(), 7, "{name} {what}: {outcome:?}");
            assert!(!rig.root().join("t").join(name).exists(), "{name} {what}");
            let summary = outcome.result.unwrap();
            assert_eq!(summary.moved, 3, "{name} {what}");
        }
    }
}

#[test]
fn of_two_trees_for_one_name_each_file_is_one_of_them() {
    let rig = Rig::new();
    let [one, other] = ["one", "other"].map(|name| rig.dir.path().join(name));
    for top in [&one, &other] {
        file(&top.join("same"), 10);
        set_time(&top.join("same"), (1, 1));
        file(&top.join("differs"), if top == &one { 10 } else { 20 });
        file(&top.join(format!("only/{}", top == &one)), 10);
    }
    for connections in [1, 4] {
        let uploads = [&one, &other].map(|top| Upload::local(top, Some(remote("x"))));
        let client = rig.client(connections);
        let options = JobOptions::default();
        let outcome = outcome(|monitor| client.put(uploads, &options, monitor));
        assert_eq!(outcome.code(), 6, "{outcome:?}");
        let summary = outcome.result.unwrap();
        assert_eq!(summary.failed.into_values().sum::<u64>(), 1);
        let x = rig.root().join("x");
        assert_eq!(visible(&x.join("only")), ["false", "true"]);
        let came = fs::read(x.join("differs")).unwrap();
        assert!([noise(10), noise(20)].contains(&came));
        fs::remove_dir_all(x).unwrap();
    }
}
