//! More of something than is usual: places in one get, files that fail, names that are as
//! long as can be, connections that a server refuses.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use haul::client::{Download, JobOptions, Links, Upload};
use haul::fault::Fault;
use haul::offer::OnExisting;
use haul::server::Config;

use crate::landscape::{are_the_same, file, put_tree};
use crate::rig::{Rig, get, outcome, put, remote};

/// Empty files in a directory, under names long enough for two pages of a listing.
fn crowd(directory: &Path, files: usize) {
    fs::create_dir_all(directory).unwrap();
    for n in 0..files {
        fs::write(directory.join(format!("{n:0>100}")), []).unwrap();
    }
}

#[test]
fn many_places_that_are_listed_in_pages_are_fetched_in_one_get() {
    let rig = Rig::new();
    let names: Vec<String> = (0..40).map(|n| format!("d{n}")).collect();
    for name in &names {
        crowd(&rig.root().join(name), 700);
    }
    let into = rig.dir.path().join("into");
    let names: Vec<_> = names.iter().map(|n| (n.as_str(), n.as_str())).collect();
    let options = JobOptions::default();
    get(&rig.client(2), &names, &into, &options).is_fine();
    for (name, _) in names {
        are_the_same(&rig.root().join(name), &into.join(name));
    }
}

#[test]
fn links_to_more_places_than_fit_at_once_are_followed_to_the_end() {
    let rig = Rig::new();
    for n in 0..30 {
        crowd(&rig.root().join(format!("there/{n}")), 700);
    }
    fs::create_dir(rig.root().join("t")).unwrap();
    for n in 0..30 {
        symlink(format!("../there/{n}"), rig.root().join(format!("t/{n}"))).unwrap();
    }
    let options = JobOptions {
        links: Links::Follow,
        ..JobOptions::default()
    };
    let into = rig.dir.path().join("into");
    let outcome = get(&rig.client(1), &[("t", "t")], &into, &options);
    assert_eq!(outcome.is_fine().result.as_ref().unwrap().files, 30 * 700);
}

#[test]
fn a_link_that_leads_up_behind_a_name_is_not_followed_to_another_place() {
    let rig = Rig::new();
    for (path, text) in [("other/secret", "right"), ("t/secret", "wrong")] {
        let path = rig.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir(rig.root().join("other/dir")).unwrap();
    symlink("../other/dir", rig.root().join("t/d")).unwrap();
    symlink("d/../secret", rig.root().join("t/l")).unwrap();
    let options = JobOptions {
        links: Links::Follow,
        ..JobOptions::default()
    };
    let into = rig.dir.path().join("into");
    let outcome = get(&rig.client(1), &[("t", "t")], &into, &options);
    assert_eq!(outcome.is_fine().result.as_ref().unwrap().skipped, 1);
    assert!(!into.join("t/l").exists());
}

#[test]
fn names_and_links_as_long_as_can_be_go_out_in_as_many_offers_as_they_need() {
    let rig = Rig::new();
    let deep: String = vec!["d".repeat(250); 15].join("/");
    let source = rig.dir.path().join("s");
    let directory = source.join(&deep);
    fs::create_dir_all(&directory).unwrap();
    let target = "x/".repeat(2_040);
    for n in 0..40 {
        // The whole path is too long to be spelled; it is made from within.
        let link = directory.join(format!("{n:0>120}"));
        symlink(&target, link).unwrap();
    }
    let outcome = put_tree(&rig.client(2), &source, Some("s"), &JobOptions::default());
    assert_eq!(outcome.is_fine().result.as_ref().unwrap().links, 40);
}

#[test]
fn a_tree_arrives_whole_though_the_server_has_room_for_one_connection() {
    let config = Config {
        max_connections: 1,
        ..Config::default()
    };
    for _ in 0..10 {
        let rig = Rig::with(config.clone(), Fault::default());
        let source = rig.dir.path().join("s");
        crowd(&source, 300);
        crowd(&source.join("d"), 0);
        put_tree(&rig.client(8), &source, Some("s"), &JobOptions::default()).is_fine();
        are_the_same(&source, &rig.root().join("s"));
    }
}

#[test]
fn the_version_that_is_to_be_replaced_is_the_one_that_is_named() {
    let rig = Rig::new();
    let (one, other) = (rig.file("one", 700), rig.dir.path().join("other"));
    file(&other, 700);
    let client = rig.client(1);
    put(&client, &[(&one, "x")], &JobOptions::default()).is_fine();
    let listed = client.list(Some(&remote("x")), Some(0)).unwrap();
    let version = listed.entries[0].version.unwrap();
    put(&client, &[(&one, "y")], &JobOptions::default()).is_fine();
    let replaces = |name: &str| {
        let options = JobOptions {
            on_existing: OnExisting::ReplaceVersion(version),
            ..JobOptions::default()
        };
        let upload = Upload::local(&other, Some(remote(name)));
        outcome(|monitor| client.put(vec![upload], &options, monitor)).code()
    };
    assert_eq!(replaces("y"), 6);
    assert_eq!(replaces("x"), 0);
    assert_eq!(replaces("x"), 6, "it is another version by now");
}

#[test]
fn a_get_of_places_of_which_many_fail_fetches_the_others() {
    let rig = Rig::new();
    rig.file("source", 700);
    fs::copy(rig.dir.path().join("source"), rig.root().join("there")).unwrap();
    let missing = (0..500).map(|n| Download {
        from: Some(remote(&format!("none-{n}"))),
        to: Some(remote(&format!("x-{n}"))),
    });
    let there = Download {
        from: Some(remote("there")),
        to: Some(remote("here")),
    };
    let downloads: Vec<Download> = missing.chain([there]).collect();
    let into = rig.dir.path().join("into");
    let client = rig.client(2);
    let came = outcome(|m| client.get(downloads, &into, &JobOptions::default(), m));
    let summary = came.result.as_ref().unwrap();
    assert_eq!((came.code(), summary.files), (5, 1));
    assert!(into.join("here").exists());
}
