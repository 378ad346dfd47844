//! `haul invite`, and invitations in `revoke` and `access`: as people say and read them.

use std::fs;

use crate::objects::objects;
use crate::person::{PRINT, Person, chmod};

/// The link in a command that was printed, and its invitation's id.
#[track_caller]
fn parts(printed: &str) -> (String, String) {
    let link = printed.split(' ').find(|word| word.starts_with("haul://"));
    let link = link.unwrap_or_else(|| panic!("no link in {printed:?}"));
    let id = link.split('.').nth(1).unwrap();
    (link.trim_end().to_owned(), id.to_owned())
}

/// What a line prints that ends well, and the id of the invitation that it made.
#[track_caller]
fn invites(person: &Person, line: &str) -> (String, String) {
    let ended = person.run(line);
    assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
    assert_eq!(ended.stdout.lines().count(), 1, "{ended:?}");
    let (_, id) = parts(&ended.stdout);
    (ended.stdout.trim_end().to_owned(), id)
}

/// The end that a line names, so that the rest of it can be compared.
fn until(text: &str) -> &str {
    let at = text.find("until ").unwrap();
    &text[at..at + "until 2025-11-22T12:00:00Z".len()]
}

#[test]
fn what_a_guest_is_to_type_follows_from_what_they_may_do() {
    let person = Person::new();
    for (flags, begin, end) in [
        ("--write", "haul put FILE haul://", "@nas:4285/"),
        ("--read --write", "haul put FILE haul://", "@nas:4285/"),
        ("--read", "haul get haul://", "@nas:4285/ ."),
        ("--delete", "haul rm haul://", "@nas:4285/NAME"),
    ] {
        let line = format!("invite {flags} --address nas");
        let (printed, _) = invites(&person, &line);
        assert!(
            printed.starts_with(begin) && printed.ends_with(end),
            "{printed}"
        );
    }
    let (printed, _) = invites(&person, "invite --read --address [fe80::1]:80");
    assert!(printed.ends_with("@%5Bfe80::1%5D:80/ ."), "{printed}");
    // The link has the very key that this user's servers show.
    let print = haul::net::keys::Keypair::from_pem(&person.reads("server_key")).unwrap();
    let print = print.public().fingerprint();
    assert!(
        printed.contains(&format!("haul://{}.", print.in_address())),
        "{printed}"
    );
}

#[test]
fn who_invites_is_told_what_whom_and_until_when() {
    let person = Person::new();
    let line = "invite --read --write --under in/box --name anna --once --address nas";
    let ended = person.run(line);
    let (_, id) = parts(&ended.stdout);
    let end = until(&ended.stderr);
    let said = format!(
        "anna (invitation {id}) may read and write in [ROOT], under in/box, {end}, for one key, \
         unused\nhaul revoke {id} ends that before\n"
    );
    assert_eq!(ended.stderr, person.meant(&said));
    // A day is what it holds for where nothing else is said.
    let usual = end_in(&person, "");
    let day = end_in(&person, " --expires 24h");
    let hour = end_in(&person, " --expires 1h");
    assert!(usual.abs_diff(day) <= 60 && day - hour > 22 * 3600);
    let guessed = person.run("invite --read").stderr;
    assert!(
        guessed.contains("--address HOST[:PORT] says another place"),
        "{guessed}"
    );
    assert_eq!(person.run("invite --read --address nas -q").stderr, "");
}

/// When an invitation ends, in seconds.
#[track_caller]
fn end_in(person: &Person, flags: &str) -> i64 {
    let line = format!("invite --read --address nas{flags}");
    let said = person.run(&line).stderr;
    let end = until(&said).strip_prefix("until ").unwrap();
    haul::utc::Utc::parse(end).unwrap().seconds()
}

#[test]
fn a_program_reads_the_same_and_the_link_once() {
    let person = Person::new();
    let told = person.run("invite --write --once --name anna --address nas --json");
    let told = objects(&told.stdout);
    let (made, done) = (&told[0], &told[1]);
    assert_eq!((&*made["event"], &*done["event"]), ("invitation", "done"));
    for (member, value) in [
        ("name", "anna"),
        ("root", "[ROOT]"),
        ("rights", "write"),
        ("under", "null"),
        ("max_bytes", "null"),
        ("bound", "null"),
        ("status", "unused"),
    ] {
        assert_eq!(made[member], person.meant(value), "{member}");
    }
    let (link, id) = parts(&made["command"]);
    assert_eq!((&made["link"], &made["id"]), (&link, &id));
    let listed = objects(&person.run("access --json").stdout);
    let mut known = made.clone();
    for secret in ["link", "command"] {
        known.remove(secret);
    }
    assert_eq!(listed[0], known);
    let told = objects(&person.run("revoke anna --json").stdout);
    assert_eq!(
        (&*told[0]["event"], &*told[0]["status"]),
        ("invitation", "revoked")
    );
}

#[test]
fn invitations_are_listed_with_their_state_until_they_are_revoked() {
    let person = Person::new();
    let (_, open) = invites(
        &person,
        "invite --read --name all --address nas --expires 2w",
    );
    let (_, once) = invites(&person, "invite --write --once --address nas");
    let (_, bound) = invites(&person, "invite --write --once --address nas --name anna");
    let (_, over) = invites(&person, "invite --write --address nas");
    let path = person.state().join("invitations");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| match line.split(' ').next() {
        Some(id) if id == bound => line.replace("once", &format!("bound={PRINT}")),
        Some(id) if id == over => {
            let (before, _) = line.split_once("expires=").unwrap();
            format!("{before}expires=2025-01-01")
        }
        _ => line.to_owned(),
    });
    let text: String = lines.map(|line| line + "\n").collect();
    fs::write(&path, &text).unwrap();
    let listed = person.run("access --root .").stdout;
    let lines: Vec<&str> = listed.lines().collect();
    for (line, said) in [
        (
            lines[0],
            format!("all (invitation {open}) may read in [ROOT], UNTIL"),
        ),
        (
            lines[1],
            format!(
                "whoever has invitation {once} may write in [ROOT], UNTIL, for one key, unused"
            ),
        ),
        (
            lines[2],
            format!("anna (invitation {bound}) may write in [ROOT], UNTIL, bound to {PRINT}"),
        ),
        (
            lines[3],
            format!("whoever has invitation {over} may write in [ROOT], UNTIL (expired)"),
        ),
    ] {
        let said = person.meant(&said).replace("UNTIL", until(line));
        assert_eq!(line, said);
    }
    let none = "nobody but the user who serves it is admitted to /\n";
    person.says("access --root /", "", none);
    let states: Vec<String> = objects(&person.run("access --json").stdout)
        .iter()
        .filter_map(|told| told.get("status").cloned())
        .collect();
    assert_eq!(states, ["open", "unused", "bound", "expired"]);

    // By id, by the key that it is bound to, by name; elsewhere not.
    person.fails(
        &format!("revoke {once} --root /"),
        5,
        "has that name or id in /: haul access",
    );
    let gone = |name: &str, may: &str| format!("{name} may no longer {may} in [ROOT]\n");
    let whoever = format!("whoever has invitation {once}");
    person.says(&format!("revoke {once}"), "", &gone(&whoever, "write"));
    let anna = format!("anna (invitation {bound})");
    person.says("revoke KEY", "", &gone(&anna, "write"));
    let all = format!("all (invitation {open})");
    person.says("revoke all", "", &gone(&all, "read"));
    person.fails(&format!("revoke {once}"), 5, "has that name or id: haul");
}

#[test]
fn a_name_ends_what_somebody_was_authorized_for_and_invited_to() {
    let person = Person::new();
    person.run("authorize KEY --read --name anna");
    let (_, id) = invites(&person, "invite --write --name anna --address nas");
    let said = format!(
        "anna (PRINT) may no longer read in [ROOT]\n\
         anna (invitation {id}) may no longer write in [ROOT]\n"
    );
    person.says("revoke anna", "", &said);
}

#[test]
fn what_does_not_say_what_or_where_is_refused_and_changes_nothing() {
    let person = Person::new();
    for (line, code, why) in [
        ("invite", 2, "--read, --write, --replace, --delete"),
        ("invite KEY --read", 2, "unexpected argument"),
        ("invite --replace", 2, "goes with --write"),
        ("invite --read --root none", 10, "none: No such file"),
        ("invite --read --under ../x", 9, "component"),
        ("invite --read --name ssh-x", 2, "a name has"),
        ("invite --read --max-files none", 2, "--max-files"),
        ("invite --read --max-bytes 1GB", 2, "--max-bytes"),
        (
            "invite --read --expires 2001-01-01",
            2,
            "2001-01-01 is past",
        ),
        ("invite --read --address nas/x", 2, "has a path"),
        ("invite --read --address :80", 2, "default remote"),
        ("invite --read --address haul://PRINT@nas", 2, "names a key"),
    ] {
        person.fails(line, code, why);
    }
    assert!(!person.state().join("invitations").exists());
}

#[test]
fn a_file_that_others_can_change_is_neither_believed_nor_changed() {
    let person = Person::new();
    let (_, id) = invites(&person, "invite --read --address nas");
    let path = person.state().join("invitations");
    let before = fs::read_to_string(&path).unwrap();
    chmod(&path, 0o662);
    for line in [
        "access",
        "invite --read --address nas",
        &format!("revoke {id}"),
    ] {
        person.fails(line, 2, "chmod go-w mends its mode, which is 0662");
    }
    chmod(&path, 0o600);
    fs::write(&path, format!("{before}nonsense\n")).unwrap();
    let ended = person.run("access");
    assert_eq!(ended.code, Some(10), "{ended:?}");
    assert!(ended.stdout.contains(&id), "{ended:?}");
    let said = "an invitation begins with its eight digits";
    assert!(
        ended.stderr.contains("this admits nobody: ") && ended.stderr.contains(said),
        "{ended:?}"
    );
}
