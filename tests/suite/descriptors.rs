//! More directories than a process may hold open, in one job.

use std::fmt::Write;

use crate::both_ways::{WAYS, Way};
use crate::landscape::{file, link};
use crate::place::Place;
use crate::program::{Running, in_shell};
use crate::rig::visible;

/// What a job is given to do with.
const DESCRIPTORS: usize = 200;

/// So many directories of one file each.
const DIRECTORIES: usize = 1000;

/// Runs a line with few descriptors, and checks that all of it is done.
#[track_caller]
fn is_done(place: &Place, line: &str) {
    let told = format!("ulimit -n {DESCRIPTORS}");
    let ended = Running::start(in_shell(&told, &place.haul(line))).finish();
    let said = &ended.stderr;
    assert_eq!(ended.code, Some(0), "{line:.100}: {said:.2000}");
}

/// A place with directories `u/N` where a job takes from.
fn planted(way: Way) -> Place {
    let place = Place::serving("");
    let top = if way == Way::Put {
        place.here()
    } else {
        place.root()
    };
    for n in 0..DIRECTORIES {
        file(&top.join(format!("u/{n}/{n}")), 3);
    }
    place
}

#[test]
fn links_into_more_directories_than_can_be_held_are_followed() {
    for way in WAYS {
        let place = planted(way);
        let (top, into, line) = match way {
            Way::Put => (place.here(), place.root(), "put --links follow t [ADDRESS]"),
            Way::Get => (place.root(), place.here(), "get --links follow [ADDRESS]/t"),
        };
        for n in 0..DIRECTORIES {
            link(&format!("../u/{n}/{n}"), &top.join(format!("t/{n}")));
        }
        is_done(&place, line);
        assert_eq!(visible(&into.join("t")).len(), DIRECTORIES, "{way:?}");
    }
}

#[test]
fn files_from_more_directories_than_can_be_held_are_moved() {
    for way in WAYS {
        let place = planted(way);
        let mut words = String::new();
        for n in 0..DIRECTORIES {
            match way {
                Way::Put => write!(words, " u/{n}/{n}"),
                Way::Get => write!(words, " [ADDRESS]/u/{n}/{n}"),
            }
            .unwrap();
        }
        let (into, line) = match way {
            Way::Put => (place.root(), format!("put{words} [ADDRESS]/t/")),
            Way::Get => (place.here(), format!("get{words} t/")),
        };
        is_done(&place, &line);
        assert_eq!(visible(&into.join("t")).len(), DIRECTORIES, "{way:?}");
    }
}
