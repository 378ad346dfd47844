//! Drop boxes: where what is put into one lands, and what that takes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use haul::client::{Client, Effect, JobOptions, Status, Upload};
use haul::code::Code;
use haul::entry::{Entry, Kind, LinkTarget};
use haul::fault::{Call, Fault};
use haul::identity::Identity;
use haul::offer::{Offering, OnExisting, Terms};
use haul::path::{COMPONENT_MAX, PATH_MAX, RemotePath};
use haul::server::Config;
use haul::store::{Changes, Claim, Durability, LocalStore, Parents, ReadAt, Source, Store};
use haul::store::{Telling, Tree};
use haul::wire::message::Rights;
use rustix::io::Errno;

use crate::landscape::seen;
use crate::raw::entry;
use crate::rig::{Rig, noise, outcome, put, remote, visible};
use crate::saboteur::Saboteur;

const BOX: Rights = Rights(2);

fn boxed(fault: Fault) -> Rig {
    let config = Config {
        admit: Arc::new(BOX),
        ..Config::default()
    };
    Rig::with(config, fault)
}

#[track_caller]
fn drop_in(client: &Client, from: &Path, name: &str) {
    let outcome = put(client, &[(from, name)], &JobOptions::default());
    assert_eq!(outcome.is_fine().statuses(), [Status::Stored], "{name}");
}

/// Whether a path is like another, in which `*` stands for what nobody can foresee.
fn is_like(path: &str, pattern: &str) -> bool {
    let is_suffix = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (mut path, mut parts) = (path.split('/'), pattern.split('/'));
    path.by_ref()
        .zip(parts.by_ref())
        .all(|(name, part)| match part.strip_suffix('*') {
            Some(part) => name.strip_prefix(part).is_some_and(is_suffix),
            None => name == part,
        })
        && path.next().is_none()
        && parts.next().is_none()
}

/// The files, links and empty directories in a tree that were not there before.
fn new_in(root: &Path, before: &[String]) -> Vec<String> {
    // As haul lists them: an absolute path to the deepest would be too long.
    let tree = Tree::open(root, Fault::default()).unwrap();
    let walk = tree.walk(None, None, None).unwrap();
    let path = |entry: Result<Entry, _>| entry.unwrap().path.as_str().to_owned();
    let mut all: Vec<String> = walk.map(path).collect();
    // What is in a directory follows it.
    let is_above = |pair: &[String]| pair[1].starts_with(&format!("{}/", pair[0]));
    let above: Vec<bool> = all.windows(2).map(is_above).chain([false]).collect();
    let mut above = above.into_iter();
    all.retain(|path| above.next() == Some(false) && !before.contains(path));
    all
}

fn content(root: &Path, path: &str) -> Vec<u8> {
    let tree = Tree::open(root, Fault::default()).unwrap();
    let reader = tree.open(&remote(path), None).unwrap();
    let mut bytes = vec![0; reader.size() as usize];
    reader.read_at(&mut bytes, 0).unwrap();
    bytes
}

type Plant = fn(&Path);

/// Puts a file twice into a root in which something was planted, and says where both land.
#[track_caller]
fn lands(plant: Plant, name: &str, first: &str, second: &str) {
    let rig = boxed(Fault::default());
    plant(&rig.root());
    let before: Vec<String> = new_in(&rig.root(), &[]);
    let (one, other) = (rig.file("one", 5), rig.file("other", 6));
    drop_in(&rig.client(1), &one, name);
    let landed = new_in(&rig.root(), &before);
    assert_eq!(landed.len(), 1, "{name}: {landed:?}");
    assert!(
        is_like(&landed[0], first),
        "{name}: {landed:?} is not {first}"
    );
    assert_eq!(content(&rig.root(), &landed[0]), noise(5));
    let before = new_in(&rig.root(), &[]);
    drop_in(&rig.client(1), &other, name);
    let landed = new_in(&rig.root(), &before);
    assert_eq!(landed.len(), 1, "{name}: {landed:?}");
    assert!(
        is_like(&landed[0], second),
        "{name}: {landed:?} is not {second}"
    );
    assert_eq!(content(&rig.root(), &landed[0]), noise(6));
}

#[test]
fn what_is_in_the_way_has_its_name_and_what_comes_one_beside_it() {
    lands(|_| {}, "x", "x", "x~*");
    lands(|_| {}, "d/e/x", "d/e/x", "d/e/x~*");
    let file: Plant = |root| fs::write(root.join("x"), "mine").unwrap();
    lands(file, "x", "x~*", "x~*");
    // A tree lands in one place, however many of its files find another name taken.
    lands(file, "x/y", "x~*/y", "x~*/y~*");
    lands(file, "x/y/z", "x~*/y/z", "x~*/y/z~*");
    let directory: Plant = |root| fs::create_dir_all(root.join("d/x")).unwrap();
    lands(directory, "d/x", "d/x~*", "d/x~*");
    lands(directory, "d/x/y", "d/x/y", "d/x/y~*");
    let link: Plant = |root| {
        fs::create_dir(root.join("real")).unwrap();
        symlink("real", root.join("d")).unwrap();
    };
    lands(link, "d/x", "d~*/x", "d~*/x~*");
    lands(link, "d", "d~*", "d~*");
    let within: Plant = |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/e"), "mine").unwrap();
    };
    lands(within, "d/e/x", "d/e~*/x", "d/e~*/x~*");
    let closed: Plant = |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::set_permissions(root.join("d"), Permissions::from_mode(0o555)).unwrap();
    };
    lands(closed, "d/x", "d/x", "d/x~*");
}

#[test]
fn names_as_long_as_they_can_be_find_a_place_too() {
    let name = "n".repeat(COMPONENT_MAX);
    let cut = format!("{}~*", "n".repeat(COMPONENT_MAX - 17));
    lands(|_| {}, &name, &name, &cut);
    // There is no longer path, so the second one is in the root.
    let path = format!("{}{}", "d/".repeat(1920), "n".repeat(COMPONENT_MAX));
    assert_eq!(path.len(), PATH_MAX);
    lands(|_| {}, &path, &path, &format!("{}{cut}", "d/".repeat(1920)));
    let path = format!("{}x", "d/".repeat(2047));
    lands(|_| {}, &path, &path, "x~*");
}

#[test]
fn a_tree_that_is_put_twice_shares_its_directories_which_nobody_changes() {
    let rig = boxed(Fault::default());
    let tree = rig.dir.path().join("tree");
    fs::create_dir_all(tree.join("in/empty")).unwrap();
    fs::write(tree.join("in/x"), "x").unwrap();
    fs::set_permissions(tree.join("in"), Permissions::from_mode(0o700)).unwrap();
    let put_tree = || {
        let upload = Upload::local(&tree, Some(remote("tree")));
        outcome(|monitor| {
            rig.client(2)
                .put(vec![upload], &JobOptions::default(), monitor)
        })
        .is_fine()
        .statuses()
    };
    assert_eq!(put_tree(), [Status::Stored]);
    let inner = rig.root().join("tree/in");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // They are as any that the server makes: whose mode was offered may be anybody's.
    let usual = rig.dir.path().join("usual");
    fs::create_dir(&usual).unwrap();
    assert_eq!(mode(&inner), mode(&usual));
    fs::set_permissions(&inner, Permissions::from_mode(0o711)).unwrap();
    let before = seen(&rig.root());
    assert_eq!(put_tree(), [Status::Stored]);
    let after = seen(&rig.root());
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(
        after[Path::new("tree/in/empty")],
        before[Path::new("tree/in/empty")]
    );
    assert_eq!(mode(&inner), 0o711);
    assert_eq!(visible(&inner).len(), 3);
}

#[test]
fn two_identities_never_share_what_takes_a_directorys_place() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("d"), "mine").unwrap();
    let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default()).unwrap();
    let store = store.telling(Telling::Nothing);
    let make = |key| {
        let guest = store.acting_for(Identity::Key([key; 32]));
        let made = guest.make_dir(&remote("d/e"), Parents::Expect).unwrap();
        made.unwrap().stored
    };
    assert_eq!(make(1), make(1));
    assert_ne!(make(1), make(2));
    assert!(is_like(make(1).as_str(), "d~*/e"));
}

#[test]
fn whatever_keeps_something_from_its_place_it_is_stored() {
    let errnos = [
        Errno::ACCESS,
        Errno::IO,
        Errno::NOSPC,
        Errno::MLINK,
        Errno::XDEV,
    ];
    for (call, name, made) in [
        (Call::Rename, "x", "x~*"),
        (Call::Rename, "d/x", "x~*"),
        (Call::MakeDir, "d/x", "d~*/x"),
    ] {
        for errno in errnos {
            let saboteur = Saboteur::default();
            let rig = boxed(saboteur.fault());
            let source = rig.file("source", 5);
            drop_in(&rig.client(1), &source, "first");
            saboteur.arm(Some((call, 0, errno.raw_os_error())));
            drop_in(&rig.client(1), &source, name);
            assert!(saboteur.failed(), "{call:?}");
            let landed = new_in(&rig.root(), &["first".to_owned()]);
            let is_there = landed
                .iter()
                .any(|path| is_like(path, made) || path == name);
            assert!(is_there, "{call:?} {errno}: {landed:?}");
        }
    }
}

/// The calls that something in a box takes, beside what was planted there.
fn calls(plant: Plant, what: impl Fn(&Client, &Path)) -> Vec<Call> {
    let saboteur = Saboteur::default();
    let rig = boxed(saboteur.fault());
    plant(&rig.root());
    let source = rig.file("source", 5);
    let client = rig.client(1);
    drop_in(&client, &source, "first");
    saboteur.arm(None);
    what(&client, &source);
    saboteur.trace()
}

const TAKEN: [Plant; 4] = [
    |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/x"), noise(1 << 20)).unwrap();
    },
    |root| {
        fs::create_dir_all(root.join("d/x/y")).unwrap();
    },
    |root| fs::write(root.join("d"), "mine").unwrap(),
    |root| symlink("none", root.join("d")).unwrap(),
];

#[test]
fn to_offer_takes_the_same_calls_whatever_is_there() {
    let options = JobOptions {
        effect: Effect::Dry,
        ..JobOptions::default()
    };
    let look = |client: &Client, source: &Path| {
        put(client, &[(source, "d/x")], &options).is_fine();
    };
    let offered = |client: &Client, source: &Path| {
        let refused = Upload::local(source, Some(remote("d/x")));
        let on = JobOptions {
            on_existing: OnExisting::Replace,
            ..JobOptions::default()
        };
        let refused = outcome(|monitor| client.put(vec![refused], &on, monitor));
        assert_eq!(refused.code(), Code::NotAuthorised.number());
    };
    for plant in TAKEN {
        assert_eq!(calls(plant, look), []);
        assert_eq!(calls(plant, offered), []);
    }
}

#[test]
fn to_store_and_to_make_takes_as_many_flushes_whatever_is_there() {
    let is_flush =
        |call: &Call| [Call::FlushData, Call::FlushAll, Call::FlushDirectory].contains(call);
    let flushes = |plant, makes: bool| {
        let mut calls = calls(plant, |client, source| {
            if makes {
                client.make_dir(&remote("d/x"), Parents::Expect).unwrap();
            } else {
                drop_in(client, source, "d/x");
            }
        });
        calls.retain(is_flush);
        calls
    };
    for makes in [false, true] {
        let expected = flushes(|_| {}, makes);
        assert!(!expected.is_empty());
        for plant in TAKEN {
            assert_eq!(flushes(plant, makes), expected);
        }
    }
}

#[test]
fn however_many_have_found_a_name_taken_the_next_takes_two_tries() {
    let dir = tempfile::tempdir().unwrap();
    let saboteur = Saboteur::default();
    let store = LocalStore::serve(dir.path(), Durability::None, saboteur.fault()).unwrap();
    fs::write(dir.path().join("x"), "mine").unwrap();
    let blind = store.telling(Telling::Nothing);
    let link = Entry {
        kind: Kind::Link(LinkTarget::new("a").unwrap()),
        ..entry("x", b"")
    };
    let offering = Offering {
        entry: link,
        base: 0,
    };
    let put = || {
        let staged = blind
            .stage(std::slice::from_ref(&offering), Terms::default())
            .pop()
            .unwrap();
        let published = blind
            .commit(vec![(staged.unwrap(), Claim::default())])
            .pop()
            .unwrap();
        published.unwrap().aside.unwrap().stored
    };
    let renames = |saboteur: &Saboteur| {
        saboteur.arm(None);
        put();
        let trace = saboteur.trace();
        trace.iter().filter(|call| **call == Call::Rename).count()
    };
    let first = renames(&saboteur);
    for n in 0..100 {
        let path: RemotePath = put();
        assert!(is_like(path.as_str(), "x~*"), "{n}: {path}");
    }
    assert_eq!((renames(&saboteur), first), (2, 2));
}
