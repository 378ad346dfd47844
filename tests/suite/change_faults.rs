//! Each call of a change failing in turn: what is said to be done is done and durable,
//! and what is not is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use haul::client::{Client, Error, Parents, Removal};
use haul::fault::Call;
use haul::server::Config;
use haul::store::{Changes, Durability, LocalStore};

use crate::rig::{Rig, remote, visible};
use crate::saboteur::Saboteur;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EINVAL: i32 = 22;

/// Every kind of call that a change makes.
const CALLS: [Call; 7] = [
    Call::Open,
    Call::MakeDir,
    Call::Stat,
    Call::ReadDir,
    Call::Rename,
    Call::Unlink,
    Call::FlushDirectory,
];

/// What a change left of what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    Between,
    After,
}

/// One kind of change, in a tree that is planted anew for it each time.
struct Change {
    name: &'static str,
    run: fn(&Client) -> Result<(), Error>,
    state: fn(&Path) -> State,
    /// The calls that it is made of.
    made_of: &'static [Call],
}

const CHANGES: [Change; 4] = [
    Change {
        name: "made",
        run: |client| client.make_dir(&remote("new/er/est"), Parents::Make),
        state: |root| match (root.join("new").exists(), root.join("new/er/est").is_dir()) {
            (false, _) => State::Before,
            (true, false) => State::Between,
            (true, true) => State::After,
        },
        made_of: &[Call::Open, Call::MakeDir, Call::FlushDirectory],
    },
    Change {
        name: "renamed",
        run: |client| client.rename(&remote("tree/one"), &remote("to/two")),
        state: |root| {
            let is_whole = |path| fs::read(root.join(path)).is_ok_and(|is| is == b"leaf");
            match (is_whole("tree/one/leaf"), is_whole("to/two/leaf")) {
                (true, false) => State::Before,
                (false, true) => State::After,
                _ => State::Between,
            }
        },
        made_of: &[Call::Open, Call::Stat, Call::Rename, Call::FlushDirectory],
    },
    Change {
        name: "removed",
        run: |client| client.remove(&remote("to/file"), Removal::Single),
        state: |root| {
            if root.join("to/file").exists() {
                State::Before
            } else {
                State::After
            }
        },
        made_of: &[Call::Open, Call::Stat, Call::Unlink, Call::FlushDirectory],
    },
    Change {
        name: "removed",
        run: |client| client.remove(&remote("tree"), Removal::Whole),
        state: |root| match visible(root).contains(&"tree".to_owned()) {
            true if root.join("tree/one/leaf").exists() => State::Before,
            true => State::Between,
            false => State::After,
        },
        made_of: &[
            Call::Open,
            Call::Stat,
            Call::ReadDir,
            Call::Unlink,
            Call::FlushDirectory,
        ],
    },
];

fn plant(root: &Path) {
    for name in visible(root) {
        let path = root.join(name);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    }
    for directory in ["tree/one/deep/er", "tree/two/x", "to"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for file in [
        "tree/one/leaf",
        "tree/two/x/leaf",
        "tree/leaf",
        "to/file",
        "kept",
    ] {
        fs::write(root.join(file), "leaf").unwrap();
    }
}

/// Fails the n-th call of a kind in a change, and checks what came of it; `false` where
/// it was not made.
#[track_caller]
fn fails(
    rig: &Rig,
    saboteur: &Saboteur,
    change: &Change,
    (call, n, errno): (Call, usize, i32),
) -> bool {
    plant(&rig.root());
    saboteur.arm(Some((call, n, errno)));
    let result = (change.run)(&rig.client(1));
    let failed = saboteur.failed();
    saboteur.arm(None);
    let state = (change.state)(&rig.root());
    let what = format!("{} with {call:?} {n} failing: {result:?}", change.name);
    assert_eq!(
        fs::read(rig.root().join("kept")).unwrap(),
        b"leaf",
        "{what}"
    );
    match &result {
        Ok(()) => {
            assert_eq!(state, State::After, "{what}");
            assert_ne!((failed, call), (true, Call::FlushDirectory), "{what}");
        }
        Err(error) => {
            assert!(failed, "{what}");
            let code = if errno == ENOSPC { 8 } else { 10 };
            assert_eq!(error.code().number(), code, "{what}");
            let text = error.to_string();
            let is_done = text.contains(&format!("is {}, perhaps not durably", change.name));
            let is_partly = text.contains("cannot remove all of");
            assert_eq!(is_done, state == State::After, "{what}: {state:?}");
            assert_eq!(
                call == Call::FlushDirectory,
                is_done && call != Call::Open,
                "{what}"
            );
            if !is_partly {
                assert_ne!(state, State::Between, "{what}");
            }
        }
    }
    // The next one finds nothing in its way.
    let again = (change.run)(&rig.client(1));
    match state {
        State::After => assert!(again.is_err() || change.name == "made", "{what}: {again:?}"),
        State::Before | State::Between => assert!(again.is_ok(), "{what}: {again:?}"),
    }
    assert_eq!((change.state)(&rig.root()), State::After, "{what}");
    failed
}

#[test]
fn whatever_call_of_a_change_fails_it_is_done_or_not_and_never_said_to_be_what_it_is_not() {
    for errno in [EIO, ENOSPC] {
        let saboteur = Saboteur::default();
        let rig = Rig::with(Config::default(), saboteur.fault());
        for change in &CHANGES {
            let mut counts = BTreeMap::new();
            for call in CALLS {
                let fails = |n: &usize| fails(&rig, &saboteur, change, (call, *n, errno));
                let count = (0..1000).take_while(fails).count();
                counts.insert(call, count);
            }
            for call in change.made_of {
                assert!(counts[call] > 0, "{call:?} never failed: {counts:?}");
            }
        }
    }
}

#[test]
fn where_the_system_cannot_refuse_to_replace_a_look_does() {
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), saboteur.fault());
    for (from, to, code) in [
        ("tree", "other", 0),
        ("kept", "to/kept", 0),
        ("tree", "to", 6),
        ("kept", "to/file", 6),
        ("to", "kept", 6),
    ] {
        plant(&rig.root());
        saboteur.arm(Some((Call::Rename, 0, EINVAL)));
        let result = rig.client(1).rename(&remote(from), &remote(to));
        let came = result.map_err(|error| error.code().number());
        assert_eq!(came.err().unwrap_or(0), code, "{from} to {to}");
        assert!(saboteur.failed());
        assert_eq!(fs::exists(rig.root().join(from)).unwrap(), code != 0);
        assert!(fs::exists(rig.root().join(to)).unwrap());
    }
    assert_eq!(fs::read(rig.root().join("to/file")).unwrap(), b"leaf");
}

/// The calls of one change, from the one that makes it to the answer.
fn trace(rig: &Rig, saboteur: &Saboteur, change: &Change) -> Vec<Call> {
    plant(&rig.root());
    saboteur.arm(None);
    (change.run)(&rig.client(1)).unwrap();
    let trace = saboteur.trace();
    let is_change = |call: &Call| [Call::MakeDir, Call::Rename, Call::Unlink].contains(call);
    let made = trace.iter().rposition(is_change).unwrap();
    let rest = &trace[made..];
    let answer = rest.iter().position(|call| *call == Call::SocketWrite);
    rest[..answer.expect("an answer")].to_vec()
}

#[test]
fn directories_are_flushed_after_the_change_and_before_the_answer() {
    let saboteur = Saboteur::default();
    let config = Config {
        fault: saboteur.fault(),
        ..Config::default()
    };
    let rig = Rig::with(config, saboteur.fault());
    // `new/er`, `new` and the root; `to`, the root and `tree`; `to`; the root.
    for (change, flushes) in CHANGES.iter().zip([3, 3, 1, 1]) {
        let trace = trace(&rig, &saboteur, change);
        let made = trace.iter().filter(|call| **call == Call::FlushDirectory);
        assert_eq!(made.count(), flushes, "{}: {trace:?}", change.name);
    }
}

#[test]
fn a_store_that_flushes_nothing_changes_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let saboteur = Saboteur::default();
    let store = LocalStore::serve(dir.path(), Durability::None, saboteur.fault()).unwrap();
    store.make_dir(&remote("a/b"), Parents::Make).unwrap();
    store.rename(&remote("a/b"), &remote("c")).unwrap();
    store.remove(&remote("a"), Removal::Single).unwrap();
    assert_eq!(visible(dir.path()), ["c"]);
    assert!(!saboteur.trace().contains(&Call::FlushDirectory));
}
