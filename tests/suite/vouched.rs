//! What `haul verify` says of a directory after a fault: each file that has its name has a
//! record, and is what the record says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::objects::{Object, objects};
use crate::place::{Place, Served};
use crate::program::Ended;

/// How often is asked again of what is published while it is asked of.
const ATTEMPTS: usize = 4;

/// What is said of a file that is published meanwhile.
const CHANGED: &str = "changed while it was read";

/// Checks that whoever serves the place finds each of its files sound, and none other.
#[track_caller]
pub fn is_vouched_for(place: &Place, case: &str) {
    are_sound(place, &place.server.address, &place.root(), case);
}

/// The same of a directory that nobody serves, by a server of its own.
#[track_caller]
pub fn holds_what_is_sound(place: &Place, directory: &Path, case: &str) {
    let server = Served::start(directory, &place.home(), "--read-only");
    are_sound(place, &server.address, directory, case);
    server.running.signal(Signal::TERM);
    let ended = server.running.finish();
    assert_eq!(ended.code, Some(0), "{case}: {ended:?}");
}

#[track_caller]
fn are_sound(place: &Place, address: &str, directory: &Path, case: &str) {
    let line = format!("verify --json --retries 0 {address}");
    let mut ended = place.run(&line);
    // Whoever was killed may be survived by what publishes the last of it.
    for _ in 1..ATTEMPTS {
        if !ended.stdout.contains(CHANGED) && names(&told(&ended)) == files(directory) {
            break;
        }
        ended = place.run(&line);
    }
    let told = told(&ended);
    // A file without a record is skipped: it is written before a file has its name, and
    // becomes durable no later than that.
    for file in &told {
        assert_eq!(file["status"], "unchanged", "{case}: {ended:?}");
    }
    assert_eq!(ended.code, Some(0), "{case}: {ended:?}");
    assert_eq!(names(&told), files(directory), "{case}: {ended:?}");
}

/// What is said of each file.
fn told(ended: &Ended) -> Vec<Object> {
    let told = objects(&ended.stdout).into_iter();
    told.filter(|told| told["event"] == "file").collect()
}

fn names(told: &[Object]) -> BTreeSet<String> {
    told.iter().map(|file| file["path"].clone()).collect()
}

/// The names of all files beneath a directory, but for haul's own.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open = vec![directory.to_owned()];
    while let Some(inner) = open.pop() {
        for item in fs::read_dir(inner).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                open.extend((!path.ends_with(".haul")).then_some(path));
            } else {
                let name = path.strip_prefix(directory).unwrap();
                names.insert(name.to_str().unwrap().to_owned());
            }
        }
    }
    names
}
