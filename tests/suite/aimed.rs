//! A server that is killed between two steps of publishing: before the n-th flush of data,
//! record, rename, flush of a directory or answer, for every n that an exchange has.
//!
//! `crashes` kills at moments that are seen from outside, and the steps of publishing are too
//! close together for that. In one process a dead server is one of whose calls none is made any
//! more, from a certain one on: nothing is undone, cleaned up or said. That a process which the
//! system kills there is no different is confirmed by way of strace.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use haul::client::{Client, Event, JobOptions, Options, Soundness, Status};
use haul::fault::{Call, Fault};
use haul::offer::OnExisting;
use haul::server::Config;
use haul::transfer::Deadlines;
use rustix::process::Signal;

use crate::objects::objects;
use crate::place::Place;
use crate::program::{PATIENCE, Running, in_shell};
use crate::rig::{Outcome, Rig, noise, put};
use crate::unharmed::{eventually, kept, staged};
use crate::vouched::is_vouched_for;
use crate::watch;

const EIO: i32 = 5;

/// The steps from the last byte of a file to the receipt.
const STEPS: [Call; 7] = [
    Call::FlushData,
    Call::FlushAll,
    Call::SetAttribute,
    Call::Rename,
    Call::Unlink,
    Call::FlushDirectory,
    Call::SocketWrite,
];

/// The system calls from the first byte on.
const CALLS: [&str; 11] = [
    "mkdirat",
    "ftruncate",
    "pwrite64",
    "fchmod",
    "fsync",
    "syncfs",
    "fsetxattr",
    "renameat",
    "renameat2",
    "unlinkat",
    "writev",
];

/// Those without which nothing is published.
const NEEDED: [&str; 5] = ["fsync", "syncfs", "fsetxattr", "renameat", "renameat2"];

/// The files of one put. The small ones are enough for one flush to cover them, two are in a
/// directory that only the new ones have, and two have blocks.
const FILES: [(&str, usize); 12] = [
    ("small-1", 1),
    ("small-2", 2),
    ("small-3", 3),
    ("small-4", 4),
    ("small-5", 5),
    ("small-6", 6),
    ("small-7", 7),
    ("small-8", 8),
    ("new/er/small", 9),
    ("new/er/other", 10),
    ("large", (2 << 20) + 5),
    ("new/large", (1 << 20) + 5),
];

/// How many of them may have nodes that are kept.
const LARGE: usize = 2;

/// The names that are there before, with other content.
fn is_old(name: &str) -> bool {
    !name.starts_with("new/")
}

fn old(len: usize) -> Vec<u8> {
    noise(len + 11)
}

/// Each file in a tree is the old or the new one, and the new one where that was told. Returns
/// how many there are.
#[track_caller]
fn are_old_or_new(tree: &Path, told: &[&str], case: &str) -> usize {
    let mut count = 0;
    for (name, len) in FILES {
        let there = fs::read(tree.join(name)).ok();
        count += usize::from(there.is_some());
        let is_new = there.as_deref() == Some(&*noise(len));
        let was = is_old(name).then(|| old(len));
        assert!(is_new || there == was, "{case}: {name} is a mixture");
        assert!(is_new || !told.contains(&name), "{case}: {name} was told");
    }
    count
}

/// A process with a certain call before which it dies.
#[derive(Clone)]
struct Mortal(Arc<Mutex<Life>>);

struct Life {
    /// None is reached while it is not to die.
    at: Option<(Call, usize)>,
    is_over: bool,
}

impl Mortal {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Life {
            at: None,
            is_over: false,
        })))
    }

    fn fault(&self) -> Fault {
        let life = Arc::clone(&self.0);
        Fault::watched(move |call| {
            let mut life = life.lock().unwrap();
            if let Some((_, left)) = life.at.as_mut().filter(|(kind, _)| *kind == call) {
                match left.checked_sub(1) {
                    Some(less) => *left = less,
                    None => life.is_over = true,
                }
            }
            if life.is_over {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Ok(())
        })
    }

    fn dies_at(&self, call: Call, n: usize) {
        self.0.lock().unwrap().at = Some((call, n));
    }

    fn is_dead(&self) -> bool {
        self.0.lock().unwrap().is_over
    }
}

/// A server in this process, with what each name may hold.
struct Patient {
    rig: Rig,
    life: Mortal,
}

impl Patient {
    /// With the old files stored.
    #[track_caller]
    fn with_old() -> Self {
        let life = Mortal::new();
        let config = Config {
            fault: life.fault(),
            ..Config::default()
        };
        let rig = Rig::with(config, life.fault());
        let patient = Self { rig, life };
        let old_ones = FILES.iter().filter(|(name, _)| is_old(name));
        for (name, len) in old_ones.clone() {
            fs::write(patient.here(name), old(*len)).unwrap();
        }
        let names: Vec<&str> = old_ones.map(|(name, _)| *name).collect();
        patient.puts(&names).is_fine();
        for (name, len) in FILES {
            fs::write(patient.here(name), noise(len)).unwrap();
        }
        patient
    }

    fn here(&self, name: &str) -> PathBuf {
        self.rig.dir.path().join(name.replace('/', "-"))
    }

    fn puts(&self, names: &[&str]) -> Outcome {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.here(name)).collect();
        let paths = paths.iter().map(PathBuf::as_path);
        let files: Vec<_> = paths.zip(names.iter().copied()).collect();
        let options = JobOptions {
            on_existing: OnExisting::Replace,
            ..JobOptions::default()
        };
        put(&self.client(), &files, &options)
    }

    fn client(&self) -> Client {
        let options = Options {
            connections: 1,
            // A server that is dead here is not gone, and would be heard out.
            deadlines: Deadlines {
                closing: Duration::from_millis(20),
                ..Deadlines::default()
            },
            ..Options::default()
        };
        Client::new(&self.rig.address, options)
    }

    /// Every file that is there is what its record says. Returns how many there are.
    #[track_caller]
    fn are_sound(&self, case: &str) -> usize {
        let mut count = 0;
        let all = self.client().verify(None, |entry, found| {
            assert!(
                matches!(found, Ok(Soundness::Sound(_))),
                "{case}: {}: {found:?}",
                entry.path.as_str()
            );
            count += 1;
        });
        all.unwrap();
        count
    }
}

/// Kills a server before this call: what was told holds, what is there is whole and sound, and
/// the next server has the same put end well. `false` where that call was not made.
#[track_caller]
fn dies(call: Call, n: usize) -> bool {
    let names = FILES.map(|(name, _)| name);
    let mut patient = Patient::with_old();
    patient.life.dies_at(call, n);
    let outcome = patient.puts(&names);
    let is_dead = patient.life.is_dead();
    patient.rig.stop();
    let case = format!("{call:?} {n}: {outcome:?}");
    assert_eq!(outcome.code() == 0, !is_dead, "{case}");
    let told = outcome.events.iter().filter_map(|event| match event {
        Event::Finished { path, status, .. } if *status == Status::Stored => Some(path.as_str()),
        _ => None,
    });
    let told: Vec<&str> = told.collect();
    let root = patient.rig.root();
    let count = are_old_or_new(&root, &told, &case);
    patient.rig.restart(Config::default());
    assert_eq!(patient.are_sound(&case), count, "{case}");
    patient.puts(&names).is_fine();
    are_old_or_new(&root, &names, &case);
    assert_eq!(patient.are_sound(&case), FILES.len(), "{case}");
    eventually(&case, || staged(&patient.rig) + kept(&patient.rig) == 0);
    patient.rig.stop();
    assert!(watch::swept_nodes(&root) <= LARGE, "{case}");
    is_dead
}

#[test]
fn a_server_that_dies_before_any_step_of_publishing_leaves_old_or_new_files_that_are_sound() {
    let mut deaths = BTreeMap::new();
    for call in STEPS {
        let count = (0..1000).take_while(|n| dies(call, *n)).count();
        deaths.insert(call, count);
    }
    println!("deaths before each: {deaths:?}");
    for call in STEPS {
        assert!(deaths[&call] > 0, "{call:?} is never made: {deaths:?}");
    }
    assert!(deaths[&Call::SetAttribute] >= FILES.len(), "{deaths:?}");
    assert!(deaths[&Call::Rename] >= FILES.len(), "{deaths:?}");
}

/// A served tree of old files and one of new ones, and a server for each death.
struct Ward {
    place: Place,
}

impl Ward {
    /// Stores the old files, and lays the new ones here.
    #[track_caller]
    fn begin() -> Self {
        let place = Place::serving("");
        let ward = Self { place };
        ward.lay_out();
        ward
    }

    #[track_caller]
    fn lay_out(&self) {
        let _ = fs::remove_dir_all(self.place.root().join("t"));
        let _ = fs::remove_dir_all(self.place.here().join("t"));
        for (name, len) in FILES.iter().filter(|(name, _)| is_old(name)) {
            self.place.file(&format!("t/{name}"), &old(*len));
        }
        self.place.says("put -q t [ADDRESS]", 0, "", "");
        for (name, len) in FILES {
            self.place.file(&format!("t/{name}"), &noise(len));
        }
    }

    /// Has the system kill the server before the n-th such call of one of its threads, and
    /// checks what came of that; `false` where it was not made.
    #[track_caller]
    fn dies(&mut self, call: &str, n: usize) -> bool {
        self.lay_out();
        let id = self.place.server.running.id().to_string();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-p", &id]);
        strace.args(["-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={call}:signal=KILL:when={n}")]);
        strace.stdout(Stdio::piped());
        // It says on standard error that it has begun.
        let strace = Running::start(in_shell("exec 2>&1", &strace));
        let begun = strace.line();
        assert!(
            begun.contains("attached"),
            "{begun}: needs strace and the right to trace"
        );
        let how = "put --json --overwrite --connections 1 --retries 0";
        let ended = self.place.run(&format!("{how} t [ADDRESS]"));
        let case = format!("{call} {n}: {ended:?}");
        assert!(matches!(ended.code, Some(0 | 3)), "{case}");
        // Told to let go while the server dies, strace may wait for ever.
        strace.signal(Signal::KILL);
        strace.finish();
        // Nobody is killed any more: whoever answers lives.
        if self.place.run("ls --retries 0 [ADDRESS]").code == Some(0) {
            assert_eq!(ended.code, Some(0), "{case}");
            return false;
        }
        let end = Instant::now() + PATIENCE;
        assert!(self.place.server.running.ends_by(end), "{case}");
        let told = objects(&ended.stdout).into_iter();
        let told = told.filter(|told| told.get("status").is_some_and(|how| how == "stored"));
        let told: Vec<String> = told.map(|told| told["path"].clone()).collect();
        let told = told.iter().filter_map(|path| path.strip_prefix("t/"));
        let tree = self.place.root().join("t");
        are_old_or_new(&tree, &told.collect::<Vec<_>>(), &case);
        let server = self.place.restart_with("").finish();
        assert!(server.was_killed(), "{case}: {server:?}");
        is_vouched_for(&self.place, &case);
        self.place.says("put -q --overwrite t [ADDRESS]", 0, "", "");
        are_old_or_new(&tree, &FILES.map(|(name, _)| name), &case);
        is_vouched_for(&self.place, &case);
        let root = self.place.root();
        eventually(&case, || watch::staged(&root) == 0);
        true
    }
}

/// The same of the program, killed by the system: strace counts for each thread.
///
///     cargo test --test suite -- --ignored --nocapture strace_kills_a_server
#[test]
#[ignore = "takes a minute, strace, and the right to trace"]
fn strace_kills_a_server_before_any_step_of_publishing_and_what_is_left_is_sound() {
    let mut ward = Ward::begin();
    let mut deaths = BTreeMap::new();
    for call in CALLS {
        let count = (1..1000).take_while(|n| ward.dies(call, *n)).count();
        deaths.insert(call, count);
    }
    println!("deaths before each: {deaths:?}");
    ward.place.stop();
    assert!(watch::swept_nodes(&ward.place.root()) <= LARGE);
    for call in NEEDED {
        assert!(deaths[call] > 0, "{call} is never made: {deaths:?}");
    }
}
