//! Files go up and come back as they were.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use haul::client::{JobOptions, Status};
use haul::content::Algorithm;
use haul::fault::Fault;
use haul::server::Config;

use crate::rig::{Rig, get, put};
use crate::secrecy::{Secrecy, plain_and_encrypted};

plain_and_encrypted! {
    files_around_a_block_go_up_and_come_back,
    forty_mebibytes_go_up_and_come_back_over_one_and_four_connections,
    a_second_checksum_is_proved_on_both_sides,
}

const MIB: usize = 1 << 20;

#[track_caller]
fn goes_up_and_comes_back(secrecy: Secrecy, len: usize, connections: usize, checksum: Algorithm) {
    let rig = Rig::guarded(secrecy, Config::default(), Fault::default());
    let source = rig.file("source", len);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
    let client = rig.client(connections);
    let options = JobOptions {
        checksum,
        ..JobOptions::default()
    };
    let outcome = put(&client, &[(&source, "there")], &options);
    let summary = outcome.is_fine().result.as_ref().unwrap();
    assert_eq!((summary.files, summary.moved), (1, 1));
    assert!(summary.durable);

    let into = rig.dir.path().join("back");
    let options = JobOptions {
        checksum,
        ..JobOptions::default()
    };
    get(&client, &[("there", "here")], &into, &options).is_fine();
    let (before, after) = (
        fs::metadata(&source).unwrap(),
        fs::metadata(into.join("here")).unwrap(),
    );
    assert_eq!(
        fs::read(&source).unwrap(),
        fs::read(into.join("here")).unwrap()
    );
    assert_eq!(before.mode(), after.mode());
    assert_eq!(
        (before.mtime(), before.mtime_nsec()),
        (after.mtime(), after.mtime_nsec())
    );
    assert!(!into.join(".haul").exists(), "staging is left behind");
}

fn files_around_a_block_go_up_and_come_back(secrecy: Secrecy) {
    for len in [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB] {
        goes_up_and_comes_back(secrecy, len, 1, Algorithm::Blake3);
    }
}

fn forty_mebibytes_go_up_and_come_back_over_one_and_four_connections(secrecy: Secrecy) {
    goes_up_and_comes_back(secrecy, 40 * MIB + 7, 1, Algorithm::Blake3);
    goes_up_and_comes_back(secrecy, 40 * MIB + 7, 4, Algorithm::Blake3);
}

fn a_second_checksum_is_proved_on_both_sides(secrecy: Secrecy) {
    goes_up_and_comes_back(secrecy, 0, 1, Algorithm::Sha256);
    goes_up_and_comes_back(secrecy, 3 * MIB, 4, Algorithm::Sha256);
}

#[test]
fn a_thousand_small_files_go_up_and_come_back() {
    let rig = Rig::new();
    let names: Vec<String> = (0..1000).map(|n| format!("file-{n}")).collect();
    let paths: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, name)| rig.file(name, n))
        .collect();
    let files: Vec<_> = paths
        .iter()
        .map(PathBuf::as_path)
        .zip(names.iter().map(String::as_str))
        .collect();
    put(&rig.client(4), &files, &JobOptions::default()).is_fine();
    assert_eq!(rig.visible().len(), 1000);
    let into = rig.dir.path().join("back");
    let wanted: Vec<_> = names.iter().map(|n| (n.as_str(), n.as_str())).collect();
    get(&rig.client(4), &wanted, &into, &JobOptions::default()).is_fine();
    for (path, name) in files {
        assert_eq!(fs::read(path).unwrap(), fs::read(into.join(name)).unwrap());
    }
}

#[test]
fn the_same_file_again_is_unchanged() {
    let rig = Rig::new();
    let source = rig.file("source", 3 * MIB);
    for expected in [Status::Stored, Status::Unchanged] {
        let outcome = put(&rig.client(2), &[(&source, "x")], &JobOptions::default());
        let statuses: Vec<_> = outcome.is_fine().statuses();
        assert_eq!(statuses, [expected]);
    }
    let into = rig.dir.path().join("back");
    for expected in [Status::Fetched, Status::Unchanged] {
        let outcome = get(&rig.client(2), &[("x", "x")], &into, &JobOptions::default());
        assert_eq!(outcome.is_fine().statuses(), [expected]);
    }
}
