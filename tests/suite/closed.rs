//! What is closed to the user that runs haul: unreadable sources, and directories that
//! their owner may not write to.

use std::fs;
use std::path::Path;

use crate::both_ways::{WAYS, Way};
use crate::landscape::{are_the_same, file, look, open_up, set_mode, set_time, set_times};
use crate::nobody::own;
use crate::place::Place;

/// The trees that a job goes from and to.
fn tops(place: &Place, way: Way) -> [std::path::PathBuf; 2] {
    let (here, there) = (place.here().join("t"), place.root().join("t"));
    match way {
        Way::Put => [here, there],
        Way::Get => [there, here],
    }
}

#[track_caller]
fn goes(place: &Place, way: Way, flags: &str, code: i32) -> String {
    let line = match way {
        Way::Put => format!("put {flags} t [ADDRESS]"),
        Way::Get => format!("get {flags} [ADDRESS]/t ."),
    };
    let ended = place.run(&line);
    assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
    ended.stderr
}

#[test]
fn what_cannot_be_read_fails_alone() {
    for way in WAYS {
        let Some(place) = Place::of_nobody() else {
            return;
        };
        let [source, target] = tops(&place, way);
        for name in ["a/open", "a/closed", "b/in/side", "c/open"] {
            file(&source.join(name), 10);
        }
        own(&source);
        set_mode(&source.join("a/closed"), 0o200);
        set_mode(&source.join("b/in"), 0o300);
        if way == Way::Put {
            // What a server cannot read is found out only by asking for it.
            let ended = place.run("put -n t [ADDRESS]");
            assert_eq!(ended.code, Some(10), "{ended:?}");
            for name in ["t/a/closed\n", "t/b/in\n"] {
                let line = format!("would refuse {name}");
                assert!(ended.stdout.contains(&line), "{ended:?}");
            }
        }
        let said = goes(&place, way, "", 10);
        assert!(said.contains("closed"), "{said}");
        assert!(
            said.contains("2 fetched, 2 failed") || said.contains("2 stored, 2 failed"),
            "{said}"
        );
        for name in ["a/open", "c/open"] {
            assert_eq!(look(&source.join(name)), look(&target.join(name)), "{name}");
        }
        assert!(!target.join("a/closed").exists());
        // That a directory cannot be read is no reason to make it other than it is.
        assert_eq!(look(&source.join("b/in")), look(&target.join("b/in")));
        for top in [source, target] {
            open_up(&top);
        }
    }
}

#[test]
fn a_tree_of_directories_that_nobody_may_write_to_is_made_and_changed() {
    for way in WAYS {
        let Some(place) = Place::of_nobody() else {
            return;
        };
        let [source, target] = tops(&place, way);
        for name in ["a/f", "a/b/g", "a/b/c/h", "a/touched", "a/replaced"] {
            file(&source.join(name), 10);
        }
        let close = |directories: &[&str]| {
            set_times(&source);
            own(&source);
            for name in directories {
                set_mode(&source.join(name), 0o555);
            }
        };
        let closed = ["a/b/c", "a/b", "a", ""];
        for name in ["a/f", "a/touched", "a/replaced"] {
            set_mode(&source.join(name), 0o444);
        }
        close(&closed);
        goes(&place, way, "", 0);
        are_the_same(&source, &target);
        // New files, directories and links, a file that was touched, and one that has
        // become another: all in directories that are closed on the other side.
        open_up(&source);
        file(&source.join("a/b/new"), 10);
        file(&source.join("a/b/n/e/w"), 10);
        fs::create_dir(source.join("a/b/c/empty")).unwrap();
        crate::landscape::link("f", &source.join("a/link"));
        set_mode(&source.join("a/replaced"), 0o644);
        file(&source.join("a/replaced"), 20);
        set_mode(&source.join("a/replaced"), 0o444);
        close(&[&["a/b/c/empty", "a/b/n/e", "a/b/n"], &closed[..]].concat());
        set_time(&source.join("a/touched"), (2_000_000_000, 1));
        goes(&place, way, "--overwrite", 0);
        are_the_same(&source, &target);
        // One file alone brings no directory with it that would say a mode again.
        file(&source.join("../alone"), 10);
        if way == Way::Put {
            place.says("put alone [ADDRESS]/t/a/", 0, "", "*");
            assert_eq!(look(&target.join("a")).mode, 0o555);
        }
        for top in [source, target] {
            open_up(&top);
        }
    }
}

#[test]
fn a_directory_of_somebody_else_s_is_left_as_it_is() {
    for way in WAYS {
        let Some(place) = Place::of_nobody() else {
            return;
        };
        if !crate::landscape::is_root() {
            eprintln!("skipped: only root can make what is somebody else's");
            return;
        }
        let [source, target] = tops(&place, way);
        for name in ["a/f", "theirs/f", "theirs/d/f"] {
            file(&source.join(name), 10);
        }
        own(&source);
        // Made by root, and not to be written to by nobody.
        fs::create_dir_all(target.join("theirs")).unwrap();
        set_time(&target.join("theirs"), (1, 1));
        let theirs = look(&target.join("theirs"));
        own_only(&target);
        let said = goes(&place, way, "", 10);
        assert!(said.contains("theirs"), "{said}");
        assert_eq!(look(&target.join("theirs")), theirs);
        assert_eq!(look(&source.join("a/f")), look(&target.join("a/f")));
    }
}

/// Gives a directory to nobody, and nothing that is in it.
fn own_only(directory: &Path) {
    std::os::unix::fs::chown(directory, Some(65_534), Some(65_534)).unwrap();
}
