//! The long proofs: each test that is ignored has a command in CONTRIBUTING.md that runs it
//! and no other.

use std::fs;
use std::path::Path;

/// How such a command begins; a name, or what only one name has in it, is its next word.
const COMMAND: &str = "cargo test --release --test suite -- --ignored ";

/// What is wrong with the list, a line each.
pub fn faults(top: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![top.join("tests/suite")];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                names.extend(ignored(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    unlisted(
        &names,
        &fs::read_to_string(top.join("CONTRIBUTING.md")).unwrap(),
    )
}

/// The names of the tests in a source that are ignored.
fn ignored(source: &str) -> Vec<String> {
    let name = |after: &str| {
        let (_, rest) = after.split_once("fn ")?;
        Some(rest.split_once('(')?.0.to_owned())
    };
    let attribute = concat!("\n#[", "ignore");
    source.split(attribute).skip(1).filter_map(name).collect()
}

fn unlisted(names: &[String], list: &str) -> Vec<String> {
    let commands = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix(COMMAND));
    let words: Vec<&str> = commands.filter_map(|rest| rest.split(' ').next()).collect();
    let mut found = Vec::new();
    for name in names {
        if !words.iter().any(|word| name.contains(word)) {
            found.push(format!("CONTRIBUTING.md: no command runs {name}"));
        }
    }
    for word in words {
        if names.iter().filter(|name| name.contains(word)).count() != 1 {
            found.push(format!(
                "CONTRIBUTING.md: {word} is not the name of one ignored test"
            ));
        }
    }
    found
}

#[test]
fn an_ignored_test_without_a_command_is_found() {
    let source = concat!(
        "#[test]\n#[",
        "ignore = \"long\"]\nfn one_long_proof() {}\n"
    );
    let names = ignored(source);
    assert_eq!(names, ["one_long_proof"]);
    for (list, is_well) in [
        (
            "    cargo test --release --test suite -- --ignored long_proof    # a minute",
            true,
        ),
        (
            "    cargo test --release --test suite -- --ignored other",
            false,
        ),
        ("long_proof", false),
    ] {
        assert_eq!(unlisted(&names, list).is_empty(), is_well, "{list}");
    }
}
