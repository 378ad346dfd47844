//! `haul key`: made at first need, once, and believed only where nobody else had it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::objects::objects;
use crate::person::{Person, STRANGER, chmod, give, mode};
use crate::program::Running;

#[test]
fn a_key_is_made_at_first_need_and_printed_as_openssh_would() {
    let person = Person::new();
    let path = person.file("identity");
    let first = person.run("key");
    assert_eq!(first.code, Some(0), "{first:?}");
    let said = format!("made a key for this user: {}\n", path.display());
    assert_eq!(first.stderr, said);
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .contains("BEGIN PRIVATE KEY")
    );

    person.says("key", &first.stdout, "");
    let [key, print] = first.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("{first:?}");
    };
    assert!(key.starts_with("ssh-ed25519 AAAA"), "{key}");
    let told = objects(&person.run("key --json").stdout);
    assert_eq!((&*told[0]["event"], &*told[1]["event"]), ("key", "done"));
    assert_eq!((&*told[0]["key"], &*told[0]["fingerprint"]), (key, print));

    let public = person.root().join("key.pub");
    fs::write(&public, key).unwrap();
    let line = ["-l", "-f", public.to_str().unwrap()];
    if let Ok(output) = Command::new("ssh-keygen").args(line).output() {
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.split(' ').nth(1), Some(print), "{said}");
    }
}

#[test]
fn commands_that_need_a_key_at_once_all_have_the_same() {
    let person = Person::new();
    let all: Vec<Running> = (0..8)
        .map(|_| Running::start(person.command("key")))
        .collect();
    let printed: BTreeSet<String> = all
        .into_iter()
        .map(|running| {
            let ended = running.finish();
            assert_eq!(ended.code, Some(0), "{ended:?}");
            ended.stdout
        })
        .collect();
    assert_eq!(printed.len(), 1, "{printed:?}");
    let directory = person.file("");
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
}

#[test]
fn a_key_that_others_may_have_read_or_written_is_refused() {
    let person = Person::new();
    person.run("key");
    let path = person.file("identity");
    for loose in [0o640, 0o604, 0o660, 0o620] {
        chmod(&path, loose);
        person.fails(
            "key",
            2,
            &format!("chmod 600 mends its mode, which is {loose:04o}"),
        );
    }
    chmod(&path, 0o600);
    let directory = path.parent().unwrap();
    chmod(directory, 0o770);
    person.fails("key", 2, "others may change it: chmod go-w");
    chmod(directory, 0o700);
    let moved = path.with_extension("moved");
    fs::rename(&path, &moved).unwrap();
    symlink(&moved, &path).unwrap();
    person.fails("key", 2, "it is a symbolic link: put the file itself there");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    person.fails("key", 2, "it is not a regular file");
    fs::remove_dir(&path).unwrap();
    fs::rename(&moved, &path).unwrap();
    assert_eq!(person.run("key").code, Some(0));
    if give(&path, STRANGER) {
        person.fails("key", 2, "it belongs to user 4000000");
    }
}

#[test]
fn a_key_that_is_damaged_is_never_replaced() {
    let person = Person::new();
    for text in [
        "",
        "x",
        "\u{0}",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        person.edits("identity", text);
        person.fails(
            "key",
            10,
            "not Ed25519 in PKCS#8: where it is moved away, a new key",
        );
        assert_eq!(person.reads("identity"), text);
    }
    person.edits("identity", &"x".repeat((64 << 10) + 1));
    person.fails("key", 8, "is over 65536 bytes");
    let mut command = person.command("key");
    command.env_remove("HOME").env_remove("XDG_CONFIG_HOME");
    let ended = Running::start(command).finish();
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("set HOME, or XDG_CONFIG_HOME"),
        "{ended:?}"
    );
}

#[test]
fn another_key_is_named_and_may_be_behind_links_as_mounted_secrets_are() {
    let person = Person::new();
    let run = |name: &str| {
        let mut command = person.command("key");
        command.env("HAUL_IDENTITY", name);
        Running::start(command).finish()
    };
    let made = run("ci.key");
    assert_eq!(made.stderr, "made a key for this user: ci.key\n");
    let path = person.root().join("ci.key");
    assert_eq!(mode(&path), 0o600);
    fs::create_dir(person.root().join("..data")).unwrap();
    fs::rename(&path, person.root().join("..data/key")).unwrap();
    symlink("..data/key", &path).unwrap();
    assert_eq!(run("ci.key").stdout, made.stdout);
    assert!(!person.file("identity").exists());
    assert_eq!(fs::read_dir(person.root()).unwrap().count(), 2);
    if give(&path, STRANGER) {
        let ended = run("ci.key");
        assert_eq!(ended.code, Some(2));
        assert!(
            ended.stderr.contains("a symbolic link of user 4000000"),
            "{ended:?}"
        );
    }
}

#[test]
fn a_secret_of_roots_serves_a_user_who_could_read_it_no_other_way() {
    let person = Person::new();
    person.run("key");
    let directory = person.root().join("mounted");
    fs::create_dir(&directory).unwrap();
    let secret = directory.join("secret");
    fs::copy(person.file("identity"), &secret).unwrap();
    symlink("secret", directory.join("key")).unwrap();
    let home = person.root().join("home");
    fs::create_dir(&home).unwrap();
    if !give(&home, STRANGER) {
        return;
    }
    for above in directory.ancestors().take(3) {
        chmod(above, 0o755);
    }
    let run = || {
        let mut command = person.command("key");
        command.env("HAUL_IDENTITY", directory.join("key"));
        command.env("HOME", &home).current_dir(&home).uid(STRANGER);
        command
    };
    chmod(&secret, 0o644);
    if run().spawn().is_err() {
        eprintln!("skipped: the program is where only its builder can run it");
        return;
    }
    let ended = Running::start(run()).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    chmod(&secret, 0o664);
    let ended = Running::start(run()).finish();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("others may change it"), "{ended:?}");
}
