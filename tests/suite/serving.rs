//! serve: what it announces, refuses and logs, and how it stops.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::objects::objects;
use crate::place::{Place, Served};
use crate::program::{Running, haul};
use crate::rig::visible;
use crate::watch::Watch;

#[test]
fn a_server_says_on_one_line_where_it_listens_and_to_people_the_rest() {
    for (flags, lines) in [
        (
            "",
            [
                "you may read, write, replace and delete from this machine",
                "haul put FILE",
            ],
        ),
        (
            "",
            ["nobody else is admitted", "the server's key is SHA256:"],
        ),
        (
            "--read-only",
            ["you may read from this machine", "haul get"],
        ),
        (
            "--anonymous read",
            ["everyone may read", "you may read, write"],
        ),
        (
            "--plaintext",
            [
                "everyone who reaches the port may read, write, replace and delete",
                "there is no encryption",
            ],
        ),
        ("--durability none", ["nothing is flushed", "haul put"]),
    ] {
        let place = Place::serving(flags);
        let root = place.root().canonicalize().unwrap();
        place.server.running.signal(Signal::TERM);
        let ended = place.server.running.finish();
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), ""),
            "{flags}"
        );
        let said: Vec<&str> = ended.stderr.lines().collect();
        assert!(
            said.contains(&&*format!("serving {}", root.display())),
            "{said:?}"
        );
        for line in lines {
            assert!(
                said.iter().any(|said| said.contains(line)),
                "{flags}: {said:?}"
            );
        }
        assert!(ended.stderr.contains(&place.server.address), "{said:?}");
    }
}

#[test]
fn a_program_reads_the_address_from_json_and_quiet_says_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let words = [
        "serve",
        "--json",
        "-q",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "[::1]:0",
    ];
    let running = Running::start(haul(directory.path(), words));
    let lines = format!("{}\n{}", running.line(), running.line());
    for (line, host) in objects(&lines).iter().zip(["127.0.0.1:", "[::1]:"]) {
        assert_eq!((&*line["v"], &*line["event"]), ("1", "listening"));
        let port: u16 = line["address"].strip_prefix(host).unwrap().parse().unwrap();
        assert_ne!(port, 0);
    }
    running.signal(Signal::INT);
    let ended = running.finish();
    assert_eq!(
        (ended.code, &*ended.stdout, &*ended.stderr),
        (Some(0), "", "")
    );
}

#[test]
fn a_server_that_should_not_start_does_not() {
    let place = Place::serving("");
    place.file("a", b"abc");
    let any = "serve --listen 127.0.0.1:0";
    for (line, code, words) in [
        ("serve --listen 0.0.0.0:0", 2, "haul authorize KEY --root"),
        ("serve --listen [::]:0", 2, "--anonymous read"),
        ("HAUL_LISTEN=0.0.0.0:0 serve", 2, "none of them is admitted"),
        ("serve --plaintext --listen 0.0.0.0:0", 2, "--trust-network"),
        ("serve --plaintext --listen [::]:0", 2, "--trust-network"),
        (
            "HAUL_LISTEN=0.0.0.0:0 HAUL_PLAINTEXT=1 serve",
            2,
            "--trust-network",
        ),
        (
            "serve --plaintext --trust-network --anonymous read --listen 0.0.0.0:0",
            2,
            "--anonymous read goes without --plaintext",
        ),
        ("serve --listen [ADDRESS]", 2, "cannot listen on [ADDRESS]"),
        (&format!("{any} [ROOT]"), 2, "is served already"),
        (&format!("{any} none"), 10, "cannot open none"),
        (&format!("{any} a"), 10, "cannot open a"),
    ] {
        place.says(line, code, "", &format!("*{words}*"));
    }
    let trusted = Served::start(
        &place.here(),
        &place.home(),
        "--plaintext --listen 0.0.0.0:0 --trust-network --allow-root",
    );
    assert!(trusted.address.starts_with("127.0.0.1:"));
    // Nothing was touched, and the first one is well.
    assert_eq!(fs::read_dir(place.root()).unwrap().count(), 0);
    place.says("put a [ADDRESS]", 0, "", "*1 stored*");
}

#[test]
fn what_is_shown_to_type_is_what_those_may_do_whom_a_server_is_opened_for() {
    for (flags, shown) in [
        ("", "to put something there: haul put FILE [ADDRESS]\n"),
        ("--read-only", "haul get [ADDRESS]/NAME .\n"),
        ("--anonymous read", "haul get [ADDRESS]/NAME .\n"),
        ("--invite read", "haul get [ADDRESS]/NAME .\n"),
        ("--invite read,write", "haul put FILE [ADDRESS]\n"),
        (
            "--anonymous read --plaintext --read-only",
            "haul get [ADDRESS]/NAME .\n",
        ),
    ] {
        let place = Place::serving(flags);
        let shown = place.meant(shown);
        place.server.running.signal(Signal::TERM);
        let said = place.server.running.finish().stderr;
        assert!(said.contains(&shown), "{flags}: {said}");
    }
}

#[test]
fn who_only_leaves_is_no_warning() {
    let place = Place::serving("");
    place.says("shell [ADDRESS]", 0, "", "");
    let home = place.dir.path().join("other");
    let stranger = format!("HOME={} ls [ADDRESS]", home.display());
    place.says(&stranger, 4, "", "*another user's*");
    place.server.running.signal(Signal::TERM);
    let said = place.server.running.finish().stderr;
    assert!(!said.contains("WARN"), "{said}");
    assert!(said.contains("left before coming in"), "{said}");
    assert_eq!(said.matches(" closed peer=").count(), 1, "{said}");
}

#[test]
fn a_read_only_server_takes_nothing() {
    let place = Place::serving("--read-only");
    place.file("a", b"abc");
    place.says("put a [ADDRESS]", 4, "", "*haul: *");
    assert_eq!(fs::read_dir(place.root()).unwrap().count(), 0);
    fs::write(place.root().join("b"), b"def").unwrap();
    place.says("ls [ADDRESS]", 0, "b\n", "");
    place.says(
        "get [ADDRESS]/b",
        0,
        "",
        "*1 fetched; verified and durable in .\n",
    );
}

#[test]
fn what_is_not_flushed_is_not_called_durable() {
    let place = Place::serving("--durability none");
    place.file("a", b"abc");
    let said = "put 1 file, 3 B, * s: 1 stored; verified on [ADDRESS], not flushed there\n";
    place.says("put a [ADDRESS]", 0, "", said);
}

#[test]
fn the_log_has_one_line_for_each_request() {
    let place = Place::serving("--log json");
    place.file("a\n", b"abc");
    place.says("put a\n [ADDRESS]/x\u{1b}", 0, "", "*");
    place.says("ls [ADDRESS]", 0, "*", "");
    place.says("get [ADDRESS]/x\u{1b} back", 0, "", "*");
    place.says("get [ADDRESS]/none none/", 5, "", "*");
    place.server.running.signal(Signal::TERM);
    let ended = place.server.running.finish();
    let (log, said): (Vec<&str>, Vec<&str>) =
        ended.stderr.lines().partition(|l| l.starts_with('{'));
    let mut log = objects(&log.join("\n"));
    // Before the first client, the server introduces itself, in JSON too.
    let introduction = log.iter().take_while(|line| !line.contains_key("peer"));
    log.drain(..introduction.count());
    let requests: Vec<_> = log.iter().map(|line| line["message"].as_str()).collect();
    let expected = [
        "offer", "commit", "closed", "list", "closed", "list", "fetch", "closed", "refused",
        "closed",
    ];
    assert_eq!(requests, expected);
    assert!(
        log.iter()
            .all(|line| line.contains_key("peer") && line.contains_key("timestamp"))
    );
    assert_eq!(log[8]["code"], "5");
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    assert_eq!(said, [""; 0], "a log of JSON is nothing else");
}

#[test]
fn a_log_of_text_has_no_control_characters() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.says("put a [ADDRESS]/\u{1b}[2J\r\u{202e}", 0, "", "*");
    place.says("get [ADDRESS]/none\u{1b}\u{202e} back/", 5, "", "*");
    place.server.running.signal(Signal::TERM);
    let log = place.server.running.finish().stderr;
    let is_safe = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(
        log.contains("INFO offer") && log.chars().all(is_safe),
        "{log:?}"
    );
}

/// Well before the minute after which a client gives up a server that only fell silent.
const AT_ONCE: Duration = Duration::from_secs(30);

#[test]
fn a_server_that_is_told_to_stop_ends_and_its_clients_notice() {
    let flags = "--drain 0 --keep-partials 0";
    let mut place = Place::serving(flags);
    place.sparse("a", 2 << 30);
    for signal in [Signal::INT, Signal::TERM].repeat(4) {
        let watch = Watch::on(&place.root());
        let put = Running::start(place.haul("put --retries 0 a [ADDRESS]"));
        watch.until_staged(1, &put);
        place.server.running.signal(signal);
        let ended = put.finish_within(AT_ONCE);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let served = place.restart_with(flags).finish();
        assert_eq!(served.code, Some(0), "{served:?}");
        assert_eq!(fs::read_dir(place.root()).unwrap().count(), 0);
    }
}

#[test]
fn a_put_that_is_interrupted_leaves_nothing_where_nothing_is_kept() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::serving("--keep-partials 0");
        place.sparse("a", 2 << 30);
        let watch = Watch::on(&place.root());
        let put = Running::start(place.haul("put a [ADDRESS]"));
        watch.until_staged(1, &put);
        put.signal(signal);
        let ended = put.finish();
        assert_eq!(ended.code, Some(130), "{ended:?}");
        assert!(ended.stderr.starts_with("haul: interrupted: "), "{ended:?}");
        watch.until_swept();
        assert!(visible(&place.root()).is_empty());
        place.file("b", b"abc");
        place.says("put b [ADDRESS]", 0, "", "*1 stored*");
    }
}

#[test]
fn a_get_that_is_interrupted_leaves_nothing_that_is_seen() {
    let place = Place::serving("");
    let large = fs::File::create(place.root().join("a")).unwrap();
    large.set_len(2 << 30).unwrap();
    let watch = Watch::on(&place.here());
    let get = Running::start(place.haul("get --json [ADDRESS]/a"));
    watch.until_staged(1, &get);
    get.signal(Signal::INT);
    let ended = get.finish();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let read = objects(&ended.stdout);
    assert_eq!((&*read[0]["event"], &*read[0]["code"]), ("error", "130"));
    assert!(visible(&place.here()).is_empty());
}
