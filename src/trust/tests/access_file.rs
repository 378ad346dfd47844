//! The access file as a whole: what commands write into what people wrote.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{User, new_key};
use crate::trust::{AccessFile, Admission, Admissions, Grant, LineError, Who, Whom};
use crate::wire::message::Rights;

fn admission(who: Who, root: &str, rights: u32, name: Option<&str>) -> Admission {
    Admission {
        who,
        root: PathBuf::from(root),
        grant: Grant {
            name: name.map(str::to_owned),
            rights: Rights(rights),
            under: None,
            max_bytes: None,
            max_files: None,
            expires: None,
        },
    }
}

#[test]
fn who_is_authorized_again_has_one_line_and_who_is_revoked_none() {
    let user = User::new();
    let file = AccessFile::new(&user.places);
    let key = new_key();
    let whole = Who::Key(key);
    let short = Who::Fingerprint(key.fingerprint());
    let first = admission(whole, "/a", 1, Some("anna"));
    let second = admission(short, "/a/", 3, None);
    let elsewhere = admission(whole, "/b", 1, Some("anna"));
    let other = admission(Who::Key(new_key()), "/a", 1, Some("bob"));
    assert_eq!(file.authorize(&first), Ok(None));
    for one in [&elsewhere, &other] {
        file.authorize(one).unwrap();
    }
    assert_eq!(file.authorize(&second), Ok(Some(first)));
    let read = file.read().unwrap();
    assert_eq!(read.holding, [elsewhere.clone(), other.clone(), second]);
    assert_eq!(read.broken, []);

    let whom = Whom::Key(whole);
    let gone = file.revoke(&whom, Some(Path::new("/a"))).unwrap();
    assert_eq!(gone.len(), 1);
    let anna = Whom::Name("anna".to_owned());
    assert_eq!(file.revoke(&anna, None).unwrap(), [elsewhere]);
    assert_eq!(file.revoke(&anna, None).unwrap(), []);
    assert_eq!(file.revoke(&whom, None).unwrap(), []);
    assert_eq!(file.read().unwrap().holding, [other]);
}

#[test]
fn a_new_file_says_to_a_person_what_a_line_is() {
    let user = User::new();
    let file = AccessFile::new(&user.places);
    let one = admission(Who::Key(new_key()), "/a", 1, None);
    file.authorize(&one).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(text.starts_with("# Who may do what."), "{text}");
    assert!(text.ends_with(&format!("\n{one}\n")), "{text}");
    // The example in it is a comment, and none of it is a line.
    assert_eq!(file.read().unwrap().holding, [one]);
}

#[test]
fn what_a_person_wrote_stays_and_a_cut_line_stays_cut() {
    let user = User::new();
    let file = AccessFile::new(&user.places);
    let (anna, bob) = (new_key(), new_key());
    let mine = "# mine\n\nwhat is this\n";
    let cut = format!("{anna} root=/a rights=read,write");
    user.edits(&format!("{mine}{cut}"));
    let one = admission(Who::Key(bob), "/a", 1, None);
    file.authorize(&one).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    assert_eq!(text, format!("{mine}{one}\n{cut}"));
    let read = file.read().unwrap();
    assert_eq!(read.holding, [one]);
    assert_eq!(read.broken.len(), 2);
    assert_eq!(read.broken[1], (5, LineError::Unfinished));
    // What may have been cut off is no reason to keep what is to go.
    assert_eq!(
        file.revoke(&Whom::Key(Who::Key(anna)), None).unwrap().len(),
        1
    );
    assert_eq!(file.read().unwrap().broken.len(), 1);
}

#[test]
fn lines_that_contradict_each_other_admit_nobody() {
    let key = new_key();
    let line = |who: &dyn std::fmt::Display, rest: &str| format!("{who} rights=read {rest}\n");
    let text = [
        line(&key, "root=/a"),
        line(&key, "root=/b"),
        line(&key.fingerprint(), "root=/a/ expires=2000-01-01"),
        line(&new_key(), "root=/a"),
        line(&key, "root=/a name=anna"),
    ];
    let read = Admissions::parse(&text.concat());
    let numbers: Vec<usize> = read.broken.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 3, 5]);
    assert_eq!(read.broken[0].1, LineError::AlsoIn(3));
    assert_eq!(read.holding.len(), 2);
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|[ \"=#\n\\\\]|root=/a|rights=read|SHA256:|ssh-ed25519 A){0,40}") {
        let _ = Admissions::parse(&text);
    }
}
