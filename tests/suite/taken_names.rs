//! What has the name already and is of another kind is never replaced, whatever the flags.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::both_ways::{WAYS, Way};
use crate::landscape::{file, link, look, seen, set_time};
use crate::place::Place;

const KINDS: [&str; 6] = ["file", "directory", "full", "link", "to-directory", "fifo"];

fn make(kind: &str, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match kind {
        "file" => file(path, 10),
        "directory" => fs::create_dir_all(path).unwrap(),
        "full" => file(&path.join("f"), 10),
        "link" => link("nowhere", path),
        // To one that is there, and in the tree.
        "to-directory" => link("../a", path),
        "fifo" => mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap(),
        other => panic!("{other}"),
    }
}

/// What kinds of source there are, and the code where the other kind has the name.
fn code(source: &str, there: &str) -> i32 {
    match (source, there) {
        // What is in a directory cannot go through a link either, and says so.
        ("full", "link" | "to-directory") => 11,
        _ => 6,
    }
}

fn is_the_same_kind(one: &str, other: &str) -> bool {
    let kind = |name: &str| {
        match name {
            "full" => "directory",
            "to-directory" => "link",
            other => other,
        }
        .to_owned()
    };
    kind(one) == kind(other)
}

#[track_caller]
fn is_left(way: Way, flags: &str, source: &str, there: &str) {
    let place = Place::serving("");
    let (here, remote) = (place.here().join("t"), place.root().join("t"));
    let (from, to, line) = match way {
        Way::Put => (here, remote, format!("put {flags} t [ADDRESS]")),
        Way::Get => (remote, here, format!("get {flags} [ADDRESS]/t .")),
    };
    for name in ["a/good", "z/good"] {
        file(&from.join(name), 10);
    }
    make(source, &from.join("b/x"));
    file(&to.join("a/old"), 3);
    make(there, &to.join("b/x"));
    set_time(&to.join("b/x"), (1, 1));
    let before = (look(&to.join("b/x")), look(&to.join("a/old")));
    let inside = || {
        to.join("b/x")
            .is_dir()
            .then(|| fs::read_dir(to.join("b/x")).unwrap().count())
    };
    let held = inside();
    for dry in ["-n ", ""] {
        let line = line.replacen(' ', &format!(" {dry}"), 1);
        let ended = place.run(&line);
        let case = format!("{line}: a {source} where a {there} is: {ended:?}");
        assert_eq!(ended.code, Some(code(source, there)), "{case}");
        let after = (look(&to.join("b/x")), look(&to.join("a/old")));
        assert_eq!(after, before, "{case}");
    }
    // What a link leads to is in the tree, and got what belongs there.
    assert!(there == "to-directory" || inside() == held);
    for name in ["a/good", "z/good"] {
        assert_eq!(look(&from.join(name)), look(&to.join(name)));
    }
}

#[test]
fn what_is_of_another_kind_is_never_replaced() {
    for way in WAYS {
        for source in KINDS.into_iter().filter(|kind| *kind != "fifo") {
            let others = KINDS
                .into_iter()
                .filter(|there| !is_the_same_kind(source, there));
            for (n, there) in others.enumerate() {
                is_left(way, ["", "--overwrite", "--update"][n % 3], source, there);
                is_left(way, "--overwrite", source, there);
            }
        }
    }
}

#[test]
fn a_tree_does_not_go_through_a_link_that_has_the_name_of_its_top() {
    for way in WAYS {
        let place = Place::serving("");
        let (from, to, line) = match way {
            Way::Put => (place.here(), place.root(), "put --overwrite t [ADDRESS]"),
            Way::Get => (place.root(), place.here(), "get --overwrite [ADDRESS]/t ."),
        };
        file(&from.join("t/d/f"), 10);
        let outside = place.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        set_time(&outside, (1, 1));
        symlink(&outside, to.join("t")).unwrap();
        let before = seen(&outside);
        let ended = place.run(line);
        assert_eq!(ended.code, Some(11), "{line}: {ended:?}");
        assert!(seen(&outside) == before, "{line}: something came through");
    }
}

#[test]
fn a_get_into_a_directory_that_is_a_link_goes_where_it_leads() {
    let place = Place::serving("");
    file(&place.root().join("t/d/f"), 10);
    let elsewhere = place.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, place.here().join("to")).unwrap();
    place.says("get [ADDRESS]/t to/", 0, "", "*1 fetched*");
    assert!(elsewhere.join("t/d/f").is_file());
}
