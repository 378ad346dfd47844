//! `haul verify`, as it is typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::objects::objects;
use crate::place::Place;
use crate::program::Running;
use crate::relay::Relay;
use crate::rig::noise;
use crate::rot::{age, decay, flip, is_recorded_in_time};

const LARGE: usize = (9 << 20) + 1;

/// A place with `t/large`, `t/d/small` and `t/other` on the server, and here.
fn stored() -> Place {
    let place = Place::serving("");
    place.file("t/large", &noise(LARGE));
    place.file("t/d/small", b"small");
    place.file("t/other", b"other");
    place.says("put -q t [ADDRESS]", 0, "", "");
    place
}

fn on_server(place: &Place, name: &str) -> PathBuf {
    place.root().join("t").join(name)
}

/// The same with `large` decayed in three blocks, and `other` edited.
fn decayed() -> Place {
    let place = stored();
    decay(&on_server(&place, "large"), &[1 << 20, 3 << 20, 4 << 20]);
    age(&on_server(&place, "other"));
    flip(&on_server(&place, "other"), &[2]);
    place
}

const HINT: &str = "; --repair-from DIR puts good copies in place of what has decayed";
const EDITED: &str = "; what was edited is recorded anew by a put with -c --overwrite";

#[test]
fn what_is_sound_is_counted_and_named_on_request() {
    let place = stored();
    let summary = "verified 3 files, 9.0 MiB, * s: 3 sound\n";
    place.says("verify [ADDRESS]", 0, "", summary);
    place.says("verify -q [ADDRESS]", 0, "", "");
    let named = "sound  d/small\nsound  large\nsound  other\n";
    place.says("verify -v [ADDRESS]/t", 0, named, summary);
    fs::write(place.root().join("laid"), "there").unwrap();
    let summary = "verified 4 files, 9.0 MiB, * s: 3 sound, 1 without a record\n";
    place.says("verify [ADDRESS]", 0, "", summary);
    let named = "unrecorded  laid\n*";
    place.says("verify -v [ADDRESS]", 0, named, summary);
}

#[test]
fn what_is_not_is_named_with_its_blocks_and_exits_say_which() {
    let place = decayed();
    let out = "decayed  t/large  blocks 1, 3-4 of 10\nedited  t/other\n";
    let counts = "1 sound, 1 decayed, 1 edited";
    let err = format!("verified 3 files, 9.0 MiB, * s: {counts}{HINT}{EDITED}\n");
    place.says("verify [ADDRESS]", 11, out, &err);
    let out = "decayed  large  blocks 1, 3-4 of 10\n";
    let err = format!("verified 1 file, 9.0 MiB, * s: 1 decayed{HINT}\n");
    place.says("verify [ADDRESS]/t/large", 7, out, &err);
    place.says("verify -q [ADDRESS]/t/other", 6, "edited  other\n", "");
    let none = "haul: \"none\" is not there\nverified 1 file, 5 B, * s: 1 sound\n";
    place.says("verify [ADDRESS]/none [ADDRESS]/t/d", 5, "", none);
    let gone = "haul: t/large: *\nget 0 files, 0 B, * s: 1 failed\n";
    place.says("get [ADDRESS]/t/large came", 7, "", gone);
    assert!(!place.here().join("came").exists());
}

#[test]
fn a_program_reads_an_event_for_each_file() {
    let place = decayed();
    fs::write(place.root().join("t/zlaid"), "there").unwrap();
    let members = |typed: &str, code: i32| {
        let ended = place.run(typed);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let seen = objects(&ended.stdout).into_iter().map(|read| {
            let member = |key| read.get(key).map_or("-", |it| &**it).to_owned();
            ["event", "path", "status", "code", "blocks"]
                .map(member)
                .join(" ")
        });
        seen.collect::<Vec<_>>()
    };
    let mut seen = members("verify --json [ADDRESS]", 11);
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "done - - - -",
            "file t/d/small unchanged null -",
            "file t/large failed 7 1, 3-4",
            "file t/other failed 6 -",
            "file t/zlaid skipped null -",
        ]
    );
    let seen = members("verify --json --repair-from t [ADDRESS]/t", 6);
    assert_eq!(seen[3..], ["file t/large stored null -", "done - - - -"]);
}

#[test]
fn good_copies_take_the_place_of_what_has_decayed_and_of_nothing_else() {
    let place = decayed();
    let there = fs::read(on_server(&place, "other")).unwrap();
    let out = "decayed  large  blocks 1, 3-4 of 10\nedited  other\n\
               repaired  large  3 blocks, 3.0 MiB\n";
    let counts = "1 sound, 1 repaired, 1 edited";
    let err = format!("verified 3 files, 9.0 MiB, * s: {counts}{EDITED}\n");
    place.says("verify --repair-from t [ADDRESS]/t", 6, out, &err);
    assert_eq!(fs::read(on_server(&place, "large")).unwrap(), noise(LARGE));
    assert_eq!(fs::read(on_server(&place, "other")).unwrap(), there);
    place.says("verify -q [ADDRESS]/t/large", 0, "", "");
    // A put, as is said, puts it right.
    place.says("put -qc --overwrite t [ADDRESS]", 0, "", "");
    place.says("verify -q [ADDRESS]", 0, "", "");
}

#[test]
fn a_single_file_is_repaired_from_a_file_or_from_where_it_lies() {
    for from in ["t", "t/large"] {
        let place = decayed();
        let line = format!("verify -q --repair-from {from} [ADDRESS]/t/large");
        let out = "decayed  large  *\nrepaired  large  3 blocks, 3.0 MiB\n";
        place.says(&line, 0, out, "");
    }
}

#[test]
fn without_a_good_copy_it_stays_decayed() {
    let place = decayed();
    let before = fs::read(on_server(&place, "large")).unwrap();
    let stays = |from: &str, said: &str| {
        let line = format!("verify --repair-from {from} [ADDRESS]/t/large");
        let out = "decayed  large  blocks 1, 3-4 of 10\n";
        let err = format!("haul: {said}\nverified 1 file, 9.0 MiB, * s: 1 decayed\n");
        place.says(&line, 7, out, &err);
        assert_eq!(fs::read(on_server(&place, "large")).unwrap(), before);
    };
    fs::create_dir(place.here().join("none")).unwrap();
    stays(
        "none",
        "t/large is not repaired: *No such file or directory*",
    );
    place.file("bad/large", &before);
    stays(
        "bad",
        "t/large is not repaired: the copy \"bad/large\" is not what was stored",
    );
    let missing = "haul: gone cannot be used: *No such file*\n";
    place.says("verify --repair-from gone [ADDRESS]/t", 10, "", missing);
    let two = "verify --repair-from t [ADDRESS]/t [ADDRESS]";
    place.says(two, 2, "", "haul: *--repair-from goes with one REMOTE\n");
    place.says("verify", 2, "", "*<REMOTE>*");
}

#[test]
fn who_is_not_root_records_what_they_may_not_write_to() {
    let Some(place) = Place::of_nobody() else {
        return;
    };
    for (name, mode, len) in [("x", 0o444, LARGE), ("y", 0o400, 5), ("z", 0o555, 0)] {
        let path = place.file(name, &noise(len));
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    crate::nobody::own(place.dir.path());
    place.says("put -q x y z [ADDRESS]/t/", 0, "", "");
    place.says("mv [ADDRESS]/t/x [ADDRESS]/t/moved", 0, "", "");
    for (name, mode) in [("moved", 0o444), ("y", 0o400), ("z", 0o555)] {
        let path = on_server(&place, name);
        assert!(is_recorded_in_time(&path), "{}", path.display());
        let there = fs::metadata(path).unwrap().permissions();
        assert_eq!(there.mode() & 0o777, mode, "{name}");
    }
    place.says("verify -q [ADDRESS]", 0, "", "");
    // Only root changes what its owner may not.
    if crate::landscape::is_root() {
        decay(&on_server(&place, "moved"), &[5 << 20]);
        let out = "decayed  moved  block 5 of 10\nrepaired  moved  1 block, 1.0 MiB\n";
        place.says("verify -q --repair-from x [ADDRESS]/t/moved", 0, out, "");
        place.says("verify -q [ADDRESS]", 0, "", "");
    }
}

#[test]
fn a_shell_verifies_too() {
    let place = decayed();
    let out = "decayed  large  blocks 1, 3-4 of 10\nrepaired  large  3 blocks, 3.0 MiB\n";
    fs::write(
        place.here().join("chores"),
        "cd t\nverify -q --repair-from t large\n",
    )
    .unwrap();
    let mut shell = place.haul("shell [ADDRESS]");
    shell.stdin(fs::File::open(place.here().join("chores")).unwrap());
    let ended = shell.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stdout), out);
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn what_was_found_is_told_and_counted_where_the_server_is_lost_before_a_repair() {
    let place = decayed();
    decay(&on_server(&place, "d/small"), &[0]);
    let relay = Relay::to(&place.server.address);
    let verify = |flags: &str| {
        let line = format!("verify --retries 0 {flags} {}/t", relay.address);
        Running::start(place.haul(&line))
    };
    assert_eq!(verify("").finish().code, Some(11));
    // What is found comes through again, and no answer to what is put then.
    relay.allow(Some(relay.received() + 50));
    let repairing = verify("--json --repair-from t");
    relay.until_stalled();
    place.server.running.signal(Signal::KILL);
    relay.allow(None);
    let ended = repairing.finish();
    assert_eq!(ended.code, Some(11), "{ended:?}");
    let decayed = ended.stdout.matches("\"code\":7").count();
    assert_eq!(decayed, 2, "{}", ended.stdout);
}
