//! Trees go up and come back as they were: names, bytes, modes, times and links.

use std::fs;
use std::path::Path;
use std::time::Instant;

use haul::client::JobOptions;

use crate::landscape::{
    all_sizes, all_sorts, are_the_same, file, get_tree, link, open_up, put_tree, seen, set_times,
};
use crate::rig::{Outcome, Rig};

/// Puts a tree and gets it back, and holds all three against each other.
#[track_caller]
fn goes_up_and_comes_back(connections: usize, make: impl Fn(&Path)) -> [Outcome; 2] {
    let rig = Rig::new();
    let [source, into] = ["source", "back"].map(|name| rig.dir.path().join(name));
    make(&source);
    let (client, options) = (rig.client(connections), JobOptions::default());
    let put = put_tree(&client, &source, Some("x/y/there"), &options);
    put.is_fine();
    let there = rig.root().join("x/y/there");
    are_the_same(&source, &there);
    let names = (Some("x/y/there"), Some("here"));
    let got = get_tree(&client, names, &into, &options);
    got.is_fine();
    are_the_same(&source, &into.join("here"));
    assert!(!into.join(".haul").exists(), "staging is left behind");
    // What is in a tree can go without the tree's own name, too.
    get_tree(
        &client,
        (Some("x/y/there"), None),
        &into.join("in"),
        &options,
    )
    .is_fine();
    let (mut all, mut within) = (seen(&source), seen(&into.join("in")));
    // The directory that was downloaded into is nobody's but its owner's.
    all.remove(Path::new(""));
    within.remove(Path::new(""));
    assert!(all == within, "another tree without its name");
    for top in [&source, &there, &into] {
        open_up(top);
    }
    [put, got]
}

#[test]
fn a_tree_of_all_sorts_goes_up_and_comes_back() {
    for connections in [1, 8] {
        let outcomes = goes_up_and_comes_back(connections, all_sorts);
        for outcome in outcomes {
            let summary = outcome.result.unwrap();
            assert_eq!(summary.links, 5);
            assert_eq!((summary.skipped, summary.unchanged), (0, 0));
        }
    }
}

#[test]
fn files_of_all_sizes_go_up_and_come_back() {
    for connections in [1, 8] {
        goes_up_and_comes_back(connections, |top| {
            all_sizes(top);
            set_times(top);
        });
    }
}

#[test]
fn an_empty_directory_goes_up_and_comes_back() {
    goes_up_and_comes_back(4, |top| {
        fs::create_dir(top).unwrap();
        set_times(top);
    });
}

/// A forest: files in many directories, and a link in each.
fn many(top: &Path, directories: usize, files: usize) {
    for directory in 0..directories {
        let directory = top.join(format!("{}/{directory}", directory % 7));
        for n in 0..files {
            file(&directory.join(format!("file-{n}")), (n * 13) % 500);
        }
        link("file-0", &directory.join("link"));
    }
    set_times(top);
}

#[test]
fn a_forest_of_some_hundred_files_goes_up_and_comes_back() {
    for connections in [1, 8] {
        goes_up_and_comes_back(connections, |top| many(top, 30, 20));
    }
}

/// The same with 60,000 files in 600 directories.
///
///     cargo test --release --test suite -- --ignored sixty_thousand_files_go_up_and_come_back
#[test]
#[ignore = "takes a minute and a half"]
fn sixty_thousand_files_go_up_and_come_back() {
    for connections in [1, 8] {
        let began = Instant::now();
        goes_up_and_comes_back(connections, |top| many(top, 600, 100));
        println!("{connections} connections: {:?}", began.elapsed());
    }
}
