//! The same command again, after whatever ended the first: only the rest is sent, and what
//! comes of it is whole.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::both_ways::{WAYS, Way};
use crate::objects::objects;
use crate::place::Place;
use crate::program::{Ended, Running};
use crate::rig::{noise, visible};
use crate::watch::{Watch, staged};

const MIB: usize = 1 << 20;
/// Long enough to be broken off in the middle, whatever else the machine does.
const LEN: usize = 96 * MIB + 77;
/// What is there by then.
const HALF: u64 = 48 * MIB as u64;
/// What may be on its way, and count for nothing: what the buffers of four connections hold.
const SLACK: u64 = 32 * MIB as u64;

const LOG: &str = "--log json";

/// A file that goes one way or the other, and a server that is asked by its log how much of
/// it has moved.
struct Job {
    place: Place,
    way: Way,
}

impl Job {
    fn new(way: Way) -> Self {
        let place = Place::serving(LOG);
        let job = Self { place, way };
        fs::write(job.source(), noise(LEN)).unwrap();
        job
    }

    fn source(&self) -> PathBuf {
        match self.way {
            Way::Put => self.place.here().join("x"),
            Way::Get => self.place.root().join("x"),
        }
    }

    /// The directory that it goes to.
    fn target(&self) -> PathBuf {
        match self.way {
            Way::Put => self.place.root(),
            Way::Get => self.place.here(),
        }
    }

    fn line(&self) -> &'static str {
        match self.way {
            Way::Put => "put --retries 0 x [ADDRESS]",
            Way::Get => "get --retries 0 [ADDRESS]/x",
        }
    }

    /// Begins, and is there in the middle of it.
    fn half(&self) -> Running {
        let watch = Watch::on(&self.target());
        let running = Running::start(self.place.haul(self.line()));
        watch.until_staged(HALF, &running);
        running
    }

    /// Runs to its end, and returns how many bytes of the file have moved in all that the
    /// server that runs now has done.
    #[track_caller]
    fn finish(&mut self, what: &str) -> u64 {
        assert!(visible(&self.target()).is_empty(), "{what}");
        let before = staged(&self.target());
        assert!(before > 0, "{what}: there is nothing to go on with");
        self.place
            .says(self.line(), 0, "", "*verified and durable*");
        let there = fs::read(self.target().join("x")).unwrap();
        assert!(there == fs::read(self.source()).unwrap(), "{what}");
        assert_eq!(staged(&self.target()), 0, "{what}: something is left");
        self.place.server.running.signal(Signal::TERM);
        let log = self.place.restart_with(LOG).finish();
        moved(self.way, &log)
    }
}

/// How many bytes of content a server has taken or given.
#[track_caller]
fn moved(way: Way, log: &Ended) -> u64 {
    let lines: Vec<&str> = log.stderr.lines().filter(|l| l.starts_with('{')).collect();
    let word = match way {
        Way::Put => "closed",
        Way::Get => "fetch",
    };
    let read = objects(&lines.join("\n"));
    let lines = read.iter().filter(|line| {
        let message = line["message"].as_str();
        message.starts_with(word)
    });
    lines
        .map(|line| line["bytes"].parse::<u64>().unwrap())
        .sum()
}

#[test]
fn a_server_that_was_killed_goes_on_with_what_it_had() {
    for way in WAYS {
        let mut job = Job::new(way);
        let running = job.half();
        job.place.server.running.signal(Signal::KILL);
        let ended = running.finish();
        assert_eq!(ended.code, Some(3), "{ended:?}");
        job.place.restart_with(LOG);
        let there = staged(&job.target());
        assert!(there >= HALF, "{there}");
        let sent = job.finish("its server was killed");
        assert!(
            sent + there <= LEN as u64 + SLACK,
            "{way:?}: {sent} after {there}"
        );
    }
}

#[test]
fn a_client_that_was_killed_goes_on_with_what_there_is() {
    for way in WAYS {
        let mut job = Job::new(way);
        let running = job.half();
        running.signal(Signal::KILL);
        assert_eq!(running.finish().code, None);
        let there = staged(&job.target());
        let sent = job.finish("its client was killed");
        // The log is of both tries.
        assert!(sent <= LEN as u64 + SLACK, "{way:?}: {sent} with {there}");
    }
}

#[test]
fn the_command_that_ctrl_c_prints_sends_only_the_rest() {
    for way in WAYS {
        let mut job = Job::new(way);
        let running = job.half();
        running.signal(Signal::INT);
        let ended = running.finish();
        assert_eq!(ended.code, Some(130), "{ended:?}");
        let command = format!("haul {}\n", job.place.meant(job.line()));
        assert!(ended.stderr.ends_with(&command), "{ended:?}");
        let sent = job.finish("it was interrupted");
        assert!(sent <= LEN as u64 + SLACK, "{way:?}: {sent}");
    }
}

#[test]
fn a_server_that_was_told_to_stop_has_kept_what_came() {
    for way in WAYS {
        let mut job = Job::new(way);
        let running = job.half();
        // The second one does not wait for what is under way.
        job.place.server.running.signal(Signal::TERM);
        job.place.server.running.signal(Signal::TERM);
        running.finish();
        job.place.restart_with(LOG);
        if visible(&job.target()).is_empty() {
            let there = staged(&job.target());
            let sent = job.finish("its server was stopped");
            assert!(
                sent + there <= LEN as u64 + SLACK,
                "{way:?}: {sent} after {there}"
            );
        }
    }
}

#[test]
fn what_was_damaged_meanwhile_is_sent_again() {
    for way in WAYS {
        let mut job = Job::new(way);
        let running = job.half();
        running.signal(Signal::KILL);
        running.finish();
        job.place.server.running.signal(Signal::TERM);
        job.place.restart_with(LOG);
        let files = fs::read_dir(job.target().join(".haul/partial")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let kept = files.into_iter().find(|path| path.extension().is_none());
        let kept = fs::File::options()
            .read(true)
            .write(true)
            .open(kept.unwrap());
        let (kept, mut byte) = (kept.unwrap(), [0]);
        let at = 10 * MIB as u64 + 5;
        kept.read_exact_at(&mut byte, at).unwrap();
        kept.write_all_at(&[byte[0] ^ 1], at).unwrap();
        drop(kept);
        let there = staged(&job.target());
        let sent = job.finish("a byte was flipped");
        assert!(
            sent + there <= LEN as u64 + SLACK,
            "{way:?}: {sent} after {there}"
        );
    }
}

#[test]
fn a_source_that_changed_meanwhile_is_sent_whole() {
    for way in WAYS {
        let mut job = Job::new(way);
        let running = job.half();
        running.signal(Signal::INT);
        running.finish();
        let source = fs::File::options().write(true).open(job.source()).unwrap();
        source.write_all_at(b"something else", 5).unwrap();
        drop(source);
        let sent = job.finish("its source changed");
        // All of it, and what came before.
        assert!(sent >= LEN as u64 + HALF, "{way:?}: {sent}");
    }
}

#[test]
fn what_would_replace_a_file_goes_on_too() {
    for way in WAYS {
        let mut job = Job::new(way);
        // As long as the new one, and older.
        fs::write(job.target().join("x"), vec![0; LEN]).unwrap();
        let old = fs::File::options().write(true).open(job.target().join("x"));
        old.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let line = format!("{} --update", job.line());
        let watch = Watch::on(&job.target());
        let running = Running::start(job.place.haul(&line));
        watch.until_staged(HALF, &running);
        running.signal(Signal::KILL);
        running.finish();
        assert_eq!(fs::read(job.target().join("x")).unwrap(), vec![0; LEN]);
        let there = staged(&job.target());
        job.place.says(&line, 0, "", "*verified and durable*");
        let came = fs::read(job.target().join("x")).unwrap();
        assert!(came == fs::read(job.source()).unwrap());
        job.place.server.running.signal(Signal::TERM);
        let sent = moved(way, &job.place.restart_with(LOG).finish());
        assert!(sent <= LEN as u64 + SLACK, "{way:?}: {sent} with {there}");
    }
}

#[test]
fn a_server_says_what_it_has_swept() {
    let job = Job::new(Way::Put);
    let running = job.half();
    running.signal(Signal::KILL);
    running.finish();
    let mut place = job.place;
    place.server.running.signal(Signal::TERM);
    let first = place.restart_with("--log json --keep-partials 1d");
    assert!(!first.finish().stderr.contains("swept"));
    assert!(staged(&place.root()) > 0, "it is younger");
    place.server.running.signal(Signal::TERM);
    let second = place.restart_with("--log json --keep-partials 0");
    assert!(!second.finish().stderr.contains("swept"));
    assert!(!place.root().join(".haul").exists());
    place.server.running.signal(Signal::TERM);
    let log = place.restart_with("").finish().stderr;
    let line = log.lines().find(|line| line.contains("swept"));
    let line = objects(line.expect("a line of it")).remove(0);
    assert_eq!(line["message"], "swept uploads that nobody came back for");
    assert_eq!(line["files"], "1");
    assert!(line["bytes"].parse::<u64>().unwrap() >= HALF);
}
