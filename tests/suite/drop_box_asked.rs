//! What somebody who may write and not read hears, in a root with nothing in it and in roots
//! in which every name is taken.
//!
//! It must be the same, message for message. Each thing that is said has names of its own,
//! so that none of them finds what another has left.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use haul::fault::Fault;
use haul::offer::{EntryId, TransferId};
use haul::path::COMPONENT_MAX;
use haul::server::Config;
use haul::transfer::Deadlines;
use haul::wire::message::{Commit, Rights};

use crate::drop_box_asks::{ASKS, Guest, SMALL};
use crate::landscape::{What, look, seen};
use crate::raw::{Raw, SOON, committed, offered, sum};
use crate::rig::{Rig, noise};

/// What stands where somebody asks for a place: it is told of a directory, and of a name in
/// it that is to be taken.
struct Lie {
    what: &'static str,
    plant: fn(&Path, &str),
}

fn file(at: &Path, bytes: &[u8], seconds: u64) {
    let file = File::create_new(at).unwrap();
    fs::write(at, bytes).unwrap();
    let mtime = UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_modified(mtime).unwrap();
}

const LIES: [Lie; 13] = [
    Lie {
        what: "the same file",
        plant: |at, name| file(&at.join(name), SMALL, 1),
    },
    Lie {
        what: "the same, touched",
        plant: |at, name| file(&at.join(name), SMALL, 2),
    },
    Lie {
        what: "as long and another",
        plant: |at, name| file(&at.join(name), b"large", 1),
    },
    Lie {
        what: "a large file",
        plant: |at, name| file(&at.join(name), &noise(1 << 20), 1),
    },
    Lie {
        what: "what is three blocks long, the same",
        plant: |at, name| file(&at.join(name), &noise(2500), 1),
    },
    Lie {
        what: "a file that nobody may open",
        plant: |at, name| {
            file(&at.join(name), SMALL, 1);
            fs::set_permissions(at.join(name), Permissions::from_mode(0o000)).unwrap();
        },
    },
    Lie {
        what: "an empty directory",
        plant: |at, name| fs::create_dir(at.join(name)).unwrap(),
    },
    Lie {
        what: "a full directory",
        plant: |at, name| {
            fs::create_dir_all(at.join(name).join("new/newer")).unwrap();
            file(&at.join(name).join("in"), SMALL, 1);
        },
    },
    Lie {
        what: "a directory that nobody may write to",
        plant: |at, name| {
            fs::create_dir(at.join(name)).unwrap();
            fs::set_permissions(at.join(name), Permissions::from_mode(0o555)).unwrap();
        },
    },
    Lie {
        what: "a directory that nobody may enter",
        plant: |at, name| {
            fs::create_dir(at.join(name)).unwrap();
            fs::set_permissions(at.join(name), Permissions::from_mode(0o000)).unwrap();
        },
    },
    Lie {
        what: "a link to nothing",
        plant: |at, name| symlink("none", at.join(name)).unwrap(),
    },
    Lie {
        what: "a link to a directory outside",
        plant: |at, name| symlink("/tmp", at.join(name)).unwrap(),
    },
    Lie {
        what: "a pipe",
        plant: |at, name| {
            let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
            rustix::fs::mknodat(rustix::fs::CWD, at.join(name), kind, mode, 0).unwrap();
        },
    },
];

/// The longest name that there is; of two such names the ends differ.
fn long(number: usize) -> String {
    format!("{}{number:03}", "l".repeat(COMPONENT_MAX - 3))
}

/// The paths that one thing is said about: with the root, a directory, or another above,
/// and beneath what is taken itself.
fn paths(number: usize) -> [String; 5] {
    [
        format!("x{number}"),
        format!("d{number}/x"),
        format!("d{number}/d/x"),
        format!("y{number}/x"),
        long(number),
    ]
}

fn plant(root: &Path, lie: &Lie) {
    for number in 0..ASKS.len() {
        let above = root.join(format!("d{number}"));
        fs::create_dir_all(above.join("d")).unwrap();
        (lie.plant)(root, &format!("x{number}"));
        (lie.plant)(&above, "x");
        (lie.plant)(&above.join("d"), "x");
        (lie.plant)(root, &format!("y{number}"));
        (lie.plant)(root, &long(number));
    }
}

fn box_with(deadlines: Deadlines) -> Rig {
    let config = Config {
        // What else stands beside the right to write makes no difference.
        admit: Arc::new(Rights(2 | 4 | 8)),
        deadlines,
        ..Config::default()
    };
    Rig::with(config, Fault::default())
}

/// All that is heard in a root, by what was said about which path.
fn heard(rig: &Rig) -> BTreeMap<(&'static str, String), Vec<String>> {
    let mut all = BTreeMap::new();
    for (number, ask) in ASKS.iter().enumerate() {
        for (at, path) in paths(number).into_iter().enumerate() {
            let mut guest = Guest {
                raw: Raw::open(rig),
                transfer: TransferId([(10 * at) as u8; 16]),
            };
            (ask.say)(&mut guest, &path);
            let heard = guest.hears();
            guest.raw.finish();
            all.insert((ask.what, path), heard);
        }
    }
    all
}

#[test]
fn whatever_is_said_is_answered_as_if_nothing_were_there() {
    let empty = box_with(Deadlines::default());
    let expected = heard(&empty);
    assert!(expected.values().all(|heard| !heard.is_empty()));
    // No disk has room for the fourth of these: how much there is, is not said either.
    let sizes = &expected[&(ASKS[0].what, "x0".to_owned())][0];
    assert_eq!(sizes.matches("Send").count(), 4, "{sizes}");
    for lie in LIES {
        let rig = box_with(Deadlines::default());
        plant(&rig.root(), &lie);
        let before = seen(&rig.root());
        let came = heard(&rig);
        for (said, heard) in &expected {
            assert_eq!(came.get(said), Some(heard), "{said:?}, beside {}", lie.what);
        }
        for (path, was) in before {
            let is = look(&rig.root().join(&path));
            if was.what == What::Directory {
                // What comes in moves its time, and nothing else.
                assert_eq!((&is.what, is.mode), (&was.what, was.mode), "{path:?}");
            } else {
                assert_eq!(is, was, "{path:?}");
            }
        }
    }
}

#[test]
fn what_is_said_to_be_there_has_to_be_sent_all_the_same() {
    let heard = |plant: fn(&Path)| {
        let rig = box_with(Deadlines {
            stall: SOON,
            ..Deadlines::default()
        });
        plant(&rig.root());
        let claims = [None, Some(sum(SMALL)), Some(sum(b"other"))];
        let mut all = Vec::new();
        for (number, claim) in (1..).zip(claims) {
            let mut guest = Guest {
                raw: Raw::open(&rig),
                transfer: TransferId([number; 16]),
            };
            guest.offers(vec![offered(EntryId(1), "x", SMALL)]);
            guest.raw.say(&Commit {
                request: 50,
                transfer: guest.transfer,
                entries: vec![committed(EntryId(1), claim)],
            });
            all.push(guest.hears());
        }
        all
    };
    let expected = heard(|_| {});
    assert!(expected.iter().all(|heard| heard[1].contains("missing")));
    assert_eq!(heard(|root| file(&root.join("x"), SMALL, 1)), expected);
    assert_eq!(heard(|root| file(&root.join("x"), SMALL, 2)), expected);
    assert_eq!(heard(|root| file(&root.join("x"), b"large", 1)), expected);
}
