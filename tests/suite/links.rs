//! Symbolic links of a tree: kept where they stay in it, skipped, or followed.

use std::fs;
use std::path::Path;

use crate::both_ways::{WAYS, Way};
use crate::landscape::{What, file, link, look, seen};
use crate::place::Place;
use crate::program::Ended;

/// A tree `t` with files, and links of every sort; beside it `u`, with a file.
fn plant(top: &Path) {
    for name in ["t/d/f", "t/d/e/g", "t/f", "u/h"] {
        file(&top.join(name), name.len());
    }
    for (text, name) in [
        ("f", "t/file"),
        ("d", "t/directory"),
        ("d/e", "t/two/levels"),
        ("../d/e", "t/two/up"),
        ("../u", "t/out"),
        ("../u/h", "t/outfile"),
        ("/etc/passwd", "t/absolute"),
    ] {
        link(text, &top.join(name));
    }
}

/// Moves `t` from a planted tree, one way.
#[track_caller]
fn moved(way: Way, flags: &str, plant: impl Fn(&Path)) -> (Place, Ended) {
    let place = Place::serving("");
    let (source, line) = match way {
        Way::Put => (place.here(), format!("put {flags} t [ADDRESS]/x")),
        Way::Get => (place.root(), format!("get {flags} [ADDRESS]/t x")),
    };
    plant(&source);
    let ended = place.run(&line);
    (place, ended)
}

fn target(place: &Place, way: Way) -> std::path::PathBuf {
    match way {
        Way::Put => place.root().join("x"),
        Way::Get => place.here().join("x"),
    }
}

/// The names that are there, but for directories, with what links say.
fn names(top: &Path) -> Vec<String> {
    let shown = |(path, seen): (std::path::PathBuf, crate::landscape::Seen)| {
        let path = path.to_str().unwrap().to_owned();
        match seen.what {
            What::Directory => None,
            What::Link(text) => Some(format!("{path} -> {}", text.to_str().unwrap())),
            What::File(..) | What::Other => Some(path),
        }
    };
    seen(top).into_iter().filter_map(shown).collect()
}

#[track_caller]
fn comes_to(flags: &str, [put, get]: [i32; 2], there: &[&str], said: &str) {
    for (way, code) in WAYS.into_iter().zip([put, get]) {
        let (place, ended) = moved(way, flags, plant);
        assert_eq!(ended.code, Some(code), "{way:?} {flags}: {ended:?}");
        assert_eq!(names(&target(&place, way)), there, "{way:?} {flags}");
        assert!(ended.stderr.contains(said), "{way:?} {flags}: {ended:?}");
        // What is in the tree leads to the same bytes as before.
        let h = target(&place, way).join("out/h");
        assert!(!h.exists() || look(&h).what == What::File(3, blake3::hash(&crate::rig::noise(3))));
    }
}

#[test]
fn links_that_stay_in_the_tree_are_kept() {
    let there = [
        "d/e/g",
        "d/f",
        "directory -> d",
        "f",
        "file -> f",
        "two/levels -> d/e",
        "two/up -> ../d/e",
    ];
    for flags in ["", "--links keep"] {
        comes_to(flags, [0, 0], &there, "3 fi");
        comes_to(flags, [0, 0], &there, "4 links, 3 skipped");
    }
}

#[test]
fn links_are_skipped_where_that_is_wanted() {
    comes_to(
        "--links skip",
        [0, 0],
        &["d/e/g", "d/f", "f"],
        "links are not wanted",
    );
    comes_to("--links skip", [0, 0], &["d/e/g", "d/f", "f"], "7 skipped");
}

#[test]
fn links_are_followed_where_that_is_wanted() {
    for way in WAYS {
        let (place, ended) = moved(way, "--links follow", |top| {
            plant(top);
            fs::remove_file(top.join("t/absolute")).unwrap();
            fs::remove_file(top.join("t/two/levels")).unwrap();
        });
        assert_eq!(ended.code, Some(0), "{way:?}: {ended:?}");
        let there = [
            "d/e/g",
            "d/f",
            "directory/e/g",
            "directory/f",
            "f",
            "file",
            "out/h",
            "outfile",
            "two/up/g",
        ];
        assert_eq!(names(&target(&place, way)), there, "{way:?}");
        // What a link led to is as it is where it is.
        let source = if way == Way::Put {
            place.here()
        } else {
            place.root()
        };
        for (name, from) in [("file", "t/f"), ("directory", "t/d"), ("out/h", "u/h")] {
            let came = look(&target(&place, way).join(name));
            assert_eq!(came, look(&source.join(from)), "{way:?} {name}");
        }
    }
}

#[test]
fn links_that_lead_around_or_nowhere_are_told_of() {
    for (way, code) in WAYS.into_iter().zip([10, 5]) {
        let (place, ended) = moved(way, "--links follow", |top| {
            file(&top.join("t/d/f"), 10);
            for (text, name) in [
                (".", "t/here"),
                ("..", "t/d/up"),
                ("../../t", "t/d/round"),
                ("d", "t/to-d"),
                ("nowhere", "t/gone"),
            ] {
                link(text, &top.join(name));
            }
        });
        assert_eq!(ended.code, Some(code), "{way:?}: {ended:?}");
        let there = ["d/f", "to-d/f"];
        assert_eq!(names(&target(&place, way)), there, "{way:?}: {ended:?}");
        let back = ended
            .stderr
            .matches("the link leads back to where it is")
            .count();
        assert_eq!(back, 5, "{way:?}: {ended:?}");
        assert!(ended.stderr.contains("1 failed"), "{way:?}: {ended:?}");
    }
}

#[test]
fn two_links_that_lead_to_each_other_have_an_end() {
    for (way, codes) in WAYS.into_iter().zip([[10], [0]]) {
        let (place, ended) = moved(way, "--links follow", |top| {
            file(&top.join("t/f"), 10);
            for (text, name) in [("b", "t/a"), ("a", "t/b"), ("self", "t/self")] {
                link(text, &top.join(name));
            }
        });
        assert!(codes.map(Some).contains(&ended.code), "{way:?}: {ended:?}");
        assert_eq!(names(&target(&place, way)), ["f"], "{way:?}: {ended:?}");
    }
}

#[test]
fn a_link_that_is_named_is_followed_where_it_is_typed_and_nowhere_else() {
    let place = Place::serving("");
    for top in [place.here(), place.root()] {
        plant(&top);
    }
    // Typed here it is a path like any other.
    place.says("put t/directory [ADDRESS]/a", 0, "", "*2 stored*");
    assert_eq!(names(&place.root().join("a")), ["e/g", "f"]);
    place.says("put t/file [ADDRESS]/b", 0, "", "*1 stored*");
    place.says("put t/absolute [ADDRESS]/c", 0, "", "*1 stored*");
    // On a server it is one of its links.
    place.says("get [ADDRESS]/t/directory x", 10, "", "*--links follow*");
    place.says(
        "get --links follow [ADDRESS]/t/directory x",
        0,
        "",
        "*2 fetched*",
    );
    assert_eq!(names(&place.here().join("x")), ["e/g", "f"]);
    place.says(
        "get --links follow [ADDRESS]/t/file y",
        0,
        "",
        "*1 fetched*",
    );
    let out = "*the link leads out of the tree*";
    place.says("get --links follow [ADDRESS]/t/absolute z", 0, "", out);
    assert!(!place.here().join("z").exists());
}
