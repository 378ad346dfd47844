//! The map of the house: ARCHITECTURE.md names every file there is, and none that is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// File names without their ends, by their directory: `src/wire/` has `frame`.
type Rooms = BTreeMap<String, BTreeSet<String>>;

/// The rows of the table under a heading, each as its cells.
fn table<'m>(map: &'m str, heading: &str) -> Vec<Vec<&'m str>> {
    let section = map.split(&format!("\n## {heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("{heading} is gone"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    rows.skip(2)
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// What stands between backticks.
fn named(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// What the map says there is. A row without a room goes on with the one above.
fn mapped(map: &str) -> Rooms {
    let (mut rooms, mut room) = (Rooms::new(), String::new());
    for row in table(map, "Rooms") {
        room = named(row[0]).next().unwrap_or(room);
        rooms.entry(room.clone()).or_default().extend(named(row[1]));
    }
    rooms
}

/// What there is.
fn built(top: &Path) -> Rooms {
    let mut rooms = Rooms::new();
    let mut folders = vec![top.join("src")];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap();
            if name != "mod" {
                let room = folder.strip_prefix(top).unwrap().to_str().unwrap();
                let room = rooms.entry(format!("{room}/")).or_default();
                room.insert(name.to_owned());
            }
        }
    }
    rooms
}

fn map() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap()
}

#[test]
fn the_map_has_every_file_and_no_other() {
    let (mapped, built) = (mapped(&map()), built(Path::new(env!("CARGO_MANIFEST_DIR"))));
    for (room, files) in &built {
        assert_eq!(mapped.get(room), Some(files), "{room}");
    }
    assert_eq!(mapped.len(), built.len(), "{mapped:?}");
}

#[test]
fn every_test_that_the_map_sends_to_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for row in table(&map(), "Invariants, and where each is tried") {
        assert!(named(row[1]).next().is_some(), "{row:?} is tried nowhere");
        for name in named(row[1]) {
            let is_there =
                top.join(&name).exists() || top.join(format!("tests/suite/{name}.rs")).exists();
            assert!(is_there, "{name}");
        }
    }
}

#[test]
fn rooms_are_read_from_rows() {
    let map =
        "\n## Rooms\n\n| a | b |\n|---|---|\n| `x/` | `a` and `b` |\n| | `c` |\n\n## Y\n| `n` |\n";
    let rooms = mapped(map);
    assert_eq!(rooms.len(), 1);
    let names: Vec<&str> = rooms["x/"].iter().map(String::as_str).collect();
    assert_eq!(names, ["a", "b", "c"]);
}
