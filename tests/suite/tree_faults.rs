//! Each call of a job with a tree failing in turn: what is called done is done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haul::client::{Client, Event, JobOptions, Options};
use haul::fault::{Call, Fault};
use haul::offer::OnExisting;
use haul::server::Config;
use haul::transfer::Deadlines;

use crate::faults::CALLS;
use crate::landscape::{
    Seen, What, are_the_same, file, get_tree, link, look, put_tree, seen, set_mode,
};
use crate::landscape::{set_time, set_times};
use crate::rig::{Outcome, Rig, visible};
use crate::saboteur::Saboteur;

/// A tree with a link in it, an empty directory, a file that is touched, one that has
/// another mode, one that is replaced, a link that is, and new ones.
fn plant(top: &Path) {
    for name in [
        "touched",
        "chmod",
        "d/replaced",
        "d/new",
        "new/new",
        "new/er/new",
    ] {
        file(&top.join(name), name.len());
    }
    link("touched", &top.join("new/link"));
    link("touched", &top.join("d/link"));
    fs::create_dir_all(top.join("empty/er")).unwrap();
    set_times(top);
    set_mode(&top.join("empty"), 0o711);
}

/// What is there of it before.
fn plant_before(top: &Path, source: &Path) {
    for name in ["touched", "chmod"] {
        file(&top.join(name), name.len());
    }
    file(&top.join("d/replaced"), 3);
    link("elsewhere", &top.join("d/link"));
    set_time(&top.join("touched"), (1, 1));
    set_time(&top.join("chmod"), look(&source.join("chmod")).mtime);
    set_mode(&top.join("chmod"), 0o600);
}

/// A job that takes a tree `source` and makes `t` of it in `directory`.
struct Sweep<'s> {
    saboteur: &'s Saboteur,
    source: &'s Path,
    directory: &'s Path,
}

impl Sweep<'_> {
    /// Fails the n-th call of each kind, for all n, and returns how often each has failed.
    fn run(&self, mut job: impl FnMut() -> Outcome) -> BTreeMap<Call, usize> {
        let mut failed = BTreeMap::new();
        for call in CALLS {
            let count = (0..10_000)
                .take_while(|n| self.fails((call, *n), &mut job))
                .count();
            failed.insert(call, count);
        }
        failed
    }

    /// Fails one call and checks what came of it; `false` where it was not made.
    #[track_caller]
    fn fails(&self, (call, n): (Call, usize), job: &mut impl FnMut() -> Outcome) -> bool {
        let target = self.directory.join("t");
        if target.exists() {
            fs::remove_dir_all(&target).unwrap();
        }
        plant_before(&target, self.source);
        let before = seen(&target);
        self.saboteur.arm(Some((call, n, 5)));
        let outcome = job();
        if !self.saboteur.failed() {
            outcome.is_fine();
            are_the_same(self.source, &target);
            return false;
        }
        self.saboteur.arm(None);
        let what = format!("{call:?} {n}: {outcome:?}");
        for event in &outcome.events {
            self.is_honest(event, &before, &what);
        }
        if outcome.code() == 0 {
            are_the_same(self.source, &target);
        }
        for path in seen(&target).into_keys() {
            let was = before.contains_key(&path);
            let is = fs::symlink_metadata(self.source.join(&path)).is_ok();
            assert!(was || is, "{what}: {} is nobody's", path.display());
        }
        let left = fs::read_dir(self.directory.join(".haul/staging"));
        let left = left.map_or(0, Iterator::count);
        assert!(call == Call::Unlink || left == 0, "{what}: staging is left");
        // Whatever has failed, another try makes it whole.
        let again = job();
        assert_eq!(again.code(), 0, "{what}, again: {again:?}");
        are_the_same(self.source, &target);
        assert_eq!(visible(self.directory), ["t"], "{what}");
        true
    }

    /// One thing is what it was said to be.
    #[track_caller]
    fn is_honest(&self, event: &Event, before: &BTreeMap<PathBuf, Seen>, what: &str) {
        let target = self.directory.join("t");
        let name = |path: &haul::path::RemotePath| {
            let path = path.as_path().strip_prefix("t").ok().map(Path::to_owned);
            path.unwrap_or_else(|| panic!("{what}: {event:?}"))
        };
        match event {
            Event::Finished { path, .. } | Event::Placed { path, .. } => {
                let (source, there) = (self.source.join(name(path)), target.join(name(path)));
                let (mut source, mut there) = (look(&source), look(&there));
                if matches!(event, Event::Placed { .. }) && source.what == What::Directory {
                    // What comes after it, and fails, moves a directory's time again.
                    (source.mtime, there.mtime) = ((0, 0), (0, 0));
                }
                assert_eq!(there, source, "{what}: a false receipt for {path:?}");
            }
            Event::Failed { text, .. } if text.contains("perhaps not durable") => {}
            Event::Failed { path, .. } if path.as_str() == "?" => {}
            Event::Failed { path, .. } => {
                let there = fs::symlink_metadata(target.join(name(path))).ok();
                let there = there.map(|_| look(&target.join(name(path))).what);
                let old = before.get(&name(path)).map(|seen| seen.what.clone());
                let is_dir = there == Some(What::Directory);
                assert!(
                    is_dir || there == old,
                    "{what}: {path:?} failed, and is visible"
                );
            }
            Event::Skipped { .. } | Event::Lost(_) => panic!("{what}: {event:?}"),
            Event::Started { .. } => {}
        }
    }
}

fn replacing() -> JobOptions {
    JobOptions {
        on_existing: OnExisting::Replace,
        ..JobOptions::default()
    }
}

/// Checks that calls of each of these kinds have failed.
#[track_caller]
fn covers(failed: &BTreeMap<Call, usize>, calls: &[Call]) {
    for call in calls {
        assert!(failed[call] > 0, "{call:?} never failed: {failed:?}");
    }
}

const STORE: [Call; 12] = [
    Call::Open,
    Call::MakeDir,
    Call::MakeLink,
    Call::Stat,
    Call::ReadAt,
    Call::WriteAt,
    Call::SetAttribute,
    Call::SetMode,
    Call::SetTimes,
    Call::FlushData,
    Call::Rename,
    Call::FlushDirectory,
];

#[test]
fn whatever_call_fails_while_a_tree_is_put_no_receipt_is_false() {
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), saboteur.fault());
    let (source, root) = (rig.dir.path().join("source"), rig.root());
    plant(&source);
    let sweep = Sweep {
        saboteur: &saboteur,
        source: &source,
        directory: &root,
    };
    let client = rig.client(1);
    let failed = sweep.run(|| put_tree(&client, &source, Some("t"), &replacing()));
    covers(&failed, &STORE);
}

#[test]
fn whatever_call_fails_while_a_tree_is_fetched_no_success_is_false() {
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), Fault::default());
    let (source, into) = (rig.root().join("t"), rig.dir.path().join("into"));
    plant(&source);
    let options = Options {
        connections: 1,
        fault: saboteur.fault(),
        // A connection that a test breaks is whole beneath, and would be heard out.
        deadlines: Deadlines {
            closing: Duration::from_millis(20),
            ..Deadlines::default()
        },
        ..Options::default()
    };
    let client = Client::new(&rig.address, options);
    let sweep = Sweep {
        saboteur: &saboteur,
        source: &source,
        directory: &into,
    };
    let failed = sweep.run(|| get_tree(&client, (Some("t"), Some("t")), &into, &replacing()));
    covers(&failed, &STORE);
    covers(&failed, &[Call::SocketRead, Call::SocketWrite]);
}
