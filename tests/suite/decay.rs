//! Whether what is stored is still what was stored, as the library tells it.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use haul::client::{Client, Error, JobOptions, Soundness};
use haul::code::Code;
use haul::content::Algorithm;
use haul::entry::Entry;
use haul::fault::{Call, Fault};
use haul::offer::OnExisting;
use haul::server::Config;
use haul::store::{Durability, LocalStore, Store};

use crate::rig::{Rig, get, put, remote};
use crate::rot::{age, cut_off, decay, flip, is_recorded_in_time, record, without_a_time};
use crate::saboteur::Saboteur;

pub const MIB: usize = 1 << 20;

/// Five blocks, the last of them smaller.
pub const LARGE: usize = 4 * MIB + 7;

/// What is said of the one file at a path.
pub fn found(client: &Client, path: &str) -> (Entry, Result<Soundness, Error>) {
    let mut all = Vec::new();
    client
        .verify(Some(&remote(path)), |entry, found| all.push((entry, found)))
        .unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[derive(Debug, PartialEq)]
pub enum Is {
    Sound,
    /// With the runs of blocks that are named, each by its first and the one behind it.
    Decayed(Option<Vec<(u64, u64)>>),
    Edited,
    Unrecorded,
}

pub fn decayed_in(runs: &[(u64, u64)]) -> Is {
    Is::Decayed(Some(runs.to_vec()))
}

#[track_caller]
pub fn is(rig: &Rig, path: &str, expected: &Is) {
    let (_, found) = found(&rig.client(1), path);
    let found = match found.unwrap() {
        Soundness::Sound(_) => Is::Sound,
        Soundness::Decayed { blocks, .. } => {
            let run = |run: &Range<u64>| (run.start, run.end);
            Is::Decayed(blocks.map(|blocks| blocks.runs.iter().map(run).collect()))
        }
        Soundness::Edited(_) => Is::Edited,
        Soundness::Unrecorded => Is::Unrecorded,
    };
    assert_eq!(found, *expected, "{path}");
}

pub fn puts(rig: &Rig, len: usize, to: &str) {
    let source = rig.file("source", len);
    put(&rig.client(1), &[(&source, to)], &JobOptions::default()).is_fine();
}

/// A server with a large file, `large`, and a small one, `small`.
pub fn stored() -> Rig {
    let rig = Rig::new();
    puts(&rig, LARGE, "large");
    puts(&rig, 5, "small");
    rig
}

#[test]
fn what_was_put_is_sound_and_what_came_otherwise_has_no_record() {
    let rig = stored();
    puts(&rig, 0, "empty");
    fs::write(rig.root().join("laid"), "there").unwrap();
    for name in ["large", "small", "empty"] {
        is(&rig, name, &Is::Sound);
    }
    is(&rig, "laid", &Is::Unrecorded);
}

#[test]
fn a_record_of_an_early_build_is_compared_and_never_says_that_a_file_decayed() {
    let rig = stored();
    for name in ["large", "small"] {
        let path = rig.root().join(name);
        without_a_time(&path);
        is(&rig, name, &Is::Sound);
        flip(&path, &[3]);
        is(&rig, name, &Is::Edited);
        fs::write(&path, "shorter").unwrap();
        is(&rig, name, &Is::Edited);
    }
}

#[test]
fn what_lost_its_end_and_was_not_touched_has_decayed() {
    let rig = stored();
    for (name, len) in [("large", LARGE - 1), ("small", 4), ("large", 0)] {
        cut_off(&rig.root().join(name), len as u64);
        is(&rig, name, &Is::Decayed(None));
    }
    let path = rig.root().join("small");
    age(&path);
    is(&rig, "small", &Is::Edited);
}

#[test]
fn a_record_that_cannot_be_read_is_an_error_and_not_none() {
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), saboteur.fault());
    puts(&rig, 5, "small");
    // The listing's is the first.
    saboteur.arm(Some((Call::GetAttribute, 1, 5)));
    let (_, found) = found(&rig.client(1), "small");
    assert_eq!(found.unwrap_err().code(), Code::File);
    assert!(saboteur.failed());
}

#[test]
fn a_record_is_written_when_its_file_gets_its_name() {
    // Long before that its bytes were sent, and the rename may take its time.
    let slow = Fault::watched(|call| {
        if matches!(call, Call::FlushData | Call::Rename) {
            sleep(Duration::from_millis(120));
        }
        Ok(())
    });
    let rig = Rig::with(Config::default(), slow);
    for (len, name) in [(5, "small"), (LARGE, "large")] {
        puts(&rig, len, name);
        let path = rig.root().join(name);
        assert!(is_recorded_in_time(&path), "{}", path.display());
    }
}

#[test]
fn what_has_decayed_is_named_to_the_block() {
    let rig = stored();
    let path = rig.root().join("large");
    let at = |block: usize| (block * MIB + 5) as u64;
    decay(&path, &[at(2)]);
    is(&rig, "large", &decayed_in(&[(2, 3)]));
    decay(&path, &[at(3), at(0)]);
    is(&rig, "large", &decayed_in(&[(0, 1), (2, 4)]));
    decay(&path, &[at(1), at(4)]);
    is(&rig, "large", &decayed_in(&[(0, 5)]));
    // Of one block there is nothing to tell apart.
    decay(&rig.root().join("small"), &[3]);
    is(&rig, "small", &Is::Decayed(None));
}

#[test]
fn a_block_that_the_disk_does_not_give_has_decayed() {
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), saboteur.fault());
    puts(&rig, LARGE, "large");
    // After the kept nodes, head and all.
    saboteur.arm(Some((Call::ReadAt, 2, 5)));
    let (_, found) = found(&rig.client(1), "large");
    let Ok(Soundness::Decayed { blocks, .. }) = found else {
        panic!("{found:?}");
    };
    assert!(saboteur.failed());
    assert_eq!(blocks.unwrap().decayed, 1);
    saboteur.arm(None);
    is(&rig, "large", &Is::Sound);
}

#[test]
fn what_has_decayed_is_not_fetched() {
    let rig = stored();
    for name in ["large", "small"] {
        decay(&rig.root().join(name), &[3]);
        let into = rig.dir.path().join("into");
        let client = rig.client(1);
        let got = get(&client, &[(name, name)], &into, &JobOptions::default());
        assert_eq!(got.code(), 7, "{got:?}");
        assert!(!into.join(name).exists());
    }
}

#[test]
fn what_has_another_length_on_the_disk_is_not_fetched_and_takes_no_good_copy_s_place() {
    let rig = stored();
    let (into, good) = (rig.dir.path().join("into"), b"a good copy");
    let replace = JobOptions {
        on_existing: OnExisting::Replace,
        ..JobOptions::default()
    };
    for (name, len) in [
        ("large", LARGE - 1),
        ("large", LARGE + 1),
        ("small", 4),
        ("small", 6),
        ("large", 0),
    ] {
        cut_off(&rig.root().join(name), len as u64);
        let _ = fs::remove_dir_all(&into);
        let client = rig.client(1);
        let got = get(&client, &[(name, name)], &into, &JobOptions::default());
        assert_eq!(got.code(), 7, "{name} {len}: {got:?}");
        assert!(!into.join(name).exists(), "{name} {len}");
        fs::write(into.join(name), good).unwrap();
        let got = get(&client, &[(name, name)], &into, &replace);
        assert_eq!(got.code(), 7, "{name} {len}: {got:?}");
        assert_eq!(fs::read(into.join(name)).unwrap(), good, "{name} {len}");
    }
}

fn kept(rig: &Rig) -> Vec<PathBuf> {
    let nodes = fs::read_dir(rig.root().join(".haul/nodes"));
    let nodes = nodes.into_iter().flatten();
    nodes.map(|node| node.unwrap().path()).collect()
}

#[test]
fn nodes_are_private_and_go_with_their_file() {
    let mut rig = stored();
    puts(&rig, LARGE + 1, "other");
    let nodes = rig.root().join(".haul/nodes");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&nodes), 0o700);
    assert_eq!(kept(&rig).len(), 2);
    assert!(kept(&rig).iter().all(|kept| mode(kept) == 0o600));
    let client = rig.client(1);
    client.rename(&remote("large"), &remote("moved")).unwrap();
    rig.stop();
    let sweep = || {
        let store = LocalStore::serve(&rig.root(), Durability::Batch, Fault::default()).unwrap();
        store.sweep_nodes(|| true);
    };
    sweep();
    assert_eq!(kept(&rig).len(), 2, "both files are there");
    fs::remove_file(rig.root().join("other")).unwrap();
    sweep();
    assert_eq!(kept(&rig).len(), 1);
    fs::write(rig.root().join("moved"), "other bytes").unwrap();
    sweep();
    assert_eq!(kept(&rig).len(), 1, "it has the record still");
    fs::remove_file(rig.root().join("moved")).unwrap();
    sweep();
    assert!(!rig.root().join(".haul").exists());
}

#[test]
fn of_nodes_that_have_decayed_themselves_nothing_is_believed() {
    for damage in [
        |path: &Path| flip(path, &[24 + 32]),
        |path: &Path| flip(path, &[0]),
        |path: &Path| flip(path, &[17]),
        |path: &Path| flip(path, &[23]),
        |path: &Path| fs::write(path, "haulnode").unwrap(),
        |path: &Path| fs::remove_file(path).unwrap(),
    ] {
        let rig = stored();
        decay(&rig.root().join("large"), &[2 * MIB as u64]);
        damage(&kept(&rig)[0]);
        is(&rig, "large", &Is::Decayed(None));
    }
}

#[test]
fn a_download_keeps_no_nodes() {
    let rig = stored();
    let into = rig.dir.path().join("into");
    let client = rig.client(1);
    get(
        &client,
        &[("large", "large")],
        &into,
        &JobOptions::default(),
    )
    .is_fine();
    assert!(!into.join(".haul").exists());
}

#[test]
fn nodes_that_cannot_be_kept_are_no_failure() {
    let rig = Rig::new();
    fs::create_dir(rig.root().join(".haul")).unwrap();
    fs::set_permissions(rig.root().join(".haul"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(rig.root().join(".haul/nodes"), "in the way").unwrap();
    puts(&rig, LARGE, "large");
    is(&rig, "large", &Is::Sound);
}

#[test]
fn a_second_checksum_is_kept_with_the_first() {
    let rig = Rig::new();
    let source = rig.file("source", LARGE);
    let options = JobOptions {
        checksum: Algorithm::Sha256,
        on_existing: OnExisting::Replace,
        ..JobOptions::default()
    };
    put(&rig.client(1), &[(&source, "large")], &options).is_fine();
    let client = rig.client(1);
    client.rename(&remote("large"), &remote("moved")).unwrap();
    let record = record(&rig.root().join("moved"));
    let starts: Vec<&str> = record.lines().map(|line| &line[..7]).collect();
    assert_eq!(starts, ["blake3:", "sha256:"]);
    is(&rig, "moved", &Is::Sound);
}

#[test]
fn a_directory_or_a_missing_name_is_told_as_elsewhere() {
    let rig = stored();
    fs::create_dir(rig.root().join("d")).unwrap();
    std::os::unix::fs::symlink("large", rig.root().join("link")).unwrap();
    let client = rig.client(1);
    let listing = client.verify(Some(&remote("d")), |_, _| panic!("a file"));
    assert_eq!(listing.unwrap().entries, []);
    for (path, code) in [("missing", Code::NotFound), ("link", Code::File)] {
        let error = client.verify(Some(&remote(path)), |_, _| panic!("a file"));
        assert_eq!(error.unwrap_err().code(), code, "{path}");
    }
}
