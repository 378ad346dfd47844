//! Lines of the access file: what they say, and what breaks them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use proptest::prelude::*;

use super::{day, new_key};
use crate::net::keys::PublicKey;
use crate::path::RemotePath;
use crate::trust::{Admission, Grant, Who, is_name, parse_end, parse_size, rights_words};
use crate::utc::Utc;
use crate::wire::message::Rights;

/// A line with `KEY` in it, for some key.
fn parse(line: &str) -> Result<Option<Admission>, String> {
    let line = line.replace("KEY", &new_key().to_string());
    Admission::parse(&line).map_err(|why| why.to_string())
}

#[test]
fn a_line_says_who_may_do_what_where_and_for_how_long() {
    let line = "KEY root=\"/srv/my files\" rights=read,replace name=\"Anna B.\" under=in/box \
                max-bytes=10GiB max-files=7 expires=2025-11-22T12:00:00Z # since May\n";
    let said = parse(line).unwrap().unwrap();
    assert_eq!(said.root, PathBuf::from("/srv/my files"));
    let grant = Grant {
        name: Some("Anna B.".to_owned()),
        rights: Rights(5),
        under: Some(RemotePath::parse("in/box").unwrap()),
        max_bytes: Some(10 << 30),
        max_files: Some(7),
        expires: Utc::parse("2025-11-22T12:00:00Z"),
    };
    assert_eq!(said.grant, grant);
    assert_eq!(rights_words(said.grant.rights), ["read", "replace"]);
    for nothing in ["", "\n", "  # KEY root=/ rights=read\n"] {
        assert_eq!(parse(nothing), Ok(None));
    }
}

#[track_caller]
fn broken(line: &str, why: &str) {
    let said = parse(line).expect_err(line);
    assert!(said.contains(why), "{line}: {said}");
}

#[test]
fn a_line_that_is_not_wholly_understood_is_broken() {
    broken("root=/a rights=read", "a key is a line");
    broken("ssh-rsa AAAA root=/a rights=read", "only ssh-ed25519");
    broken("ssh-ed25519 AAAA root=/a rights=read", "damaged");
    broken("KEY me@here root=/a rights=read", "\"me@here\" is no");
    broken("KEY rights=read", "root= is missing");
    broken("KEY root=/a", "rights= is missing");
    broken("KEY root=/a root=/b rights=read", "root= is there twice");
    broken("KEY root=a rights=read", "root= takes");
    broken("KEY root=/a/../b rights=read", "root= takes");
    broken("KEY root=\"/a\\x00\" rights=read", "root= takes");
    broken("KEY root=/a rights=", "rights= takes");
    broken("KEY root=/a rights=all", "rights= takes");
    broken("KEY root=/a rights=read,", "rights= takes");
    broken("KEY root=/a rights=Read", "rights= takes");
    broken("KEY root=/a rights=read name=", "name= takes");
    broken("KEY root=/a rights=read name=\"a\\nb\"", "name= takes");
    broken("KEY root=/a rights=read name=SHA256:a", "name= takes");
    broken("KEY root=/a rights=read under=/b", "under=: ");
    broken("KEY root=/a rights=read under=../b", "under=: ");
    broken("KEY root=/a rights=read under=", "under=: ");
    broken("KEY root=/a rights=read max-bytes=0", "max-bytes= takes");
    broken("KEY root=/a rights=read max-bytes=-1", "max-bytes= takes");
    broken("KEY root=/a rights=read max-files=1KiB", "max-files= takes");
    broken("KEY root=/a rights=read expires=8h", "expires= takes");
    broken(
        "KEY root=/a rights=read expires=2025-02-30",
        "expires= takes",
    );
    broken("KEY root=/a rights=read once", "\"once\" is no");
    broken(
        "KEY root=/a rights=read Expires=2025-02-20",
        "is no FIELD=VALUE",
    );
    broken("KEY root=\"/a rights=read", "a quote is not closed");
}

#[test]
fn sizes_and_ends_are_written_as_people_write_them() {
    for (text, size) in [
        ("1", Some(1)),
        ("10KiB", Some(10 << 10)),
        ("3TiB", Some(3 << 40)),
        ("16777216TiB", None),
        ("10 KiB", None),
        ("10K", None),
        ("1.5GiB", None),
        ("+1", None),
        ("", None),
        ("KiB", None),
    ] {
        assert_eq!(parse_size(text), size, "{text}");
    }
    assert_eq!(parse_end("2025-11-22"), Some(day("2025-11-23")));
    let moment = Utc::parse("2025-11-22T01:02:03Z");
    assert_eq!(parse_end("2025-11-22T01:02:03Z"), moment);
    assert_eq!(parse_end("tomorrow"), None);
    // The day after it has five digits in its year, and could not be read back.
    let last = Utc::parse("9999-12-31T23:59:59Z");
    assert_eq!(parse_end("9999-12-31"), last);
}

#[test]
fn a_name_is_seen_whole_and_is_no_key() {
    for name in ["anna", "Anna \"B.\" O'Neil", "日本", &"a".repeat(100)] {
        assert!(is_name(name), "{name}");
    }
    for name in [
        "",
        " a",
        "a\nb",
        "\u{202e}a",
        "ssh-ed25519 A",
        &"a".repeat(101),
    ] {
        assert!(!is_name(name), "{name}");
    }
}

/// Any admission that can be written.
fn admissions() -> impl Strategy<Value = Admission> {
    let name = proptest::option::of("[^\\pC]{1,20}".prop_filter("a name", |name| is_name(name)));
    let component = "[^/\\x00]{1,9}".prop_filter("a name", |name| RemotePath::parse(name).is_ok());
    let under = proptest::option::of(component.prop_map(|name| RemotePath::parse(&name).unwrap()));
    let root = proptest::collection::vec(1_u8.., 0..20).prop_filter("no dots", |bytes| {
        let parts = bytes.split(|byte| *byte == b'/');
        parts.into_iter().all(|part| part != b".." && part != b".")
    });
    let count = || proptest::option::of(1_u64..);
    let end = proptest::option::of(0_i64..200_000_000_000);
    (root, 1_u32..16, name, under, count(), count(), end).prop_map(
        |(root, rights, name, under, max_bytes, max_files, end)| Admission {
            who: Who::Key(key()),
            root: OsString::from_vec([b"/".to_vec(), root].concat()).into(),
            grant: Grant {
                name,
                rights: Rights(rights),
                under,
                max_bytes,
                max_files,
                expires: end.map(Utc::from_seconds),
            },
        },
    )
}

fn key() -> PublicKey {
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC/stjtjhwPC7C9B551fG6t5tFokkElFykUVn4xKjN2G";
    PublicKey::parse(line).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(admission in admissions()) {
        let line = admission.to_string();
        prop_assert!(!line.contains(char::is_control), "{}", line);
        prop_assert_eq!(Admission::parse(&line), Ok(Some(admission)));
    }
}
