//! Drop boxes and limits as people meet them: two homes, and the program between them.

use std::fs;

use rustix::process::Signal;

use crate::encrypted_program::{Two, is, key};
use crate::objects::objects;
use crate::person::chmod;
use crate::program::{Ended, Running};
use crate::rig::visible;

/// What somebody is told, without how long it took.
fn told(ended: &Ended) -> (Option<i32>, String) {
    let text = format!("{}{}", ended.stdout, ended.stderr);
    let is_time = |word: &str| word.parse::<f64>().is_ok() && word.contains('.');
    let words = text.split_inclusive([' ', ',', '}', ':']);
    let said = words.filter(|word| !is_time(word.trim_end_matches([' ', ',', '}', ':'])));
    (ended.code, said.collect())
}

#[test]
fn whoever_puts_into_a_box_is_told_the_same_whatever_is_there() {
    let two = Two::met("");
    two.guest_trusts();
    two.authorize("--write");
    let tree = two.guest.root().join("tree");
    fs::create_dir_all(tree.join("in/empty")).unwrap();
    fs::write(tree.join("in/x"), b"x").unwrap();
    std::os::unix::fs::symlink("in", tree.join("link")).unwrap();
    for line in [
        "put -n a AT",
        "put a AT",
        "put -c a AT/b",
        "put a AT/d/",
        "put --json a AT/j",
        "put -n tree AT",
        "put tree AT",
        "put --overwrite a AT",
        "put --update a AT",
        "mkdir AT/new",
        "mkdir -p AT/new/er",
        "mkdir AT/none/there",
        "ls AT",
        "ls AT/a",
        "stat AT/a",
        "sum AT/a",
        "get AT/a back",
        "get AT back",
        "rm AT/a",
        "rm -r AT/tree",
        "mv AT/a AT/c",
    ] {
        // Asked a second time, everything is there that was asked for.
        let first = told(&two.guest(line));
        assert_eq!(told(&two.guest(line)), first, "{line}");
        assert!([Some(0), Some(4)].contains(&first.0), "{line}: {first:?}");
    }
    let names = visible(&two.served(""));
    assert!(names.contains(&"a".to_owned()), "{names:?}");
    let beside: Vec<&String> = names.iter().filter(|name| name.contains('~')).collect();
    assert_eq!(beside.len(), 3, "{names:?}");
    for name in beside {
        assert_eq!(fs::read(two.served(name)).unwrap(), b"abc");
    }
    assert_eq!(visible(&two.served("d")).len(), 2);
    assert_eq!(visible(&two.served("tree/in")).len(), 3);
    assert!(!two.guest.root().join("back").exists());
    // Who serves the box sees under which name it was asked for, and under which it is.
    two.server.signal(Signal::TERM);
    let name = names.iter().find(|name| name.starts_with("a~")).unwrap();
    let said = two.server.finish().stderr;
    let line = said.lines().find(|line| line.contains(name));
    let line = line.unwrap_or_else(|| panic!("{name}: {said}"));
    assert!(line.contains("asked=\"a\""), "{line}");
}

#[test]
fn what_beside_write_comes_to_nothing_is_said_when_it_is_granted() {
    let two = Two::met("");
    let root = two.served("").canonicalize().unwrap();
    let mut command = two
        .owner
        .command("authorize --write --delete --root served");
    command.arg(key(&two.guest));
    let ended = Running::start(command).finish();
    let said = is(ended, "authorize", 0, "neither replace nor remove").stderr;
    let may = format!("may write in {}\n", root.display());
    assert!(said.contains(&may), "{said}");
    two.guest_trusts();
    two.guest_is("put a AT", 0, "1 stored");
    two.guest_is("rm AT/a", 4, "haul: ");
    two.guest_is("rm AT/none", 4, "haul: ");
    two.guest_is("mv AT/a AT/b", 4, "haul: ");
    two.authorize("--read --write --delete");
    two.guest_is("mv AT/a AT/b", 0, "");
    two.guest_is("rm AT/b", 0, "");
}

#[test]
fn who_may_store_so_much_stores_no_more_and_both_sides_can_tell() {
    let two = Two::met("");
    two.guest_trusts();
    two.authorize("--read --write --replace --max-bytes 10 --max-files 3");
    two.owner_is(
        "access",
        0,
        "at most 10 B and 3 files (0 B and 0 files used)",
    );
    two.guest_is("put a AT", 0, "1 stored");
    two.guest_is("put a AT", 0, "1 unchanged");
    fs::write(two.guest.root().join("large"), b"12345678").unwrap();
    two.guest_is(
        "put large AT",
        8,
        "more than you may store there: 7 bytes are left",
    );
    assert!(!two.served("large").exists());
    // What replaces counts like what is new.
    fs::write(two.guest.root().join("a"), b"abcd").unwrap();
    two.guest_is("put --overwrite a AT", 0, "1 stored");
    two.owner_is("access", 0, "(7 B and 2 files used)");
    fs::write(two.guest.root().join("b"), b"").unwrap();
    two.guest_is("put b AT", 0, "1 stored");
    two.guest_is("put b AT/c", 8, "more files than you may store there");
    let listed = objects(&two.owner.run("access --json").stdout);
    assert_eq!(
        (&*listed[0]["used_bytes"], &*listed[0]["used_files"]),
        ("7", "3")
    );
    // The owner is nobody's guest.
    fs::write(two.owner.root().join("large"), [0; 1000]).unwrap();
    two.owner_is("put large AT", 0, "1 stored");
    two.guest_is("get AT/large back", 0, "1 fetched");

    two.authorize("--read --write --max-files 1");
    two.owner_is("access", 0, "at most 1 file (0 files used)");
    two.guest_is("put b AT/c", 0, "1 stored");
    two.guest_is("put b AT/d", 8, "more files than");
    two.owner_is("revoke guest", 0, "may no longer");
    let ledger = fs::read_to_string(two.owner.state().join("usage/ledger")).unwrap();
    assert!(!ledger.contains("SHA256"), "{ledger}");
}

#[test]
fn what_was_stored_is_remembered_by_the_next_server() {
    let two = Two::met("");
    two.guest_trusts();
    two.authorize("--write --max-files 2");
    two.guest_is("put a AT", 0, "1 stored");
    let again = two.again(Signal::KILL, |_| ());
    again.guest_trusts();
    // The same name is another file in a box.
    again.guest_is("put a AT", 0, "1 stored");
    again.guest_is("put a AT", 8, "more files than");
    assert_eq!(visible(&again.served("")).len(), 2);
}

#[test]
fn over_several_connections_at_once_nobody_gets_more() {
    let two = Two::met("");
    two.guest_trusts();
    two.authorize("--write --max-files 20");
    let tree = two.guest.root().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..30 {
        // Some of more than a block, which every connection sends a part of.
        let len = if n % 10 == 0 { 3 << 20 } else { 1000 };
        fs::write(tree.join(format!("f{n:02}")), crate::rig::noise(len)).unwrap();
    }
    let start = |place: &str| {
        let line = format!("put --connections 4 tree {}/{place}", two.address);
        Running::start(two.guest.command(&line))
    };
    let both = [start("one"), start("other")];
    for ended in both.map(Running::finish) {
        assert_eq!(ended.code, Some(8), "{ended:?}");
    }
    let stored = |place| fs::read_dir(two.served(place)).map_or(0, Iterator::count);
    assert_eq!(stored("one") + stored("other"), 20);
    two.owner_is("access", 0, "(20 files used)");
    // All that was on its way is let go of, and all that is left can still be had.
    two.authorize("--write --max-files 1");
    two.guest_is("put a AT", 0, "1 stored");
}

#[test]
fn where_it_cannot_be_counted_nothing_is_stored_and_its_user_is_told() {
    let two = Two::met("");
    two.guest_trusts();
    two.authorize("--read --write --max-files 2");
    two.guest_is("put a AT", 0, "1 stored");
    let ledger = two.owner.state().join("usage/ledger");
    chmod(&ledger, 0o666);
    two.guest_is("put a AT/b", 10, "cannot store it there");
    two.guest_is("put a AT", 0, "1 unchanged");
    two.guest_is("ls AT", 0, "a\n");
    two.owner_is("put a AT/c", 0, "1 stored");
    let said = two.owner_is("access", 2, "can store nothing: ").stderr;
    assert!(said.contains("chmod go-w mends"), "{said}");
    two.server.signal(Signal::TERM);
    let said = two.server.finish().stderr;
    assert!(said.contains("can store nothing"), "{said}");
}
