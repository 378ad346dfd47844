//! Power that goes in the middle: what a receipt called stored is there when it comes back.
//!
//! The disk is an image with ext4 on it, behind a loop device. The file system is shut down by its
//! own ioctl, without writing its journal out: from then on nothing reaches the image, and what is
//! mounted again is what had reached it, as after a power cut. What a disk loses from a cache of
//! its own is not tried by this.
//!
//! Beside what such a disk takes, it takes `python3`, which makes the ioctl.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use crate::disk::{Disk, succeeds};
use crate::objects::objects;
use crate::place::Place;
use crate::program::{Ended, PATIENCE, Running};
use crate::rig::noise;
use crate::vouched::is_vouched_for;
use crate::watch::{Watch, seen, staged, swept_nodes};

/// Small files of one put, beside a large one.
const SMALL: usize = 60;

/// Some segments, so that it is often under way.
const LARGE: usize = 6 << 20;

/// The shutdown of a file system (`EXT4_IOC_SHUTDOWN`), without writing its journal out.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
disk = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
sys.stdin.readline()
fcntl.ioctl(disk, 0x8004587D, struct.pack('I', 2))
print('off', flush=True)";

/// What cuts the power when it is told to, without being started first.
struct Axe(Child);

impl Axe {
    fn over(disk: &Disk) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", SHUTDOWN]).arg(&disk.at);
        let pipes = python.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut axe = Self(pipes.spawn().unwrap());
        axe.says("ready");
        axe
    }

    fn fall(mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.says("off");
        self.0.wait().unwrap();
    }

    /// Each line is read alone: nothing is said before it is asked for.
    fn says(&mut self, expected: &str) {
        let mut line = String::new();
        let mut said = BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap());
        said.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expected);
    }
}

impl Drop for Axe {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// When the power goes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// As soon as the client has ended.
    Done,
    /// When it has told of so many files.
    Told(usize),
    /// With so many bytes staged.
    Staged(u64),
    /// As soon as the large file has another content under its name.
    Published,
}

impl Moment {
    fn of(round: usize) -> Self {
        let hash = blake3::hash(&round.to_le_bytes());
        let (head, _) = hash.as_bytes().split_first_chunk().unwrap();
        let chance = u64::from_le_bytes(*head) as usize;
        match round % 4 {
            0 => Self::Told(1 + chance % SMALL),
            1 => Self::Staged((chance % LARGE) as u64),
            2 => Self::Published,
            _ => Self::Done,
        }
    }
}

/// What a put came to that the power was cut beside.
struct Cut {
    /// What was put.
    new: BTreeMap<String, Vec<u8>>,
    /// Which of it was told to be stored.
    told: Vec<String>,
    ended: Ended,
}

/// A tree that is put over itself round after round, while the power goes.
struct Rounds {
    place: Place,
    /// Unmounted before the place goes that it is in.
    disk: Option<Disk>,
    flags: &'static str,
    /// What was under each name when the last round ended.
    was: BTreeMap<String, Vec<u8>>,
    /// Files that were told to be stored, and that were when the power was back.
    told: usize,
    held: usize,
    /// Rounds in which the client had not ended.
    cut: usize,
}

impl Drop for Rounds {
    fn drop(&mut self) {
        self.place.server.running.signal(Signal::KILL);
        drop(self.disk.take());
    }
}

impl Rounds {
    fn begin(flags: &'static str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        for name in ["root", "here"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        if !succeeds(Command::new("python3").arg("--version")) {
            eprintln!("not tried, as there is no python3");
            return None;
        }
        let disk = Disk::at(dir.path().join("image"), &dir.path().join("root"), 256)?;
        Some(Self {
            place: Place::serving_in(dir, flags),
            disk: Some(disk),
            flags,
            was: BTreeMap::new(),
            told: 0,
            held: 0,
            cut: 0,
        })
    }

    /// Puts new content over the old, cuts the power, and has it come back.
    fn cut(&mut self, round: usize, moment: Moment) -> Cut {
        let new = content(round);
        for (name, bytes) in &new {
            self.place.file(name, bytes);
        }
        let disk = self.disk.as_ref().unwrap();
        let axe = Axe::over(disk);
        let root = self.place.root();
        let (watch, was) = (Watch::on(&root), seen(&root.join("t/large")));
        let line = "put --json --overwrite --retries 0 t [ADDRESS]";
        let job = Running::start(self.place.haul(line));
        let mut told = String::new();
        match moment {
            Moment::Done => {
                job.ends_by(Instant::now() + PATIENCE);
            }
            Moment::Told(lines) => {
                for _ in 0..lines {
                    told.push_str(&job.line());
                    told.push('\n');
                }
            }
            Moment::Staged(bytes) => watch.until_staged(bytes, &job),
            Moment::Published => watch.until_replaced("t/large", was, &job),
        }
        self.cut += usize::from(!job.ends_by(Instant::now()));
        axe.fall();
        self.place.server.running.signal(Signal::KILL);
        let ended = job.finish();
        told.push_str(&ended.stdout);
        let end = Instant::now() + PATIENCE;
        assert!(self.place.server.running.ends_by(end), "it was killed");
        drop(watch);
        // What the disk still knows is there again.
        disk.take_out();
        disk.mount();
        let told = objects(&told).into_iter().filter_map(|object| {
            let is = |key: &str, what: &str| object.get(key).is_some_and(|value| value == what);
            let is_stored = is("event", "file") && is("status", "stored");
            object.get("path").filter(|_| is_stored).cloned()
        });
        let told: Vec<String> = told.collect();
        if ended.code == Some(0) {
            assert_eq!(told.len(), new.len(), "{moment:?}: {ended:?}");
        }
        Cut { new, told, ended }
    }

    /// What is there, of what was put.
    fn there(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.place.root().join(name)).ok()
    }

    /// One round: every receipt holds, and all else is wholly old, wholly new, or was never
    /// there. What was not stored then is when the same is put again.
    #[track_caller]
    fn round(&mut self, round: usize) {
        let moment = Moment::of(round);
        let Cut { new, told, .. } = self.cut(round, moment);
        for (name, bytes) in &new {
            let there = self.there(name);
            let is_new = there.as_ref() == Some(bytes);
            if told.contains(name) {
                self.told += 1;
                self.held += usize::from(is_new);
                let len = there.map(|there| there.len());
                assert!(
                    is_new,
                    "{round}, {moment:?}: {name} was stored, and is {len:?}"
                );
            } else {
                let is_old = there.as_ref() == self.was.get(name);
                assert!(is_new || is_old, "{round}, {moment:?}: {name} is a mixture");
            }
        }
        self.place.restart_with(self.flags);
        // Old or new: what has its name has a record that holds.
        is_vouched_for(&self.place, &format!("{round}, {moment:?}"));
        let line = "put --overwrite t [ADDRESS]";
        self.place.says(line, 0, "", "*verified and durable*");
        for (name, bytes) in &new {
            assert!(self.there(name).as_ref() == Some(bytes), "{round}: {name}");
        }
        assert_eq!(staged(&self.place.root()), 0, "{round}: something is left");
        is_vouched_for(&self.place, &format!("{round}, in the end"));
        self.was = new;
    }
}

/// What is put in a round, under which names: each is different in every round.
fn content(round: usize) -> BTreeMap<String, Vec<u8>> {
    let small = (0..SMALL).map(|n| (format!("t/{n}"), noise(1 + round * SMALL + n * 7)));
    let large = ("t/large".to_owned(), noise(LARGE + round));
    small.chain([large]).collect()
}

#[track_caller]
fn every_receipt_holds(rounds: usize) {
    let Some(mut all) = Rounds::begin("") else {
        return;
    };
    (0..rounds).for_each(|round| all.round(round));
    all.place.stop();
    let kept = swept_nodes(&all.place.root());
    assert!(kept <= 1, "nodes of {kept} files, where one is large");
    let Rounds {
        told, held, cut, ..
    } = all;
    eprintln!(
        "{rounds} power cuts, {cut} of them in the middle of a put: {held} of {told} receipts hold"
    );
    assert!(cut > 0 && told > 0, "nothing was tried");
}

/// What `--durability none` gives up: the same cut must be seen to lose something, or else it
/// cuts nothing.
#[track_caller]
fn without_flushes_something_is_lost(rounds: usize) {
    let Some(mut all) = Rounds::begin("--durability none") else {
        return;
    };
    for round in 0..rounds {
        let Cut { new, told, ended } = all.cut(round, Moment::Done);
        // All was said to be stored: what is not there then was lost by the cut alone.
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let is_told = new.keys().all(|name| told.contains(name));
        assert!(is_told, "{ended:?}");
        all.told += told.len();
        let holds = |name: &&String| all.there(name).as_ref() == new.get(*name);
        all.held += told.iter().filter(holds).count();
        all.place.restart_with(all.flags);
    }
    let Rounds { told, held, .. } = all;
    eprintln!("{rounds} power cuts without flushes: {held} of {told} receipts hold");
    assert!(told > 0 && held < told, "the power was not cut");
}

#[test]
fn a_power_cut_breaks_no_receipt_and_without_flushes_it_would() {
    every_receipt_holds(4);
    without_flushes_something_is_lost(1);
}

/// The same, 200 times: about five minutes, as root.
///
///     cargo test --release --test suite -- --ignored --nocapture two_hundred_power_cuts
#[test]
#[ignore = "takes five minutes, root, a loop device, mkfs.ext4 and python3"]
fn two_hundred_power_cuts_break_no_receipt() {
    every_receipt_holds(200);
    without_flushes_something_is_lost(20);
}
