//! Directories get their modes and times when all is in them, and nobody sees into them
//! before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use haul::client::JobOptions;
use haul::entry::{Entry, Kind, Mode, Mtime};
use haul::fault::{Call, Fault};
use haul::offer::EntryId;
use haul::server::Config;
use haul::wire::Message;
use haul::wire::message::{End, Offered};

use crate::landscape::{are_the_same, file, get_tree, look, put_tree, seen, set_mode, set_times};
use crate::raw::{Heard, Raw, block, commit, committed, offer, offered, sum, transfer};
use crate::rig::{Rig, put, remote};
use crate::saboteur::Saboteur;

#[test]
fn more_directories_than_one_end_holds_get_their_times_over_eight_connections() {
    let rig = Rig::new();
    let [source, into] = ["source", "into"].map(|name| rig.dir.path().join(name));
    for n in 0..350 {
        // Some hold a file, some a directory, some nothing.
        let directory = source.join(format!("{}/{n}", n % 5));
        fs::create_dir_all(directory.join("inner")).unwrap();
        if n % 2 == 0 {
            file(&directory.join("file"), n);
        }
    }
    set_times(&source);
    let (client, options) = (rig.client(8), JobOptions::default());
    put_tree(&client, &source, Some("t"), &options).is_fine();
    are_the_same(&source, &rig.root().join("t"));
    get_tree(&client, (Some("t"), Some("t")), &into, &options).is_fine();
    are_the_same(&source, &into.join("t"));
}

/// The mode that a directory has which somebody makes here.
fn usual(rig: &Rig) -> u32 {
    let path = rig.dir.path().join("usual");
    fs::create_dir(&path).unwrap();
    look(&path).mode
}

#[test]
fn what_the_destination_is_missing_is_made_as_anybody_would_make_it() {
    let rig = Rig::new();
    let usual = usual(&rig);
    let source = rig.dir.path().join("source");
    file(&source.join("d/f"), 10);
    for directory in ["d", ""] {
        set_mode(&source.join(directory), 0o710);
    }
    let (client, options) = (rig.client(1), JobOptions::default());
    put_tree(&client, &source, Some("a/b/t"), &options).is_fine();
    put_tree(&client, &source.join("d/f"), Some("c/d/f"), &options).is_fine();
    let into = rig.dir.path().join("in/to");
    get_tree(&client, (Some("a/b/t"), Some("t")), &into, &options).is_fine();
    let modes = |top: &Path, names: &[&str]| -> Vec<u32> {
        names
            .iter()
            .map(|name| look(&top.join(name)).mode)
            .collect()
    };
    let root = rig.root();
    assert_eq!(modes(&root, &["a", "a/b", "c", "c/d"]), [usual; 4]);
    assert_eq!(modes(&root, &["a/b/t", "a/b/t/d"]), [0o710; 2]);
    assert_eq!(modes(&rig.dir.path().join("in"), &["", "to"]), [usual; 2]);
    assert_eq!(modes(&into, &["t", "t/d"]), [0o710; 2]);
}

fn directory(number: u64, path: &str, mode: u32, base: u16) -> Offered {
    Offered {
        entry: EntryId(number),
        what: Entry {
            path: remote(path),
            kind: Kind::Dir,
            mode: Mode::masked(mode),
            mtime: Mtime::new(-5, 6).unwrap(),
            version: None,
            checksum: None,
        },
        base,
    }
}

#[test]
fn between_commit_and_end_a_tree_is_its_owner_s_alone() {
    let rig = Rig::new();
    let usual = usual(&rig);
    let (mut raw, id, entry) = (Raw::open(&rig), transfer(), EntryId(0));
    let base = 2;
    let file = Offered {
        base,
        ..offered(entry, "x/y/t/a/f", b"secret")
    };
    raw.say(&offer(id, vec![file]));
    let (header, body) = block(id, entry, b"secret", 0);
    raw.send_block(&header, &body);
    raw.say(&commit(id, vec![committed(entry, Some(sum(b"secret")))]));
    assert!(matches!(raw.hear(), Heard::Message(Message::Want(_))));
    assert!(matches!(raw.hear(), Heard::Message(Message::Receipt(_))));
    let modes = || ["x", "x/y", "x/y/t", "x/y/t/a"].map(|name| look(&rig.root().join(name)).mode);
    assert_eq!(modes(), [usual, usual, 0o700, 0o700]);

    let directories = vec![
        directory(1, "x/y/t/a/new/er", 0o500, base),
        directory(2, "x/y/t/a", 0o755, base),
        directory(3, "x/y/t", 0o750, base),
    ];
    raw.say(&End {
        request: 3,
        transfer: id,
        directories,
    });
    match raw.hear() {
        Heard::Message(Message::Receipt(receipt)) => assert_eq!(receipt.exceptions, []),
        other => panic!("{other:?}"),
    }
    assert_eq!(modes(), [usual, usual, 0o750, 0o755]);
    let all = seen(&rig.root().join("x/y/t"));
    let modes = ["a/new/er", "a/new"].map(|name| all[Path::new(name)].mode);
    assert_eq!(modes, [0o500, 0o700], "what nobody described stays private");
    for name in ["a/new/er", "a", ""] {
        assert_eq!(all[Path::new(name)].mtime, (-5, 6), "{name}");
    }
}

#[test]
fn a_base_beyond_the_path_makes_all_of_it_as_usual() {
    let rig = Rig::new();
    let usual = usual(&rig);
    let (mut raw, id, entry) = (Raw::open(&rig), transfer(), EntryId(0));
    let file = Offered {
        base: u16::MAX,
        ..offered(entry, "a/b/f", b"open")
    };
    raw.say(&offer(id, vec![file]));
    let (header, body) = block(id, entry, b"open", 0);
    raw.send_block(&header, &body);
    raw.say(&commit(id, vec![committed(entry, Some(sum(b"open")))]));
    assert!(matches!(raw.hear(), Heard::Message(Message::Want(_))));
    match raw.hear() {
        Heard::Message(Message::Receipt(receipt)) => assert_eq!(receipt.exceptions, []),
        other => panic!("{other:?}"),
    }
    let modes = ["a", "a/b"].map(|name| look(&rig.root().join(name)).mode);
    assert_eq!(modes, [usual; 2]);
}

#[test]
fn what_a_directory_does_to_what_is_made_in_it_stays_this_machine_s_to_say() {
    let rig = Rig::new();
    let source = rig.dir.path().join("source");
    file(&source.join("inner/f"), 10);
    let team = rig.root().join("team");
    fs::create_dir(&team).unwrap();
    for (before, sent, after) in [(0o2775, 0o755, 0o2755), (0o1777, 0o777, 0o1777)] {
        set_mode(&team, before);
        set_mode(&source, sent);
        let outcome = put_tree(
            &rig.client(1),
            &source,
            Some("team"),
            &JobOptions::default(),
        );
        outcome.is_fine();
        let bits = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(bits(&team), after);
        // The system gives it to what is made there.
        let inherits = before & 0o2000;
        assert_eq!(bits(&team.join("inner")) & 0o7000, inherits);
        fs::remove_dir_all(team.join("inner")).unwrap();
    }
}

#[test]
fn a_directory_that_its_owner_may_not_write_to_is_shut_again_as_it_was() {
    const EACCES: i32 = 13;
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), saboteur.fault());
    let shut = rig.root().join("shut");
    fs::create_dir(&shut).unwrap();
    set_mode(&shut, 0o2555);
    let source = rig.file("source", 10);
    // As it ends for whoever is not root.
    saboteur.arm(Some((Call::Rename, 0, EACCES)));
    let files = [(&*source, "shut/f")];
    put(&rig.client(1), &files, &JobOptions::default()).is_fine();
    assert!(saboteur.failed());
    let mode = fs::metadata(&shut).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o2555);
}

#[test]
fn a_directory_that_another_batch_takes_back_is_made_once_more() {
    let (made, renames) = (Arc::new(OnceLock::<PathBuf>::new()), AtomicUsize::new(0));
    let directory = Arc::clone(&made);
    let fault = Fault::watched(move |call| {
        if call == Call::Rename && renames.fetch_add(1, Ordering::SeqCst) == 0 {
            fs::remove_dir(directory.get().unwrap()).unwrap();
        }
        Ok(())
    });
    let rig = Rig::with(Config::default(), fault);
    made.set(rig.root().join("new/er")).unwrap();
    let source = rig.file("source", 10);
    put(
        &rig.client(1),
        &[(&source, "new/er/f")],
        &JobOptions::default(),
    )
    .is_fine();
    assert!(rig.root().join("new/er/f").exists());
}
