//! A good copy in place of what has decayed: what is sent, what stays, and what is refused.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use haul::client::{Client, JobOptions, Soundness};
use haul::content::{Algorithm, Checksum};
use haul::entry::Entry;
use haul::fault::{Call, Fault};
use haul::offer::OnExisting;
use haul::server::Config;

use crate::decay::{Is, LARGE, MIB, found, is, puts, stored};
use crate::rig::{Outcome, Rig, get, noise, outcome, put};
use crate::rot::{cut_off, decay, flip, record};

/// Puts a copy in place of what has decayed.
fn repair(client: &Client, path: &str, good: &Path) -> (Outcome, u64) {
    let (entry, found) = found(client, path);
    let Ok(Soundness::Decayed { recorded, .. }) = found else {
        panic!("{found:?}");
    };
    repair_as_found(client, (&entry, recorded), good)
}

fn repair_as_found(
    client: &Client,
    (entry, recorded): (&Entry, Checksum),
    good: &Path,
) -> (Outcome, u64) {
    let mut sent = 0;
    let outcome = outcome(|monitor| {
        let repaired = client.repair(entry, recorded, good, monitor);
        let count = &monitor.progress.bytes_sent;
        sent = count.load(Ordering::Relaxed);
        repaired
    });
    (outcome, sent)
}

#[test]
fn a_repair_sends_the_blocks_that_have_decayed_and_no_others() {
    let rig = stored();
    let path = rig.root().join("large");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&path).unwrap();
    decay(&path, &[MIB as u64, 3 * MIB as u64]);
    decay(&rig.root().join("small"), &[0]);
    let client = rig.client(1);
    for (name, len, sends) in [("large", LARGE, 2 * MIB), ("small", 5, 5)] {
        let good = rig.file("good", len);
        fs::set_permissions(&good, fs::Permissions::from_mode(0o777)).unwrap();
        let (outcome, sent) = repair(&client, name, &good);
        outcome.is_fine();
        assert_eq!(sent, sends as u64, "{name}");
        assert_eq!(fs::read(rig.root().join(name)).unwrap(), noise(len));
        is(&rig, name, &Is::Sound);
    }
    let after = fs::metadata(&path).unwrap();
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert_eq!(after.mode(), before.mode());
    let into = rig.dir.path().join("into");
    get(
        &client,
        &[("large", "large")],
        &into,
        &JobOptions::default(),
    )
    .is_fine();
    assert_eq!(fs::read(into.join("large")).unwrap(), noise(LARGE));
}

#[test]
fn what_lost_its_end_gets_it_back() {
    let rig = stored();
    let client = rig.client(1);
    for (name, len, left, sends) in [
        ("large", LARGE, 3 * MIB + 5, MIB + 7),
        ("large", LARGE, 0, LARGE),
        ("small", 5, 4, 5),
    ] {
        let path = rig.root().join(name);
        cut_off(&path, left as u64);
        let good = rig.file("good", len);
        let shorter = rig.file("shorter", left);
        let (outcome, sent) = repair(&client, name, &shorter);
        assert_eq!((outcome.code(), sent), (7, 0), "{outcome:?}");
        let (outcome, sent) = repair(&client, name, &good);
        outcome.is_fine();
        assert_eq!(sent, sends as u64, "{name}");
        assert_eq!(fs::read(&path).unwrap(), noise(len));
        is(&rig, name, &Is::Sound);
    }
}

#[test]
fn a_repair_keeps_a_second_checksum_that_was_recorded() {
    let rig = Rig::new();
    let client = rig.client(1);
    let options = JobOptions {
        checksum: Algorithm::Sha256,
        ..JobOptions::default()
    };
    for (name, len) in [("large", LARGE), ("small", 5)] {
        let good = rig.file("good", len);
        put(&client, &[(&good, name)], &options).is_fine();
        let path = rig.root().join(name);
        let checksums = |record: String| -> Vec<String> {
            let lines = record.lines();
            lines.map(|line| line[..71].to_owned()).collect()
        };
        let before = checksums(record(&path));
        assert_eq!(before.len(), 2);
        decay(&path, &[3]);
        repair(&client, name, &good).0.is_fine();
        assert_eq!(checksums(record(&path)), before, "{name}");
    }
    // It is of those bytes and of no others.
    let path = rig.root().join("small");
    let other = rig.file("other", 6);
    let options = JobOptions {
        on_existing: OnExisting::Replace,
        ..JobOptions::default()
    };
    put(&client, &[(&other, "small")], &options).is_fine();
    assert_eq!(record(&path).lines().count(), 1);
}

#[test]
fn a_copy_that_is_none_repairs_nothing() {
    let rig = stored();
    let path = rig.root().join("large");
    decay(&path, &[MIB as u64]);
    let there = fs::read(&path).unwrap();
    let bad = rig.file("bad", LARGE);
    flip(&bad, &[0]);
    let shorter = rig.file("shorter", LARGE - 1);
    let missing = rig.dir.path().join("missing");
    for (good, code) in [
        (&bad, 7),
        (&shorter, 7),
        (&rig.dir.path().to_owned(), 7),
        (&missing, 10),
    ] {
        let (outcome, sent) = repair(&rig.client(1), "large", good);
        assert_eq!((outcome.code(), sent), (code, 0), "{outcome:?}");
        assert_eq!(fs::read(&path).unwrap(), there);
    }
}

#[test]
fn a_file_that_changed_since_it_was_verified_is_not_repaired() {
    let rig = stored();
    let path = rig.root().join("large");
    decay(&path, &[MIB as u64]);
    let client = rig.client(1);
    let (entry, found) = found(&client, "large");
    let Ok(Soundness::Decayed { recorded, .. }) = found else {
        panic!("{found:?}");
    };
    let good = rig.file("good", LARGE);
    flip(&path, &[7]);
    let there = fs::read(&path).unwrap();
    let (outcome, _) = repair_as_found(&client, (&entry, recorded), &good);
    assert_eq!(outcome.code(), 6, "{outcome:?}");
    assert_eq!(fs::read(&path).unwrap(), there);
}

#[test]
fn what_the_disk_does_not_give_any_more_is_repaired() {
    let broken = Arc::<AtomicBool>::default();
    let disk = Arc::clone(&broken);
    let fault = Fault::watched(move |call| {
        let fails = call == Call::ReadAt && disk.load(Ordering::SeqCst);
        if fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    });
    let rig = Rig::with(Config::default(), fault);
    puts(&rig, LARGE, "large");
    let good = rig.file("good", LARGE);
    broken.store(true, Ordering::SeqCst);
    let (entry, found) = found(&rig.client(1), "large");
    let Ok(Soundness::Decayed { recorded, .. }) = found else {
        panic!("{found:?}");
    };
    let client = rig.client(1);
    outcome(|monitor| client.repair(&entry, recorded, &good, monitor)).is_fine();
    broken.store(false, Ordering::SeqCst);
    is(&rig, "large", &Is::Sound);
}
