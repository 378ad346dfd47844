//! A disk that is full, over quota, read-only or broken, one sentence for each promise.
//!
//! `faults`, `tree_faults` and `resumed_faults` fail every call there is; here are those of
//! which the promises speak by name, with what a person is told.

use std::fs;

use haul::client::{Event, JobOptions};
use haul::fault::Call;
use haul::offer::OnExisting;
use haul::server::Config;

use crate::place::Place;
use crate::rig::{Outcome, Rig, get, noise, put};
use crate::saboteur::Saboteur;
use crate::unharmed::{goes_on, is_untouched, staged};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;

/// Blocks, and a directory that is not there yet.
const LARGE: (&str, usize) = ("new/er/large", (1 << 20) + 5);

/// Small files, which one flush covers.
const SMALL: usize = 10;

/// A server with an old file, whose calls fail.
fn served() -> (Rig, Saboteur) {
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), saboteur.fault());
    fs::write(rig.root().join("old"), "old data").unwrap();
    (rig, saboteur)
}

fn puts_large(rig: &Rig) -> Outcome {
    let source = rig.file("large", LARGE.1);
    put(
        &rig.client(1),
        &[(&source, LARGE.0)],
        &JobOptions::default(),
    )
}

fn puts_small(rig: &Rig) -> Outcome {
    let files: Vec<_> = (0..SMALL)
        .map(|n| (rig.file(&format!("small-{n}"), n), format!("new-{n}")))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(path, name)| (&**path, name.as_str()))
        .collect();
    put(&rig.client(1), &files, &JobOptions::default())
}

/// What was said of each file that failed.
fn failures(outcome: &Outcome) -> Vec<&str> {
    let mut failures = Vec::new();
    for event in &outcome.events {
        if let Event::Failed { text, .. } = event {
            failures.push(text.as_str());
        }
    }
    failures
}

/// Every write, flush and rename of a put fails with this: each time it ends in the code, with
/// words for it at the offer or after it, nothing new is visible, and the next put and get work.
#[track_caller]
fn refuses(errno: i32, code: u8, words: [&str; 2]) {
    let (rig, saboteur) = served();
    for call in [
        Call::MakeDir,
        Call::Resize,
        Call::WriteAt,
        Call::SetAttribute,
        Call::SetMode,
        Call::SetTimes,
        Call::FlushData,
        Call::Rename,
    ] {
        for n in 0.. {
            saboteur.arm(Some((call, n, errno)));
            let outcome = puts_large(&rig);
            let has_failed = saboteur.failed();
            saboteur.arm(None);
            let case = format!("{call:?} {n}: {outcome:?}");
            if !has_failed {
                outcome.is_fine();
                assert!(n > 0, "{call:?} is never made");
                fs::remove_dir_all(rig.root().join("new")).unwrap();
                break;
            }
            // The area for what arrives may be made by the next call that needs it, and nodes
            // that cannot be kept beside a file are no failure of its own.
            if outcome.code() == 0 {
                assert!(
                    matches!(call, Call::MakeDir | Call::WriteAt | Call::Rename),
                    "{case}"
                );
                let stored = fs::read(rig.root().join(LARGE.0)).unwrap();
                assert!(stored == noise(LARGE.1), "{case}");
                fs::remove_dir_all(rig.root().join("new")).unwrap();
                continue;
            }
            assert_eq!(outcome.code(), code, "{case}");
            let said = failures(&outcome)[0];
            assert!(words.iter().any(|words| said.contains(words)), "{case}");
            is_untouched(&rig, &case);
            goes_on(&rig, &case);
        }
    }
}

#[test]
fn a_disk_that_is_full_at_any_write_flush_or_rename_ends_in_8_and_leaves_nothing() {
    refuses(
        ENOSPC,
        8,
        ["there is no space for it", "No space left on device"],
    );
}

#[test]
fn a_quota_that_is_used_up_at_any_write_flush_or_rename_ends_in_8_and_leaves_nothing() {
    refuses(EDQUOT, 8, ["there is no space for it", "uota exceeded"]);
}

#[test]
fn a_disk_that_turned_read_only_ends_in_10_and_leaves_nothing() {
    refuses(
        EROFS,
        10,
        [
            "the file system there is read-only",
            "Read-only file system",
        ],
    );
}

#[test]
fn a_read_only_file_system_takes_nothing_and_goes_on_being_read() {
    let Some(place) = Place::on_a_read_only_disk("echo there > there", "--plaintext") else {
        return;
    };
    place.file("a", &noise(3000));
    for _ in 0..2 {
        let why = "haul: a: the file system there is read-only\n*1 failed*";
        place.says("--plaintext put a [ADDRESS]", 10, "", why);
        place.says(
            "--plaintext mkdir [ADDRESS]/new",
            10,
            "",
            "haul: *Read-only file system*",
        );
        place.says(
            "--plaintext rm [ADDRESS]/there",
            10,
            "",
            "haul: *Read-only file system*",
        );
        place.says(
            "--plaintext get --overwrite [ADDRESS]/there back",
            0,
            "",
            "*",
        );
        assert_eq!(fs::read(place.here().join("back")).unwrap(), b"there\n");
        place.says("--plaintext ls [ADDRESS]", 0, "*there*", "*");
    }
}

#[test]
fn a_flush_that_fails_fails_its_whole_batch_and_is_not_tried_again() {
    let (rig, saboteur) = served();
    for errno in [EIO, ENOSPC] {
        saboteur.arm(Some((Call::FlushAll, 0, errno)));
        let outcome = puts_small(&rig);
        let trace = saboteur.trace();
        assert_eq!(failures(&outcome).len(), SMALL, "{outcome:?}");
        assert_eq!(outcome.code(), if errno == EIO { 10 } else { 8 });
        let made = |call| trace.iter().filter(|made| **made == call).count();
        // A second flush would say yes to what the first one has lost.
        assert_eq!(made(Call::FlushAll), 1, "{trace:?}");
        assert_eq!(made(Call::Rename), 0, "{trace:?}");
        is_untouched(&rig, "a flush that fails");
        // Nothing that was written before is believed: all is sent anew.
        saboteur.arm(None);
        let again = puts_small(&rig);
        again.is_fine();
        let written = saboteur.trace();
        let blocks = written
            .iter()
            .filter(|call| **call == Call::WriteAt)
            .count();
        assert!(blocks >= SMALL - 1, "{written:?}");
        for n in 0..SMALL {
            fs::remove_file(rig.root().join(format!("new-{n}"))).unwrap();
        }
    }
}

#[test]
fn a_directory_whose_flush_fails_after_the_rename_is_said_to_be_in_place_perhaps_not_durable() {
    let (rig, saboteur) = served();
    for (errno, code) in [(EIO, 10), (ENOSPC, 8)] {
        saboteur.arm(Some((Call::FlushDirectory, 0, errno)));
        let outcome = puts_large(&rig);
        assert!(saboteur.failed());
        saboteur.arm(None);
        assert_eq!(outcome.code(), code, "{outcome:?}");
        let [said] = failures(&outcome)[..] else {
            panic!("{outcome:?}");
        };
        assert!(said.contains("in place, perhaps not durable"), "{said}");
        assert!(fs::read(rig.root().join(LARGE.0)).unwrap() == noise(LARGE.1));
        assert_eq!(staged(&rig), 0);
        // The same again is vouched for, and moves nothing.
        puts_large(&rig).is_fine();
        fs::remove_dir_all(rig.root().join("new")).unwrap();
    }
}

#[test]
fn a_disk_that_fails_while_it_is_read_ends_a_get_in_10_and_leaves_nothing() {
    let (rig, saboteur) = served();
    fs::write(rig.root().join("large"), noise(LARGE.1)).unwrap();
    let into = rig.dir.path().join("into");
    let options = JobOptions {
        on_existing: OnExisting::Replace,
        ..JobOptions::default()
    };
    for n in 0..2 {
        saboteur.arm(Some((Call::ReadAt, n, EIO)));
        let outcome = get(&rig.client(1), &[("large", "large")], &into, &options);
        saboteur.arm(None);
        assert_eq!(outcome.code(), 10, "{outcome:?}");
        assert!(!into.join("large").exists());
    }
    get(&rig.client(1), &[("large", "large")], &into, &options).is_fine();
    assert!(fs::read(into.join("large")).unwrap() == noise(LARGE.1));
}
