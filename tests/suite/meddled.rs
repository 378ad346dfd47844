//! haul's two ends as processes, and between them what damages one byte of what they say.
//!
//! What `damaged` does to two ends in one process is done here to those that people run: what
//! counts is an exit code and what is on the disk. Each damage is to a file of its own, so that
//! none is taken for what came of another. Deadlines are short at the server, and long at the
//! client, so that it is the server that ends what stalls.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::Signal;

use crate::both_ways::{WAYS, Way};
use crate::memory::{DAMAGES, Damage, Side};
use crate::place::Place;
use crate::program::Ended;
use crate::rig::{noise, visible};
use crate::secrecy::Secrecy;
use crate::tampering::{Passed, before_goodbye, tamper};

/// Servers that are tried at once: where one waits for its end, others go on.
const LANES: usize = 12;

/// What is sent: less than a block.
const SMALL: usize = 300;

/// Blocks, the last of them short: of such a file a part is kept.
const LARGE: usize = (2 << 20) + 5;

/// Between a client and a server, on a port of its own.
struct Meddler {
    address: String,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    /// What is done to the next connection.
    next: Option<(Side, Damage)>,
    /// What passed over the last one.
    passed: Passed,
    is_over: bool,
}

impl Meddler {
    fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let plan = Arc::<Mutex<Plan>>::default();
        let (meddling, server) = (Arc::clone(&plan), server.to_owned());
        let accept = move || {
            for near in listener.incoming() {
                let mut plan = meddling.lock().unwrap();
                if plan.is_over {
                    return;
                }
                let far = TcpStream::connect(&server).unwrap();
                let damage = plan.next.take().unwrap_or((Side::Client, Damage::None));
                plan.passed = Passed::default();
                tamper(&near.unwrap(), &far, damage, &plan.passed);
            }
        };
        let named = thread::Builder::new().name("meddler".to_owned());
        named.spawn(accept).unwrap();
        Self { address, plan }
    }

    fn arm(&self, from: Side, damage: Damage) {
        self.plan.lock().unwrap().next = Some((from, damage));
    }

    /// What a side has said over the last connection.
    fn said(&self, side: Side) -> Vec<u8> {
        self.plan.lock().unwrap().passed.of(side)
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.plan.lock().unwrap().is_over = true;
        let _ = TcpStream::connect(&self.address);
    }
}

/// One try: who says what is damaged, and how often the client may connect again.
#[derive(Clone, Copy, Debug)]
struct Try {
    way: Way,
    from: Side,
    damage: Damage,
    retries: u32,
}

/// A server, and what came of the tries at it.
struct Lane {
    place: Place,
    meddler: Meddler,
    secrecy: Secrecy,
    content: Vec<u8>,
    tries: usize,
    /// Names that must never be there: what their clients said was not whole.
    never: Vec<String>,
}

impl Lane {
    fn new(secrecy: Secrecy, len: usize) -> Self {
        let hasty = "--opening-timeout 1 --idle-timeout 1 --stall-timeout 1";
        let place = Place::serving(&format!("{} {hasty}", flag(secrecy)));
        let content = noise(len);
        place.file("source", &content);
        fs::write(place.root().join("there"), &content).unwrap();
        Self {
            meddler: Meddler::before(&place.server.address),
            place,
            secrecy,
            content,
            tries: 0,
            never: Vec::new(),
        }
    }

    /// Takes a file from one side to the other, under a name of its own.
    fn runs(&mut self, way: Way, retries: u32) -> (Ended, String) {
        self.tries += 1;
        let name = format!("new-{}", self.tries);
        let (flag, at) = (flag(self.secrecy), &self.meddler.address);
        let how = format!("--connections 1 --retries {retries}");
        let line = match way {
            Way::Put => format!("{flag} put {how} source {at}/{name}"),
            Way::Get => format!("{flag} get {how} {at}/there {name}"),
        };
        (self.place.run(&line), name)
    }

    /// What one side says in an exchange that nobody meddles with.
    #[track_caller]
    fn is_well(&mut self, way: Way, from: Side, what: &str) -> Vec<u8> {
        // Where the machine is slow the server may give up on an honest client.
        let (ended, name) = self.runs(way, 5);
        assert_eq!(ended.code, Some(0), "{what}: {ended:?}");
        assert!(self.is_there(way, &name, what), "{what}");
        self.meddler.said(from)
    }

    /// Whether a whole file has the name; another than the right one has it never.
    #[track_caller]
    fn is_there(&self, way: Way, name: &str, what: &str) -> bool {
        let directory = match way {
            Way::Put => self.place.root(),
            Way::Get => self.place.here(),
        };
        let came = fs::read(directory.join(name)).ok();
        let is_right = came.as_ref().is_none_or(|came| *came == self.content);
        assert!(is_right, "{what}: a wrong file is visible");
        came.is_some()
    }

    /// Makes one try, and holds what came of it against what had to; says whether it had to
    /// fail.
    #[track_caller]
    fn tries(&mut self, one: Try) -> bool {
        let what = format!("{:?} {one:?}", self.secrecy);
        self.meddler.arm(one.from, one.damage);
        let (ended, name) = self.runs(one.way, one.retries);
        let code = ended.code.expect("it ended by itself");
        let is_there = self.is_there(one.way, &name, &what);
        assert!(code != 0 || is_there, "{what}: a success of nothing");
        let told = ended.stderr.contains("haul: ") || ended.stderr.contains("failed");
        assert!(code == 0 || told, "{what}: {ended:?}");
        let mut must_fail = false;
        if one.retries == 0 {
            let said = self.meddler.said(one.from);
            let needed = match self.secrecy {
                Secrecy::Plain => &said[..],
                Secrecy::Encrypted => before_goodbye(&said),
            };
            must_fail = !one.damage.carry(0, &said).0.starts_with(needed);
            // Of the head of a sealed record nothing depends on its type and version.
            let is_free =
                self.secrecy == Secrecy::Encrypted && matches!(one.damage, Damage::Flip(_));
            let may = match one.damage {
                Damage::Stall(_) | Damage::Cut(_) | Damage::Reset(_) => code == 3,
                _ => matches!(code, 3 | 7 | 9) || (self.secrecy == Secrecy::Plain && code != 0),
            };
            assert!(
                !must_fail || may || (is_free && code == 0),
                "{what}: {ended:?}"
            );
            if code != 0 && one.from == Side::Client {
                self.never.push(name);
            }
        } else {
            let mended = matches!(one.damage, Damage::Cut(_) | Damage::Reset(_));
            assert!(!mended || code == 0, "{what}: {ended:?}");
        }
        self.is_well(Way::Put, one.from, &format!("the next after {what}"));
        must_fail
    }

    /// Ends the server, and looks at all there is.
    #[track_caller]
    fn ends(self) {
        self.place.server.running.signal(Signal::TERM);
        let (root, here) = (self.place.root(), self.place.here());
        let dir = self.place.dir;
        let ended = self.place.server.running.finish();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
        for name in visible(&root) {
            let came = fs::read(root.join(&name)).unwrap();
            assert!(came == self.content, "{name} is wrong");
            assert!(!self.never.contains(&name), "{name} was not committed");
        }
        for directory in [root, here] {
            let left = fs::read_dir(directory.join(".haul/staging"));
            assert_eq!(left.map_or(0, Iterator::count), 0, "staging is left");
            if self.content.len() == SMALL {
                let left = fs::read_dir(directory.join(".haul/partial"));
                assert_eq!(
                    left.map_or(0, Iterator::count),
                    0,
                    "a part of a block is kept"
                );
            }
        }
        drop(dir);
    }
}

fn flag(secrecy: Secrecy) -> &'static str {
    match secrecy {
        Secrecy::Plain => "--plaintext",
        Secrecy::Encrypted => "",
    }
}

/// Which bytes of an exchange are tried, and with which damages.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// So many in all, spread over it, each in another way than the one before.
    Spread(usize),
    /// Every so manieth, in every way.
    Each(usize),
}

/// Tries all kinds of exchanges at this pace, and returns how many tries those were, and how
/// many of them had to fail.
fn are_tried(secrecy: Secrecy, len: usize, pace: Pace) -> (usize, usize) {
    let mut tries = Vec::new();
    let mut lane = Lane::new(secrecy, len);
    for way in WAYS {
        for from in [Side::Client, Side::Server] {
            let said = lane.is_well(way, from, "undamaged").len();
            assert!(said > 100, "{way:?} {from:?}: {said} bytes are no exchange");
            let one = |damage, retries| Try {
                way,
                from,
                damage,
                retries,
            };
            match pace {
                Pace::Spread(count) => {
                    let at = |n: usize| n * said / count;
                    let each = (0..count).map(|n| one(DAMAGES[n % 6](at(n)), 0));
                    tries.extend(each);
                }
                Pace::Each(step) => {
                    for at in (0..said).step_by(step) {
                        tries.extend(DAMAGES.map(|damage| one(damage(at), 0)));
                    }
                }
            }
            // Once it was let in, a client that may connect again picks up from there.
            for damage in [Damage::Cut(said - 40), Damage::Reset(said - 40)] {
                tries.push(one(damage, 5));
            }
        }
    }
    lane.ends();
    let count = tries.len();
    let (tries, failed) = (Mutex::new(tries.into_iter()), AtomicUsize::new(0));
    let run = || {
        let mut lane = Lane::new(secrecy, len);
        loop {
            let Some(one) = tries.lock().unwrap().next() else {
                break;
            };
            failed.fetch_add(usize::from(lane.tries(one)), Ordering::SeqCst);
        }
        lane.ends();
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(run)).collect();
        for lane in lanes {
            lane.join().unwrap();
        }
    });
    let failed = failed.into_inner();
    assert!(
        failed > count / 2,
        "{secrecy:?}: {failed} of {count} had to fail"
    );
    (count, failed)
}

#[test]
fn a_byte_that_is_damaged_between_two_programs_never_passes_for_success() {
    are_tried(Secrecy::Plain, SMALL, Pace::Spread(18));
}

#[test]
fn a_byte_that_is_damaged_beneath_encryption_never_passes_for_success() {
    are_tried(Secrecy::Encrypted, SMALL, Pace::Spread(18));
}

#[test]
fn a_byte_that_is_damaged_in_a_large_file_never_passes_for_success() {
    are_tried(Secrecy::Plain, LARGE, Pace::Spread(6));
}

#[test]
fn a_reset_in_mid_body_publishes_nothing() {
    for way in WAYS {
        let mut lane = Lane::new(Secrecy::Plain, LARGE);
        let from = match way {
            Way::Put => Side::Client,
            Way::Get => Side::Server,
        };
        lane.tries(Try {
            way,
            from,
            damage: Damage::Reset(LARGE / 2),
            retries: 0,
        });
        let new = lane.place.root().join("new-1");
        assert!(!new.exists() && !lane.place.here().join("new-1").exists());
        lane.ends();
    }
}

/// It leaves out no byte of a small file, in clear or encrypted; of a large one it tries some.
///
///     cargo test --test suite -- --ignored --nocapture every_byte_between_two_programs
#[test]
#[ignore = "takes fourteen minutes"]
fn every_byte_between_two_programs_is_damaged_in_every_way() {
    for (secrecy, len, pace) in [
        (Secrecy::Plain, SMALL, Pace::Each(1)),
        (Secrecy::Encrypted, SMALL, Pace::Each(1)),
        (Secrecy::Plain, LARGE, Pace::Spread(120)),
        (Secrecy::Encrypted, LARGE, Pace::Spread(120)),
    ] {
        let (count, failed) = are_tried(secrecy, len, pace);
        println!("{secrecy:?}, {len} bytes, {pace:?}: {count} tries, {failed} had to fail");
    }
}
