//! A server at work for long: what it holds when all have gone is what it held after the
//! first while, though connections were cut and clients killed all the time.
//!
//! There are two, one in clear and one that encrypts, each a process with a client of its own.
//! All that a client does is looked at: what was stored is there, what was fetched is right.

use std::env;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::axe::{Axe, Then};
use crate::landscape::{are_the_same, file};
use crate::place::Place;
use crate::program::Running;
use crate::rig::visible;
use crate::secrecy::Secrecy;
use crate::unharmed::eventually;
use crate::watch::{nodes, staged};

/// What a server may hold more than after the first while, in KiB: the system's allocator
/// gives back what it likes, and is asked from another thread each time.
const MORE_MEMORY: u64 = 8 << 10;

/// The part of the time that is the first while.
const WARM: u32 = 12;

/// How often the long form says what is held.
const REPORT: Duration = Duration::from_secs(60);

/// Files in a tree.
const SMALL: usize = 60;

const MIB: usize = 1 << 20;

/// What a server holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    memory_kib: u64,
    descriptors: usize,
    threads: u64,
}

impl Held {
    fn by(server: &Running) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", server.id()));
        Self {
            memory_kib: server.resident().expect("the server lives"),
            descriptors: descriptors.unwrap().count(),
            threads: server.threads().expect("the server lives"),
        }
    }

    /// The same, once the last connection of those who have gone has ended.
    #[track_caller]
    fn at_rest(server: &Running, threads: u64) -> Self {
        eventually("every connection has ended", || {
            Self::by(server).threads <= threads
        });
        Self::by(server)
    }
}

/// A client with its server, and what stands between them.
struct Soak {
    place: Place,
    axe: Axe,
    flags: &'static str,
    round: usize,
    cuts: usize,
    kills: usize,
}

impl Soak {
    fn new(secrecy: Secrecy) -> Self {
        let flags = match secrecy {
            Secrecy::Plain => "--plaintext",
            Secrecy::Encrypted => "",
        };
        let place = Place::serving(&format!("-q {flags}"));
        let axe = Axe::over(&place.server.address);
        let (round, cuts, kills) = (0, 0, 0);
        Self {
            place,
            axe,
            flags,
            round,
            cuts,
            kills,
        }
    }

    /// A number below `end` that no other use of this round has.
    fn lot(&self, use_: usize, end: usize) -> usize {
        let mut bytes = self.round.to_le_bytes().to_vec();
        bytes.extend(use_.to_le_bytes());
        let hash = blake3::hash(&bytes);
        let (head, _) = hash.as_bytes().split_first_chunk().unwrap();
        usize::from_le_bytes(*head) % end
    }

    /// Makes a file as no other round and use has it.
    fn make(&self, name: &str, use_: usize, len: usize) {
        let mut bytes = vec![0; len];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.round.to_le_bytes());
        hasher.update(&use_.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        self.place.file(name, &bytes);
    }

    #[track_caller]
    fn says(&self, line: &str, code: i32) {
        let ended = self.place.run(&format!("{line} {}", self.flags));
        assert_eq!(ended.code, Some(code), "round {}: {ended:?}", self.round);
    }

    /// Runs a line whose connections are all cut, or that is killed, when so many bytes have
    /// passed; then it goes on by itself, or with the next try.
    #[track_caller]
    fn broken_off(&mut self, line: &str, after: usize, then: Then) {
        let line = line.replace("[AXE]", &self.axe.address);
        let falls = self.axe.falls() + 1;
        self.axe.set(after, then);
        let job = Running::start(self.place.haul(&format!("{line} {}", self.flags)));
        while !self.axe.has_fallen(falls) && !job.ends_by(Instant::now()) {}
        if then == Then::Hold {
            job.signal(Signal::KILL);
            assert_eq!(job.finish().code, None, "it was killed: {line}");
            self.axe.rest();
            self.says(&line, 0);
            self.kills += 1;
        } else {
            let ended = job.finish();
            assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
            self.cuts += 1;
        }
        assert_eq!(self.axe.falls(), falls, "{line}: it was never broken off");
        self.axe.rest();
    }

    #[track_caller]
    fn is_same(&self, here: &Path, there: &Path) {
        let (here, there) = (fs::read(here).unwrap(), fs::read(there).unwrap());
        assert!(here == there, "round {}: other bytes", self.round);
    }

    /// All that a client can do, each once.
    #[track_caller]
    fn go_round(&mut self) {
        self.round += 1;
        let (here, root) = (self.place.here(), self.place.root());
        let (large, tree) = (format!("large-{}", self.round % 4), self.round % 3);
        let len = 3 * MIB + self.lot(0, 12 * MIB);
        let connections = 1 + self.lot(1, 4);
        let back = here.join("back");

        self.make("x", 1, len);
        self.says(
            &format!("put --overwrite --connections {connections} x [ADDRESS]/{large}"),
            0,
        );
        self.is_same(&here.join("x"), &root.join(&large));

        for number in 0..SMALL {
            self.make(
                &format!("t/{}/{number}", number % 5),
                100 + number,
                number * 40,
            );
        }
        self.says(&format!("put --overwrite t [ADDRESS]/t-{tree}"), 0);
        are_the_same(&here.join("t"), &root.join(format!("t-{tree}")));
        // Nothing is moved a second time, and what differs is not replaced unasked.
        self.says(&format!("put t [ADDRESS]/t-{tree}"), 0);
        file(&here.join("t/0/0"), self.round + 1);
        self.says(&format!("put t [ADDRESS]/t-{tree}"), 6);

        self.says("ls -R [ADDRESS]", 0);
        self.says(&format!("sum [ADDRESS]/{large}"), 0);
        self.says(
            &format!("get [ADDRESS]/{large} [ADDRESS]/t-{tree} back/"),
            0,
        );
        self.is_same(&back.join(&large), &root.join(&large));
        are_the_same(
            &back.join(format!("t-{tree}")),
            &root.join(format!("t-{tree}")),
        );
        self.says(&format!("get [ADDRESS]/none-{tree} back/"), 5);

        self.says(&format!("mv [ADDRESS]/{large} [ADDRESS]/moved"), 0);
        self.is_same(&here.join("x"), &root.join("moved"));

        for (use_, then) in [(2, Then::Cut), (3, Then::Hold)] {
            self.make("x", use_, len);
            let line = format!("put --overwrite x [AXE]/{large}");
            let after = MIB + self.lot(use_, len - 2 * MIB);
            self.broken_off(&line, after, then);
            self.is_same(&here.join("x"), &root.join(&large));

            let line = format!("get --overwrite [AXE]/{large} back/");
            self.broken_off(&line, after, then);
            self.is_same(&here.join("x"), &back.join(&large));
        }

        self.says("rm [ADDRESS]/moved", 0);
        self.says(&format!("rm -r [ADDRESS]/t-{tree}"), 0);
        fs::remove_dir_all(back).unwrap();
    }

    /// What lies beside the files is nothing, and the nodes of those that are there: without
    /// any sweep, as no two put the same name at once.
    #[track_caller]
    fn has_kept_nothing(&self, case: &str) {
        let root = self.place.root();
        eventually(case, || staged(&root) == 0);
        let large = |name: &&String| fs::metadata(root.join(name)).unwrap().len() > MIB as u64;
        let large = visible(&root).iter().filter(large).count();
        let kept = nodes(&root);
        assert!(
            kept <= large,
            "{case}: nodes of {kept}, where {large} are large"
        );
    }

    /// Goes round for so long, and looks at what the server held after the first while and
    /// in the end.
    #[track_caller]
    fn last(mut self, secrecy: Secrecy, time: Duration) {
        let (began, server) = (Instant::now(), &self.place.server.running);
        let threads = server.threads().expect("the server lives");
        let first = Held::by(server);
        let mut reported = began;
        let mut warm = None;
        while began.elapsed() < time || self.round < 2 {
            self.go_round();
            let server = &self.place.server.running;
            if warm.is_none() && began.elapsed() >= time / WARM {
                warm = Some(Held::at_rest(server, threads));
            }
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                let held = Held::at_rest(server, threads);
                println!(
                    "{secrecy:?}, {:?}, round {}: {held:?}",
                    began.elapsed(),
                    self.round
                );
            }
        }
        let warm = warm.expect("the first while is over");
        let server = &self.place.server.running;
        let (end, case) = (Held::at_rest(server, threads), format!("{secrecy:?}"));
        println!(
            "{case}: {} rounds, {} cuts, {} kills in {:?}; at first {first:?}, after the first \
             while {warm:?}, in the end {end:?}",
            self.round,
            self.cuts,
            self.kills,
            began.elapsed(),
        );
        eventually("descriptors are where they were", || {
            Held::by(server).descriptors <= warm.descriptors
        });
        assert_eq!(end.threads, warm.threads, "{case}");
        assert!(
            end.memory_kib <= warm.memory_kib + MORE_MEMORY,
            "{case}: {end:?}, {warm:?}"
        );
        assert_eq!((self.cuts, self.kills), (2 * self.round, 2 * self.round));
        self.has_kept_nothing(&case);
    }
}

/// Both servers, side by side.
#[track_caller]
fn soak(time: Duration) {
    thread::scope(|scope| {
        for secrecy in [Secrecy::Plain, Secrecy::Encrypted] {
            let client = move || Soak::new(secrecy).last(secrecy, time);
            thread::Builder::new().spawn_scoped(scope, client).unwrap();
        }
    });
}

#[test]
fn ten_seconds_of_mixed_work_with_cuts_and_kills_leave_a_server_as_it_was() {
    soak(Duration::from_secs(10));
}

/// An hour of it, or as many seconds as `SOAK_SECONDS` says, with a word of what is held each
/// minute. It is at rest for much of the time, as what was cut waits before it tries again.
///
///     cargo test --release --test suite -- --ignored --nocapture an_hour_of_mixed_work
#[test]
#[ignore = "takes an hour"]
fn an_hour_of_mixed_work_with_cuts_and_kills_leaves_a_server_as_it_was() {
    let told = env::var("SOAK_SECONDS");
    let seconds = told.map_or(3600, |text| text.parse().expect("seconds"));
    soak(Duration::from_secs(seconds));
}
