//! A tree that is there already moves no bytes: only what has changed of it is set.

use std::fs;
use std::path::Path;

use haul::client::{JobOptions, Status};
use haul::offer::{Compare, OnExisting};

use crate::both_ways::{Pair, WAYS, Way};
use crate::landscape::{are_the_same, file, link, look, seen, set_mode, set_time, set_times};
use crate::rig::noise;

const MIB: usize = 1 << 20;

/// What a job may say that has nothing to move.
const WITHOUT_BODIES: usize = 16 << 10;

/// Two files, one of them above a block, and what else there may be.
fn plant(top: &Path) {
    file(&top.join("d/small"), 100_000);
    file(&top.join("d/large"), 2 * MIB + 7);
    fs::create_dir(top.join("d/empty")).unwrap();
    link("small", &top.join("d/link"));
    set_times(top);
}

/// Makes the same tree on the other side by hand: its files have no checksum on record.
fn copy(from: &Path, to: &Path) {
    for (path, _) in seen(from) {
        let (from, to) = (from.join(&path), to.join(path));
        let stat = fs::symlink_metadata(&from).unwrap();
        if stat.is_dir() {
            fs::create_dir_all(to).unwrap();
        } else if stat.is_symlink() {
            link(fs::read_link(from).unwrap().to_str().unwrap(), &to);
        } else {
            fs::write(&to, fs::read(from).unwrap()).unwrap();
        }
    }
    for (path, there) in seen(from) {
        set_time(&to.join(path), there.mtime);
    }
}

/// Does something to a tree that is on both sides, and checks that the job which follows
/// moves no bytes and leaves both the same.
#[track_caller]
fn is_set_without_bytes(what: &str, change: impl Fn(&Path)) {
    for (way, by_hand) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let case = format!("{what}, {way:?}, by hand: {by_hand}");
        let pair = Pair::new(way);
        plant(&pair.source());
        if by_hand {
            copy(&pair.source(), &pair.target());
        } else {
            pair.job(&JobOptions::default()).is_fine();
            assert!(pair.moved() > 2 * MIB, "{case}");
        }
        change(&pair.source());
        // The second time there is nothing left to be set.
        for time in 0..2 {
            let outcome = pair.job(&JobOptions::default());
            assert_eq!(outcome.code(), 0, "{case}: {outcome:?}");
            let moved = pair.moved();
            assert!(moved < WITHOUT_BODIES, "{case}, {time}: {moved} bytes");
            let unchanged = [Status::Unchanged; 2];
            assert_eq!(outcome.statuses(), unchanged, "{case}, {time}");
            are_the_same(&pair.source(), &pair.target());
        }
    }
}

#[test]
fn what_is_there_is_not_moved_again() {
    is_set_without_bytes("nothing", |_| {});
}

#[test]
fn of_what_was_touched_only_the_time_is_set() {
    for name in ["d/small", "d/large", "d/link", "d/empty", "d", ""] {
        let what = format!("{name:?} touched");
        is_set_without_bytes(&what, |top| set_time(&top.join(name), (1_234, 5)));
    }
}

#[test]
fn of_what_has_another_mode_only_that_is_set() {
    for name in ["d/small", "d/large", "d/empty", "d"] {
        for mode in [0o500, 0o711] {
            let what = format!("{name:?} made {mode:o}");
            is_set_without_bytes(&what, |top| set_mode(&top.join(name), mode));
        }
    }
    is_set_without_bytes("both", |top| {
        set_mode(&top.join("d/large"), 0o400);
        set_time(&top.join("d/large"), (-7, 1));
    });
}

/// How a source stands to the file that has its name.
#[derive(Clone, Copy, Debug)]
enum Stands {
    /// The same bytes, and so many seconds newer.
    Same(i64),
    /// As many other bytes, and so many seconds newer.
    Other(i64),
    /// More bytes, and so many seconds newer.
    Longer(i64),
}
use Stands::{Longer, Other, Same};

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// It is replaced.
    Replaced,
    /// It gets mode and time.
    Set,
    /// It is left as it is, and the job ends with this code.
    Left(u8),
}
use Comes::{Left, Replaced, Set};

#[track_caller]
fn decides(options: &JobOptions, stands: Stands, comes: Comes) {
    for way in WAYS {
        for (len, by_hand) in [(0, true), (1000, false), (1000, true), (2 * MIB + 7, false)] {
            if len > 0 || matches!(stands, Same(_) | Longer(_)) {
                decides_for(options, (way, len, by_hand), (stands, comes));
            }
        }
    }
}

#[track_caller]
fn decides_for(
    options: &JobOptions,
    (way, len, by_hand): (Way, usize, bool),
    (stands, comes): (Stands, Comes),
) {
    let on = options.on_existing;
    let case = format!("{way:?} of {len}, {on:?}, by hand: {by_hand}: {stands:?} -> {comes:?}");
    let pair = Pair::new(way);
    let [source, target] = [pair.source(), pair.target()].map(|top| top.join("f"));
    file(&source, len);
    set_time(&source, (1000, 0));
    if by_hand {
        copy(&pair.source(), &pair.target());
    } else {
        pair.job(&JobOptions::default()).is_fine();
    }
    set_mode(&source, 0o640);
    let mut bytes = noise(len);
    let newer = match stands {
        Same(newer) => newer,
        Other(newer) => {
            bytes[len / 2] ^= 1;
            newer
        }
        Longer(newer) => {
            bytes.push(7);
            newer
        }
    };
    fs::write(&source, bytes).unwrap();
    set_time(&source, (1000 + newer, 0));
    let before = look(&target);
    pair.moved();
    let outcome = pair.job(options);
    let code = if let Left(code) = comes { code } else { 0 };
    assert_eq!(outcome.code(), code, "{case}: {outcome:?}");
    let after = if matches!(comes, Left(_)) {
        before
    } else {
        look(&source)
    };
    assert_eq!(look(&target), after, "{case}");
    let moved = pair.moved();
    let without = comes != Replaced || len < WITHOUT_BODIES;
    assert!(!without || moved < WITHOUT_BODIES, "{case}: {moved} bytes");
}

fn under(on_existing: OnExisting) -> JobOptions {
    JobOptions {
        on_existing,
        ..JobOptions::default()
    }
}

#[test]
fn without_a_flag_only_what_has_the_same_bytes_is_set() {
    let options = under(OnExisting::Refuse);
    decides(&options, Same(1), Set);
    decides(&options, Same(-1), Set);
    decides(&options, Other(1), Left(6));
    decides(&options, Other(-1), Left(6));
    decides(&options, Longer(1), Left(6));
    decides(&options, Longer(0), Left(6));
}

#[test]
fn under_update_what_is_newer_replaces_and_what_is_not_is_kept() {
    let options = under(OnExisting::IfNewer);
    decides(&options, Same(1), Set);
    decides(&options, Same(-1), Left(0));
    decides(&options, Other(1), Replaced);
    decides(&options, Other(-1), Left(0));
    decides(&options, Longer(1), Replaced);
    decides(&options, Longer(-1), Left(0));
    decides(&options, Longer(0), Left(0));
}

#[test]
fn under_overwrite_what_has_other_bytes_replaces() {
    let options = under(OnExisting::Replace);
    decides(&options, Same(1), Set);
    decides(&options, Same(-1), Set);
    decides(&options, Other(1), Replaced);
    decides(&options, Other(-1), Replaced);
    decides(&options, Longer(0), Replaced);
}

#[test]
fn a_byte_under_an_equal_size_and_time_is_found_by_content() {
    for (on_existing, other) in [
        (OnExisting::Refuse, Left(6)),
        (OnExisting::Replace, Replaced),
    ] {
        let quick = under(on_existing);
        let by_content = JobOptions {
            compare: Compare::Content,
            ..quick
        };
        decides(&by_content, Other(0), other);
        decides(&by_content, Same(0), Set);
        decides(&by_content, Same(1), Set);
    }
}

/// Changes a byte of a file, which keeps its time, and so its record of another checksum.
fn decay(path: &Path) {
    let (before, mut bytes) = (look(path), fs::read(path).unwrap());
    bytes[17] ^= 1;
    fs::write(path, bytes).unwrap();
    set_time(path, before.mtime);
}

#[test]
fn a_byte_that_decayed_under_a_record_is_found_by_content() {
    let content = |on_existing| JobOptions {
        compare: Compare::Content,
        ..under(on_existing)
    };
    for (way, len) in WAYS
        .into_iter()
        .flat_map(|way| [(way, 1000), (way, 2 * MIB + 7)])
    {
        let pair = Pair::new(way);
        let [source, target] = [pair.source(), pair.target()].map(|top| top.join("f"));
        file(&source, len);
        pair.job(&JobOptions::default()).is_fine();
        decay(&target);
        pair.job(&JobOptions::default()).is_fine();
        let outcome = pair.job(&content(OnExisting::Refuse));
        assert_eq!(outcome.code(), 6, "{way:?} of {len}: {outcome:?}");
        pair.job(&content(OnExisting::Replace)).is_fine();
        assert_eq!(look(&source), look(&target), "{way:?} of {len}");
        // What the other side has become is the truth now, and is on record as such.
        decay(&source);
        decay(&target);
        pair.job(&content(OnExisting::Refuse)).is_fine();
        fs::remove_file(&source).unwrap();
        let pair = pair.back();
        pair.job(&JobOptions::default()).is_fine();
        assert_eq!(look(&source), look(&target), "{way:?} of {len}, and back");
    }
}
