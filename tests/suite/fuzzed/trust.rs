//! What this user's files say of keys, from any text that may stand in them.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use haul::net::keys::{Fingerprint, Keypair, PublicKey};
use haul::trust::{AccessFile, Admission, Admissions, Grants, Introduction, Invitations};
use haul::trust::{KnownHosts, Places, Standing, Variables, Who, Whom, is_root};
use haul::utc::Utc;
use tempfile::TempDir;

/// A key that OpenSSH made.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC/stjtjhwPC7C9B551fG6t5tFokkElFykUVn4xKjN2G";

/// Keys and fingerprints as people write them, and private keys: what is taken is written
/// as OpenSSH would, is read back the same, and a private one is never shown.
pub fn key(bytes: &[u8]) {
    if let Some(key) = PublicKey::from_spki(bytes) {
        assert_eq!(PublicKey::parse(&key.to_string()), Ok(key));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(key) = PublicKey::parse(text) {
        let line = key.to_string();
        assert!(line.starts_with("ssh-ed25519 AAAA") && line.len() == KEY.len());
        assert_eq!(PublicKey::parse(&format!("{line} me@here")), Ok(key));
    }
    if let Ok(print) = Fingerprint::parse(text) {
        assert_eq!(print.to_string(), text, "two spellings of one fingerprint");
    }
    if let Ok(who) = Who::parse(text) {
        assert_eq!(Who::parse(&who.to_string()), Ok(who));
        let print = Who::Fingerprint(who.fingerprint());
        assert_eq!(print.fingerprint(), who.fingerprint());
    }
    if let Ok(pair) = Keypair::from_pem(text) {
        let shown = format!("{pair:?}");
        assert_eq!(shown, format!("Keypair({})", pair.public().fingerprint()));
    }
}

/// What stands before the host in an address: what is taken is written in characters that no
/// shell takes for its own, is read back the same, and is shown without its secret.
pub fn link(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(link) = Introduction::parse(text) else {
        return;
    };
    let whole = link.reveal();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(whole.chars().all(is_plain), "{whole}");
    assert_eq!(Introduction::parse(&whole), Ok(link));
    let shown = format!("{link} {link:?}");
    if let Some((public, secret)) = whole.rsplit_once('.') {
        // A fuzzer may have made a fingerprint of it.
        let is_seen = shown.contains(secret) && !public.contains(secret);
        assert!(!is_seen, "{shown}");
    }
}

/// The file of invitations: as the access file, and no line that is shown holds a secret.
pub fn invitations(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Invitations { holding, broken } = Invitations::parse(text);
    assert!(holding.len() + broken.len() <= text.lines().count());
    let mut written = String::new();
    for invitation in &holding {
        assert!(is_root(&invitation.root));
        let line = invitation.to_string();
        assert!(!line.contains(char::is_control), "{line:?}");
        written.extend([&line, "\n"]);
    }
    let again = Invitations::parse(&written);
    assert_eq!((&again.holding, again.broken), (&holding, vec![]));
}

/// An access file: its lines hold or are broken, never both; what holds is said in a line
/// of its own and is read back the same; a server grants what holds, and no more. A line
/// that haul adds and takes away again leaves everything as a person had it.
pub fn access(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Admissions { holding, broken } = Admissions::parse(text);
    let numbers: Vec<usize> = broken.iter().map(|(number, _)| *number).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let lines = text.lines().count();
    assert!(numbers.last().is_none_or(|last| (1..=lines).contains(last)));
    assert!(holding.len() + broken.len() <= lines);
    for (number, why) in &broken {
        let said = format!("{number}: {why}");
        assert!(!said.contains(char::is_control), "{said:?}");
    }
    let mut written = String::new();
    for admission in &holding {
        assert!(is_root(&admission.root));
        let line = admission.to_string();
        assert!(!line.contains(char::is_control), "{line:?}");
        written.extend([&line, "\n"]);
    }
    let again = Admissions::parse(&written);
    assert_eq!((&again.holding, again.broken), (&holding, vec![]));

    let user = User::with("access", text);
    grants_what_holds(&user, &holding);
    is_changed_and_changed_back(&user, text);
}

fn grants_what_holds(user: &User, holding: &[Admission]) {
    let (grants, now) = (Grants::new(&user.places), Utc::now());
    for Admission { who, root, grant } in holding {
        let Who::Key(key) = who else { continue };
        let is_over = grant.expires.is_some_and(|end| end <= now);
        let given = grants.grant_for(key, root, now);
        assert_eq!(given.as_ref(), Some(grant).filter(|_| !is_over));
        assert_eq!(grants.grant_for(key, Path::new("/not/there"), now), None);
    }
}

fn is_changed_and_changed_back(user: &User, text: &str) {
    let file = AccessFile::new(&user.places);
    let who = Who::parse(KEY).expect("a key");
    let line = format!("{KEY} root=/not/there/either rights=read name=new");
    let new = Admission::parse(&line).expect("a line").expect("a grant");
    if text.contains("SHA256:HoY/RyfC") || text.contains(KEY) {
        return;
    }
    assert_eq!(file.authorize(&new), Ok(None));
    let read = file.read().expect("a file of ours");
    assert!(read.holding.contains(&new));
    let gone = file.revoke(&Whom::Key(who), None);
    assert_eq!(gone, Ok(vec![new]));
    assert_eq!(user.reads("access"), text);
}

/// Known hosts: of every server it can be said who it is, or that there is no saying. One
/// that is learned is known until it is forgotten, and that leaves everything as it was.
pub fn known_hosts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let user = User::with("known_hosts", text);
    let known = KnownHosts::new(&user.places);
    let (key, now) = (PublicKey::parse(KEY).expect("a key"), Utc::now());
    let named = text.split_ascii_whitespace().next().unwrap_or_default();
    for host in ["nas:4285", "[fe80::1]:4285", named] {
        let standing = known.look_up(host);
        for other in known.elsewhere(&key, host).expect("a file of ours") {
            assert!(!other.contains(char::is_whitespace) || text.contains('"'));
        }
        let learned = known.learn(host, Who::Key(key), now);
        match (standing, learned) {
            (Ok(Standing::Unknown), learned) if host != named => {
                assert_eq!(learned, Ok(None));
                let is_known = known.look_up(host);
                assert!(matches!(is_known, Ok(Standing::Known { key: k, .. }) if k == key));
                assert_eq!(known.forget(host), Ok(1));
                assert_eq!(known.look_up(host), Ok(Standing::Unknown));
                assert_eq!(user.reads("known_hosts"), text);
            }
            // Whoever is known by another key stays so, and so does what cannot be told.
            (Ok(Standing::Known { key: other, .. }), Err(_)) => assert_ne!(other, key),
            (_, Err(_)) => assert_eq!(user.reads("known_hosts"), text),
            (_, Ok(_)) => return,
        }
    }
}

/// A user with one file.
struct User {
    places: Places,
    _home: TempDir,
}

impl User {
    fn with(name: &str, text: &str) -> Self {
        let home = tempfile::tempdir().expect("a home");
        let places = Places::find(&Variables {
            home: Some(home.path().into()),
            ..Variables::default()
        });
        let places = places.expect("a home");
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(places.config()).expect("a directory");
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(places.config().join(name));
        let mut file = file.expect("a new file");
        file.write_all(text.as_bytes()).expect("room for it");
        Self {
            places,
            _home: home,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.places.config().join(name)
    }

    fn reads(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("the file")
    }
}
