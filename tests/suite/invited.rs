//! Guests: who comes in by an invitation, who does not, and what each is told.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::Command;

use rustix::process::Signal;

use crate::encrypted_program::{Two, is, reachable};
use crate::objects::objects;
use crate::person::{PRINT, Person};
use crate::program::{Ended, Running};
use crate::rig::noise;

/// The link that the owner gets for a guest.
#[track_caller]
pub fn link(two: &Two, flags: &str) -> String {
    let line = format!("invite --root served --address {} {flags}", two.address);
    let ended = two.owner.run(&line);
    assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
    in_command(&ended.stdout)
}

/// The link in the command that a guest is to type.
fn in_command(printed: &str) -> String {
    let word = printed
        .split_whitespace()
        .find(|word| word.starts_with("haul://"));
    word.unwrap_or_else(|| panic!("no link in {printed:?}"))
        .to_owned()
}

fn id(link: &str) -> &str {
    link.split('.').nth(1).unwrap()
}

#[track_caller]
fn comes(who: &Person, line: &str, code: i32, says: &str) -> Ended {
    is(who.run(line), line, code, says)
}

/// Changes the line of an invitation in its file.
fn edit(two: &Two, link: &str, change: impl Fn(&str) -> String) {
    let path = two.owner.state().join("invitations");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with(id(link)) {
            change(line)
        } else {
            line.to_owned()
        }
    });
    let text: String = lines.map(|line| line + "\n").collect();
    fs::write(path, text).unwrap();
}

#[test]
fn a_guest_needs_no_more_than_the_link() {
    let two = Two::met("");
    fs::write(two.served("secret"), b"s").unwrap();
    let link = link(&two, "--read --write --under box --once");
    let guest = &two.guest;
    comes(guest, &format!("put a {link}"), 0, "durable on 127.0.0.1:");
    assert_eq!(fs::read(two.served("box/a")).unwrap(), b"abc");
    comes(guest, &format!("put a {link}d/"), 0, "1 stored");
    let listed = comes(guest, &format!("ls -R {link}"), 0, "");
    assert_eq!(listed.stdout, "a\nd/\nd/a\n");
    comes(guest, &format!("get {link} all"), 0, "2 fetched");
    assert_eq!(fs::read(guest.root().join("all/d/a")).unwrap(), b"abc");
    comes(guest, &format!("get {link}secret x"), 5, "is not there");
    comes(guest, &format!("stat {link}a"), 0, "size: 3");
    comes(guest, &format!("sum {link}"), 0, "  d/a");
    comes(guest, &format!("mkdir {link}e"), 0, "");
    comes(guest, &format!("rm {link}a"), 4, "not allowed");
    comes(guest, &format!("mv {link}a {link}b"), 4, "not allowed");
    // A file in many segments comes over many connections, each of which shows the token.
    fs::write(guest.root().join("big"), noise(50 << 20)).unwrap();
    comes(
        guest,
        &format!("put --connections 8 big {link}"),
        0,
        "1 stored",
    );
    comes(
        guest,
        &format!("get --connections 8 {link}big back"),
        0,
        "1 fetched",
    );
    assert!(fs::read(guest.root().join("back")).unwrap() == noise(50 << 20));
    // No server was met, and none is known by that.
    assert!(!guest.file("known_hosts").exists());
    comes(guest, &format!("ls {}", two.address), 4, "another user's");
}

#[test]
fn one_that_is_made_once_belongs_to_the_first_and_one_that_is_not_to_all() {
    let two = Two::met("");
    let third = Person::new();
    let (once, open) = (link(&two, "--read --write --once"), link(&two, "--read"));
    let put = format!("put a {once}");
    comes(&two.guest, &put, 0, "1 stored");
    fs::write(third.root().join("b"), b"other").unwrap();
    comes(
        &third,
        &format!("put b {once}"),
        4,
        "for one key, and was used with another",
    );
    assert!(!two.served("b").exists());
    comes(&two.guest, &put, 0, "1 unchanged");
    for who in [&two.guest, &third, &two.owner] {
        comes(who, &format!("ls {open}"), 0, "a\n");
    }
    // By the link the owner is a guest too, with no more than it gives.
    comes(&two.owner, &format!("put a {open}b"), 4, "not allowed");
    comes(&two.owner, &put, 4, "used with another");
    let key = two.guest.run("key").stdout;
    let print = key.lines().nth(1).unwrap();
    two.owner_is("access", 0, &format!("bound to {print}"));
    // The key that it is bound to is the end of it, too.
    comes(
        &two.owner,
        &format!("revoke {print}"),
        0,
        "may no longer read and write",
    );
    comes(&two.guest, &put, 4, "does not hold here");
}

#[test]
fn whom_an_invitation_is_bound_to_outlives_the_server() {
    let two = Two::met("");
    let once = link(&two, "--read --once");
    comes(&two.guest, &format!("ls {once}"), 0, "");
    let two = two.again(Signal::KILL, |_| ());
    let (before, _) = once.split_once('@').unwrap();
    let once = format!("{before}@{}/", two.address);
    comes(
        &Person::new(),
        &format!("ls {once}"),
        4,
        "used with another",
    );
    comes(&two.guest, &format!("ls {once}"), 0, "");
}

#[test]
fn a_link_that_does_not_hold_is_4_and_nothing_is_stored() {
    let two = Two::met("");
    let [open, expired, revoked, elsewhere, broken] =
        std::array::from_fn(|_| link(&two, "--read --write"));
    edit(&two, &expired, |line| {
        let (before, _) = line.split_once("expires=").unwrap();
        format!("{before}expires=2025-01-01")
    });
    comes(
        &two.owner,
        &format!("revoke {}", id(&revoked)),
        0,
        "no longer",
    );
    edit(&two, &elsewhere, |line| line.replace("served", "other"));
    edit(&two, &broken, |line| format!("{line} uses=3"));
    let (print, rest) = open["haul://".len()..].split_once('.').unwrap();
    let other = PRINT[7..].replace('/', "_");
    let swapped = |at: usize, from: &str| {
        let mut link = from.to_owned();
        let is_a = &link[at..=at] == "A";
        link.replace_range(at..=at, if is_a { "B" } else { "A" });
        link
    };
    let secret = open.find('@').unwrap() - 10;
    let unknown = "does not hold here: it was revoked, or the link is damaged";
    let another_id = open.replace(
        id(&open),
        if id(&open) == "00000000" {
            "1"
        } else {
            "00000000"
        },
    );
    for (link, why) in [
        (swapped(secret, &open), unknown),
        (another_id, unknown),
        (revoked, unknown),
        (elsewhere, unknown),
        (broken, unknown),
        (expired.clone(), "has expired"),
        // Of one that has expired a wrong secret learns no more than of none.
        (swapped(expired.find('@').unwrap() - 10, &expired), unknown),
        (format!("haul://{other}.{rest}"), "is not the right one"),
        (
            format!("haul://{print}.{}", &rest[1..]),
            "the link is damaged",
        ),
        (open.replace('@', "A@"), "the link is damaged"),
        (open.replacen('.', "", 1), "the link is damaged"),
        (
            open.split('@').next().unwrap().to_owned(),
            "the link is damaged",
        ),
        (open["haul://".len()..].to_owned(), "the link is damaged"),
    ] {
        for line in [format!("put -- a {link}"), format!("ls -- {link}")] {
            let ended = comes(&two.guest, &line, 4, why);
            assert_eq!(ended.stderr.lines().count(), 1, "{line}: {ended:?}");
        }
    }
    assert!(!two.served("a").exists());
    comes(&two.guest, &format!("put a {open}"), 0, "1 stored");
}

#[test]
fn a_clock_that_was_set_back_brings_no_invitation_back() {
    let two = Two::met("");
    let link = link(&two, "--read --expires 2w");
    comes(&two.guest, &format!("ls {link}"), 0, "");
    let two = two.again(Signal::TERM, |owner| {
        fs::write(owner.state().join("latest_time"), "9000-01-01T00:00:00Z\n").unwrap();
    });
    let (before, _) = link.split_once('@').unwrap();
    let list = format!("ls {before}@{}/", two.address);
    comes(&two.guest, &list, 4, "has expired");
}

#[test]
fn a_revoke_ends_also_a_conversation_that_is_under_way() {
    let two = Two::met("");
    fs::write(two.served("x"), b"x").unwrap();
    let link = link(&two, "--read --write");
    let (input, mut script) = io::pipe().unwrap();
    let mut command = two.guest.command(&format!("shell -k {link}"));
    command.stdin(input);
    let running = Running::start(command);
    script.write_all(b"ls\n").unwrap();
    assert_eq!(running.line(), "x");
    comes(&two.owner, &format!("revoke {}", id(&link)), 0, "no longer");
    script.write_all(b"ls\nput a\n").unwrap();
    drop(script);
    let ended = running.finish();
    assert_eq!((ended.code, &*ended.stdout), (Some(4), ""), "{ended:?}");
    assert!(!two.served("a").exists());
}

#[test]
fn a_link_is_for_encryption_alone() {
    let two = Two::met("");
    let link = link(&two, "--read");
    comes(
        &two.guest,
        &format!("ls --plaintext {link}"),
        2,
        "without encryption",
    );
    // Nor to a server that has another key, or none.
    let open = Two::met("--plaintext");
    let (before, _) = link.split_once('@').unwrap();
    comes(
        &two.guest,
        &format!("ls {before}@{}/", open.address),
        9,
        "does not encrypt",
    );
    comes(&two.guest, &format!("ls {link}"), 0, "");
}

#[test]
fn a_link_comes_from_a_variable_or_a_file_too() {
    let two = Two::met("");
    let (guest, link) = (&two.guest, link(&two, "--read --write"));
    let with = |line: &str, name: &str, value: &str| {
        let mut command = guest.command(line);
        command.env(name, value);
        Running::start(command).finish()
    };
    is(with("put a :", "HAUL_REMOTE", &link), "put", 0, "1 stored");
    is(with("ls :", "HAUL_REMOTE", &link), "ls", 0, "a\n");
    let file = |name: &str, text: &str| {
        fs::write(guest.root().join(name), text).unwrap();
        crate::person::chmod(&guest.root().join(name), 0o600);
    };
    // The link alone, or as it was printed, or with what was said around it.
    for (name, text) in [
        ("link", link.clone()),
        ("line", format!("haul put FILE {link}\n")),
        ("mail", format!("Dear guest,\n\n  {link}\n\nYours, A.\n")),
    ] {
        file(name, &text);
        let ended = comes(guest, &format!("ls --link-file {name} :"), 0, "a\n");
        assert_eq!(ended.stderr, "");
    }
    comes(guest, "put --link-file link a :d/", 0, "1 stored");
    comes(guest, "get --link-file link :d/a back", 0, "1 fetched");
    is(with("ls :d", "HAUL_LINK_FILE", "link"), "ls", 0, "a\n");
    // It goes before the default remote, and what is typed before both.
    let mut command = guest.command("ls --link-file link :d");
    command
        .env("HAUL_LINK_FILE", "none")
        .env("HAUL_REMOTE", "nowhere:1");
    is(Running::start(command).finish(), "ls", 0, "a\n");
    // A pipe is a file.
    let mut command = Command::new("bash");
    let haul = guest.command("ls --link-file /dev/stdin :d");
    command.args(["-c", "echo \"$LINK\" | \"$0\" \"$@\""]);
    command.arg(haul.get_program()).args(haul.get_args());
    crate::program::as_given(&haul, &mut command);
    let ended = command
        .current_dir(guest.root())
        .env("LINK", &link)
        .output()
        .unwrap();
    assert_eq!(ended.stdout, b"a\n", "{ended:?}");

    file("empty", "nothing here\n");
    file("both", &format!("{link} {link}"));
    comes(guest, "ls --link-file none :", 10, "none: No such file");
    comes(guest, "ls --link-file empty :", 2, "holds no link");
    comes(guest, "ls --link-file both :", 2, "holds several links");
    comes(
        guest,
        &format!("ls --link-file link {}", two.address),
        2,
        "so does --link-file",
    );
    comes(guest, "ls :", 2, "nor a --link-file given");
}

#[test]
fn a_file_that_others_can_read_is_used_and_said_to_be_open() {
    let two = Two::met("");
    let link = link(&two, "--read");
    let path = two.guest.root().join("link");
    fs::write(&path, link).unwrap();
    crate::person::chmod(&path, 0o644);
    let ended = comes(&two.guest, "ls --link-file link :", 0, "chmod 600 link");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for quiet in ["-q", "--json"] {
        let typed = format!("ls {quiet} --link-file link :");
        assert_eq!(comes(&two.guest, &typed, 0, "").stderr, "");
    }
}

#[test]
fn a_server_invites_and_serves_in_one_go() {
    let (owner, guest) = (Person::new(), Person::new());
    fs::create_dir(owner.root().join("served")).unwrap();
    fs::write(owner.root().join("served/x"), b"xyz").unwrap();
    fs::write(guest.root().join("a"), b"abc").unwrap();
    let line = "serve --listen 127.0.0.1:0 --invite read,write served";
    let server = Running::start(owner.command(line));
    let (ready, command) = (server.line(), server.line());
    let address = ready.strip_prefix("listening on haul://").unwrap();
    let typed = command.strip_prefix("haul ").unwrap();
    assert!(typed.contains(&format!("@{address}/")), "{command}");
    // The whole command, as it was printed but for the file.
    comes(&guest, &typed.replace("FILE", "a"), 0, "1 stored");
    comes(&guest, &format!("ls {}", in_command(&command)), 0, "a\nx\n");
    comes(&owner, "access --root served", 0, "may read and write in");
    server.signal(Signal::TERM);
    let said = server.finish().stderr;
    assert!(said.contains("haul revoke "), "{said}");
    let leads = format!("the link leads to {address}\n");
    assert!(said.contains(&leads), "{said}");
    let shown = in_command(&command);
    let secret = shown.split(['.', '@']).nth(2).unwrap();
    assert!(!said.contains(secret), "{said}");

    let line = "serve --json --listen 127.0.0.1:0 --invite read served";
    let server = Running::start(owner.command(line));
    let told = [server.line(), server.line()].map(|line| objects(&line).remove(0));
    let events = told.each_ref().map(|told| &*told["event"]);
    assert_eq!(events, ["listening", "invitation"]);
    let typed = told[1]["command"].strip_prefix("haul ").unwrap();
    comes(&guest, typed, 0, "1 fetched, 1 unchanged");
    drop(server);

    for (flags, why) in [
        ("--plaintext --invite read", "goes without --plaintext"),
        ("--read-only --invite write", "--read-only"),
        ("--invite all", "words of read,write,replace,delete"),
        ("--invite replace", "goes with --write"),
    ] {
        let line = format!("serve --listen 127.0.0.1:0 {flags} served");
        comes(&owner, &line, 2, why);
    }
}

#[test]
fn an_invitation_is_somebody_to_admit_on_a_public_address() {
    let owner = Person::new();
    let serve = |flags: &str| format!("serve --allow-root --listen 0.0.0.0:0{flags} .");
    comes(&owner, &serve(""), 2, "--invite read prints a link");
    let server = Running::start(owner.command(&serve(" --invite read")));
    assert!(server.line().starts_with("listening on haul://0.0.0.0:"));
    assert!(server.line().starts_with("haul get haul://"));
    drop(server);
    // It holds for a server that begins later, too, until it is taken back.
    let server = Running::start(owner.command(&serve("")));
    assert!(server.line().starts_with("listening on"));
    drop(server);
    let told = objects(&owner.run("access --json").stdout);
    comes(&owner, &format!("revoke {}", told[0]["id"]), 0, "no longer");
    comes(&owner, &serve(""), 2, "none of them is admitted");
}

#[test]
fn a_guest_comes_from_elsewhere_and_by_ipv6_without_a_first_meeting() {
    let ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !ipv6 {
        eprintln!("skipped: this machine has no IPv6");
    }
    let reachable = reachable().map(|ip| format!("{ip}:0"));
    let listens = ipv6
        .then(|| "[::1]:0".to_owned())
        .into_iter()
        .chain(reachable);
    for listen in listens {
        let (owner, guest) = (Person::new(), Person::new());
        fs::write(guest.root().join("a"), b"abc").unwrap();
        fs::create_dir(owner.root().join("served")).unwrap();
        owner.run("invite --read --root served --address nas");
        let two = Two::at(&listen, "--allow-root", owner, guest);
        let link = link(&two, "--write --once");
        // As a shell reads it, which it does not change.
        let mut command = Command::new("bash");
        let haul = two.guest.command("put a");
        command.args(["-O", "failglob", "-c", &format!("\"$0\" put a {link}")]);
        command.arg(haul.get_program());
        crate::program::as_given(&haul, &mut command);
        let ended = command.current_dir(two.guest.root()).output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{listen}: {ended:?}");
        assert!(File::open(two.served("a")).is_ok());
    }
}
