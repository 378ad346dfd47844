//! A tree of many names costs neither side more memory than one of few.

use std::fs::{self, File};

use crate::place::Place;
use crate::proofs::measured;

/// Files in one directory, and in another of many.
const EACH: usize = 1000;

/// Makes so many empty files, half of them in one directory.
fn plant(place: &Place, count: usize) {
    let tree = place.here().join("tree");
    let flat = tree.join("flat");
    fs::create_dir_all(&flat).unwrap();
    for number in 0..count / 2 {
        File::create(flat.join(format!("file-{number}"))).unwrap();
    }
    for number in count / 2..count {
        let directory = tree.join(format!("d-{}", number / EACH));
        if number % EACH == 0 || number == count / 2 {
            fs::create_dir_all(&directory).unwrap();
        }
        File::create(directory.join(format!("file-{number}"))).unwrap();
    }
}

/// Puts and gets `count` files, and holds both sides to so many KiB.
#[track_caller]
fn costs(count: usize, connections: usize, client: u64, server: u64) {
    let place = Place::serving("-q");
    plant(&place, count);
    let summary = format!("{count} files, 0 B");
    let put = format!("put --connections {connections} tree [ADDRESS]");
    let get = format!("get --connections {connections} [ADDRESS]/tree back/");
    for line in [put, get] {
        let (ended, peak) = measured(&place, &line);
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        assert!(ended.stderr.contains(&summary), "{line}: {ended:?}");
        println!("{line}: at most {peak} KiB");
        assert!((1..client).contains(&peak), "{line}: {peak} KiB");
        let _ = fs::remove_dir_all(place.here().join("tree"));
    }
    let names = fs::read_dir(place.here().join("back/tree/flat")).unwrap();
    assert_eq!(names.count(), count / 2);
    let peak = place.server.running.peak().expect("the server lives");
    println!("{count} names: at most {peak} KiB in the server");
    assert!(peak < server, "the server: {peak} KiB");
}

#[test]
fn twenty_thousand_names_cost_little_memory() {
    costs(20_000, 1, 64 << 10, 48 << 10);
}

/// A million: about seven minutes on two cores, and three million inodes in the temporary
/// directory.
///
///     cargo test --release --test suite -- --ignored --nocapture a_million_names_cost_little_memory
#[test]
#[ignore = "takes seven minutes, and three million inodes"]
fn a_million_names_cost_little_memory() {
    costs(1_000_000, 1, 200 << 10, 64 << 10);
    costs(1_000_000, 8, 200 << 10, 64 << 10);
}
