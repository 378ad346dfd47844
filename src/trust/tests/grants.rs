//! What a server learns of the access file, at each moment.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{User, day, new_key};
use crate::net::keys::PublicKey;
use crate::trust::{AccessFile, Grants, Who, Whom};
use crate::utc::Utc;
use crate::wire::message::Rights;

const ROOT: &str = "/srv/a";

/// What a key may do now.
fn rights(grants: &Grants, key: &PublicKey) -> Option<Rights> {
    let grant = grants.grant_for(key, Path::new(ROOT), Utc::now());
    grant.map(|grant| grant.rights)
}

fn line(key: &PublicKey, rest: &str) -> String {
    format!("{key} root={ROOT} rights=read{rest}\n")
}

#[test]
fn a_line_holds_for_its_key_and_the_root_that_it_names() {
    let user = User::new();
    let grants = Grants::new(&user.places);
    let (anna, bob) = (new_key(), new_key());
    let now = Utc::now();
    assert_eq!(rights(&grants, &anna), None);
    assert!(!grants.admits_anybody(Path::new(ROOT), now));
    let by_fingerprint = format!("{} root=/b rights=write\n", bob.fingerprint());
    user.edits(&(line(&anna, " name=anna") + &by_fingerprint));
    assert_eq!(rights(&grants, &anna), Some(Rights(1)));
    assert_eq!(rights(&grants, &bob), None);
    let grant = grants.grant_for(&bob, Path::new("/b"), now).unwrap();
    assert_eq!(grant.rights, Rights(2));
    for root in ["/", "/srv", "/srv/a/b", "/srv/ab", "srv/a"] {
        assert_eq!(
            grants.grant_for(&anna, Path::new(root), now),
            None,
            "{root}"
        );
        assert!(!grants.admits_anybody(Path::new(root), now), "{root}");
    }
    assert!(grants.admits_anybody(Path::new(ROOT), now));
}

#[test]
fn a_change_holds_with_the_next_question() {
    let user = User::new();
    let grants = Grants::new(&user.places);
    let file = AccessFile::new(&user.places);
    let key = new_key();
    // As fast as a file system can be changed, by an editor and by commands: of equal
    // size, and with the time of the change before.
    for _ in 0..20 {
        user.edits(&line(&key, ""));
        assert_eq!(rights(&grants, &key), Some(Rights(1)));
        user.edits(&line(&key, "").replace("rights=read", "rights=none"));
        assert_eq!(rights(&grants, &key), None);
        user.edits(&line(&key, ""));
        assert_eq!(rights(&grants, &key), Some(Rights(1)));
        file.revoke(&Whom::Key(Who::Key(key)), None).unwrap();
        assert_eq!(rights(&grants, &key), None);
        fs::remove_file(file.path()).unwrap();
        assert_eq!(rights(&grants, &key), None);
    }
}

#[test]
fn while_the_file_cannot_be_relied_on_nobody_is_admitted() {
    let user = User::new();
    let grants = Grants::new(&user.places);
    let key = new_key();
    let path = AccessFile::new(&user.places).path();
    let fine = || {
        user.edits(&line(&key, ""));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(rights(&grants, &key), Some(Rights(1)));
    };
    fine();
    fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
    assert_eq!(rights(&grants, &key), None);
    fine();
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"\xff\n")
        .unwrap();
    assert_eq!(rights(&grants, &key), None);
    fine();
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_len((1 << 20) + 1)
        .unwrap();
    assert_eq!(rights(&grants, &key), None);
    fine();
    let moved = path.with_extension("moved");
    fs::copy(&path, &moved).unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&moved, &path).unwrap();
    assert_eq!(rights(&grants, &key), None);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(rights(&grants, &key), None);
    fs::remove_dir(&path).unwrap();
    fine();
}

#[test]
fn a_directory_that_others_can_write_admits_nobody() {
    let user = User::new();
    let key = new_key();
    user.edits(&line(&key, ""));
    let directory = user.places.config();
    fs::set_permissions(directory, Permissions::from_mode(0o777)).unwrap();
    assert_eq!(rights(&Grants::new(&user.places), &key), None);
}

#[test]
fn a_broken_line_admits_nobody_and_the_others_hold() {
    let user = User::new();
    let grants = Grants::new(&user.places);
    let (anna, bob) = (new_key(), new_key());
    user.edits(&(line(&bob, " once") + &line(&anna, "")));
    assert_eq!(rights(&grants, &anna), Some(Rights(1)));
    assert_eq!(rights(&grants, &bob), None);
    let cut = line(&bob, "");
    user.edits(&(line(&anna, "") + cut.trim_end()));
    assert_eq!(rights(&grants, &bob), None);
}

#[test]
fn what_has_expired_stays_so_whatever_the_clock_says_and_after_a_restart() {
    let user = User::new();
    let key = new_key();
    let root = Path::new(ROOT);
    user.edits(&line(&key, " expires=2025-11-22T12:00:00Z"));
    let (before, end) = (
        day("2025-11-22"),
        Utc::parse("2025-11-22T12:00:00Z").unwrap(),
    );
    let grants = Grants::new(&user.places);
    assert!(grants.grant_for(&key, root, before).is_some());
    assert!(grants.grant_for(&key, root, end.plus(-1)).is_some());
    assert!(grants.admits_anybody(root, end.plus(-1)));
    assert!(grants.grant_for(&key, root, end).is_none());
    assert_eq!(user.latest(), end.to_string());
    for _ in 0..2 {
        assert!(grants.grant_for(&key, root, before).is_none());
        assert!(!grants.admits_anybody(root, before));
        let restarted = Grants::new(&user.places);
        assert!(restarted.grant_for(&key, root, before).is_none());
    }
    assert_eq!(user.latest(), end.to_string());
}

#[test]
fn the_latest_time_is_written_once_a_minute_and_only_where_something_expires() {
    let user = User::new();
    let key = new_key();
    let grants = Grants::new(&user.places);
    let begin = day("2025-11-22");
    user.edits(&line(&key, ""));
    assert!(grants.grant_for(&key, Path::new(ROOT), begin).is_some());
    assert_eq!(user.latest(), "");
    user.edits(&line(&key, " expires=2025-12-31"));
    for (seconds, written) in [(0, 0), (59, 0), (60, 60), (0, 60), (119, 60), (120, 120)] {
        let now = begin.plus(seconds);
        assert!(grants.grant_for(&key, Path::new(ROOT), now).is_some());
        assert_eq!(user.latest(), begin.plus(written).to_string());
    }
}

#[test]
fn where_the_latest_time_is_not_known_nothing_that_expires_is_granted() {
    let user = User::new();
    let (anna, bob) = (new_key(), new_key());
    user.has_seen("# what\nyesterday\n");
    user.edits(&(line(&anna, " expires=9999-01-01") + &line(&bob, "")));
    let grants = Grants::new(&user.places);
    assert_eq!(rights(&grants, &anna), None);
    assert_eq!(rights(&grants, &bob), Some(Rights(1)));
    user.has_seen("");
    assert_eq!(rights(&grants, &anna), Some(Rights(1)));
}

#[test]
fn a_latest_time_that_cannot_be_written_holds_while_the_server_runs() {
    let user = User::new();
    let key = new_key();
    // Not even root can write to a directory.
    user.has_seen("");
    fs::create_dir(user.places.state().join(".lock")).unwrap();
    user.edits(&line(&key, " expires=2025-11-22T12:00:00Z"));
    let grants = Grants::new(&user.places);
    let (root, end) = (Path::new(ROOT), Utc::parse("2025-11-22T12:00:00Z").unwrap());
    assert!(grants.grant_for(&key, root, end.plus(-1)).is_some());
    assert!(grants.grant_for(&key, root, end).is_none());
    assert!(grants.grant_for(&key, root, end.plus(-1)).is_none());
    assert_eq!(user.latest(), "");
}
