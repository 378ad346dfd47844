//! `haul authorize`, `revoke` and `access`: who may do what, as people say and read it.

use std::fs;

use crate::objects::objects;
use crate::person::{KEY, PRINT, Person, STRANGER, chmod, give};
use crate::program::Running;

#[test]
fn who_is_authorized_is_listed_until_they_are_revoked() {
    let person = Person::new();
    person.says(
        "access",
        "",
        "nobody but the user who serves it is admitted\n",
    );
    let may = "anna (PRINT) may read and write in [ROOT]\n";
    person.says("authorize KEY --read --write --name anna", "", may);
    person.says("access", may, "");
    person.says("access --root .", may, "");
    let none = "nobody but the user who serves it is admitted to /\n";
    person.says("access --root /", "", none);

    let less = "SHA may read in [ROOT], under in/box\n";
    let less = less.replace("SHA", "PRINT");
    let told = format!("{less}this takes the place of: {may}");
    let line = "authorize PRINT --read --under in/box";
    person.says(line, "", &told);
    person.says("access", &less, "");

    person.says("revoke KEY --root . -q", "", "");
    person.fails(
        "revoke KEY",
        5,
        "PRINT is authorized for nothing: haul access lists",
    );
    person.says("authorize KEY me@here --read -q", "", "");
    let gone = "me@here (PRINT) may no longer read in [ROOT]\n";
    person.says("revoke me@here", "", gone);
    person.fails("revoke me@here", 5, "no key is called me@here");
    person.says("access -q", "", "");
}

#[test]
fn a_name_is_one_key_s() {
    let (person, other) = (Person::new(), Person::new());
    fs::create_dir(person.root().join("other")).unwrap();
    let printed = other.run("key").stdout;
    let print = printed.lines().nth(1).unwrap();
    person.says("authorize KEY --read --name anna -q", "", "");
    let line = format!("authorize {print} --read --name anna");
    let why = format!("anna is PRINT already: --name says another name for {print}");
    person.fails(&line, 2, &why);
    // Another root makes no other name of it: revoke asks for none.
    person.fails(&format!("{line} --root other"), 2, &why);
    assert_eq!(person.run("access").stdout.lines().count(), 1);
    person.says("authorize KEY --read --write --name anna -q", "", "");
    person.says("authorize KEY --read --root other --name anna -q", "", "");
    person.says(&line.replace("anna", "ben -q"), "", "");
    let under = "anna (PRINT) may read in [ROOT], under in/box\n";
    let told = person.run("authorize KEY --read --name anna --under in/box/");
    assert!(told.stderr.starts_with(&person.meant(under)), "{told:?}");
}

#[test]
fn a_program_reads_the_same() {
    let person = Person::new();
    let told = objects(
        &person
            .run("authorize KEY --write --replace --expires 8h --json")
            .stdout,
    );
    let (grant, done) = (&told[0], &told[1]);
    assert_eq!((&*grant["event"], &*done["event"]), ("grant", "done"));
    for (member, value) in [
        ("key", KEY),
        ("fingerprint", PRINT),
        ("name", "null"),
        ("root", "[ROOT]"),
        ("rights", "write,replace"),
        ("under", "null"),
        ("max_bytes", "null"),
        ("status", "holds"),
    ] {
        assert_eq!(grant[member], person.meant(value), "{member}");
    }
    assert!(grant["expires"].ends_with('Z'), "{grant:?}");
    let listed = objects(&person.run("access --json").stdout);
    assert_eq!(&listed[0], grant);
    let told = objects(&person.run("revoke PRINT --json").stdout);
    assert_eq!(told[0]["status"], "revoked");
    let told = objects(&person.run("revoke PRINT --json").stdout);
    assert_eq!((&*told[0]["event"], &*told[0]["code"]), ("error", "5"));
}

#[test]
fn a_key_comes_from_another_haul_through_a_pipe() {
    let (person, other) = (Person::new(), Person::new());
    let printed = other.run("key").stdout;
    let print = printed.lines().nth(1).unwrap();
    let ended = person.told("authorize --read -", &printed);
    let said = person.meant(&format!("{print} may read in [ROOT]\n"));
    assert_eq!((ended.code, ended.stderr), (Some(0), said));
    assert!(
        person
            .reads("access")
            .contains(printed.lines().next().unwrap())
    );
    for (input, why) in [
        ("", "no key is there"),
        (&*format!("{printed}{KEY}\n"), "several keys"),
        ("-----BEGIN PRIVATE KEY-----\nabc", "this is a private key"),
    ] {
        let ended = person.told("authorize - --read", input);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(
            ended.stderr.contains(why) && !ended.stderr.contains("abc"),
            "{ended:?}"
        );
    }
}

#[test]
fn what_does_not_say_who_what_or_where_is_refused_and_changes_nothing() {
    let person = Person::new();
    fs::write(person.root().join("file"), "").unwrap();
    std::os::unix::fs::symlink("/", person.root().join("link")).unwrap();
    for (line, code, why) in [
        ("authorize", 2, "required arguments"),
        ("authorize KEY", 2, "--read, --write, --replace, --delete"),
        ("authorize KEY --replace", 2, "goes with --write"),
        ("authorize anna --read", 2, "a key is a line"),
        ("authorize file --read", 2, "haul authorize - < file"),
        ("authorize ssh-rsa AAAA --read", 2, "only ssh-ed25519 keys"),
        ("authorize ssh-ed25519 AAAA --read", 2, "the key is damaged"),
        ("authorize SHA256:abc --read", 2, "a fingerprint is"),
        ("authorize KEY --read --root none", 10, "none: No such file"),
        ("authorize KEY --read --root file", 10, "not a directory"),
        ("authorize KEY --read --under ../x", 9, "component"),
        ("authorize KEY --read --under .haul", 9, "haul's own"),
        ("authorize KEY --read --name ssh-x", 2, "a name has"),
        ("authorize KEY --read --max-bytes 0", 2, "are not 0"),
        ("authorize KEY --read --max-files 1.5", 2, "above 0"),
        ("authorize KEY --read --expires 8", 2, "8h"),
        (
            "authorize KEY --read --expires 2001-01-01",
            2,
            "2001-01-01 is past",
        ),
        (
            "authorize KEY --read --expires 2001-01-01T00:00:00Z",
            2,
            "haul: 2001-01-01T00:00:00Z is past",
        ),
        ("authorize KEY --read --expires 99999d", 2, "too large"),
        (
            "authorize KEY --read --max-bytes 99999999TiB",
            2,
            "too large",
        ),
        (
            "authorize KEY --read --max-files 99999999999999999999",
            2,
            "too large",
        ),
        ("authorize KEY --read --max-bytes 1PiB", 2, "are not 0"),
        (
            "authorize KEY --read --under file",
            2,
            "--under file: [ROOT]/file is no directory",
        ),
        (
            "invite --read --address nas --under link/x",
            2,
            "[ROOT]/link is a symbolic link",
        ),
        (
            "authorize KEY --read --under a//b",
            9,
            "--under a//b: the name",
        ),
        ("invite --read --address nas:0", 2, "port 0"),
        ("trust nas:0 PRINT", 2, "port 0"),
        ("ls nas:0", 2, "port 0"),
        ("ls haul://[::1]:0", 2, "port 0"),
        ("revoke", 2, "required arguments"),
        ("revoke SHA256:abc", 2, "a fingerprint is"),
        ("revoke nobody", 5, "no key is called nobody here"),
    ] {
        person.fails(line, code, why);
    }
    assert!(!person.file("access").exists());
}

#[test]
fn what_was_granted_where_nothing_is_any_more_can_be_revoked() {
    let person = Person::new();
    let gone = person.root().join("gone");
    fs::create_dir(&gone).unwrap();
    person.says(
        "authorize KEY --read --root gone",
        "",
        "PRINT may read in [ROOT]/gone\n",
    );
    fs::remove_dir(&gone).unwrap();
    person.says("access --root gone", "PRINT may read in [ROOT]/gone\n", "");
    person.fails("revoke KEY --root .", 5, "for nothing in [ROOT]: haul");
    person.says(
        "revoke KEY --root gone",
        "",
        "PRINT may no longer read in [ROOT]/gone\n",
    );
}

#[test]
fn expired_lines_are_marked_and_broken_ones_are_errors() {
    let person = Person::new();
    let text = "# mine\nKEY root=/a rights=read expires=2001-01-01\nnonsense\n\
                PRINT root=\"/b c\" rights=all\nPRINT root=/d rights=delete\nKEY root=/e rights=read";
    person.edits("access", &person.meant(text));
    let ended = person.run("access");
    assert_eq!(ended.code, Some(10), "{ended:?}");
    let listed = "PRINT may read in /a, until 2001-01-02T00:00:00Z (expired)\n\
                  PRINT may delete in /d\n";
    assert_eq!(ended.stdout, person.meant(listed));
    let path = person.file("access");
    let path = path.display();
    let said = format!(
        "haul: this admits nobody: {path}, line 3: a key is a line \"ssh-ed25519 AAAA...\"\n\
         haul: this admits nobody: {path}, line 4: rights= takes words of read,write,replace,delete\n\
         haul: this admits nobody: {path}, line 6: no line feed ends it, so it may have been cut off\n"
    );
    assert_eq!(ended.stderr, said);
    let told = objects(&person.run("access --json").stdout);
    let seen: Vec<&str> = told.iter().map(|line| &*line["event"]).collect();
    assert_eq!(seen, ["grant", "grant", "error", "error", "error", "done"]);
    assert_eq!(
        (&*told[0]["status"], &*told[1]["status"]),
        ("expired", "holds")
    );
}

#[test]
fn a_clock_that_was_set_back_is_noticed() {
    let person = Person::new();
    let seen = person.state().join("latest_time");
    fs::create_dir_all(seen.parent().unwrap()).unwrap();
    chmod(seen.parent().unwrap(), 0o700);
    fs::write(&seen, "9000-01-01T00:00:00Z\n").unwrap();
    person.edits(
        "access",
        &person.meant("KEY root=/a rights=read expires=8999-12-31\n"),
    );
    let ended = person.run("access");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.ends_with("(expired)\n"), "{ended:?}");
    let remedy = format!("remove {}", seen.display());
    assert!(ended.stderr.contains(&remedy), "{ended:?}");
    person.fails("authorize KEY --read --expires 8h", 2, &remedy);
    fs::write(&seen, "yesterday\n").unwrap();
    person.fails("access", 10, "nobody is admitted for a time");
    fs::remove_file(&seen).unwrap();
    let ended = person.run("access");
    assert!(!ended.stdout.contains("expired"), "{ended:?}");
}

#[test]
fn commands_at_once_lose_nobodys_change() {
    let person = Person::new();
    let keys: Vec<String> = (0..8)
        .map(|_| {
            Person::new()
                .run("key")
                .stdout
                .lines()
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    let all = |verb: &str, flags: &str| {
        let line = |key| format!("{verb} {key}{flags}");
        let start = |key| Running::start(person.command(&line(key)));
        let running: Vec<Running> = keys.iter().map(start).collect();
        for running in running {
            let ended = running.finish();
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
    };
    all("authorize", " --read");
    let listed = person.run("access").stdout;
    assert_eq!(listed.lines().count(), keys.len(), "{listed}");
    all("revoke", "");
    person.says("access -q", "", "");
}

#[test]
fn a_file_that_others_can_change_is_neither_believed_nor_changed() {
    let person = Person::new();
    person.run("authorize KEY --read");
    let path = person.file("access");
    let before = person.reads("access");
    chmod(&path, 0o662);
    for line in ["access", "authorize PRINT --write", "revoke KEY"] {
        person.fails(line, 2, "chmod go-w mends its mode, which is 0662");
    }
    chmod(&path, 0o644);
    if give(&path, STRANGER) {
        person.fails("access", 2, "it belongs to user 4000000");
    }
    assert_eq!(person.reads("access"), before);
}
