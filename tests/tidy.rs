//! Reads `src/` and fails where the house has drifted from its plan.
//!
//! Rust lets any module of a crate import any other, so layers last only as long as
//! every reader of every change remembers them. This test remembers them, along with
//! the few habits that no lint covers. It works on tokens, so that a doc link, a comment
//! or a string may name whatever it likes.

#[path = "tidy/ignored.rs"]
mod ignored;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/tokens.rs"]
mod tokens;

use std::fs;
use std::path::Path;

use layers::{imports, layer};
use tokens::{Token, is_word, text};

/// Drawers: names under which everything fits, and nothing is found again.
const DRAWERS: [&str; 8] = [
    "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils",
];

/// What says "unfinished"; in halves, so that a search for one finds only real ones.
const MARKS: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("HA", "CK"),
];

const UNFINISHED_MACROS: [&str; 3] = ["dbg", "todo", "unimplemented"];
const PRINTING_MACROS: [&str; 4] = ["eprint", "eprintln", "print", "println"];
const SCREEN_CRATES: [&str; 6] = [
    "anyhow",
    "clap",
    "clap_complete",
    "clap_mangen",
    "indicatif",
    "rustyline",
];
const LONGEST_FILE: usize = 400;

#[test]
fn the_house_is_in_order() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut seen = 0;
    let mut folders = vec![top.join("src")];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let file = path.strip_prefix(top).unwrap().to_str().unwrap();
                found.extend(faults(file, &fs::read_to_string(&path).unwrap()));
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "no source was found to read");
    found.sort();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_long_proof_has_a_command() {
    let found = ignored::faults(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Lists what is wrong with one file, a line each: `src/a.rs:7: what and why`.
fn faults(file: &str, source: &str) -> Vec<String> {
    let home = module(file);
    let tokens = tokens::cut(source);
    let mut found = shape(&home, source);
    found.extend(words(home[0], source, &tokens));
    found.extend(doors(&home, &tokens));
    if home[0] != "lib" {
        found.extend(imports(&home, &tokens));
    }
    found.sort();
    found.dedup();
    let report = |(line, fault)| format!("{file}:{line}: {fault}");
    found.into_iter().map(report).collect()
}

/// Finds ways round `access` in the server: the store that a server holds, or a kind of store.
///
/// Identity, rights and audit stand in `access`; a file that went round it would serve
/// bytes that nobody was asked about. The other files speak to an `Access` through the
/// store's traits.
fn doors(home: &[&str], tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    if home[0] != "server" || matches!(home, ["server"] | ["server", "access"]) {
        return Vec::new();
    }
    let is_way_round = |at: &usize| {
        let word = text(tokens, *at);
        // An atomic's `store` is a call.
        let called = text(tokens, at + 1) == "(";
        let field = word == "store" && !called && *at > 0 && text(tokens, at - 1) == ".";
        field || ["LocalStore", "Tree", "local"].contains(&word)
    };
    let fault = |at: usize| {
        let word = tokens[at].text;
        (
            tokens[at].line,
            format!("`{word}` goes round `access`, the only door to the store"),
        )
    };
    (0..tokens.len()).filter(is_way_round).map(fault).collect()
}

/// Says which module a file is: `src/wire/frame.rs` is `wire::frame`.
fn module(file: &str) -> Vec<&str> {
    let bare = file.strip_prefix("src/").unwrap_or(file);
    let bare = bare.strip_suffix(".rs").unwrap_or(bare);
    bare.strip_suffix("/mod")
        .unwrap_or(bare)
        .split('/')
        .collect()
}

/// Finds what is wrong with the file as a whole: its name, its length, its first line.
fn shape(home: &[&str], source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let room = home[0];
    if room != "lib" && layer(room).is_none() {
        found.push((1, format!("`{room}` has no layer in tests/tidy/layers.rs")));
    }
    if let Some(drawer) = home.iter().find(|name| DRAWERS.contains(name)) {
        found.push((1, format!("`{drawer}` is a drawer: name what it is for")));
    }
    let lines = source.lines().count();
    if lines > LONGEST_FILE {
        let fault = format!("over {LONGEST_FILE} lines, and the house aims at 300: is it two?");
        found.push((lines, fault));
    }
    if !source.starts_with("//!") {
        found.push((1, "no `//!` at the top says what the room is for".into()));
    }
    found
}

/// Finds words that have no place in `room`, or in any.
fn words(room: &str, source: &str, tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (n, line) in source.lines().enumerate() {
        let mut words = line.split(|c| !is_word(c));
        if let Some(mark) = words.find(|word| MARKS.contains(word)) {
            found.push((n + 1, format!("{mark}: finish it, or file an issue")));
        }
    }
    let has_screen = ["main", "cli"].contains(&room);
    for (at, &Token { text: name, line }) in tokens.iter().enumerate() {
        let next = text(tokens, at + 1);
        let fault = if name == "unsafe" {
            "`unsafe` is forbidden here: rustix covers it".into()
        } else if next == "!" && UNFINISHED_MACROS.contains(&name) {
            format!("`{name}!` is left over")
        } else if next == "!" && PRINTING_MACROS.contains(&name) && !has_screen {
            format!("`{name}!` outside cli: return it, or log it")
        } else if SCREEN_CRATES.contains(&name) && !has_screen {
            format!("`{name}` outside cli, which alone has a screen")
        } else if name == "mod" && DRAWERS.contains(&next) {
            format!("`mod {next}` is a drawer: name what it is for")
        } else {
            continue;
        };
        found.push((line, fault));
    }
    found
}

/// Expects that `source`, standing in `file`, is refused with a fault that says `why`.
#[track_caller]
fn refused(file: &str, source: &str, why: &str) {
    let found = faults(file, &format!("//! A room.\n{source}"));
    let said = found.iter().any(|fault| fault.contains(why));
    assert!(said, "{source:?} in {file} gave {found:?}");
}

/// Expects that `source` may stand in `file`.
#[track_caller]
fn accepted(file: &str, source: &str) {
    let found = faults(file, &format!("//! A room.\n{source}"));
    assert!(found.is_empty(), "{source:?} in {file} gave {found:?}");
}

#[test]
fn what_is_unfinished_or_unsafe_is_refused() {
    for mark in MARKS {
        refused("src/path.rs", &format!("// {mark}: later"), mark);
        accepted("src/path.rs", &format!("const {mark}ED: u8 = 1;"));
    }
    for name in UNFINISHED_MACROS {
        refused(
            "src/path.rs",
            &format!("fn f() {{ {name}!() }}"),
            "left over",
        );
    }
    refused("src/path.rs", "fn f() { unsafe { g() } }", "forbidden");
    accepted("src/lib.rs", "#![forbid(unsafe_code)]");
}

#[test]
fn only_the_command_line_has_a_screen() {
    for source in [
        "fn f() { println!(); }",
        "use clap::Parser;",
        "type E = anyhow::Error;",
    ] {
        refused("src/client/mod.rs", source, "outside cli");
        refused("src/lib.rs", source, "outside cli");
        accepted("src/cli/put.rs", source);
        accepted("src/main.rs", source);
    }
}

#[test]
fn a_file_has_a_layer_a_name_a_doc_and_an_end() {
    refused("src/gadgets.rs", "", "no layer");
    refused("src/wire/utils.rs", "", "drawer");
    refused("src/common/mod.rs", "", "drawer");
    refused("src/path.rs", "mod helpers {}", "drawer");
    accepted("src/path.rs", &"\n".repeat(LONGEST_FILE - 1));
    refused("src/path.rs", &"\n".repeat(LONGEST_FILE), "aims at 300");
    assert_eq!(faults("src/path.rs", "// A room.").len(), 1);
}

#[test]
fn inside_the_server_only_access_holds_a_store() {
    let field = "fn f(s: &Shared) { s.store.open() }";
    let named = "use crate::store::local::LocalStore;";
    for source in [field, named] {
        refused("src/server/session.rs", source, "only door");
        accepted("src/server/access.rs", source);
    }
    accepted("src/server/session.rs", "use crate::store::{Error, Store};");
}
