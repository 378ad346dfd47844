//! `-n`: what a put or get would do is said, and nothing is done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::both_ways::{WAYS, Way};
use crate::landscape::{Seen, file, link, seen, set_mode, set_time, set_times};
use crate::objects::objects;
use crate::place::Place;

const MIB: usize = 1 << 20;

/// A tree `t` where a job takes from, and one that is not quite like it where it brings
/// to: neither was ever touched by haul.
struct Stage {
    place: Place,
    way: Way,
}

/// All that is on a disk.
type Everything = BTreeMap<PathBuf, Seen>;

impl Stage {
    fn new(way: Way) -> Self {
        let place = Place::serving("");
        let stage = Self { place, way };
        let [source, target] = stage.tops();
        for (name, len) in [
            ("same", 10),
            ("touched", 2 * MIB + 1),
            ("chmod", 10),
            ("other", 10),
            ("older", 10),
            ("longer", 10),
            ("d/inner", 10),
            ("file/inner", 10),
            ("dir", 10),
        ] {
            file(&source.join(name), len);
        }
        fs::create_dir_all(source.join("new/er")).unwrap();
        file(&source.join("new/file"), 3 * MIB);
        for (text, name) in [("d", "l/same"), ("same", "l/other"), ("same", "l/new")] {
            link(text, &source.join(name));
        }
        for top in [&source, &target] {
            for name in ["same", "touched", "chmod", "d/inner"] {
                file(
                    &top.join(name),
                    if name == "touched" { 2 * MIB + 1 } else { 10 },
                );
            }
        }
        fs::create_dir_all(target.join("dir/inner")).unwrap();
        file(&target.join("file"), 10);
        fs::write(target.join("other"), b"tenletters").unwrap();
        fs::write(target.join("older"), b"tenletters").unwrap();
        file(&target.join("longer"), 11);
        link("d", &target.join("l/same"));
        link("dir", &target.join("l/other"));
        for top in [&source, &target] {
            set_times(top);
            for name in ["same", "chmod", "d/inner", "l/same", "l/other"] {
                set_time(&top.join(name), (1000, 7));
            }
        }
        for (name, newer) in [("touched", 1), ("other", 1), ("older", -1), ("longer", 1)] {
            set_time(&target.join(name), (2000, 0));
            set_time(&source.join(name), (2000 + newer, 0));
        }
        set_mode(&source.join("chmod"), 0o600);
        stage
    }

    fn tops(&self) -> [PathBuf; 2] {
        let (here, there) = (self.place.here().join("t"), self.place.root().join("t"));
        match self.way {
            Way::Put => [here, there],
            Way::Get => [there, here],
        }
    }

    fn line(&self, flags: &str) -> String {
        match self.way {
            Way::Put => format!("put {flags} t [ADDRESS]"),
            Way::Get => format!("get {flags} [ADDRESS]/t ."),
        }
    }

    fn everything(&self) -> [Everything; 2] {
        let all = [self.place.root(), self.place.here()];
        for top in &all {
            assert!(!top.join(".haul").exists(), "{}", top.display());
        }
        all.map(|top| seen(&top))
    }
}

/// What a rehearsal says of the tree, but for what is there already.
#[track_caller]
fn rehearses(flags: &str, code: i32, expected: &[&str]) {
    for way in WAYS {
        let stage = Stage::new(way);
        let before = stage.everything();
        let line = stage.line(&format!("-n {flags}"));
        let ended = stage.place.run(&line);
        assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
        let mut said: Vec<&str> = ended.stdout.lines().collect();
        said.sort_unstable();
        assert_eq!(said, expected, "{line}: {ended:?}");
        let last = ended.stderr.lines().last().unwrap();
        assert!(last.contains("; nothing was done"), "{line}: {last}");
        assert!(last.starts_with("would "), "{line}: {last}");
        assert!(stage.everything() == before, "{line}: something was done");
        rehearses_in_json(&stage, flags, code, expected);
        assert!(
            stage.everything() == before,
            "{line} in JSON: something was done"
        );
        // The real one ends as its rehearsal did.
        let real = stage.place.run(&stage.line(flags));
        assert_eq!(real.code, Some(code), "{line}: {real:?}");
        was_done_as_said(&stage.tops(), &said, &line);
    }
}

/// The same as objects: statuses in place of verbs.
#[track_caller]
fn rehearses_in_json(stage: &Stage, flags: &str, code: i32, expected: &[&str]) {
    let line = stage.line(&format!("-n --json {flags}"));
    let ended = stage.place.run(&line);
    assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
    let mut said: Vec<String> = objects(&ended.stdout)
        .iter()
        .filter(|object| object["event"] == "file" || object["event"] == "entry")
        .filter_map(|object| {
            let what = object["status"].replace('-', " ");
            let is_dir = object
                .get("kind")
                .is_some_and(|kind| kind == "directory" || kind == "dir");
            let slash = if is_dir { "/" } else { "" };
            // That a directory is there already is not said to a person.
            (!is_dir || what != "would skip").then(|| format!("{what} {}{slash}", object["path"]))
        })
        .collect();
    said.sort_unstable();
    assert_eq!(said, expected, "{line}: {ended:?}");
}

/// What was to be done was done, and nothing else.
#[track_caller]
fn was_done_as_said([source, target]: &[PathBuf; 2], said: &[&str], line: &str) {
    for one in said {
        let (what, name) = one.strip_prefix("would ").unwrap().split_once(' ').unwrap();
        let name = Path::new(name).strip_prefix("t").unwrap();
        let [from, to] = [source, target].map(|top| seen(top).get(name).cloned());
        let same = from == to;
        match what {
            "store" | "replace" => assert!(same, "{line}: {one}: {from:?} and {to:?}"),
            "refuse" => assert!(!same, "{line}: {one}"),
            _ => {}
        }
    }
}

/// What is said under every policy.
const ALWAYS: [&str; 12] = [
    "would refuse t/dir",
    "would refuse t/file",
    "would refuse t/file/inner",
    "would skip t/chmod",
    "would skip t/d/inner",
    "would skip t/l/same",
    "would skip t/same",
    "would skip t/touched",
    "would store t/l/new",
    "would store t/new/",
    "would store t/new/er/",
    "would store t/new/file",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = [&ALWAYS[..], more].concat();
    all.sort_unstable();
    all
}

#[test]
fn a_rehearsal_says_what_would_be_done_and_does_nothing() {
    let refused = [
        "would refuse t/l/other",
        "would refuse t/longer",
        "would refuse t/older",
        "would refuse t/other",
    ];
    rehearses("", 6, &with(&refused));
    rehearses("-c", 6, &with(&refused));
}

#[test]
fn a_rehearsal_of_an_overwrite_says_what_would_be_replaced() {
    let replaced = [
        "would replace t/l/other",
        "would replace t/longer",
        "would replace t/older",
        "would replace t/other",
    ];
    rehearses("--overwrite", 6, &with(&replaced));
}

#[test]
fn a_rehearsal_of_an_update_says_what_would_be_kept() {
    let replaced = [
        "would replace t/longer",
        "would replace t/other",
        "would skip t/l/other",
        "would skip t/older",
    ];
    rehearses("--update", 6, &with(&replaced));
}

#[test]
fn a_rehearsal_makes_no_directory_to_download_into() {
    let place = Place::serving("");
    file(&place.root().join("t/f"), 10);
    let said = "would store t/\nwould store t/f\n";
    place.says(
        "get -n [ADDRESS]/t none/at/all/",
        0,
        said,
        "*nothing was done\n",
    );
    assert!(!place.here().join("none").exists());
    assert!(!place.root().join(".haul").exists());
    // Nor one to upload into.
    place.file("u/f", b"x");
    let said = "would store none/at/all/u/\nwould store none/at/all/u/f\n";
    place.says(
        "put -n u [ADDRESS]/none/at/all/",
        0,
        said,
        "*nothing was done\n",
    );
    assert!(!place.root().join("none").exists());
}

#[test]
fn a_rehearsal_leaves_what_earlier_downloads_left() {
    let place = Place::serving("");
    file(&place.root().join("f"), 10);
    let left = place.here().join("into/.haul/get-0");
    file(&left.join("0"), 10);
    set_mode(left.parent().unwrap(), 0o700);
    place.says("get -n [ADDRESS]/f into/", 0, "would store f\n", "*");
    assert!(left.join("0").exists());
    place.says("get [ADDRESS]/f into/", 0, "", "*");
    assert!(!left.exists());
}

#[test]
fn a_rehearsal_fails_as_the_real_one_would() {
    let place = Place::serving("");
    place.file("f", b"x");
    file(&place.root().join("f"), 10);
    place.says(
        "put -n f [ADDRESS]/f/g",
        6,
        "would refuse f/g\n",
        "*another kind*",
    );
    place.says("put f [ADDRESS]/f/g", 6, "", "*another kind*");
    place.says("put -n none [ADDRESS]", 10, "would refuse none\n", "*none*");
    place.says("get -n [ADDRESS]/none", 5, "would refuse none\n", "*none*");
    place.says("get -n [ADDRESS]/f f/", 10, "", "haul: *");
    place.says("get [ADDRESS]/f f/", 10, "", "haul: *");
    let read_only = Place::serving("--read-only");
    read_only.file("f", b"x");
    read_only.says("put -n f [ADDRESS]", 4, "would refuse f\n", "*not allowed*");
    read_only.says("put f [ADDRESS]", 4, "", "*not allowed*");
}
