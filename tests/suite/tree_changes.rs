//! Making, renaming and removing on a server: what is done, what is refused, and what
//! stands where a call fails in the middle.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use haul::client::{Client, Error, Parents, Removal};
use haul::server::Config;
use haul::wire::message::{Done, Rights};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::evil::facing;
use crate::rig::{Outcome, Rig, remote, visible};
use crate::saboteur::Saboteur;
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::patient;

plain_and_encrypted! {
    a_server_that_answers_something_else_is_not_believed,
}

const SINGLE: Removal = Removal::Single;
const WHOLE: Removal = Removal::Whole;

/// A served tree with something of every kind, and a directory outside that links lead to.
///
///     file        a/b/leaf        full/x        empty/        fifo
///     link -> a   out -> ../outside             dead -> nothing
pub fn planted() -> Rig {
    let rig = Rig::new();
    let (root, outside) = (rig.root(), rig.dir.path().join("outside"));
    for directory in ["a/b", "full", "empty"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for file in ["file", "a/b/leaf", "full/x"] {
        fs::write(root.join(file), file).unwrap();
    }
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink("a", root.join("link")).unwrap();
    symlink(&outside, root.join("out")).unwrap();
    symlink("nothing", root.join("dead")).unwrap();
    fifo(&root.join("fifo"));
    rig
}

pub fn fifo(at: &Path) {
    mknodat(CWD, at, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

/// Everything beneath the root, and what it is, as one text.
fn tree(root: &Path) -> String {
    let (mut lines, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            lines.push(format!("{} {kind:?}", path.display()));
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    lines.sort();
    lines.join("\n")
}

/// What a change comes to: 0, or its code with its text.
pub fn came(result: Result<(), Error>) -> (u8, String) {
    match result {
        Ok(()) => (0, String::new()),
        Err(error) => (error.code().number(), error.to_string()),
    }
}

/// Checks what one change of the planted tree comes to. A refusal changes nothing, and
/// what is outside stays as it was whatever happens.
#[track_caller]
fn check(
    what: &str,
    change: impl Fn(&Client) -> Result<(), Error>,
    (code, words): (u8, &str),
    seen: impl Fn(&Path) -> bool,
) {
    let rig = planted();
    let before = tree(&rig.root());
    let (came, text) = came(change(&rig.client(1)));
    assert_eq!(came, code, "{what}: {text}");
    assert!(text.contains(words), "{what}: {text}");
    assert!(seen(&rig.root()), "{what}: {}", tree(&rig.root()));
    if code == 0 {
        assert_ne!(before, tree(&rig.root()), "{what}");
    } else {
        assert_eq!(before, tree(&rig.root()), "{what}");
    }
    assert_eq!(visible(&rig.dir.path().join("outside")), ["secret"]);
}

#[test]
fn a_directory_is_made_where_nothing_is() {
    let (expect, make) = (Parents::Expect, Parents::Make);
    for (path, parents, code, words) in [
        ("new", expect, 0, ""),
        ("a/new", expect, 0, ""),
        ("new/er", make, 0, ""),
        ("a/b/c/d", make, 0, ""),
        ("two\nlines", expect, 0, ""),
        ("new/er", expect, 5, "\"new\" is not there"),
        ("a", expect, 6, "\"a\" exists"),
        ("file", expect, 6, "\"file\" exists"),
        ("file", make, 6, "\"file\" exists"),
        ("link", expect, 6, "exists"),
        ("link", make, 6, "exists"),
        ("dead", make, 6, "exists"),
        ("fifo", make, 6, "exists"),
        (
            "file/x",
            expect,
            6,
            "\"file\" exists and is not a directory",
        ),
        (
            "file/x/y",
            make,
            6,
            "\"file\" exists and is not a directory",
        ),
        ("link/x", expect, 10, "link"),
        ("link/x", make, 10, "link"),
        ("out/x", make, 10, "link"),
        ("out/x/y", make, 10, "link"),
    ] {
        check(
            &format!("{path:?} with {parents:?}"),
            |client| client.make_dir(&remote(path), parents),
            (code, words),
            |root| code != 0 || root.join(path).is_dir(),
        );
    }
}

#[test]
fn a_directory_that_is_there_is_fine_where_parents_are_made_and_open_to_the_umask() {
    let rig = planted();
    let client = rig.client(1);
    client.make_dir(&remote("a/b"), Parents::Make).unwrap();
    client.make_dir(&remote("x/y"), Parents::Make).unwrap();
    // What this process itself would make has the same umask.
    fs::create_dir(rig.dir.path().join("beside")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    for made in ["x", "x/y"] {
        assert_eq!(
            mode(&rig.root().join(made)),
            mode(&rig.dir.path().join("beside"))
        );
    }
}

#[test]
fn a_rename_takes_everything_with_it_and_replaces_nothing() {
    for (from, to, code, words) in [
        ("file", "other", 0, ""),
        ("file", "empty/file", 0, ""),
        ("a", "moved", 0, ""),
        ("a", "ab", 0, ""),
        ("a/b", "b", 0, ""),
        ("link", "empty/link", 0, ""),
        ("out", "elsewhere", 0, ""),
        ("fifo", "empty/fifo", 0, ""),
        ("file", "full", 6, "\"full\" exists"),
        ("file", "dead", 6, "\"dead\" exists"),
        ("file", "full/x", 6, "\"full/x\" exists"),
        ("a", "empty", 6, "\"empty\" exists"),
        ("a", "a", 6, "\"a\" exists"),
        (
            "file",
            "file/x",
            6,
            "\"file\" exists and is not a directory",
        ),
        ("none", "x", 5, "\"none\" is not there"),
        ("none", "none/x", 5, "\"none\" is not there"),
        ("file/x", "x", 5, "\"file/x\" is not there"),
        ("file", "none/x", 5, "\"none\" is not there"),
        ("a", "a/x", 2, "cannot go into itself"),
        ("a", "a/b/x", 2, "cannot go into itself"),
        ("a", "a/none/x", 2, "cannot go into itself"),
        ("link/b", "x", 10, "link"),
        ("file", "link/x", 10, "link"),
        ("file", "out/x", 10, "link"),
        ("out/secret", "x", 10, "link"),
    ] {
        check(
            &format!("{from:?} to {to:?}"),
            |client| client.rename(&remote(from), &remote(to)),
            (code, words),
            |root| {
                let is_there = |path| fs::symlink_metadata(root.join(path)).is_ok();
                code != 0 || is_there(to) && !is_there(from)
            },
        );
    }
    let rig = planted();
    rig.client(1).rename(&remote("a"), &remote("z")).unwrap();
    assert_eq!(fs::read(rig.root().join("z/b/leaf")).unwrap(), b"a/b/leaf");
}

#[test]
fn a_removal_takes_one_thing_or_a_tree_and_never_what_a_link_leads_to() {
    for (path, removal, code, words) in [
        ("file", SINGLE, 0, ""),
        ("file", WHOLE, 0, ""),
        ("a/b/leaf", SINGLE, 0, ""),
        ("empty", SINGLE, 0, ""),
        ("link", SINGLE, 0, ""),
        ("link", WHOLE, 0, ""),
        ("out", WHOLE, 0, ""),
        ("dead", SINGLE, 0, ""),
        ("fifo", SINGLE, 0, ""),
        ("a", WHOLE, 0, ""),
        ("full", WHOLE, 0, ""),
        (
            "full",
            SINGLE,
            2,
            "\"full\" is a directory that is not empty: rm -r",
        ),
        ("a", SINGLE, 2, "not empty"),
        ("none", SINGLE, 5, "\"none\" is not there"),
        ("none/x", WHOLE, 5, "\"none/x\" is not there"),
        ("file/x", WHOLE, 5, "\"file/x\" is not there"),
        ("link/b", WHOLE, 10, "link"),
        ("out/secret", SINGLE, 10, "link"),
    ] {
        check(
            &format!("{path:?} with {removal:?}"),
            |client| client.remove(&remote(path), removal),
            (code, words),
            |root| code != 0 || fs::symlink_metadata(root.join(path)).is_err(),
        );
    }
}

#[test]
fn the_longest_path_can_be_made_renamed_and_removed() {
    let rig = Rig::new();
    let client = rig.client(1);
    let deepest = vec!["d"; 2048].join("/");
    let renamed = format!("{}e", &deepest[..deepest.len() - 1]);
    client.make_dir(&remote(&deepest), Parents::Make).unwrap();
    client.rename(&remote(&deepest), &remote(&renamed)).unwrap();
    client.remove(&remote(&renamed), SINGLE).unwrap();
    client.remove(&remote("d"), WHOLE).unwrap();
    assert_eq!(rig.visible(), [""; 0]);
}

#[test]
fn a_right_that_is_missing_is_told_before_anything_is_looked_up() {
    type Change = fn(&Client) -> Result<(), Error>;
    const CHANGES: [(&str, Change); 3] = [
        ("make", |c| c.make_dir(&remote("file"), Parents::Expect)),
        ("rename", |c| c.rename(&remote("none"), &remote("x"))),
        ("remove", |c| c.remove(&remote("none"), SINGLE)),
    ];
    // Which of making, renaming and removing gets so far as to a look.
    for (rights, codes) in [
        (1, [4, 4, 4]),
        (1 | 4, [4, 4, 4]),
        (1 | 2, [6, 4, 4]),
        (1 | 8, [4, 4, 5]),
        (8, [4, 4, 5]),
        // A drop box is nothing beside that, and there is no name that would be taken.
        (2, [0, 4, 4]),
        (2 | 4 | 8, [0, 4, 4]),
        (15, [6, 5, 5]),
    ] {
        let saboteur = Saboteur::default();
        let config = Config {
            admit: Arc::new(Rights(rights)),
            ..Config::default()
        };
        let rig = Rig::with(config, saboteur.fault());
        fs::write(rig.root().join("file"), "x").unwrap();
        for ((what, change), code) in CHANGES.into_iter().zip(codes) {
            saboteur.arm(None);
            assert_eq!(came(change(&rig.client(1))).0, code, "{what}, {rights}");
            assert_eq!(saboteur.trace().is_empty(), code == 4, "{what}, {rights}");
        }
    }
}

fn a_server_that_answers_something_else_is_not_believed(secrecy: Secrecy) {
    let outcome = facing(
        secrecy,
        patient(),
        |raw| {
            raw.welcomes();
            raw.say(&Done { request: 77 });
        },
        |client| Outcome {
            result: client
                .remove(&remote("x"), SINGLE)
                .map(|()| haul::client::Summary::default()),
            events: Vec::new(),
        },
    );
    assert_eq!(outcome.code(), 9, "{outcome:?}");
}
