//! Two that put the same file, and one that comes back for what it has lost hold of.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use haul::client::JobOptions;
use haul::code::Code;
use haul::fault::{Call, Fault};
use haul::offer::{EntryId, Verdict};
use haul::server::Config;
use haul::wire::Message;
use haul::wire::message::{Drop, Offered};

use crate::broken_off::{Client, bytes, config, nodes, rig, spared, x};
use crate::putting::X;
use crate::raw::{Heard, Raw, SOON, commit, committed, offer, sum, transfer};
use crate::rig::{Rig, put};
use crate::unharmed::kept;

const AGAIN: EntryId = EntryId(2);

#[test]
fn of_two_that_are_heard_each_has_its_own_and_one_wins_whole() {
    let of = bytes();
    let rig = Rig::with(
        Config {
            takeover: 3 * SOON,
            ..config()
        },
        Fault::default(),
    );
    let mut first = Client::offers(&rig, x(&of));
    first.send(&of, &[0, 1]);
    let mut second = Client::offers(&rig, x(&of));
    assert!(second.partly);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                first.raw.is_answered("it is there");
            }
        });
        assert_eq!(second.has(), nodes(&of, &[]));
        // That it is another's is found out once, not each time.
        let began = Instant::now();
        for _ in 0..200 {
            assert_eq!(second.has(), nodes(&of, &[]));
        }
        assert!(began.elapsed() < 100 * SOON);
        is_over.store(true, Ordering::SeqCst);
    });
    second.send(&of, &[0, 1, 2, 3, 4]);
    assert_eq!(second.commits(&of), []);
    // What the first has is still its own; the very same is no conflict.
    first.finishes(&rig, &of, &[2, 3, 4]);
}

#[test]
fn of_two_puts_of_the_very_same_file_both_are_told_that_it_is_stored() {
    let takeover = SOON;
    let rig = Rig::with(
        Config {
            takeover,
            ..Config::default()
        },
        Fault::default(),
    );
    let source = rig.file("source", 12 << 20);
    for round in 0..5 {
        let name = format!("there-{round}");
        let puts = || put(&rig.client(2), &[(&source, &name)], &JobOptions::default());
        thread::scope(|scope| {
            let both = [scope.spawn(puts), scope.spawn(puts)];
            for put in both {
                put.join().unwrap().is_fine();
            }
        });
        let there = fs::read(rig.root().join(&name)).unwrap();
        assert!(there == fs::read(&source).unwrap());
        assert_eq!(kept(&rig), 0);
    }
}

#[test]
fn what_a_silent_job_has_sent_goes_to_the_next_and_its_late_blocks_land_nowhere() {
    let of = bytes();
    let rig = Rig::with(
        Config {
            takeover: SOON,
            ..config()
        },
        Fault::default(),
    );
    let mut silent = Client::offers(&rig, x(&of));
    silent.send(&of, &[0, 1]);
    let mut again = Client::offers(&rig, x(&of));
    assert_eq!(spared(&again.has(), &of), [0, 1]);
    again.send(&of, &[2]);

    // What still comes of the first is written nowhere, whatever it is.
    let mut other = of.clone();
    other[3 * 1024] ^= 1;
    silent.late(&other, 3);
    let fail = silent.raw.hear_fail("a late block");
    assert_eq!((fail.entry, fail.code), (Some(X), Code::Connection));
    silent.late(&other, 0);
    silent.raw.is_answered("another");
    assert_eq!(silent.commits(&other), [(Code::Connection, vec![])]);
    again.finishes(&rig, &of, &[3, 4]);
}

#[test]
fn a_job_that_comes_back_goes_on_at_once_with_its_own() {
    let (rig, of, id) = (rig(), bytes(), transfer());
    let mut lost = Client::of(&rig, id, X, x(&of));
    lost.send(&of, &[0, 1]);
    // Its first connection says nothing any more, and nobody knows why.
    let mut back = Client::of(&rig, id, AGAIN, x(&of));
    assert!(back.partly);
    let (transfer, entry) = (id, X);
    back.raw.say(&Drop { transfer, entry });
    assert_eq!(back.has(), nodes(&of, &[0, 1]));
    back.finishes(&rig, &of, &[2, 3, 4]);
    drop(lost);
}

/// A gate in front of a flush.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    /// Stands at the gate, once it is shut.
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1));
    }

    /// Waits until somebody stands there.
    fn until_reached(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.0));
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

#[test]
fn a_receipt_that_was_lost_is_asked_for_again_and_nothing_is_sent_twice() {
    for is_same_job in [true, false] {
        let (of, gate) = (bytes(), Arc::<Gate>::default());
        let shut = Arc::clone(&gate);
        let fault = Fault::watched(move |call| {
            if call == Call::FlushData {
                shut.pass();
            }
            Ok(())
        });
        let rig = Rig::with(config(), fault);
        let mut first = Client::offers(&rig, x(&of));
        first.send(&of, &[0, 1, 2, 3, 4]);
        let entry = committed(X, Some(sum(&of)));
        first.raw.say(&commit(first.id, vec![entry]));
        gate.until_reached();
        let id = if is_same_job { first.id } else { transfer() };
        // The receipt is lost with its connection.
        drop(first);
        let mut back = Raw::open(&rig);
        let offered = Offered {
            entry: AGAIN,
            what: x(&of),
            base: 0,
        };
        back.say(&offer(id, vec![offered]));
        gate.open();
        match back.hear() {
            Heard::Message(Message::Want(want)) => {
                assert_eq!(want.verdicts[0].verdict, Verdict::Here, "{is_same_job}");
            }
            other => panic!("{other:?}"),
        }
        assert!(fs::read(rig.root().join("x")).unwrap() == of);
        assert_eq!(kept(&rig), 0);
    }
}
