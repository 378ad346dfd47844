//! Listings that are stopped and gone on with, over the same connection or another.

use std::fs;
use std::path::Path;

use haul::client::{JobOptions, Status};
use haul::offer::OnExisting;
use haul::wire::Message;
use haul::wire::message::List;

use crate::landscape::{are_the_same, file, get_tree, link, set_times};
use crate::lost::client;
use crate::raw::{Heard, Raw, list};
use crate::rig::{Rig, remote};

/// More than may be on their way at once, in directories of a few and of many.
const FILES: usize = (16 << 10) + 2_000;

fn plant(top: &Path, files: usize) {
    for n in 0..files {
        let directory = match n % 4 {
            0 => "all".to_owned(),
            m => format!("{m}/{}", n % 5),
        };
        let directory = top.join(directory);
        if n < 400 {
            fs::create_dir_all(&directory).unwrap();
        }
        fs::write(
            directory.join(format!("a name of some length {n:0>100}")),
            [],
        )
        .unwrap();
    }
    link("all", &top.join("link"));
    set_times(top);
}

#[test]
fn a_get_of_more_files_than_may_be_under_way_ends_whole_over_one_connection() {
    let rig = Rig::new();
    plant(&rig.root().join("t"), FILES);
    let into = rig.dir.path().join("into");
    let options = JobOptions::default();
    let outcome = get_tree(&rig.client(1), (Some("t"), Some("t")), &into, &options);
    let summary = outcome.is_fine().result.as_ref().unwrap();
    assert_eq!((summary.files, summary.links), (FILES as u64, 1));
    are_the_same(&rig.root().join("t"), &into.join("t"));
}

#[test]
fn the_first_page_of_a_listing_comes_with_the_first_flight_and_the_next_are_longer() {
    let rig = Rig::new();
    plant(&rig.root().join("t"), 2_000);
    let mut raw = Raw::open(&rig);
    raw.say(&List {
        path: Some(remote("t")),
        depth: None,
        ..list(1)
    });
    let mut pages = Vec::new();
    loop {
        let Heard::Message(Message::Entries(page)) = raw.hear() else {
            panic!("no page after {pages:?}");
        };
        let names = page.entries.iter().map(|entry| entry.path.as_str().len());
        pages.push(names.sum::<usize>());
        if !page.more {
            break;
        }
    }
    // Ten packets of a new connection, less what else an entry has.
    assert!((2_000..8_000).contains(&pages[0]), "{pages:?}");
    let full = &pages[..pages.len() - 1];
    let grows = |pair: &[usize]| pair[1] > pair[0] * 3 / 2 || pair[1] > 40_000;
    assert!(full.windows(2).all(grows), "{pages:?}");
}

#[test]
fn a_listing_that_is_cut_off_goes_on_over_another_connection() {
    // Each page holds some three hundred names.
    for bytes in [1, 1_000, 70_000, 140_000, 400_000] {
        let rig = Rig::new();
        plant(&rig.root().join("t"), 2_000);
        let into = rig.dir.path().join("into");
        let options = JobOptions::default();
        // It is the first that lists; the others come with what it finds.
        let client = client(&rig, 0, bytes);
        let outcome = get_tree(&client, (Some("t"), Some("t")), &into, &options);
        if outcome.code() == 3 {
            // There was no other yet.
            assert!(bytes <= 70_000, "{bytes}: {outcome:?}");
            continue;
        }
        outcome.is_fine();
        are_the_same(&rig.root().join("t"), &into.join("t"));
        let fetched = outcome.statuses();
        assert_eq!(fetched.len(), 2_000, "{bytes}: each is told of once");
        assert!(fetched.iter().all(|status| *status == Status::Fetched));
    }
}

#[test]
fn files_that_would_be_replaced_are_put_whatever_connection_is_lost() {
    for mortal in [0, 1] {
        for bytes in [60, 1_000, 100_000, 1 << 20, (3 << 20) + 5, 9 << 20] {
            let rig = Rig::new();
            let source = rig.dir.path().join("t");
            for n in 0..12 {
                let name = format!("{n}");
                file(&source.join(&name), (2 << 20) + n);
                // As long, of other bytes, and of another time.
                file(&rig.root().join("t").join(&name), (2 << 20) + n);
                fs::write(source.join(&name), vec![n as u8; (2 << 20) + n]).unwrap();
            }
            set_times(&source);
            let options = JobOptions {
                on_existing: OnExisting::Replace,
                ..JobOptions::default()
            };
            let client = client(&rig, mortal, bytes);
            let outcome = crate::landscape::put_tree(&client, &source, Some("t"), &options);
            assert_eq!(
                outcome.code(),
                0,
                "{mortal} lost after {bytes}: {outcome:?}"
            );
            are_the_same(&source, &rig.root().join("t"));
        }
    }
}
