//! Lines that haul refuses, and what it says instead.

use std::fs;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::objects::objects;
use crate::place::Place;
use crate::program::Running;

/// Checks that a line is refused with this code and these words, and that it said nothing
/// on standard output.
#[track_caller]
fn refused(place: &Place, line: &str, code: i32, words: &str) {
    place.says(line, code, "", &format!("*{words}*"));
}

#[test]
fn lines_that_are_no_commands_are_refused() {
    let place = Place::serving("");
    place.file("a", b"abc");
    for (line, words) in [
        ("", "Usage"),
        ("fetch a [ADDRESS]", "unrecognized subcommand"),
        ("put --what a [ADDRESS]", "--what"),
        ("ls --overwrite [ADDRESS]", "--overwrite"),
        ("serve --listen", "--listen"),
        ("put a", "REMOTE"),
        ("put --connections 0 a [ADDRESS]", "--connections"),
        ("put --connections 65 a [ADDRESS]", "--connections"),
        ("put --connections=-1 a [ADDRESS]", "--connections"),
        (
            "put --connections 99999999999999999999 a [ADDRESS]",
            "--connections",
        ),
        (
            "HAUL_CONNECTIONS=65 get [ADDRESS]/a",
            "'65' for 'HAUL_CONNECTIONS'",
        ),
        ("put --checksum md5 a [ADDRESS]", "md5"),
        (
            "HAUL_OVERWRITE=maybe put a [ADDRESS]",
            "'maybe' for 'HAUL_OVERWRITE'",
        ),
        ("HAUL_JSON=2 ls [ADDRESS]", "'2' for 'HAUL_JSON'"),
        ("HAUL_COLOR=blue ls [ADDRESS]", "'blue' for 'HAUL_COLOR'"),
        (
            "HAUL_CHECKSUM=md5 get [ADDRESS]/a",
            "'md5' for 'HAUL_CHECKSUM'",
        ),
        // What is typed is what is wrong, whatever the variable says.
        (
            "HAUL_CHECKSUM=md5 get --checksum md5 [ADDRESS]/a",
            "'md5' for '--checksum ",
        ),
        (
            "HAUL_CHECKSUM=md5 get --connections 0 [ADDRESS]/a",
            "'0' for '--connections ",
        ),
        ("HAUL_IDLE_TIMEOUT=0 serve", "'0' for 'HAUL_IDLE_TIMEOUT'"),
        (
            "HAUL_LISTEN=127.0.0.1:x serve",
            "HAUL_LISTEN: \"x\" is no port",
        ),
        ("serve --listen 127.0.0.1:x", "--listen: \"x\" is no port"),
        (
            "HAUL_UPDATE=1 HAUL_OVERWRITE=1 put a [ADDRESS]",
            "HAUL_OVERWRITE and HAUL_UPDATE exclude",
        ),
        (
            "HAUL_QUIET=1 HAUL_VERBOSE=true ls [ADDRESS]",
            "HAUL_QUIET and HAUL_VERBOSE exclude",
        ),
        ("put --overwrite --update a [ADDRESS]", "exclude each other"),
        ("-q -v ls [ADDRESS]", "exclude each other"),
        ("serve --idle-timeout 0", "--idle-timeout"),
        ("serve --keep-partials 1w", "30, 30s, 5m, 12h or 7d"),
        ("put a nas --retries many", "--retries"),
        ("put a nas:0", "port 0"),
    ] {
        refused(&place, line, 2, words);
    }
    assert!(fs::read_dir(place.root()).unwrap().next().is_none());
    place.says("--help", 0, "*Usage: haul*", "");
    place.says(
        "--version",
        0,
        concat!("haul ", env!("CARGO_PKG_VERSION"), "\n"),
        "",
    );
}

/// Checks that a line's error comes as an event and as one line for people.
#[track_caller]
fn refused_in_json(place: &Place, line: &str, words: &str) {
    let ended = place.run(line);
    let read = objects(&ended.stdout);
    let [error, done] = read.as_slice() else {
        panic!("{line}: {ended:?}");
    };
    let seen = ["v", "event", "code", "message"].map(|key| &*error[key]);
    assert_eq!(seen[..3], ["1", "error", "2"], "{line}");
    assert!(seen[3].contains(words), "{line}: {seen:?}");
    let seen = ["event", "files", "bytes", "failed"].map(|key| &*done[key]);
    assert_eq!(seen, ["done", "0", "0", "0"], "{line}");
    let message = format!("haul: {}\n", error["message"]);
    assert_eq!((ended.code, ended.stderr), (Some(2), message), "{line}");
}

#[test]
fn a_program_hears_in_json_that_its_line_is_wrong() {
    let place = Place::serving("");
    place.file("a", b"abc");
    for (line, words) in [
        ("--json", "a command is wanted"),
        ("HAUL_JSON=1", "a command is wanted"),
        ("fetch --json", "unrecognized subcommand 'fetch'"),
        ("put --what a [ADDRESS] --json", "'--what'"),
        (
            "HAUL_JSON=true put --connections 0 a [ADDRESS]",
            "'0' for '--connections <N>'",
        ),
        (
            "HAUL_CHECKSUM=md5 get --json [ADDRESS]/a",
            "'md5' for 'HAUL_CHECKSUM'",
        ),
        ("-q -v ls --json [ADDRESS]", "exclude each other"),
        ("put --json a", "a put takes PATH... REMOTE"),
        ("put --json a nas:dir", "write nas/dir"),
        ("serve --json --what", "'--what'"),
        ("serve --json --listen 0.0.0.0:0", "--anonymous read"),
        (
            "serve --json --plaintext --listen 0.0.0.0:0",
            "--trust-network",
        ),
        (
            "authorize --json --write --max-files 7 KEY",
            "a key is a line",
        ),
        (
            "serve --json --listen [ADDRESS]",
            "cannot listen on [ADDRESS]",
        ),
    ] {
        refused_in_json(&place, line, &place.meant(words));
    }
    place.says("put --what -- --json [ADDRESS]", 2, "", "error: *--what*");
    place.says("--help --json", 0, "*Usage: haul*", "");
    place.says("HAUL_JSON=1 put --help", 0, "*Usage: haul put*", "");
    place.says("HAUL_JSON=1 --version", 0, "haul *", "");
}

#[test]
fn what_looks_like_something_else_gets_a_hint() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.file("b", b"def");
    for (line, words) in [
        (
            "put a me@nas:dir",
            "haul knows no users: for \"me@nas:dir\" write nas/dir",
        ),
        (
            "put a nas:dir",
            "\"dir\" is no port: if it is a path, write nas/dir",
        ),
        ("put a nas:/srv/x", "if it is a path, write nas/srv/x"),
        ("get nas:srv/x back/", "if it is a path, write nas/srv/x"),
        (
            "ls nas::module/x",
            "knows no modules: for \"nas::module/x\" write nas/module/x",
        ),
        (
            "put a rsync://nas/mod",
            "knows no rsync://: for \"rsync://nas/mod\" write nas/mod",
        ),
        ("put a ssh://me@nas:22/srv", "write nas/srv"),
        ("get scp://nas/x", "write nas/x"),
        ("get sftp://nas/x", "write nas/x"),
        ("get http://nas:8080/x", "write nas/x"),
        ("get https://nas/x", "write nas/x"),
        ("get ftp://nas/x", "write nas/x"),
        ("get gopher://nas/x", "write nas/x"),
        ("get file:///srv/x", "\"file:///srv/x\" is on this machine"),
        ("put a me@nas", "write nas/"),
        ("put a C:\\x", "looks like a path on Windows"),
        ("put a C:/x", "looks like a path on Windows"),
        (
            "put a \\\\nas\\share",
            "knows no Windows shares*write nas/share",
        ),
        ("put a b", "b is a file here*haul://b"),
        ("get a", "a is a file here*haul://a"),
        ("ls ./d", "names no host"),
        ("put a :b", "HAUL_REMOTE is not set"),
        ("put a [ADDRESS]x", "no port"),
        ("HAUL_REMOTE= put a :b", "HAUL_REMOTE is not set"),
        (
            "HAUL_REMOTE=me@nas put a :b",
            "HAUL_REMOTE: haul knows no users",
        ),
        ("get [ADDRESS]/a host.invalid/b into/", "two servers"),
    ] {
        refused(&place, line, 2, words);
    }
}

#[test]
fn a_path_where_the_verb_wants_an_address_gets_the_other_verb() {
    let place = Place::serving("");
    place.file("a", b"abc");
    for path in ["./a", "/a", "../a", "~/a", ".", "..", "/", "~"] {
        let words = format!("haul: {path} is a path here, and *: to download, use get\n");
        place.says(&format!("put [ADDRESS]/a {path}"), 2, "", &words);
        let words = format!("haul: {path} is a path here, and *: to upload, use put\n");
        place.says(&format!("get {path} [ADDRESS]"), 2, "", &words);
    }
}

#[test]
fn what_is_wrong_with_the_sources_is_said_before_connecting() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.file("d/a", b"def");
    // Nobody listens there: a line that came so far would be 3.
    for (line, words) in [
        (
            "put . d/. host.invalid",
            "two of the sources would become the root",
        ),
        (
            "put a d/a host.invalid/",
            "two of the sources would become a",
        ),
        (
            "get host.invalid/a host.invalid/d/a into/",
            "two of the sources would become a",
        ),
        (
            "put a d/b host.invalid/x",
            "several sources need a directory to go into: write x/",
        ),
        (
            "get host.invalid/a host.invalid/b x",
            "several sources need a directory",
        ),
    ] {
        refused(&place, line, 2, words);
    }
}

#[test]
fn nothing_at_all_is_no_place_and_nobody() {
    let place = Place::serving("");
    for (line, words) in [
        ("get [ADDRESS]/ ''", "haul: the place to get into is empty"),
        ("put '' [ADDRESS]", "haul: a source is empty"),
        ("revoke ''", "haul: say whose rights end"),
    ] {
        let mut command = place.haul(&line.replace("''", ""));
        command.arg("");
        if line.starts_with("put") {
            command = place.haul("put");
            command.args(["", &*place.server.address]);
        }
        let ended = Running::start(command).finish();
        assert_eq!(ended.code, Some(2), "{line}: {ended:?}");
        assert!(ended.stderr.starts_with(words), "{line}: {ended:?}");
    }
}

#[test]
fn a_file_does_not_become_a_directory_that_is_there() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.file("d/x", b"def");
    place.says("put a d [ADDRESS]/", 0, "", "put 2 files*");
    let words = "d is a directory here: d/ is into it";
    refused(&place, "get [ADDRESS]/a d", 6, words);
    refused(
        &place,
        "put a [ADDRESS]/d",
        6,
        "if d is a directory there, d/ is into it",
    );
}

#[test]
fn of_a_file_in_a_tree_it_is_not_said_that_the_tree_goes_elsewhere() {
    let place = Place::serving("");
    place.file("d/x", b"abc");
    place.says("put -q d [ADDRESS]/", 0, "", "");
    place.file("d/x", b"other");
    for line in ["put d [ADDRESS]/d", "get [ADDRESS]/d d"] {
        let ended = place.run(line);
        assert_eq!(ended.code, Some(6), "{ended:?}");
        assert!(!ended.stderr.contains("is into it"), "{ended:?}");
    }
}

#[test]
fn names_that_could_lead_elsewhere_are_unusable() {
    let place = Place::serving("");
    place.file("a", b"abc");
    for (name, words) in [
        ("../x", "the name has a component \"..\""),
        ("/x", "the name"),
        ("b/../x", "the name"),
        ("b//x", "the name"),
        (&*"n".repeat(256), "256 bytes, more than 255"),
        (".haul", "haul's own"),
        ("b/.haul/x", "haul's own"),
    ] {
        refused(&place, &format!("put a [ADDRESS]/{name}"), 9, words);
        refused(&place, &format!("get [ADDRESS]/{name} back/"), 9, words);
    }
    let longest = "n".repeat(255);
    place.says(&format!("put a [ADDRESS]/{longest}"), 0, "", "*1 stored*");
    place.says(&format!("get [ADDRESS]/{longest}"), 0, "", "*1 fetched*");
    assert_eq!(fs::read(place.here().join(longest)).unwrap(), b"abc");
}

#[test]
fn a_server_that_is_not_there_is_a_matter_of_connection() {
    let place = Place::serving("");
    place.file("a", b"abc");
    // Bound, so that nobody else gets the port, and not listening.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let closed = socket.local_addr().unwrap().as_socket().unwrap();
    for line in [
        format!("put a {closed}"),
        format!("get {closed}/a back/"),
        format!("ls {closed}"),
    ] {
        refused(&place, &line, 3, &format!("cannot connect to {closed}"));
    }
    assert!(!place.here().join("back").exists());
    refused(
        &place,
        "put a host.invalid",
        3,
        "cannot connect to host.invalid:4285",
    );
}
