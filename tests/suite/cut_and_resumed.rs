//! One exchange in memory, cut before any byte of it, and another that goes on from there.

use std::time::Duration;

use crate::exchange::{Exchange, Ran, Setting};
use crate::memory::{Damage, Side};
use crate::rig::forget_partials;
use crate::watch::staged;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Not every byte: what comes of one is mostly what comes of the next.
const STEP: usize = 7;

/// An exchange whose server keeps what was broken off.
fn keeping() -> Exchange {
    Exchange::with(Setting {
        keep: WEEK,
        ..Setting::default()
    })
}

/// Which way the file goes, and what that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Put,
    Get,
}

impl Way {
    fn run(self, exchange: &Exchange, from: Side, damage: Damage) -> Ran {
        match self {
            Self::Put => exchange.put(from, damage),
            Self::Get => exchange.get(from, damage),
        }
    }

    /// Where it goes, and what is there besides.
    fn target(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Put => ("root", &["there"]),
            Self::Get => ("into", &[]),
        }
    }
}

/// Cuts what `from` says before every so many bytes; the next try goes on, and ends well.
fn is_cut_and_goes_on(way: Way, from: Side) {
    let exchange = keeping();
    let (directory, beside) = way.target();
    let target = exchange.dir.path().join(directory);
    let whole = way.run(&exchange, from, Damage::None);
    whole.outcome.is_fine();
    assert!(exchange.published(directory, beside, "whole"));
    // The side that sends the file.
    let sender = match way {
        Way::Put => Side::Client,
        Way::Get => Side::Server,
    };
    let mut least = usize::MAX;
    for at in (0..whole.said[from as usize].len()).step_by(STEP) {
        let what = format!("{way:?} {from:?} cut before {at}");
        let cut = way.run(&exchange, from, Damage::Cut(at));
        assert_ne!(cut.outcome.code(), 0, "{what}: {:?}", cut.outcome);
        let is_there = exchange.published(directory, beside, &what);
        let again = way.run(&exchange, from, Damage::None);
        again.outcome.is_fine();
        assert!(exchange.published(directory, beside, &what), "{what}");
        assert_eq!(staged(&target), 0, "{what}: something is left");
        if !is_there {
            least = least.min(again.said[sender as usize].len());
        }
    }
    if from == sender {
        // Two blocks of three need not be sent again at the end.
        let most = whole.said[sender as usize].len();
        assert!(least + 2 * 1024 < most + 300, "{least} of {most} bytes");
    }
}

/// Damages what `from` says when it goes on after a cut.
fn is_damaged_when_it_goes_on(way: Way, from: Side) {
    let exchange = keeping();
    let (directory, beside) = way.target();
    let target = exchange.dir.path().join(directory);
    let whole = way.run(&exchange, from, Damage::None);
    assert!(exchange.published(directory, beside, "whole"));
    let sender = match way {
        Way::Put => Side::Client,
        Way::Get => Side::Server,
    };
    // In the third block.
    let cut = Damage::Cut(whole.said[sender as usize].len() - 250);
    let begin = || {
        forget_partials(&target);
        way.run(&exchange, sender, cut);
        assert!(staged(&target) > 0, "there is something to go on with");
    };
    begin();
    let clean = way.run(&exchange, from, Damage::None);
    assert!(exchange.published(directory, beside, "undamaged"));
    for at in (0..clean.said[from as usize].len()).step_by(STEP) {
        let what = format!("{way:?} {from:?}, byte {at}");
        begin();
        let ran = way.run(&exchange, from, Damage::Flip(at));
        let is_there = exchange.published(directory, beside, &what);
        assert_ne!(ran.outcome.code(), 0, "{what}: {:?}", ran.outcome);
        if !is_there {
            way.run(&exchange, from, Damage::None).outcome.is_fine();
            assert!(exchange.published(directory, beside, &what), "{what}");
        }
    }
}

#[test]
fn a_put_whose_client_is_cut_anywhere_goes_on() {
    is_cut_and_goes_on(Way::Put, Side::Client);
}

#[test]
fn a_put_whose_server_is_cut_anywhere_goes_on() {
    is_cut_and_goes_on(Way::Put, Side::Server);
}

#[test]
fn a_get_whose_client_is_cut_anywhere_goes_on() {
    is_cut_and_goes_on(Way::Get, Side::Client);
}

#[test]
fn a_get_whose_server_is_cut_anywhere_goes_on() {
    is_cut_and_goes_on(Way::Get, Side::Server);
}

#[test]
fn no_damage_to_a_put_that_goes_on_passes_for_success() {
    is_damaged_when_it_goes_on(Way::Put, Side::Client);
    is_damaged_when_it_goes_on(Way::Put, Side::Server);
}

#[test]
fn no_damage_to_a_get_that_goes_on_passes_for_success() {
    is_damaged_when_it_goes_on(Way::Get, Side::Client);
    is_damaged_when_it_goes_on(Way::Get, Side::Server);
}
