//! Invitations: the lines of their file, and what a server learns of them at each moment.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use proptest::prelude::*;

use super::{User, day, edit, new_key};
use crate::net::keys::PublicKey;
use crate::token::{InvitationId, Secret, Token};
use crate::trust::{Bearer, Error, Grant, Grants, Invitation, InvitationFile, Invitations};
use crate::trust::{LineError, Uninvited, Who, Whom};
use crate::utc::Utc;
use crate::wire::message::Rights;

const ROOT: &str = "/srv/a";

fn grant(name: Option<&str>, expires: Option<Utc>) -> Grant {
    Grant {
        name: name.map(str::to_owned),
        rights: Rights(3),
        under: None,
        max_bytes: Some(10 << 20),
        max_files: Some(7),
        expires,
    }
}

/// A user who has invited somebody, their servers, and the token.
struct Host {
    user: User,
    grants: Grants,
    token: Token,
}

impl Host {
    fn inviting(bearer: Bearer, expires: Option<Utc>) -> Self {
        let user = User::new();
        let grants = Grants::new(&user.places);
        let token = invite(&user, bearer, expires);
        Self {
            user,
            grants,
            token,
        }
    }

    fn file(&self) -> InvitationFile {
        InvitationFile::new(&self.user.places)
    }

    /// What comes of a guest who holds a key, and shows the token.
    fn lets_in(&self, key: &PublicKey) -> Result<Rights, Uninvited> {
        self.lets_in_at(key, Utc::now())
    }

    fn lets_in_at(&self, key: &PublicKey, now: Utc) -> Result<Rights, Uninvited> {
        let root = Path::new(ROOT);
        let grant = self.grants.grant_by(&self.token, key, root, now);
        grant.map(|grant| grant.rights)
    }

    /// The lines of the file that say something.
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file().path()).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }
}

fn invite(user: &User, bearer: Bearer, expires: Option<Utc>) -> Token {
    let file = InvitationFile::new(&user.places);
    let grant = grant(Some("anna"), expires);
    let made = file.invite(Path::new(ROOT), &grant, bearer, Utc::now());
    made.unwrap().1
}

#[test]
fn whoever_has_the_secret_comes_in_and_nobody_else() {
    let host = Host::inviting(Bearer::Any, None);
    for _ in 0..3 {
        assert_eq!(host.lets_in(&new_key()), Ok(Rights(3)));
    }
    let Token { id, secret } = host.token;
    let other = Token::generate().unwrap();
    let mut near = *secret.bytes();
    near[15] ^= 1;
    // What is not known, what is wrong and what is for another root are answered alike.
    for (id, secret, root) in [
        (id, other.secret, ROOT),
        (id, Secret::new(near), ROOT),
        (other.id, secret, ROOT),
        (id, secret, "/srv"),
        (id, secret, "/srv/a/b"),
    ] {
        let shown = Token { id, secret };
        let root = Path::new(root);
        let answer = host.grants.grant_by(&shown, &new_key(), root, Utc::now());
        assert_eq!(answer, Err(Uninvited::Unknown), "{id} {}", root.display());
    }
    assert_eq!(host.lets_in(&new_key()), Ok(Rights(3)));
}

#[test]
fn the_secret_is_nowhere_in_the_file_and_the_limits_are() {
    let host = Host::inviting(Bearer::First, None);
    let path = host.file().path();
    let (text, token) = (fs::read_to_string(&path).unwrap(), host.token.reveal());
    let secret = token.rsplit('.').next().unwrap();
    assert!(!text.contains(secret), "{text}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let (key, root) = (new_key(), Path::new(ROOT));
    let granted = host.grants.grant_by(&host.token, &key, root, Utc::now());
    assert_eq!(granted, Ok(grant(Some("anna"), None)));
}

#[test]
fn one_that_is_made_once_is_the_first_guests_from_then_on() {
    let host = Host::inviting(Bearer::First, None);
    let (first, second) = (new_key(), new_key());
    assert_eq!(host.lets_in(&first), Ok(Rights(3)));
    assert_eq!(host.lets_in(&second), Err(Uninvited::Taken));
    assert_eq!(host.lets_in(&first), Ok(Rights(3)));
    // It is on disk, for a server that begins now.
    let bound = format!("bound={}", first.fingerprint());
    assert!(host.lines()[0].contains(&bound), "{:?}", host.lines());
    let again = Host {
        grants: Grants::new(&host.user.places),
        ..host
    };
    assert_eq!(again.lets_in(&second), Err(Uninvited::Taken));
    assert_eq!(again.lets_in(&first), Ok(Rights(3)));
}

#[test]
fn of_many_who_come_at_once_one_key_gets_in() {
    let host = Host::inviting(Bearer::First, None);
    let keys: Vec<PublicKey> = (0..4).map(|_| new_key()).collect();
    let answers: Vec<_> = thread::scope(|scope| {
        let come = |key: &PublicKey| (*key, host.lets_in(key));
        let start = |n: usize| {
            let key = &keys[n % keys.len()];
            let named = thread::Builder::new().name(format!("guest-{n}"));
            named.spawn_scoped(scope, move || come(key)).unwrap()
        };
        let begun: Vec<_> = (0..16).map(start).collect();
        begun
            .into_iter()
            .map(|guest| guest.join().unwrap())
            .collect()
    });
    let admitted = answers.iter().filter(|(_, answer)| answer.is_ok());
    let keys: Vec<_> = admitted.map(|(key, _)| key.fingerprint()).collect();
    assert!(
        keys.len() == 4 && keys.iter().all(|key| *key == keys[0]),
        "{answers:?}"
    );
    let taken = |answer: &Result<Rights, Uninvited>| *answer == Err(Uninvited::Taken);
    assert_eq!(
        answers.iter().filter(|(_, answer)| taken(answer)).count(),
        12
    );
}

#[test]
fn one_that_cannot_be_bound_lets_nobody_in() {
    let host = Host::inviting(Bearer::First, None);
    let key = new_key();
    // What a change is written into, before it gets its name, cannot be made.
    let obstacle = host.file().path().with_extension("new");
    fs::create_dir(&obstacle).unwrap();
    assert_eq!(host.lets_in(&key), Err(Uninvited::Unrecorded));
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(host.lets_in(&key), Ok(Rights(3)));
}

#[test]
fn a_guest_may_come_until_the_end_and_a_clock_set_back_brings_nothing_back() {
    let (now, end) = (day("2025-11-22"), day("2025-11-23"));
    for bearer in [Bearer::Any, Bearer::First] {
        let host = Host::inviting(bearer, Some(end));
        let key = new_key();
        assert_eq!(host.lets_in_at(&key, now), Ok(Rights(3)));
        assert_eq!(host.lets_in_at(&key, end.plus(-1)), Ok(Rights(3)));
        assert_eq!(host.lets_in_at(&key, end), Err(Uninvited::Expired));
        assert_eq!(host.lets_in_at(&key, now), Err(Uninvited::Expired));
        let again = Host {
            grants: Grants::new(&host.user.places),
            ..host
        };
        assert_eq!(again.lets_in_at(&key, now), Err(Uninvited::Expired));
        // Who has not the secret does not learn that there was one.
        let stranger = Host {
            token: Token {
                id: again.token.id,
                ..Token::generate().unwrap()
            },
            ..again
        };
        assert_eq!(stranger.lets_in_at(&key, now), Err(Uninvited::Unknown));
    }
    // Where it cannot be told what time it is, it cannot be told what has expired.
    let host = Host::inviting(Bearer::Any, Some(end));
    host.user.has_seen("yesterday\n");
    assert_eq!(host.lets_in_at(&new_key(), now), Err(Uninvited::Expired));
}

#[test]
fn one_clock_judges_invitations_and_grants() {
    let (now, end) = (day("2025-11-22"), day("2025-11-23"));
    let host = Host::inviting(Bearer::Any, Some(end));
    let key = new_key();
    host.user.edits(&format!(
        "{key} root={ROOT} rights=read expires=2025-11-22\n"
    ));
    let root = Path::new(ROOT);
    assert!(host.grants.grant_for(&key, root, now).is_some());
    assert_eq!(host.grants.grant_for(&key, root, end), None);
    assert_eq!(host.lets_in_at(&key, now), Err(Uninvited::Expired));
}

#[test]
fn one_that_is_revoked_is_gone_with_the_next_question() {
    let host = Host::inviting(Bearer::First, None);
    let key = new_key();
    let (id, who) = (host.token.id.to_string(), Who::Key(key));
    let open = invite(&host.user, Bearer::Any, None);
    assert_eq!(host.lets_in(&key), Ok(Rights(3)));
    let file = host.file();
    let elsewhere = file.revoke(&Whom::Name(id.clone()), Some(Path::new("/srv")));
    assert_eq!(elsewhere.unwrap().len(), 0);
    // By the key that came alone, and not that of whoever may have come with others.
    let gone = file.revoke(&Whom::Key(who), None).unwrap();
    assert_eq!(
        gone.iter().map(|one| one.id).collect::<Vec<_>>(),
        [host.token.id]
    );
    assert_eq!(host.lets_in(&key), Err(Uninvited::Unknown));
    assert_eq!(file.revoke(&Whom::Name(id), None).unwrap().len(), 0);
    for whom in [open.id.to_string(), "anna".to_owned()] {
        let root = Path::new(ROOT);
        let lets_in = |token| host.grants.grant_by(token, &key, root, Utc::now());
        let fresh = invite(&host.user, Bearer::Any, None);
        let gone = file.revoke(&Whom::Name(whom.clone()), None).unwrap();
        let is_gone = gone.iter().any(|one| one.id == fresh.id);
        assert_eq!(is_gone, whom == "anna");
        assert_eq!(lets_in(&open), Err(Uninvited::Unknown));
        assert_eq!(lets_in(&fresh).is_err(), is_gone);
    }
}

#[test]
fn a_public_address_has_somebody_to_admit_while_an_invitation_holds() {
    let (now, end) = (day("2025-11-22"), day("2025-11-23"));
    let user = User::new();
    let (grants, file) = (Grants::new(&user.places), InvitationFile::new(&user.places));
    let root = Path::new(ROOT);
    assert!(!grants.admits_anybody(root, now));
    let until = grant(None, Some(end));
    file.invite(root, &until, Bearer::First, now).unwrap();
    assert!(grants.admits_anybody(root, now));
    assert!(!grants.admits_anybody(Path::new("/srv"), now));
    assert!(!grants.admits_anybody(root, end));
}

#[test]
fn while_the_file_cannot_be_relied_on_nobody_comes_in() {
    let host = Host::inviting(Bearer::Any, None);
    let (key, path) = (new_key(), host.file().path());
    assert_eq!(host.lets_in(&key), Ok(Rights(3)));
    fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
    assert_eq!(host.lets_in(&key), Err(Uninvited::Unknown));
    let error = host.file().read().unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error}");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(host.lets_in(&key), Ok(Rights(3)));
    let text = fs::read_to_string(&path).unwrap();
    for broken in [
        text.replace("once", "").trim_end().to_owned(),
        text.replace("rights=", "right="),
        format!("{text}{}\n", host.lines()[0]),
    ] {
        edit(&path, &broken);
        assert_eq!(host.lets_in(&key), Err(Uninvited::Unknown), "{broken}");
        edit(&path, &text);
        assert_eq!(host.lets_in(&key), Ok(Rights(3)));
    }
}

#[test]
fn what_was_over_long_ago_goes_when_another_one_is_made() {
    let (now, over) = (day("2025-11-22"), day("2025-10-01"));
    let user = User::new();
    let file = InvitationFile::new(&user.places);
    let root = Path::new(ROOT);
    for (end, left) in [(Some(over), 1), (Some(now), 1), (None, 2), (Some(over), 3)] {
        file.invite(root, &grant(None, end), Bearer::Any, now)
            .unwrap();
        assert_eq!(file.read().unwrap().holding.len(), left, "{end:?}");
    }
}

#[track_caller]
fn broken(line: &str, why: &str) {
    let hash = format!("hash={}", "5".repeat(64));
    let print = "SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";
    let line = line.replace("HASH", &hash).replace("PRINT", print);
    let said = Invitation::parse(&line).expect_err(&line).to_string();
    assert!(said.contains(why), "{line}: {said}");
}

#[test]
fn a_line_that_is_not_wholly_understood_is_broken() {
    broken("3f9a01b HASH root=/a rights=read", "eight digits");
    broken("3F9A01BC HASH root=/a rights=read", "eight digits");
    broken("HASH root=/a rights=read", "eight digits");
    broken("3f9a01bc root=/a rights=read", "hash= is missing");
    broken("3f9a01bc hash=55 root=/a rights=read", "hash= takes");
    broken(
        "3f9a01bc HASH HASH root=/a rights=read",
        "hash= is there twice",
    );
    broken("3f9a01bc HASH rights=read", "root= is missing");
    broken("3f9a01bc HASH root=a rights=read", "root= takes");
    broken("3f9a01bc HASH root=/a", "rights= is missing");
    broken("3f9a01bc HASH once once root=/a rights=read", "twice");
    broken(
        "3f9a01bc HASH once bound=PRINT root=/a rights=read",
        "twice",
    );
    broken(
        "3f9a01bc HASH bound=x root=/a rights=read",
        "a fingerprint is",
    );
    broken("3f9a01bc HASH twice root=/a rights=read", "\"twice\" is no");
    broken(
        "3f9a01bc HASH uses=3 root=/a rights=read",
        "\"uses=3\" is no",
    );
    broken(
        "3f9a01bc HASH root=/a rights=read expires=8h",
        "expires= takes",
    );
    let text = format!("3f9a01bc hash={} root=/a rights=read", "5".repeat(64));
    let read = Invitations::parse(&text);
    assert_eq!(read.broken, [(1, LineError::Unfinished)]);
    let read = Invitations::parse(&format!("{text}\n\n{text} name=a\n"));
    assert_eq!(
        read.broken,
        [(1, LineError::AlsoIn(3)), (3, LineError::AlsoIn(1))]
    );
    assert_eq!(read.holding, []);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        id in any::<[u8; 4]>(),
        secret in any::<[u8; 16]>(),
        which in 0..3,
        end in proptest::option::of(0_i64..200_000_000_000),
    ) {
        let secret = Secret::new(secret);
        let invitation = Invitation {
            id: InvitationId(id),
            hash: secret.hash(),
            bearer: match which {
                0 => Bearer::Any,
                1 => Bearer::First,
                _ => Bearer::Only(new_key().fingerprint()),
            },
            root: "/srv/my files".into(),
            grant: grant(Some("Anna B."), end.map(Utc::from_seconds)),
        };
        let line = invitation.to_string();
        prop_assert_eq!(Invitation::parse(&line), Ok(Some(invitation)));
    }

    #[test]
    fn no_text_panics(text in "(\\PC|[ \"=#\n]|3f9a01bc|hash=5{64}|once|root=/a|rights=read){0,20}") {
        let _ = Invitations::parse(&text);
    }
}
