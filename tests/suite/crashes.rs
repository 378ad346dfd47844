//! Either side killed at any moment: under its name a file is wholly the old one or wholly
//! the new one, and whoever starts again finds nothing in the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::Signal;

use crate::place::Place;
use crate::program::{Ended, Running};
use crate::rig::{noise, visible};
use crate::vouched::{holds_what_is_sound, is_vouched_for};
use crate::watch::{Watch, seen, staged, swept_nodes};

/// Sparse, so that it takes no time to make, and long enough to be killed in the middle.
const LONG: u64 = 2 << 30;

/// With the first block.
const EARLY: Moment = Moment::Staged(1);

/// A few segments, so that every connection has its share.
const FEW_SEGMENTS: usize = 24 << 20;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    Client,
}

/// Which way the file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Put,
    Get,
}

/// When the axe falls.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// With so many bytes staged.
    Staged(u64),
    /// As soon as anything happens to the file that is visible.
    Publishing,
}

/// What came of a job, of which one side was to be killed.
struct Struck {
    ended: Ended,
    /// Whether the kill came before the end: one that comes later tries nothing.
    in_time: bool,
}

/// Starts a job, which does not try again, and kills one side at a moment that is seen in a
/// directory. The server runs again afterwards, with these flags.
#[track_caller]
fn kill(
    place: &mut Place,
    (victim, flags): (Victim, &str),
    line: &str,
    (at, moment): (&Path, Moment),
) -> Struck {
    let watch = Watch::on(at);
    let was = seen(&at.join("x"));
    let job = Running::start(place.haul(&format!("--retries 0 {line}")));
    match moment {
        Moment::Staged(bytes) => watch.until_staged(bytes, &job),
        Moment::Publishing => watch.until_replaced("x", was, &job),
    }
    if victim == Victim::Client {
        // It may have ended by now, and is not reaped before it is waited for.
        job.signal(Signal::KILL);
        let ended = job.finish();
        let in_time = ended.was_killed();
        return Struck { ended, in_time };
    }
    let in_time = !job.ends_by(Instant::now());
    place.server.running.signal(Signal::KILL);
    let ended = job.finish();
    let server = place.restart_with(flags).finish();
    assert!(server.was_killed(), "{server:?}");
    Struck { ended, in_time }
}

/// Checks that nothing is visible or staged in a directory.
#[track_caller]
fn is_empty(directory: &Path) {
    let left: Vec<_> = fs::read_dir(directory).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// What keeps nothing.
const FORGETFUL: &str = "--keep-partials 0";

#[test]
fn a_put_whose_server_is_killed_fails_and_a_new_server_sweeps_what_it_left() {
    let mut place = Place::serving("");
    place.sparse("a", LONG);
    let root = place.root();
    let Struck { ended, .. } = kill(
        &mut place,
        (Victim::Server, FORGETFUL),
        "put a [ADDRESS]",
        (&root, EARLY),
    );
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("broke off"), "{ended:?}");
    is_empty(&root);
    place.file("b", b"abc");
    place.says("put b [ADDRESS]", 0, "", "*1 stored*");
}

#[test]
fn a_put_that_is_killed_leaves_nothing_where_nothing_is_kept_and_its_server_lives() {
    let mut place = Place::serving(FORGETFUL);
    place.sparse("a", LONG);
    let root = place.root();
    let Struck { ended, .. } = kill(
        &mut place,
        (Victim::Client, ""),
        "put a [ADDRESS]",
        (&root, EARLY),
    );
    assert_eq!(ended.code, None, "{ended:?}");
    Watch::on(&root).until_swept();
    assert!(visible(&root).is_empty());
    place.file("b", b"abc");
    place.says("put b [ADDRESS]", 0, "", "*1 stored*");
}

#[test]
fn a_get_whose_server_is_killed_fails_and_leaves_nothing_that_is_seen() {
    let mut place = Place::serving("");
    fs::File::create(place.root().join("a"))
        .unwrap()
        .set_len(LONG)
        .unwrap();
    let here = place.here();
    let Struck { ended, .. } = kill(
        &mut place,
        (Victim::Server, ""),
        "get [ADDRESS]/a",
        (&here, EARLY),
    );
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(visible(&here).is_empty());
    fs::write(place.root().join("b"), b"abc").unwrap();
    place.says("get [ADDRESS]/b", 0, "", "*1 fetched*");
}

#[test]
fn a_get_that_is_killed_publishes_nothing_and_the_next_one_sweeps_what_it_staged() {
    let mut place = Place::serving("");
    fs::File::create(place.root().join("a"))
        .unwrap()
        .set_len(LONG)
        .unwrap();
    let here = place.here();
    let Struck { ended, .. } = kill(
        &mut place,
        (Victim::Client, ""),
        "get [ADDRESS]/a",
        (&here, EARLY),
    );
    assert_eq!(ended.code, None, "{ended:?}");
    assert!(visible(&here).is_empty());
    assert!(staged(&here) > 0, "there is something to sweep");
    fs::write(place.root().join("b"), b"abc").unwrap();
    place.says("get [ADDRESS]/b", 0, "", "*1 fetched*");
    assert_eq!(visible(&here), ["b"]);
    let left: Vec<_> = fs::read_dir(here.join(".haul")).unwrap().collect();
    assert_eq!(left.len(), 1, "all but what can be gone on with: {left:?}");
}

/// A file that is replaced round after round, while one side is killed.
struct Loop {
    place: Place,
    victim: Victim,
    way: Way,
    /// Where the new file is made.
    from: PathBuf,
    /// Where it goes, and what was there before.
    to: PathBuf,
    old: Option<blake3::Hash>,
    /// Rounds in which the file did not get there.
    cut: usize,
    /// Kills that were tried, and those that came in time.
    aimed: usize,
    kills: usize,
}

impl Loop {
    fn new(way: Way, victim: Victim) -> Self {
        let place = Place::serving("");
        let into = place.here().join("into");
        fs::create_dir(&into).unwrap();
        let (from, to) = match way {
            Way::Put => (place.here(), place.root()),
            Way::Get => (place.root(), into),
        };
        Self {
            from: from.join("x"),
            to,
            place,
            victim,
            way,
            old: None,
            cut: 0,
            aimed: 0,
            kills: 0,
        }
    }

    /// Says whether anybody was killed in time.
    #[track_caller]
    fn round(&mut self, round: usize) -> bool {
        let bytes = noise(FEW_SEGMENTS + round);
        fs::write(&self.from, &bytes).unwrap();
        let new = blake3::hash(&bytes);
        let connections = if round % 8 < 4 { 4 } else { 1 };
        let line = match self.way {
            Way::Put => format!("put --overwrite --connections {connections} x [ADDRESS]"),
            Way::Get => format!("get --overwrite --connections {connections} [ADDRESS]/x into/"),
        };
        // Some are killed once more while they go on with what was kept.
        let kills = if round % 5 == 4 { 2 } else { 1 };
        let before = self.kills;
        for kill in 0..kills {
            let moment = moment(round + kill, bytes.len() as u64);
            self.kill(&line, moment, new);
        }
        let what = format!("{:?} {:?} {round}", self.way, self.victim);
        self.cut += usize::from(self.there(&what) == self.old);

        // It goes on with what was kept.
        self.place.says(&line, 0, "", "*verified and durable*");
        assert_eq!(self.there(&what), Some(new), "{what}");
        assert_eq!(staged(&self.to), 0, "{what}: something is left");
        self.is_sound(&what);
        self.old = Some(new);
        self.kills > before
    }

    /// Kills one side, and checks that what is there is old or new and that what was said holds.
    #[track_caller]
    fn kill(&mut self, line: &str, moment: Moment, new: blake3::Hash) {
        let to = self.to.clone();
        let Struck { ended, in_time } =
            kill(&mut self.place, (self.victim, ""), line, (&to, moment));
        self.aimed += 1;
        self.kills += usize::from(in_time);
        let what = format!(
            "{:?} {:?}, {moment:?}: {line}: {ended:?}",
            self.way, self.victim
        );
        let there = self.there(&what);
        assert!(
            there == self.old || there == Some(new),
            "{what}: neither old nor new"
        );
        assert!(
            ended.code != Some(0) || there == Some(new),
            "{what}: a false success"
        );
        let is_expected = match self.victim {
            Victim::Server => matches!(ended.code, Some(0 | 3)),
            Victim::Client => ended.code == Some(0) || ended.was_killed(),
        };
        assert!(is_expected, "{what}");
        self.is_sound(&what);
    }

    /// What is there, old or new, is what its record says.
    #[track_caller]
    fn is_sound(&self, what: &str) {
        match self.way {
            Way::Put => is_vouched_for(&self.place, what),
            Way::Get => holds_what_is_sound(&self.place, &self.to, what),
        }
    }

    /// Of all that was replaced nothing is kept, once it was swept.
    #[track_caller]
    fn ends(&self) {
        self.place.stop();
        let most = match self.way {
            Way::Put => 1,
            Way::Get => 0,
        };
        let kept = swept_nodes(&self.to);
        assert!(kept <= most, "nodes of {kept} files are kept");
    }

    /// What is under the name, and that there is no other.
    #[track_caller]
    fn there(&self, what: &str) -> Option<blake3::Hash> {
        let names = visible(&self.to);
        assert!(names.iter().all(|name| name == "x"), "{what}: {names:?}");
        let bytes = fs::read(self.to.join("x")).ok()?;
        Some(blake3::hash(&bytes))
    }
}

/// The moment for a round: when all is staged, when it is published, and twice with what
/// comes of hashing the round's number.
fn moment(round: usize, len: u64) -> Moment {
    match round % 4 {
        0 => Moment::Staged(len),
        1 => Moment::Publishing,
        _ => {
            let hash = blake3::hash(&round.to_le_bytes());
            let (head, _) = hash.as_bytes().split_first_chunk().unwrap();
            Moment::Staged(u64::from_le_bytes(*head) % len)
        }
    }
}

/// Goes on until so many rounds had a kill in time, of each side and way.
#[track_caller]
fn whole_or_none(rounds: usize) {
    for way in [Way::Put, Way::Get] {
        for victim in [Victim::Server, Victim::Client] {
            let mut all = Loop::new(way, victim);
            let (mut tried, mut struck) = (0, 0);
            while struck < rounds {
                assert!(tried < 4 * rounds, "{way:?} {victim:?}: only {struck} were");
                struck += usize::from(all.round(tried));
                tried += 1;
            }
            all.ends();
            let Loop {
                cut, aimed, kills, ..
            } = all;
            eprintln!(
                "{way:?}, {victim:?}: {kills} of {aimed} kills came in time, in {struck} of {tried} \
                 rounds: whole or none, all sound, {cut} rounds cut short"
            );
            // A get may have all it needs in its sockets when the server dies.
            assert!((1..tried).contains(&cut), "{way:?} {victim:?}: {cut} cut");
        }
    }
}

#[test]
fn a_few_kills_leave_whole_files_or_none() {
    whole_or_none(8);
}

/// The same, 250 rounds with a kill that came in time for each side and way: three to seven
/// minutes.
///
///     cargo test --release --test suite -- --ignored --nocapture a_thousand_kills_leave_whole
#[test]
#[ignore = "takes minutes"]
fn a_thousand_kills_leave_whole_files_or_none() {
    whole_or_none(250);
}
