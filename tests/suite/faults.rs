//! Each call of a job failing in turn: no receipt is ever false.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use haul::client::{Client, Event, JobOptions, Options};
use haul::fault::Call;
use haul::offer::OnExisting;
use haul::server::Config;
use haul::transfer::Deadlines;

use crate::rig::{Outcome, Rig, forget_partials, get, noise, visible};
use crate::saboteur::{NESTED, Saboteur, put_all, sources};

const MIB: usize = 1 << 20;

/// The file that is there before, and what is in it.
const REPLACED: &str = "small-3";
const OLD: &[u8] = b"old";

fn path_of(event: &Event) -> &str {
    match event {
        Event::Started { path, .. }
        | Event::Finished { path, .. }
        | Event::Placed { path, .. }
        | Event::Skipped { path, .. }
        | Event::Failed { path, .. } => path.as_str(),
        Event::Lost(attempt) => panic!("{attempt:?}"),
    }
}

/// Every kind of call that a store or stream makes.
pub const CALLS: [Call; 21] = [
    Call::Open,
    Call::MakeDir,
    Call::MakeLink,
    Call::Stat,
    Call::ReadDir,
    Call::ReadAt,
    Call::WriteAt,
    Call::Resize,
    Call::Space,
    Call::SetAttribute,
    Call::GetAttribute,
    Call::SetMode,
    Call::SetTimes,
    Call::FlushData,
    Call::FlushAll,
    Call::FlushDirectory,
    Call::Rename,
    Call::Unlink,
    Call::Lock,
    Call::SocketRead,
    Call::SocketWrite,
];

/// One job into a directory, whose calls fail one after the other.
struct Sweep<'s> {
    saboteur: &'s Saboteur,
    errno: i32,
    directory: &'s Path,
    sources: &'s [(PathBuf, String)],
    /// Whether the nested two are surely committed together.
    together: bool,
}

impl Sweep<'_> {
    /// Fails the n-th call of each kind, for all n, and returns how often each has failed.
    fn run(&self, mut job: impl FnMut() -> Outcome) -> BTreeMap<Call, usize> {
        let mut failed = BTreeMap::new();
        for call in CALLS {
            let fails = |n: &usize| self.fails((call, *n), &mut job);
            // A job makes a finite number of calls.
            let count = (0..10_000).take_while(fails).count();
            failed.insert(call, count);
        }
        failed
    }

    /// Fails one call and checks what came of it; `false` where it was not made.
    #[track_caller]
    fn fails(&self, (call, n): (Call, usize), job: &mut impl FnMut() -> Outcome) -> bool {
        // What the round before has left would have this one make fewer calls.
        forget_partials(self.directory);
        for name in visible(self.directory) {
            let path = self.directory.join(name);
            let removed = if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
            removed.unwrap();
        }
        // One of them is replaced, the others are new.
        let replaced = self.directory.join(REPLACED);
        fs::write(&replaced, OLD).unwrap();
        // It is as long as what replaces it: a tick of the clock must not decide.
        let old = fs::File::options().write(true).open(&replaced).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        self.saboteur.arm(Some((call, n, self.errno)));
        let outcome = job();
        if !self.saboteur.failed() {
            outcome.is_fine();
            return false;
        }
        self.saboteur.arm(None);
        let what = format!("{call:?} {n}: {outcome:?}");
        for event in &outcome.events {
            self.is_honest(event, &what);
        }
        self.flush_is_told(call, &outcome, &what);
        if outcome.code() == 0 {
            // The two that are nested are one name at the top.
            assert_eq!(
                visible(self.directory).len(),
                self.sources.len() - 1,
                "{what}"
            );
        }
        if call != Call::Unlink {
            let emptied = self.directory.join("new/er");
            assert!(
                fs::read_dir(&emptied).map_or(1, Iterator::count) > 0,
                "{what}: a directory is left"
            );
            let left = fs::read_dir(self.directory.join(".haul/staging"));
            assert_eq!(
                left.map_or(0, Iterator::count),
                0,
                "{what}: staging is left"
            );
        }
        true
    }

    /// A flush that failed is told of every file that relied on it.
    #[track_caller]
    fn flush_is_told(&self, call: Call, outcome: &Outcome, what: &str) {
        let failed: Vec<&str> = outcome
            .events
            .iter()
            .filter(|event| matches!(event, Event::Failed { .. }))
            .map(path_of)
            .collect();
        match call {
            Call::FlushData => assert!(!failed.is_empty(), "{what}: no file failed"),
            // At least so many are flushed together.
            Call::FlushAll => assert!(failed.len() >= 8, "{what}: too few failed"),
            Call::FlushDirectory => {
                assert!(!failed.is_empty(), "{what}: no file failed");
                let nested = NESTED.map(|name| failed.contains(&name));
                assert!(
                    !self.together || nested[0] == nested[1],
                    "{what}: one of two in one directory"
                );
            }
            _ => {}
        }
    }

    /// One file is what it was said to be.
    #[track_caller]
    fn is_honest(&self, event: &Event, what: &str) {
        let name = path_of(event);
        let (source, _) = self.sources.iter().find(|(_, n)| n == name).unwrap();
        let there = fs::read(self.directory.join(name)).ok();
        let old = (name == REPLACED).then(|| OLD.to_vec());
        let new = Some(fs::read(source).unwrap());
        match event {
            Event::Finished { .. } => assert!(there == new, "{what}: a false receipt for {name}"),
            Event::Failed { text, .. } if text.contains("in place, perhaps not durable") => {
                assert!(
                    there == new,
                    "{what}: {name} is said to be in place, and is not"
                );
            }
            Event::Failed { .. } => assert!(there == old, "{what}: {name} failed, and is visible"),
            Event::Started { .. } => {}
            Event::Placed { .. } | Event::Skipped { .. } | Event::Lost(_) => {
                panic!("{what}: {event:?}")
            }
        }
    }
}

/// Checks that calls of each of these kinds have failed.
#[track_caller]
fn covers(failed: &BTreeMap<Call, usize>, calls: &[Call], least: usize) {
    for call in calls {
        assert!(failed[call] > 0, "{call:?} never failed: {failed:?}");
    }
    let total: usize = failed.values().sum();
    assert!(total >= least, "only {total} calls failed: {failed:?}");
}

#[test]
fn whatever_call_of_the_server_s_store_fails_no_receipt_is_false() {
    for errno in [5, 28] {
        let saboteur = Saboteur::default();
        let rig = Rig::with(Config::default(), saboteur.fault());
        let sources = sources(&rig);
        let client = rig.client(1);
        let sweep = Sweep {
            saboteur: &saboteur,
            errno,
            directory: &rig.root(),
            sources: &sources,
            together: true,
        };
        let failed = sweep.run(|| put_all(&client, &sources));
        covers(
            &failed,
            &[
                Call::Open,
                Call::MakeDir,
                Call::Stat,
                Call::Space,
                Call::Resize,
                Call::WriteAt,
                Call::SetAttribute,
                Call::SetMode,
                Call::SetTimes,
                Call::FlushData,
                Call::FlushAll,
                Call::Rename,
                Call::FlushDirectory,
            ],
            80,
        );
    }
}

#[test]
fn whatever_call_of_the_client_s_store_or_socket_fails_no_success_is_false() {
    let rig = Rig::new();
    let sources = sources(&rig);
    fs::create_dir_all(rig.root().join("new/er")).unwrap();
    for (path, name) in &sources {
        fs::copy(path, rig.root().join(name)).unwrap();
    }
    let saboteur = Saboteur::default();
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
    let into = rig.dir.path().join("into");
    fs::create_dir(&into).unwrap();
    let names: Vec<_> = sources
        .iter()
        .map(|(_, n)| (n.as_str(), n.as_str()))
        .collect();
    let options = JobOptions {
        on_existing: OnExisting::Replace,
        ..JobOptions::default()
    };
    let sweep = Sweep {
        saboteur: &saboteur,
        errno: 5,
        directory: &into,
        sources: &sources,
        together: false,
    };
    let failed = sweep.run(|| get(&client, &names, &into, &options));
    covers(
        &failed,
        &[
            Call::SocketRead,
            Call::SocketWrite,
            Call::Lock,
            Call::WriteAt,
            Call::SetAttribute,
            Call::FlushData,
            Call::Rename,
            Call::FlushDirectory,
        ],
        100,
    );
    assert_eq!(fs::read(into.join("large")).unwrap(), noise(2 * MIB + 5));
}
