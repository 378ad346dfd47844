//! `haul shell` as a script is given to it, through a pipe.

use std::fmt::Write;
use std::fs::{self, File};

use crate::objects::objects;
use crate::place::Place;
use crate::program::{Ended, Running};
use crate::relay::Relay;

/// A server that has `a/f`, `a/b/g` and `h`.
pub fn planted() -> Place {
    let place = Place::serving("");
    let root = place.root();
    fs::create_dir_all(root.join("a/b")).unwrap();
    for file in ["a/f", "a/b/g", "h"] {
        fs::write(root.join(file), file).unwrap();
    }
    place
}

/// What a script comes to that a typed line reads.
#[track_caller]
fn run(place: &Place, line: &str, script: &[u8]) -> Ended {
    let file = place.dir.path().join("script");
    fs::write(&file, script).unwrap();
    let mut command = place.haul(line);
    command.stdin(File::open(file).unwrap());
    Running::start(command).finish()
}

/// Checks what a script comes to: its exit code, and all that it says.
#[track_caller]
pub fn says(place: &Place, line: &str, script: &str, code: i32, out: &str, err: &str) {
    let ended = run(place, line, script.as_bytes());
    let seen = (ended.code, &*ended.stdout, &*ended.stderr);
    assert_eq!(seen, (Some(code), out, &*place.meant(err)), "{script}");
}

#[test]
fn lines_are_run_one_after_the_other_and_print_what_their_commands_print() {
    let place = planted();
    let script = "\
        # What a person may want to know.\n\
        \n\
        ls\n\
        cd a   # and on\r\n\
        pwd\n\
        ls -R\n\
        cd /a/b/../..\n\
        pwd\n\
        mkdir 'it is' \"new \\\"dir\\\"\"\n\
        mv h it\\ is/\n\
        ls it' 'is\n\
        rm -r 'new \"dir\"'\n\
        sum a/f\n\
        cd\n\
        ls .\n\
        exit\n\
        ls nowhere";
    let sum = blake3::hash(b"a/f").to_hex();
    let out = format!("a/\nh\n/a\na/b/\na/b/g\na/f\n/\nh\n{sum}  f\na/\nit is/\n");
    says(&place, "shell [ADDRESS]", script, 0, &out, "");
    says(
        &place,
        "shell [ADDRESS]/a/",
        "ls\nls ..",
        0,
        "b/\nf\na/\nit is/\n",
        "",
    );
    says(
        &place,
        "HAUL_REMOTE=[ADDRESS]/a shell :b",
        "pwd",
        0,
        "/a/b\n",
        "",
    );
}

#[test]
fn many_small_requests_and_files_go_over_one_connection() {
    let place = planted();
    let relay = Relay::to(&place.server.address);
    place.file("small", b"abc");
    let mut script = String::new();
    for n in 0..50 {
        script += "mkdir d\nput small d/\nstat d/small\nsum d\nmv d e\n";
        writeln!(script, "get e/small back-{n}\nrm -r e").unwrap();
    }
    let ended = run(
        &place,
        &format!("shell -q {}", relay.address),
        script.as_bytes(),
    );
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    assert_eq!(fs::read(place.here().join("back-49")).unwrap(), b"abc");
    assert_eq!(relay.accepted(), 1);
}

#[test]
fn the_first_error_ends_a_script_unless_it_is_to_go_on() {
    let place = planted();
    let none = "haul: \"none\" is not there\n";
    for (script, code, out, err) in [
        ("pwd\nstat none\npwd", 5, "/\n", format!("{none}stopped at line 2: -k goes on after an error\n")),
        ("rm a", 2, "", "haul: \"a\" is a directory that is not empty: rm -r removes it with all that is in it\nstopped at line 1: -k goes on after an error\n".to_owned()),
        ("cd h", 10, "", "haul: \"h\" is no directory\nstopped at line 1: -k goes on after an error\n".to_owned()),
    ] {
        says(&place, "shell [ADDRESS]", script, code, out, &err);
    }
    says(&place, "shell -q [ADDRESS]", "stat none", 5, "", none);
    says(
        &place,
        "shell -k [ADDRESS]",
        "pwd\nstat none\npwd\ncd none\n",
        5,
        "/\n/\n",
        &none.repeat(2),
    );
    let file = "haul: \"h\" is no directory\n";
    says(
        &place,
        "shell -k [ADDRESS]",
        "cd none\ncd h",
        11,
        "",
        &format!("{none}{file}"),
    );
    says(&place, "shell -k [ADDRESS]", "pwd", 0, "/\n", "");
    // One command may have failed and gone on with the rest.
    let script = "rm none h none\npwd";
    says(
        &place,
        "shell -k [ADDRESS]",
        script,
        5,
        "/\n",
        &none.repeat(2),
    );
    assert!(!place.root().join("h").exists());
}

#[test]
fn bad_lines_give_one_line_each() {
    let place = planted();
    for (line, code, said) in [
        ("lss", 2, "lss is no command: perhaps ls was meant"),
        ("sl", 2, "sl is no command: perhaps ls was meant"),
        ("fetch x", 2, "fetch is no command: help has them all"),
        ("serve", 2, "serve is no command: help has them all"),
        (
            "\u{1b}[2J",
            2,
            "\"\\u{1b}[2J\" is no command: help has them all",
        ),
        ("help lss", 2, "lss is no command: perhaps ls was meant"),
        ("ls --bad", 2, "unexpected argument '--bad' found"),
        ("ls a b", 2, "unexpected argument 'b' found"),
        (
            "get",
            2,
            "the following required arguments were not provided: <REMOTE>...",
        ),
        (
            "put --checksum md5 x",
            2,
            "invalid value 'md5' for '--checksum <CHECKSUM>' [possible values: blake3, sha256]",
        ),
        (
            "ls 'a",
            2,
            "a quote is not closed, or nothing follows a backslash",
        ),
        (
            "ls a\\",
            2,
            "a quote is not closed, or nothing follows a backslash",
        ),
        ("ls a//b", 9, "\"a//b\": the name has an empty component"),
        ("ls ''", 9, "\"\": the name is empty"),
        (
            "cd .haul",
            9,
            "\".haul\": \".haul\" is haul's own and cannot be used as a name",
        ),
        (
            "rm -r /",
            2,
            "/ is the root of a tree, and is never removed",
        ),
        (
            "rm -r a/..",
            2,
            "a/.. is the root of a tree, and is never removed",
        ),
        (
            "rm -r a/.",
            2,
            "a/. is what is in a directory: only a directory itself is removed",
        ),
        (
            "stat haul://[ADDRESS]/h",
            2,
            "haul://[ADDRESS]/h is an address, and here a place is a path on [ADDRESS]",
        ),
        ("-q -v ls", 2, "--quiet and --verbose exclude each other"),
        (
            "put h",
            10,
            "cannot open h: No such file or directory (os error 2)",
        ),
        (
            "lcd nowhere",
            10,
            "cannot go to nowhere: No such file or directory (os error 2)",
        ),
    ] {
        let err = place.meant(&format!("haul: {said}\n"));
        let ended = run(&place, "shell -k [ADDRESS]", place.meant(line).as_bytes());
        assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
        let first = ended.stderr.lines().next().unwrap_or_default().to_owned() + "\n";
        assert_eq!(first, err, "{line}");
    }
    let ended = run(&place, "shell [ADDRESS]", b"ls \xff");
    assert_eq!(ended.code, Some(9), "{ended:?}");
    let ended = run(&place, "shell [ADDRESS]", &b"x".repeat((1 << 20) + 1));
    assert_eq!(ended.code, Some(10), "{ended:?}");
}

#[test]
fn what_is_here_is_seen_from_where_one_goes() {
    let place = planted();
    place.file("sub/x", b"abc");
    place.file("sub/y\u{fc}", b"");
    let script = "lls\nlcd sub\nlls\nput x\nlls -R ..\nlpwd\nget h .\nlls";
    let sub = place.here().join("sub");
    let out = format!(
        "sub/\nx\ny\u{fc}\nsub/\nsub/x\nsub/y\u{fc}\n{}\nh\nx\ny\u{fc}\n",
        sub.display()
    );
    says(&place, "shell -q [ADDRESS]", script, 0, &out, "");
    assert!(place.root().join("x").exists());
    assert_eq!(fs::read(sub.join("h")).unwrap(), b"h");
}

#[test]
fn a_flag_is_of_the_shell_or_of_one_command() {
    let place = planted();
    let made = "made x\n";
    says(
        &place,
        "shell -v [ADDRESS]",
        "mkdir x\n-q mkdir y\nmkdir z",
        0,
        "",
        &format!("{made}made z\n"),
    );
    says(
        &place,
        "shell [ADDRESS]",
        "rm x y\nmkdir -v x\nrm x",
        0,
        "",
        made,
    );
    let ended = run(&place, "shell [ADDRESS]", b"stat h --json\npwd");
    assert!(
        ended
            .stdout
            .starts_with("{\"v\":1,\"event\":\"entry\",\"path\":\"h\""),
        "{ended:?}"
    );
    assert!(ended.stdout.ends_with("}\n/\n"), "{ended:?}");
}

#[test]
fn a_program_reads_the_events_of_each_command_and_done_once() {
    let place = planted();
    place.file("up", b"abc");
    let script = b"pwd\nput up a/\nstat none\nls a\nhelp ls\nlpwd";
    let ended = run(&place, "shell -k --json [ADDRESS]", script);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    let read = objects(&ended.stdout);
    let seen: Vec<_> = read
        .iter()
        .map(|line| {
            (
                &*line["event"],
                line.get("path").or(line.get("code")).map_or("", |v| v),
            )
        })
        .collect();
    let expected = [
        ("pwd", ""),
        ("file", "a/up"),
        ("error", "5"),
        ("entry", "a/b"),
        ("entry", "a/f"),
        ("entry", "a/up"),
        ("help", ""),
        ("lpwd", ""),
        ("done", ""),
    ];
    assert_eq!(seen, expected);
    assert_eq!((&*read[0]["text"], &*read[8]["failed"]), ("/", "1"));
    let ended = run(&place, "shell --json [ADDRESS]", script);
    assert_eq!(objects(&ended.stdout).len(), 4, "{ended:?}");
}

#[test]
fn help_names_every_command_and_tells_how_one_is_used() {
    let place = planted();
    let ended = run(&place, "shell [ADDRESS]", b"help");
    let names: Vec<&str> = ended
        .stdout
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let all = [
        "put", "get", "ls", "stat", "mkdir", "mv", "rm", "sum", "verify", "cd", "pwd", "lls",
        "lcd", "lpwd", "help", "exit",
    ];
    assert_eq!(names, all);
    for name in all {
        for line in [format!("help {name}"), format!("{name} -h")] {
            let ended = run(&place, "shell [ADDRESS]", line.as_bytes());
            let usage = format!("\n\nUsage: {name} [OPTIONS]");
            assert!(ended.stdout.contains(&usage), "{line}: {ended:?}");
            assert!(!ended.stdout.contains("HOST"), "{line}: {ended:?}");
            assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{line}");
        }
    }
}
