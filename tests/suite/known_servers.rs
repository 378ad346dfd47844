//! `haul trust` and `haul forget`: which server has which key.

use crate::objects::objects;
use crate::person::{KEY, PRINT, Person, chmod};

#[test]
fn a_server_is_known_from_the_day_on_which_it_was_told_until_it_is_forgotten() {
    let person = Person::new();
    person.says(
        "trust nas PRINT",
        "",
        "nas:4285 is known by PRINT from now on\n",
    );
    let text = person.reads("known_hosts");
    let line = text.lines().last().unwrap();
    let since = line.strip_prefix(&format!("nas:4285 {PRINT} ")).unwrap();
    assert_eq!(since.len(), "2025-11-22".len());
    let again = format!("nas:4285 is known by that already, since {since}\n");
    person.says("trust haul://nas/ PRINT", "", &again);
    person.says("trust NAS PRINT", "", &again.replace("nas", "NAS"));
    person.says("trust nas KEY", "", &again);
    let whole = person.meant(&format!("nas:4285 KEY {since}\n"));
    assert!(person.reads("known_hosts").ends_with(&whole));
    person.says("forget nas", "", "nas:4285 is not known any more\n");
    person.fails(
        "forget nas",
        5,
        "nas:4285 is not a server that is known here",
    );
}

#[test]
fn another_key_of_a_known_server_is_refused_with_what_is_known() {
    let person = Person::new();
    let other = Person::new().run("key").stdout;
    let other = other.lines().nth(1).unwrap();
    person.edits("known_hosts", &person.meant("nas:1 PRINT 2025-11-22\n"));
    let why = "nas:1 is known by PRINT, learned on 2025-11-22: where it has another key on \
               purpose, haul forget comes first";
    person.fails(&format!("trust nas:1 {other}"), 6, why);
    person.says("forget nas:1 -q", "", "");
    let told = objects(&person.run(&format!("trust nas:1 {other} --json")).stdout);
    for (member, value) in [
        ("event", "host"),
        ("host", "nas:1"),
        ("fingerprint", other),
        ("status", "known"),
    ] {
        assert_eq!(told[0][member], value);
    }
    let told = objects(&person.run("forget nas:1 --json").stdout);
    assert_eq!(told[0]["status"], "forgotten");
}

#[test]
fn what_names_no_server_or_no_key_is_refused() {
    let person = Person::new();
    for (line, code, why) in [
        ("trust nas", 2, "required arguments"),
        ("trust nas SHA256:abc", 2, "a fingerprint is"),
        ("trust nas abc", 2, "or its fingerprint"),
        ("trust nas/a PRINT", 2, "has a path"),
        ("trust me@nas:a PRINT", 2, "nas"),
        ("trust : PRINT", 2, "HAUL_REMOTE"),
        ("forget", 2, "required arguments"),
        ("forget nas/a", 2, "has a path"),
    ] {
        person.fails(line, code, why);
    }
    assert!(!person.file("known_hosts").exists());
    person.edits("known_hosts", "nas:4285 what\n");
    person.fails("trust nas PRINT", 10, "line 1: a key is a line");
    person.says("forget nas -q", "", "");
    chmod(&person.file("known_hosts"), 0o666);
    person.fails(&format!("trust nas {KEY}"), 2, "others may change it");
}
