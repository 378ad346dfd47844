//! The system refusing one call of the program that people run, by way of strace.
//!
//! What `faults`, `tree_faults` and `resumed_faults` sweep in one process is confirmed here from
//! outside: a server that is alive throughout, and for each round a strace that is attached to
//! it and lets go of it again, or one that runs the client.
//!
//! strace counts for each thread, so the n-th call of more than one may fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::both_ways::{WAYS, Way};
use crate::memory::Side;
use crate::objects::objects;
use crate::place::Place;
use crate::program::{Ended, Running, in_shell, wrapped};
use crate::rig::{forget_partials, noise, visible};
use crate::unharmed::eventually;

/// The calls on the way of a put or a get, and what each is made to fail with.
const CALLS: [(&str, &[&str]); 16] = [
    ("openat", &["EIO", "EMFILE", "ENOMEM"]),
    ("openat2", &["EIO", "EMFILE", "ENOSPC", "EROFS"]),
    ("mkdirat", &["ENOSPC", "EDQUOT", "EROFS"]),
    ("pwrite64", &["ENOSPC", "EDQUOT", "EIO"]),
    ("ftruncate", &["ENOSPC", "EDQUOT", "EIO"]),
    ("fsetxattr", &["ENOSPC", "EDQUOT", "EIO"]),
    ("fchmod", &["EIO", "EROFS"]),
    ("utimensat", &["EIO", "EROFS"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT"]),
    ("syncfs", &["EIO", "ENOSPC"]),
    ("renameat2", &["ENOSPC", "EIO", "EROFS"]),
    ("unlinkat", &["EIO", "EROFS"]),
    ("pread64", &["EIO", "ENOMEM"]),
    ("getdents64", &["EIO", "ENOMEM"]),
    ("recvfrom", &["EIO", "ENOMEM"]),
    ("writev", &["EIO", "ENOMEM"]),
];

/// Calls without which nothing may be called done.
const NEEDED: [&str; 3] = ["fsync", "syncfs", "renameat2"];

const SOCKET: [&str; 2] = ["recvfrom", "writev"];

/// A server that goes on, and the tree that is put there or fetched from it.
struct Bench {
    place: Place,
    way: Way,
    side: Side,
    /// How often a job ended in each code.
    codes: BTreeMap<i32, usize>,
    /// What was not as it was said, or had another code.
    lies: Vec<String>,
}

/// Which call fails, how, and which one of them.
#[derive(Clone, Copy, Debug)]
struct Fails {
    call: &'static str,
    error: &'static str,
    n: usize,
}

impl Fails {
    /// The exit code that such an error has.
    fn code(self) -> i32 {
        match self.error {
            _ if SOCKET.contains(&self.call) => 3,
            "ENOSPC" | "EDQUOT" => 8,
            _ => 10,
        }
    }
}

impl Bench {
    fn new(way: Way, side: Side) -> Self {
        let place = Place::serving("--plaintext");
        let bench = Self {
            place,
            way,
            side,
            codes: BTreeMap::new(),
            lies: Vec::new(),
        };
        bench.place.file("next", b"next");
        let source = bench.source();
        fs::create_dir_all(source.join("sub")).unwrap();
        for n in 1..9 {
            fs::write(source.join(format!("small-{n}")), noise(n)).unwrap();
        }
        fs::write(source.join("sub/other"), noise(9)).unwrap();
        fs::write(source.join("large"), noise((2 << 20) + 5)).unwrap();
        bench
    }

    fn source(&self) -> PathBuf {
        match self.way {
            Way::Put => self.place.here().join("t"),
            Way::Get => self.place.root().join("t"),
        }
    }

    /// The directory that the tree comes into.
    fn target(&self) -> PathBuf {
        match self.way {
            Way::Put => self.place.root(),
            Way::Get => self.place.here(),
        }
    }

    fn job(&self) -> Command {
        let how = "--json --plaintext --connections 1 --retries 0";
        self.place.haul(&match self.way {
            Way::Put => format!("put {how} t [ADDRESS]/"),
            Way::Get => format!("get {how} [ADDRESS]/t"),
        })
    }

    fn log(&self) -> PathBuf {
        self.place.dir.path().join("strace.log")
    }

    /// Runs the job with one end under strace, which is told this.
    #[track_caller]
    fn traced(&self, told: &[String]) -> Ended {
        let log = self.log();
        let words = ["-f", "-o", log.to_str().unwrap()].map(str::to_owned);
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.extend(told.iter().map(String::as_str));
        match self.side {
            Side::Client => Running::start(wrapped("strace", &words, &self.job())).finish(),
            Side::Server => {
                let id = self.place.server.running.id().to_string();
                let mut strace = Command::new("strace");
                strace.args(words).args(["-p", &id]);
                // It says on standard error that it has begun.
                let strace = Running::start(in_shell("exec 2>&1", &strace));
                let begun = strace.line();
                assert!(
                    begun.contains("attached"),
                    "{begun}: needs strace and the right to trace"
                );
                let ended = Running::start(self.job()).finish();
                strace.signal(Signal::INT);
                strace.finish();
                ended
            }
        }
    }

    /// How often each call is made by the thread that makes it the most often.
    #[track_caller]
    fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.begins();
        let ended = self.traced(&[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let log = fs::read_to_string(self.log()).unwrap();
        let mut counts = BTreeMap::<(&str, &str), usize>::new();
        for line in log.lines() {
            let Some((thread, rest)) = line.split_once(' ') else {
                continue;
            };
            if let Some((call, _)) = rest.trim_start().split_once('(') {
                *counts.entry((thread, call)).or_default() += 1;
            }
        }
        let most = |call| {
            let of_call = counts.iter().filter(|((_, made), _)| *made == call);
            of_call.map(|(_, count)| *count).max().unwrap_or(0)
        };
        CALLS.map(|(call, _)| (call, most(call))).into()
    }

    /// Takes away what a round before has left.
    fn begins(&self) {
        let into = self.target();
        let _ = fs::remove_dir_all(into.join("t"));
        let _ = fs::remove_file(self.place.root().join("next"));
        forget_partials(&into);
        for left in staged(&into) {
            let _ = fs::remove_file(left);
        }
    }

    /// Fails one call, and checks what came of it; `false` where none was made.
    #[track_caller]
    fn fails(&mut self, fails: Fails) -> bool {
        self.begins();
        let Fails { call, error, n } = fails;
        let inject = format!("inject={call}:error={error}:when={n}");
        let ended = self.traced(&[
            "-e".to_owned(),
            format!("trace={call}"),
            "-e".to_owned(),
            inject,
        ]);
        let log = fs::read_to_string(self.log()).unwrap();
        let is_made = log.contains("(INJECTED)");
        *self.codes.entry(ended.code.unwrap_or(-1)).or_default() += 1;
        let what = format!("{:?} {:?} {fails:?}", self.way, self.side);
        let lies = self.lies(&ended, fails, is_made);
        if !lies.is_empty() {
            self.lies.push(format!("{what}: {lies:?}: {ended:?}"));
        }
        if call != "unlinkat" {
            eventually(&what, || staged(&self.target()).is_empty());
        }
        let next = self
            .place
            .run("put --plaintext --retries 0 next [ADDRESS]/");
        assert_eq!(next.code, Some(0), "the next put after {what}: {next:?}");
        is_made
    }

    /// What is said of each file is so, and the code is right: what is not, is returned.
    fn lies(&self, ended: &Ended, fails: Fails, is_made: bool) -> Vec<String> {
        let mut lies = Vec::new();
        let mut holds = |is_so: bool, what: String| {
            if !is_so {
                lies.push(what);
            }
        };
        let code = ended.code.unwrap_or(-1);
        let (source, target) = (self.source(), self.target().join("t"));
        let (names, there) = (files(&source), files(&target));
        let read = |tree: &Path, name: &String| fs::read(tree.join(name)).ok();
        for name in &there {
            let is_right = read(&source, name) == read(&target, name);
            holds(is_right, format!("{name} is wrong"));
        }
        holds(
            code != 0 || there == names,
            "a success of less than all".into(),
        );
        // One of the calls is that of a crate on its own pipe, by which it hears of signals.
        let is_own_pipe = fails.call == "recvfrom" && ended.stderr.contains("thread 'signals'");
        holds(
            is_own_pipe || !ended.stderr.contains("panicked"),
            "a panic".into(),
        );
        let is_socket = SOCKET.contains(&fails.call);
        let (mut silent, mut is_tree_told) = (names.clone(), false);
        for told in objects(&ended.stdout) {
            let (Some(path), Some(status)) = (told.get("path"), told.get("status")) else {
                continue;
            };
            let name = path.strip_prefix("t/").unwrap_or(path);
            if !names.contains(name) {
                // A directory that could not be read stands for what is in it.
                is_tree_told |= self.way == Way::Get && status == "failed";
                continue;
            }
            silent.remove(name);
            let message = told.get("message").map_or("", String::as_str);
            let is_there = there.contains(name);
            match status.as_str() {
                "failed" if message.contains("in place, perhaps not durable") => {
                    holds(is_there, format!("{name} is said to be in place"));
                }
                "failed" => holds(
                    !is_there || is_socket,
                    format!("{name} failed, and is there"),
                ),
                _ => holds(is_there, format!("a false receipt for {name}")),
            }
        }
        if !is_made {
            holds(code == 0, "nothing failed, and it did".into());
            return lies;
        }
        let is_needed = NEEDED.contains(&fails.call) && self.receives();
        holds(!is_needed || code != 0, "it was not told of".into());
        // Before its first line a program needs files too, and the loader ends it without them.
        let is_loader = self.side == Side::Client && code == 127;
        let is_right = is_loader || is_tree_told || [0, fails.code()].contains(&code);
        holds(is_right, format!("another code than {}", fails.code()));
        // What somebody else's disk refuses is told of each file.
        let is_told = self.side == Side::Client
            || is_socket
            || is_tree_told
            || code == 0
            || silent.is_empty();
        holds(is_told, format!("nothing was said of {silent:?}"));
        lies
    }

    /// Whether the end under strace is the one that receives.
    fn receives(&self) -> bool {
        matches!(
            (self.way, self.side),
            (Way::Put, Side::Server) | (Way::Get, Side::Client)
        )
    }
}

/// The names of all files in a tree.
fn files(tree: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if !tree.exists() {
        return names;
    }
    for name in visible(tree) {
        if tree.join(&name).is_dir() {
            let inside = visible(&tree.join(&name)).into_iter();
            names.extend(inside.map(|inner| format!("{name}/{inner}")));
        } else {
            names.insert(name);
        }
    }
    names
}

fn staged(directory: &Path) -> Vec<PathBuf> {
    let left = fs::read_dir(directory.join(".haul/staging"));
    let left = left.into_iter().flatten().flatten();
    left.map(|item| item.path()).collect()
}

/// Needs strace, and the right to trace a process that it did not start: root, or
/// `kernel.yama.ptrace_scope` of 0.
///
///     cargo test --test suite -- --ignored --nocapture strace_refuses_each_call_in_turn
#[test]
#[ignore = "takes four minutes, strace, and the right to trace"]
fn strace_refuses_each_call_in_turn() {
    for way in WAYS {
        for side in [Side::Server, Side::Client] {
            let mut bench = Bench::new(way, side);
            let counts = bench.counts();
            let mut failed = 0;
            for (call, errors) in CALLS {
                for n in 1..=counts[call] {
                    for error in errors {
                        failed += usize::from(bench.fails(Fails { call, error, n }));
                    }
                }
            }
            let codes = &bench.codes;
            println!("{way:?}, {side:?}: {failed} refused, codes {codes:?}, of {counts:?}");
            assert!(failed > 30, "{counts:?}");
            let lies = &bench.lies;
            assert!(
                lies.is_empty(),
                "{} rounds:\n{}",
                lies.len(),
                lies.join("\n")
            );
        }
    }
}
