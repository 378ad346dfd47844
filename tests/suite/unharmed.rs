//! A server to be harmed, and what shows that it was not.

use std::fs;
use std::path::Path;
use std::time::Instant;

use haul::client::JobOptions;
use haul::fault::Fault;
use haul::server::Config;
use haul::transfer::Deadlines;

use crate::raw::PATIENCE;
use crate::rig::{Rig, get, noise, put};
use crate::secrecy::Secrecy;

/// Deadlines beyond every test's patience: what ends was not ended by one of them.
pub fn patient() -> Deadlines {
    let long = 4 * PATIENCE;
    Deadlines {
        opening: long,
        idle: long,
        stall: long,
        floor: 1,
        working: long,
        closing: long,
    }
}

/// A server with an old file in its root.
pub fn served(secrecy: Secrecy, config: Config) -> Rig {
    let rig = Rig::guarded(secrecy, config, Fault::default());
    fs::write(rig.root().join("old"), "old data").unwrap();
    rig
}

/// A server whose deadlines no test reaches.
pub fn patient_server(secrecy: Secrecy) -> Rig {
    with_deadlines(secrecy, patient())
}

pub fn with_deadlines(secrecy: Secrecy, deadlines: Deadlines) -> Rig {
    let config = Config {
        deadlines,
        ..Config::default()
    };
    served(secrecy, config)
}

/// Nothing new is visible, the old is intact, nothing stays staged that nobody could go on
/// with, and the next put and get on the same server work.
#[track_caller]
pub fn is_unharmed(rig: &Rig, case: &str) {
    is_untouched(rig, case);
    goes_on(rig, case);
}

/// Nothing new is visible, the old is intact, and nothing stays staged that nobody could
/// go on with.
#[track_caller]
pub fn is_untouched(rig: &Rig, case: &str) {
    assert_eq!(rig.visible(), ["old"], "{case}");
    assert_eq!(fs::read(rig.root().join("old")).unwrap(), b"old data");
    eventually(case, || staged(rig) == 0);
}

/// The next put and get work.
#[track_caller]
pub fn goes_on(rig: &Rig, case: &str) {
    let next = rig.file("next", 3000);
    let into = rig.dir.path().join("back");
    let client = rig.client(1);
    let outcome = put(&client, &[(&next, "next")], &JobOptions::default());
    assert_eq!(outcome.code(), 0, "the put after {case}: {outcome:?}");
    let outcome = get(&client, &[("next", "next")], &into, &JobOptions::default());
    assert_eq!(outcome.code(), 0, "the get after {case}: {outcome:?}");
    assert_eq!(fs::read(into.join("next")).unwrap(), noise(3000), "{case}");
    fs::remove_file(rig.root().join("next")).unwrap();
    fs::remove_dir_all(into).unwrap();
}

/// How many files are staged that nobody could go on with.
pub fn staged(rig: &Rig) -> usize {
    fs::read_dir(rig.root().join(".haul/staging")).map_or(0, Iterator::count)
}

/// How many files are kept, or received so that they could be gone on with.
pub fn kept(rig: &Rig) -> usize {
    let files = fs::read_dir(rig.root().join(".haul/partial"));
    let is_label = |path: &Path| path.extension().is_some_and(|end| end == "of");
    let paths = files.into_iter().flatten().map(|file| file.unwrap().path());
    paths.filter(|path| !is_label(path)).count()
}

/// Waits for what no event tells of: the end of another thread's cleaning up.
#[track_caller]
pub fn eventually(case: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{case}: it did not come to pass");
        std::thread::yield_now();
    }
}
