//! A tree that was to go into itself: refused with 2, whichever way its name is written,
//! and whatever is in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::landscape::{file, link, seen};
use crate::place::Place;

/// What may be in the tree `a`: what has to be offered, what need not be, nothing.
const CONTENTS: [(&str, &[&str]); 4] = [
    ("a file", &["f"]),
    ("a link", &["l@"]),
    ("a directory", &["d/"]),
    ("nothing", &[]),
];

/// A server of `outer/root`, where the tree `a` is, and a link to each of them.
fn place(names: &[&str]) -> Place {
    let place = Place::serving("");
    let root = place.root();
    fs::create_dir(root.join("a")).unwrap();
    for name in names {
        match name.split_at(name.len() - 1) {
            (name, "@") => link("f", &root.join("a").join(name)),
            (name, "/") => fs::create_dir(root.join("a").join(name)).unwrap(),
            _ => file(&root.join("a").join(name), 10),
        }
    }
    symlink(root.join("a"), place.here().join("to-a")).unwrap();
    symlink(&root, place.here().join("to-root")).unwrap();
    place
}

fn names(place: &Place) -> Vec<PathBuf> {
    let all = seen(place.dir.path()).into_keys();
    all.filter(|path| !path.starts_with("root/.haul")).collect()
}

#[track_caller]
fn is_refused(line: &str) {
    for (content, made) in CONTENTS {
        let place = place(made);
        let before = names(&place);
        for dry in ["-n ", ""] {
            let line = line.replacen(' ', &format!(" {dry}"), 1);
            let ended = place.run(&line);
            let case = format!("{line} with {content} in it: {ended:?}");
            assert_eq!(ended.code, Some(2), "{case}");
            assert!(ended.stderr.contains("itself"), "{case}");
            assert_eq!(names(&place), before, "{case}");
        }
    }
}

#[track_caller]
fn is_done(line: &str, there: &str) {
    for (content, made) in CONTENTS {
        let place = place(made);
        let ended = place.run(line);
        let case = format!("{line} with {content} in it: {ended:?}");
        assert_eq!(ended.code, Some(0), "{case}");
        let name = made
            .first()
            .map_or("", |name| name.trim_end_matches(['@', '/']));
        let path = place.dir.path().join(there).join(name);
        assert!(fs::symlink_metadata(path).is_ok(), "{case}");
    }
}

#[test]
fn a_tree_is_not_put_beneath_itself() {
    is_refused("put [ROOT]/a [ADDRESS]/a/b");
    is_refused("put [ROOT]/a [ADDRESS]/a/");
    is_refused("put [ROOT]/a/. [ADDRESS]/a/b/c");
    is_refused("put to-a [ADDRESS]/a/b");
    is_refused("put to-root/a [ADDRESS]/a/b");
}

#[test]
fn what_holds_the_served_root_is_not_put_into_it() {
    is_refused("put [ROOT] [ADDRESS]");
    is_refused("put [ROOT] [ADDRESS]/x");
    is_refused("put to-root [ADDRESS]/x/");
    is_refused("put [ROOT]/.. [ADDRESS]/x");
    is_refused("put [ROOT]/.. [ADDRESS]");
}

#[test]
fn a_tree_is_not_fetched_beneath_itself() {
    is_refused("get [ADDRESS]/a [ROOT]/a/b");
    is_refused("get [ADDRESS]/a [ROOT]/a/");
    is_refused("get [ADDRESS]/a [ROOT]/a/new/er/");
    is_refused("get [ADDRESS]/a to-a/b");
    is_refused("get [ADDRESS]/a to-a/new/er/b");
    is_refused("get [ADDRESS] to-root/a/");
    is_refused("get [ADDRESS] [ROOT]/a/");
    is_refused("get [ADDRESS] [ROOT]/x/");
    is_refused("get [ADDRESS]/. [ROOT]/x");
}

#[test]
fn beside_itself_a_tree_may_go() {
    is_done("put [ROOT]/a [ADDRESS]/b", "root/b");
    is_done("put [ROOT]/a [ADDRESS]/ab/", "root/ab/a");
    is_done("put [ROOT]/a [ADDRESS]", "root/a");
    is_done("get [ADDRESS]/a [ROOT]/b", "root/b");
    is_done("get [ADDRESS]/a [ROOT]/ab/", "root/ab/a");
    is_done("get [ADDRESS]/a [ROOT]/", "root/a");
    is_done("get [ADDRESS] back", "here/back/a");
}
