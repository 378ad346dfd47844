//! The order of calls that a receipt stands for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use haul::fault::{Call, Fault};
use haul::server::Config;
use rustix::fs::getxattr;

use crate::rig::Rig;
use crate::saboteur::{NESTED, Saboteur, put_all, sources};

/// What a watcher saw on the disk before each of some calls.
#[derive(Clone, Debug)]
struct Step {
    call: Call,
    /// Files that have their names, and those that are staged, each with a record or without.
    visible: Recorded,
    staged: Recorded,
}

/// How many files have a record, and how many have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Recorded {
    with: usize,
    without: usize,
}

impl Recorded {
    /// The files beneath a directory, but for what is another's to count.
    fn beneath(directory: &Path) -> Self {
        let mut all = Self::default();
        let mut open = vec![directory.to_owned()];
        while let Some(inner) = open.pop() {
            for item in fs::read_dir(inner).into_iter().flatten().flatten() {
                let path = item.path();
                if path.is_dir() {
                    open.extend((!path.ends_with(".haul")).then_some(path));
                } else if path.extension().is_none_or(|end| end != "of") {
                    match getxattr(&path, "user.haul", &mut [0; 512]) {
                        Ok(_) => all.with += 1,
                        Err(_) => all.without += 1,
                    }
                }
            }
        }
        all
    }
}

/// A server on a directory, every call of which is seen together with what is there.
struct Seen {
    rig: Rig,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl Seen {
    fn new() -> Self {
        let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
        let root: Arc<OnceLock<PathBuf>> = Arc::default();
        let (seen, top) = (Arc::clone(&steps), Arc::clone(&root));
        let fault = Fault::watched(move |call| {
            if let Some(root) = top.get().filter(|_| STEPS.contains(&call)) {
                let staged = ["staging", "partial"].map(|area| {
                    let area = root.join(".haul").join(area);
                    Recorded::beneath(&area)
                });
                let step = Step {
                    call,
                    visible: Recorded::beneath(root),
                    staged: Recorded {
                        with: staged[0].with + staged[1].with,
                        without: staged[0].without + staged[1].without,
                    },
                };
                seen.lock().unwrap().push(step);
            }
            Ok(())
        });
        let config = Config {
            fault: fault.clone(),
            ..Config::default()
        };
        let rig = Rig::with(config, fault);
        root.set(rig.root()).unwrap();
        Self { rig, steps }
    }

    /// What was seen of one put.
    fn puts(&self, files: &[(PathBuf, String)]) -> Vec<Step> {
        self.steps.lock().unwrap().clear();
        put_all(&self.rig.client(1), files).is_fine();
        self.steps.lock().unwrap().clone()
    }
}

/// Calls that are steps of publishing.
const STEPS: [Call; 6] = [
    Call::FlushData,
    Call::FlushAll,
    Call::SetAttribute,
    Call::Rename,
    Call::FlushDirectory,
    Call::SocketWrite,
];

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is received, or its receipt was sent.
    Said,
    Flushing,
    Naming,
    Settling,
}

/// What was flushed and named of a batch so far.
#[derive(Debug, Default)]
struct Batch {
    files_flushed: usize,
    all_flushed: usize,
    named: usize,
    directories: usize,
}

impl Batch {
    /// Each file's data was flushed alone, or with at least so many others.
    fn is_flushed(&self) -> bool {
        match self.all_flushed {
            0 => self.files_flushed == self.named,
            1 => self.files_flushed + 8 <= self.named,
            _ => false,
        }
    }
}

/// Of each batch that is put where nothing was, the data of all files is flushed, then each
/// gets its record and its name, one after the other, then directories are flushed, and only
/// then something is said. Returns the batches.
#[track_caller]
fn are_in_order(steps: &[Step], files: usize) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let (mut stage, mut named) = (Stage::Said, 0);
    for (at, step) in steps.iter().enumerate() {
        let case = format!("call {at} of {steps:#?}");
        if stage == Stage::Said && step.call != Call::SocketWrite {
            batches.push(Batch::default());
        }
        let begins = matches!(stage, Stage::Said | Stage::Flushing);
        // Before a file gets its record its nodes get a name, and they have no record.
        let is_nodes = step.call == Call::Rename && step.staged.with == 0;
        let (is_next, next) = match step.call {
            Call::Rename if is_nodes => (
                matches!(stage, Stage::Flushing | Stage::Naming),
                Stage::Naming,
            ),
            Call::FlushData | Call::FlushAll => (begins, Stage::Flushing),
            Call::SetAttribute => (
                matches!(stage, Stage::Flushing | Stage::Naming),
                Stage::Naming,
            ),
            Call::Rename => (stage == Stage::Naming, Stage::Naming),
            Call::FlushDirectory => (
                matches!(stage, Stage::Naming | Stage::Settling),
                Stage::Settling,
            ),
            _ => (matches!(stage, Stage::Settling | Stage::Said), Stage::Said),
        };
        assert!(is_next, "{:?} after {stage:?}, {case}", step.call);
        stage = next;
        let Some(batch) = batches.last_mut() else {
            continue;
        };
        match step.call {
            Call::FlushData => batch.files_flushed += 1,
            Call::FlushAll => batch.all_flushed += 1,
            Call::FlushDirectory => batch.directories += 1,
            Call::Rename if !is_nodes => {
                // All that have a name have a record, and of the others the one that is next.
                let visible = Recorded {
                    with: named,
                    without: 0,
                };
                assert_eq!((step.visible, step.staged.with), (visible, 1), "{case}");
                (batch.named, named) = (batch.named + 1, named + 1);
            }
            _ => {}
        }
    }
    assert_eq!((stage, named), (Stage::Said, files), "{steps:#?}");
    for batch in &batches {
        assert!(batch.is_flushed(), "{batch:?} of {steps:#?}");
    }
    batches
}

#[test]
fn data_is_flushed_then_recorded_then_renamed_then_directories_are_flushed_then_comes_the_receipt()
{
    // Of the sources, those that are put, and how many directories are flushed, where all
    // are surely one batch: the root, and two that are made.
    for (chosen, directories) in [
        (0..3, Some(1)),
        (0..10, Some(3)),
        (10..11, Some(1)),
        (0..12, None),
    ] {
        let seen = Seen::new();
        let mut files = sources(&seen.rig);
        let another = seen.rig.file("another", (1 << 20) + 5);
        files.push((another, "another".to_owned()));
        let files = &files[chosen];
        let batches = are_in_order(&seen.puts(files), files.len());
        if let Some(directories) = directories {
            assert_eq!(batches.len(), 1, "{batches:?}");
            assert_eq!(batches[0].directories, directories, "{batches:?}");
        }
    }
}

#[test]
fn what_is_there_already_is_flushed_with_its_directory_before_it_is_vouched_for() {
    let seen = Seen::new();
    let large = &sources(&seen.rig)[10..];
    seen.puts(large);
    let again: Vec<Call> = seen.puts(large).iter().map(|step| step.call).collect();
    assert!(!again.contains(&Call::Rename), "{again:?}");
    let end = [Call::FlushData, Call::FlushDirectory, Call::SocketWrite];
    assert!(again.ends_with(&end), "{again:?}");
}

#[test]
fn every_directory_up_to_the_root_is_flushed_however_old_it_is() {
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), saboteur.fault());
    let sources = sources(&rig);
    // The first put makes the directories. Whether it, or another put, or one that
    // failed has flushed their names is nothing that a later receipt may rely on.
    let nested = sources
        .iter()
        .filter(|(_, name)| NESTED.contains(&name.as_str()));
    for source in nested {
        saboteur.arm(None);
        put_all(&rig.client(1), std::slice::from_ref(source)).is_fine();
        let trace = saboteur.trace();
        let flushes = trace.iter().filter(|call| **call == Call::FlushDirectory);
        assert_eq!(flushes.count(), 3, "{trace:?}");
    }
}

#[test]
fn the_disk_begins_with_a_large_file_while_it_still_arrives_and_need_not() {
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), saboteur.fault());
    let large = rig.file("large", (20 << 20) + 5);
    for (name, fails) in [("a", None), ("b", Some((Call::WriteBack, 0, 5)))] {
        saboteur.arm(fails);
        put_all(&rig.client(1), &[(large.clone(), name.to_owned())]).is_fine();
        let mut trace = saboteur.trace();
        trace.retain(|call| matches!(call, Call::WriteAt | Call::WriteBack | Call::FlushData));
        let arriving = trace.split(|call| *call == Call::FlushData).next().unwrap();
        let begun = arriving.iter().position(|call| *call == Call::WriteBack);
        let still = arriving.len() - begun.expect("not before all is there");
        assert!(still > 12, "{trace:?}");
        assert_eq!(saboteur.failed(), fails.is_some());
    }
}
