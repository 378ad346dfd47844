//! Who may have files verified and repaired, and whose findings are not believed.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use haul::client::{DecayedBlocks, JobOptions, Soundness, Summary};
use haul::code::Code;
use haul::content::Checksum;
use haul::entry::{Entry, Version};
use haul::fault::{Call, Fault};
use haul::server::{Admit, Config, Grant, Refusal, Visitor};
use haul::wire::Message;
use haul::wire::message::{Finding, RUNS_MAX, Range, Rights, State};

use crate::evil::{facing, page};
use crate::raw::{PATIENCE, Raw, entry};
use crate::rig::{Outcome, Rig, noise, outcome, put, remote};
use crate::rot::decay;
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::patient;

plain_and_encrypted! {
    a_finding_that_cannot_be_is_not_believed,
}

const LARGE: usize = (3 << 20) + 1;
const READ: u32 = 1;
const WRITE: u32 = 2;
const REPLACE: u32 = 4;

/// Lets everyone in, with rights that can be changed.
#[derive(Debug)]
struct Door(AtomicU32);

impl Admit for Door {
    fn grant(&self, _: &Visitor) -> Result<Grant, Refusal> {
        Ok(Grant::of(Rights(self.0.load(Ordering::SeqCst))))
    }
}

#[test]
fn who_may_read_may_verify_and_who_may_replace_may_repair() {
    let door = Arc::new(Door(AtomicU32::new(READ | WRITE)));
    let config = Config {
        admit: Arc::clone(&door) as Arc<dyn Admit>,
        ..Config::default()
    };
    let rig = Rig::with(config, Fault::default());
    let good = rig.file("good", LARGE);
    let client = rig.client(1);
    put(&client, &[(&good, "large")], &JobOptions::default()).is_fine();
    let path = rig.root().join("large");
    decay(&path, &[2 << 20]);

    let verify = |rights: u32| {
        door.0.store(rights, Ordering::SeqCst);
        let mut found = Vec::new();
        let large = remote("large");
        let rest = client.verify(Some(&large), |entry, it| found.push((entry, it.unwrap())));
        rest.map(|_| found.remove(0)).map_err(|error| error.code())
    };
    for rights in [WRITE, WRITE | REPLACE] {
        let told = verify(rights).unwrap_err();
        assert_eq!(told, Code::NotAuthorised, "{rights}");
    }
    let (entry, found) = verify(READ).unwrap();
    let Soundness::Decayed { recorded, .. } = found else {
        panic!("{found:?}");
    };
    for (rights, code) in [(READ, 4), (READ | WRITE, 4), (READ | WRITE | REPLACE, 0)] {
        door.0.store(rights, Ordering::SeqCst);
        let repaired = outcome(|monitor| client.repair(&entry, recorded, &good, monitor));
        assert_eq!(repaired.code(), code, "{rights}: {repaired:?}");
        let is_repaired = fs::read(&path).unwrap() == noise(LARGE);
        assert_eq!(is_repaired, code == 0, "{rights}");
    }
}

#[test]
fn nobody_waits_for_what_others_have_verified() {
    let (begun, beginning) = channel();
    let (go, until_told) = channel();
    let until_told = Mutex::new(until_told);
    // Nothing but to verify has memory forgotten.
    let fault = Fault::watched(move |call| {
        if call == Call::Advise {
            begun.send(()).unwrap();
            let told = until_told.lock().unwrap().recv_timeout(PATIENCE);
            told.map_err(io::Error::other)?;
        }
        Ok(())
    });
    let rig = Rig::with(Config::default(), fault);
    let source = rig.file("source", 5);
    put(&rig.client(1), &[(&source, "f")], &JobOptions::default()).is_fine();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut found = Vec::new();
                let client = rig.client(1);
                client
                    .verify(None, |_, it| found.push(it.unwrap()))
                    .unwrap();
                assert!(matches!(found[..], [Soundness::Sound(_)]));
            });
        }
        // All have begun before the first goes on.
        for _ in 0..6 {
            beginning.recv_timeout(PATIENCE).unwrap();
        }
        for _ in 0..6 {
            go.send(()).unwrap();
        }
    });
}

#[test]
fn what_is_verified_for_whoever_has_left_is_not_read_to_its_end() {
    const BLOCKS: usize = 40;
    let (left, is_verifying) = (
        Arc::new((Mutex::new(false), Condvar::new())),
        Arc::new(AtomicBool::new(false)),
    );
    let reads = Arc::new(AtomicU32::new(0));
    let (leaving, begun, read) = (Arc::clone(&left), is_verifying, Arc::clone(&reads));
    let fault = Fault::watched(move |call| {
        let (has_left, told) = &*leaving;
        match call {
            Call::Advise => begun.store(true, Ordering::SeqCst),
            // That it is being worked on is the first word after that.
            Call::SocketWrite if begun.load(Ordering::SeqCst) => {
                *has_left.lock().unwrap() = true;
                told.notify_all();
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Call::ReadAt if begun.load(Ordering::SeqCst) => {
                let waiting = has_left.lock().unwrap();
                let waited = told.wait_timeout_while(waiting, PATIENCE, |has_left| !*has_left);
                assert!(!waited.unwrap().1.timed_out(), "nothing was said");
                read.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok(())
    });
    let config = Config {
        fault: fault.clone(),
        ..Config::default()
    };
    let rig = Rig::with(config, fault);
    let source = rig.file("source", BLOCKS << 20);
    put(&rig.client(1), &[(&source, "f")], &JobOptions::default()).is_fine();
    let lost = rig.client(1).verify(None, |_, it| panic!("{it:?}"));
    assert_eq!(lost.unwrap_err().code(), Code::Connection);
    // Once the server has let go of the connection it reads no more.
    drop(rig);
    let reads = reads.load(Ordering::SeqCst) as usize;
    assert!((1..BLOCKS).contains(&reads), "{reads} of {BLOCKS} blocks");
}

/// The last block of a large file, if those have 1 KiB.
const LAST: u64 = LARGE as u64 / 1024;

const RECORDED: Option<Checksum> = Some(Checksum::Blake3([7; 32]));

fn listed() -> Entry {
    Entry {
        version: Some(Version([1; 16])),
        ..entry("f", &noise(LARGE))
    }
}

/// What a client makes of such a finding about a file of 3,073 KiB and more.
fn told(secrecy: Secrecy, finding: Finding) -> (u8, Vec<Soundness>) {
    let mut heard = Vec::new();
    let outcome = facing(
        secrecy,
        patient(),
        move |raw: &mut Raw| {
            let request = raw.hear_list();
            raw.say(&page(request, vec![listed()]));
            let request = match raw.hear_message() {
                Message::Verify(asked) => asked.request,
                other => panic!("{other:?}"),
            };
            let request = request + finding.request;
            raw.say(&Finding { request, ..finding });
        },
        |client| Outcome {
            result: client
                .verify(None, |_, found| heard.extend(found))
                .map(|_| Summary::default()),
            events: Vec::new(),
        },
    );
    (outcome.code(), heard)
}

/// A finding about the very request, for now.
fn finding(state: State, runs: &[(u64, u64)]) -> Finding {
    let runs: Vec<Range> = runs
        .iter()
        .map(|(first, count)| Range {
            first: *first,
            count: *count,
        })
        .collect();
    let is_placed = !runs.is_empty();
    Finding {
        request: 0,
        state,
        checksum: RECORDED,
        block: is_placed.then_some(1024),
        decayed: is_placed.then(|| runs.iter().map(|run| run.count).fold(0, u64::wrapping_add)),
        runs,
    }
}

fn a_finding_that_cannot_be_is_not_believed(secrecy: Secrecy) {
    let fine = |finding: Finding, blocks: Option<DecayedBlocks>| {
        let recorded = Checksum::Blake3([7; 32]);
        let expected = Soundness::Decayed { recorded, blocks };
        assert_eq!(told(secrecy, finding), (0, vec![expected]));
    };
    fine(finding(State::Decayed, &[]), None);
    let placed = |decayed, runs| DecayedBlocks {
        size: 1024,
        all: LAST + 1,
        decayed,
        runs,
    };
    fine(
        finding(State::Decayed, &[(0, 2), (LAST, 1)]),
        Some(placed(3, vec![0..2, LAST..LAST + 1])),
    );
    let many: Vec<(u64, u64)> = (0..RUNS_MAX as u64).map(|n| (2 * n, 1)).collect();
    let named = many.iter().map(|(first, _)| *first..first + 1).collect();
    fine(
        Finding {
            decayed: Some(1000),
            ..finding(State::Decayed, &many)
        },
        Some(placed(1000, named)),
    );
    for (case, finding) in cannot_be() {
        assert_eq!(told(secrecy, finding), (9, vec![]), "{case}");
    }
}

/// What no server that means well says.
fn cannot_be() -> Vec<(&'static str, Finding)> {
    let of_no_block = |block| Finding {
        block,
        ..finding(State::Decayed, &[(0, 1)])
    };
    let many: Vec<(u64, u64)> = (0..RUNS_MAX as u64).map(|n| (2 * n, 1)).collect();
    let more: Vec<(u64, u64)> = (0..=RUNS_MAX as u64).map(|n| (2 * n, 1)).collect();
    vec![
        (
            "of another request",
            Finding {
                request: 1,
                ..finding(State::Sound, &[])
            },
        ),
        (
            "sound, of nothing",
            Finding {
                checksum: None,
                ..finding(State::Sound, &[])
            },
        ),
        (
            "edited, of nothing",
            Finding {
                checksum: None,
                ..finding(State::Edited, &[])
            },
        ),
        (
            "decayed, of nothing",
            Finding {
                checksum: None,
                ..finding(State::Decayed, &[])
            },
        ),
        ("unrecorded, and recorded", finding(State::Unrecorded, &[])),
        ("sound, and decayed", finding(State::Sound, &[(0, 1)])),
        ("a run of none", finding(State::Decayed, &[(0, 0)])),
        (
            "a run of none behind one",
            finding(State::Decayed, &[(0, 1), (3, 0)]),
        ),
        (
            "runs out of order",
            finding(State::Decayed, &[(3, 1), (0, 1)]),
        ),
        (
            "runs that touch",
            finding(State::Decayed, &[(0, 1), (1, 1)]),
        ),
        (
            "a run beyond the end",
            finding(State::Decayed, &[(LAST, 2)]),
        ),
        (
            "a run without an end",
            finding(State::Decayed, &[(2, u64::MAX)]),
        ),
        ("too many runs", finding(State::Decayed, &more)),
        ("runs without a block", of_no_block(None)),
        ("no block's size", of_no_block(Some(1000))),
        (
            "fewer than are named",
            Finding {
                decayed: Some(1),
                ..finding(State::Decayed, &[(0, 2)])
            },
        ),
        (
            "more than are named",
            Finding {
                decayed: Some(3),
                ..finding(State::Decayed, &[(0, 2)])
            },
        ),
        (
            "more than there are",
            Finding {
                decayed: Some(LAST + 2),
                ..finding(State::Decayed, &many)
            },
        ),
        (
            "none, and placed",
            Finding {
                block: Some(1024),
                decayed: Some(0),
                ..finding(State::Decayed, &[])
            },
        ),
    ]
}
