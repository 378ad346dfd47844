//! mkdir, mv and rm, as they are typed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;

use crate::objects::objects;
use crate::place::Place;

/// A server with files in directories: `a/f`, `a/b/g` and `h`.
fn planted(flags: &str) -> Place {
    let place = Place::serving(flags);
    let root = place.root();
    fs::create_dir_all(root.join("a/b")).unwrap();
    for file in ["a/f", "a/b/g", "h"] {
        fs::write(root.join(file), file).unwrap();
    }
    place
}

/// The names of all that is beneath a directory, a directory's with a slash.
fn names(root: &Path) -> Vec<String> {
    let (mut names, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            let is_dir = fs::symlink_metadata(&path).unwrap().is_dir();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            names.push(format!("{name}{}", if is_dir { "/" } else { "" }));
            if is_dir {
                folders.push(path);
            }
        }
    }
    names.sort();
    names
}

#[test]
fn mkdir_makes_what_is_not_there() {
    let place = planted("");
    place.says("mkdir [ADDRESS]/x", 0, "", "");
    place.says(
        "-v mkdir [ADDRESS]/x/y/ [ADDRESS]/x/z",
        0,
        "",
        "made x/y\nmade x/z\n",
    );
    place.says("mkdir [ADDRESS]/x", 6, "", "haul: \"x\" exists\n");
    place.says("mkdir [ADDRESS]/h", 6, "", "haul: \"h\" exists\n");
    place.says("mkdir -p [ADDRESS]/h", 6, "", "haul: \"h\" exists\n");
    place.says("mkdir -p [ADDRESS]/x [ADDRESS]/x/1/2/3", 0, "", "");
    place.says("mkdir [ADDRESS]/n/m", 5, "", "haul: \"n\" is not there\n");
    let text = "haul: [ADDRESS] is served, so its root exists\n";
    place.says("mkdir [ADDRESS]", 6, "", text);
    place.says("mkdir [ADDRESS]/.", 6, "", text);
    place.says("mkdir -p [ADDRESS]/", 0, "", "");
    place.says("HAUL_REMOTE=[ADDRESS]/x mkdir :home", 0, "", "");
    let there = [
        "a/", "a/b/", "a/b/g", "a/f", "h", "x/", "x/1/", "x/1/2/", "x/1/2/3/", "x/home/", "x/y/",
        "x/z/",
    ];
    assert_eq!(names(&place.root()), there);
}

#[test]
fn mv_renames_as_the_new_name_is_spelled_and_replaces_nothing() {
    let place = planted("");
    for (line, gone, there) in [
        ("mv [ADDRESS]/h [ADDRESS]/i", "h", "i"),
        ("mv [ADDRESS]/i [ADDRESS]/a/", "i", "a/i"),
        ("mv [ADDRESS]/a/i [ADDRESS]", "a/i", "i"),
        ("mv [ADDRESS]/i haul://[ADDRESS]/a/b/.", "i", "a/b/i"),
        ("mv [ADDRESS]/a/b/i [ADDRESS]/.", "a/b/i", "i"),
        ("mv [ADDRESS]/a/b/ [ADDRESS]/c", "a/b", "c/g"),
        ("mv [ADDRESS]/a [ADDRESS]/c/", "a", "c/a/f"),
    ] {
        place.says(line, 0, "", "");
        assert!(!place.root().join(gone).exists(), "{line}");
        assert!(place.root().join(there).exists(), "{line}");
    }
    place.says("-v mv [ADDRESS]/i [ADDRESS]/h", 0, "", "renamed i to h\n");

    let before = names(&place.root());
    let hint = "haul: \"c\" exists\nif c is a directory there, c/ is into it\n";
    for (line, code, said) in [
        ("mv [ADDRESS]/h [ADDRESS]/c", 6, hint),
        ("-q mv [ADDRESS]/h [ADDRESS]/c", 6, "haul: \"c\" exists\n"),
        ("mv [ADDRESS]/c/g [ADDRESS]/c/", 6, "haul: \"c/g\" exists\n"),
        ("mv [ADDRESS]/c [ADDRESS]/h", 6, "haul: \"h\" exists\n*"),
        (
            "mv [ADDRESS]/none [ADDRESS]/x",
            5,
            "haul: \"none\" is not there\n",
        ),
        (
            "mv [ADDRESS]/h [ADDRESS]/none/",
            5,
            "haul: \"none\" is not there\n",
        ),
        (
            "mv [ADDRESS]/c [ADDRESS]/c/",
            2,
            "haul: \"c\" cannot go into itself, to \"c/c\"\n",
        ),
        (
            "mv [ADDRESS]/c [ADDRESS]/c/a/x",
            2,
            "*cannot go into itself*",
        ),
        (
            "mv [ADDRESS] [ADDRESS]/x",
            2,
            "*is the root of a tree, and is never renamed\n",
        ),
        ("mv [ADDRESS]/. [ADDRESS]/x", 2, "*is the root of a tree*"),
        (
            "mv [ADDRESS]/c/. [ADDRESS]/x",
            2,
            "*only a directory itself is renamed\n",
        ),
        (
            "mv [ADDRESS]/h host.invalid/x",
            2,
            "*are two servers, and mv renames on one*",
        ),
        ("mv [ADDRESS]/h", 2, "*<TO>*"),
        (
            "mv [ADDRESS]/h [ADDRESS]/x [ADDRESS]/y",
            2,
            "*unexpected argument*",
        ),
    ] {
        place.says(line, code, "", said);
        assert_eq!(names(&place.root()), before, "{line}");
    }
}

#[test]
fn rm_removes_what_is_named_and_a_full_directory_only_when_asked() {
    let place = planted("");
    let full = "haul: \"a\" is a directory that is not empty: rm -r removes it with all that is in \
                it\n";
    place.says("rm [ADDRESS]/a", 2, "", full);
    place.says("rm [ADDRESS]/a [ADDRESS]/h", 2, "", full);
    assert_eq!(names(&place.root()), ["a/", "a/b/", "a/b/g", "a/f"]);
    place.says(
        "-v rm [ADDRESS]/a/b/g [ADDRESS]/a/b/",
        0,
        "",
        "removed a/b/g\nremoved a/b\n",
    );
    let none = "haul: \"none\" is not there\n";
    place.says("rm [ADDRESS]/none [ADDRESS]/a/f", 5, "", none);
    place.says(
        "rm [ADDRESS]/a [ADDRESS]/a",
        5,
        "",
        "haul: \"a\" is not there\n",
    );
    assert_eq!(names(&place.root()), [""; 0]);

    let place = planted("");
    place.says(
        "rm [ADDRESS]/none [ADDRESS]/a [ADDRESS]/h",
        11,
        "",
        &format!("{none}{full}"),
    );
    place.says("rm -r [ADDRESS]/a", 0, "", "");
    place.says("rm -r [ADDRESS]/a", 5, "", "haul: \"a\" is not there\n");
    assert_eq!(names(&place.root()), [""; 0]);
}

#[test]
fn a_root_is_never_removed_and_refused_before_anything_else_is() {
    let place = planted("");
    let root = "*is the root of a tree, and is never removed\n";
    for line in [
        "rm -r [ADDRESS]",
        "rm -r [ADDRESS]/",
        "rm -r [ADDRESS]/.",
        "rm -r [ADDRESS]/a [ADDRESS]",
        "rm [ADDRESS]/h haul://[ADDRESS]/",
        "HAUL_REMOTE=[ADDRESS] rm -r :",
        // Nobody listens there: a line that came so far would be 3.
        "rm -r host.invalid",
    ] {
        place.says(line, 2, "", root);
    }
    place.says(
        "rm -r [ADDRESS]/a/.",
        2,
        "",
        "*only a directory itself is removed\n",
    );
    place.says("rm", 2, "", "*<REMOTE>*");
    place.says("HAUL_RECURSIVE=1 rm [ADDRESS]/a", 2, "", "*not empty*");
    assert_eq!(names(&place.root()), ["a/", "a/b/", "a/b/g", "a/f", "h"]);
}

#[test]
fn names_that_lead_elsewhere_and_links_are_refused_and_odd_ones_are_not() {
    let place = planted("");
    let outside = place.here().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, place.root().join("out")).unwrap();
    for verb in ["mkdir", "mkdir -p", "rm", "rm -r", "mv [ADDRESS]/h"] {
        for name in ["../x", ".haul", "a/.haul/x", "a//b"] {
            place.says(&format!("{verb} [ADDRESS]/{name}"), 9, "", "haul: *name*\n");
        }
        let link = "haul: \"out\" leads through a symbolic link, which is not followed\n";
        place.says(&format!("{verb} [ADDRESS]/out/secret"), 10, "", link);
    }
    assert_eq!(names(&outside), ["secret"]);
    place.says("rm -r [ADDRESS]/out", 0, "", "");
    assert_eq!(names(&outside), ["secret"]);

    let (name, shown) = ("n\n\u{1b}[2J", r#""n\n\u{1b}[2J""#);
    place.says(
        &format!("-v mkdir [ADDRESS]/{name}"),
        0,
        "",
        &format!("made {shown}\n"),
    );
    place.says(
        &format!("mkdir [ADDRESS]/{name}"),
        6,
        "",
        &format!("haul: {shown} exists\n"),
    );
    place.says(
        &format!("mv [ADDRESS]/{name} [ADDRESS]/{name}{name}"),
        0,
        "",
        "",
    );
    place.says(&format!("rm [ADDRESS]/{name}{name}"), 0, "", "");
    assert_eq!(names(&place.root()), ["a/", "a/b/", "a/b/g", "a/f", "h"]);
}

#[test]
fn the_deepest_tree_is_made_and_removed() {
    let place = Place::serving("");
    let deepest = vec!["d"; 2048].join("/");
    place.says(&format!("mkdir -p [ADDRESS]/{deepest}"), 0, "", "");
    place.says("rm -r [ADDRESS]/d", 0, "", "");
    assert_eq!(names(&place.root()), [""; 0]);
}

#[test]
fn a_server_that_is_read_only_changes_nothing_and_one_that_is_gone_is_3() {
    let place = planted("--read-only");
    for (line, what) in [
        ("mkdir [ADDRESS]/x", "x: not allowed to write"),
        ("mkdir -p [ADDRESS]/a", "a: not allowed to write"),
        (
            "mv [ADDRESS]/none [ADDRESS]/x",
            "none: not allowed to delete",
        ),
        ("rm [ADDRESS]/none", "none: not allowed to delete"),
        ("rm -r [ADDRESS]/a [ADDRESS]/a", "a: not allowed to delete"),
    ] {
        place.says(line, 4, "", &format!("haul: {what} here\n*"));
    }
    assert_eq!(names(&place.root()), ["a/", "a/b/", "a/b/g", "a/f", "h"]);
    place.server.running.signal(Signal::KILL);
    assert!(
        place
            .server
            .running
            .ends_by(std::time::Instant::now() + crate::program::PATIENCE)
    );
    for line in [
        "mkdir [ADDRESS]/x",
        "mv [ADDRESS]/a [ADDRESS]/b",
        "rm -r [ADDRESS]/a",
    ] {
        place.says(line, 3, "", "haul: cannot connect to [ADDRESS]*\n");
    }
    place.says(
        "mkdir -p [ADDRESS]",
        3,
        "",
        "haul: cannot connect to [ADDRESS]*\n",
    );
}

#[test]
fn a_program_is_told_of_each_failure_and_done_is_last() {
    let place = planted("");
    for (line, code, codes) in [
        ("mkdir --json [ADDRESS]/x", 0, vec![]),
        ("mv --json [ADDRESS]/x [ADDRESS]/y", 0, vec![]),
        ("rm --json [ADDRESS]/y", 0, vec![]),
        ("mkdir --json [ADDRESS]/a", 6, vec!["6"]),
        ("mv --json [ADDRESS]/a [ADDRESS]/h", 6, vec!["6"]),
        ("rm --json [ADDRESS]/a [ADDRESS]/none", 11, vec!["2", "5"]),
        ("--json rm [ADDRESS]", 2, vec!["2"]),
    ] {
        let ended = place.run(line);
        assert_eq!(ended.code, Some(code), "{line}");
        let said = ended
            .stderr
            .lines()
            .filter(|said| said.starts_with("haul: "));
        assert_eq!(said.count(), codes.len(), "{line}: {ended:?}");
        let mut read = objects(&ended.stdout);
        let done = read.pop().unwrap();
        assert_eq!((&*done["v"], &*done["event"]), ("1", "done"), "{line}");
        let told: Vec<&str> = read.iter().map(|error| &*error["code"]).collect();
        assert_eq!(told, codes, "{line}");
        assert!(read.iter().all(|error| error["event"] == "error"), "{line}");
    }
}

#[test]
fn the_log_has_a_line_for_each_change() {
    let place = planted("--log json");
    place.says("mkdir [ADDRESS]/x\u{1b}", 0, "", "");
    place.says("mv [ADDRESS]/x\u{1b} [ADDRESS]/y", 0, "", "");
    place.says("rm [ADDRESS]/y", 0, "", "");
    place.says("rm [ADDRESS]/y", 5, "", "*");
    place.server.running.signal(Signal::TERM);
    let ended = place.server.running.finish();
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    let log = objects(&ended.stderr);
    let said: Vec<_> = log
        .iter()
        .filter(|line| line.contains_key("peer") && line["message"] != "closed")
        .map(|line| {
            let text = |key: &str| line.get(key).map_or("", |text| text);
            (
                &*line["message"],
                text("path").to_owned() + text("from"),
                text("to"),
            )
        })
        .collect();
    let expected = [
        ("mkdir", "x\u{1b}".to_owned(), ""),
        ("rename", "x\u{1b}".to_owned(), "y"),
        ("remove", "y".to_owned(), ""),
        ("refused", String::new(), ""),
    ];
    assert_eq!(said, expected);
}
