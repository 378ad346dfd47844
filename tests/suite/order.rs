//! The order of calls that a receipt stands for.

use haul::fault::Call;
use haul::server::Config;

use crate::rig::Rig;
use crate::saboteur::{NESTED, Saboteur, put_all, sources};

#[track_caller]
fn is_in_order(trace: &[Call], flush: Call) {
    let first = |call| {
        trace
            .iter()
            .position(|c| *c == call)
            .expect("the call was made")
    };
    let last = |call| {
        trace
            .iter()
            .rposition(|c| *c == call)
            .expect("the call was made")
    };
    let receipt = first(Call::Rename)
        + trace[first(Call::Rename)..]
            .iter()
            .position(|call| *call == Call::SocketWrite)
            .expect("a receipt was sent");
    assert!(last(flush) < first(Call::SetAttribute), "{trace:?}");
    assert!(first(Call::SetAttribute) < first(Call::Rename), "{trace:?}");
    assert!(last(Call::Rename) < last(Call::FlushDirectory), "{trace:?}");
    assert!(last(Call::FlushDirectory) < receipt, "{trace:?}");
}

#[test]
fn data_is_flushed_then_renamed_then_directories_are_flushed_then_comes_the_receipt() {
    let saboteur = Saboteur::default();
    let config = Config {
        fault: saboteur.fault(),
        ..Config::default()
    };
    let rig = Rig::with(config, saboteur.fault());
    let sources = sources(&rig);
    for (files, flush) in [
        (&sources[10..], Call::FlushData),
        (&sources[..10], Call::FlushAll),
    ] {
        saboteur.arm(None);
        put_all(&rig.client(1), files).is_fine();
        is_in_order(&saboteur.trace(), flush);
    }
    // The same again moves nothing, and is vouched for all the same.
    saboteur.arm(None);
    put_all(&rig.client(1), &sources[10..]).is_fine();
    let trace = saboteur.trace();
    let last = |call| {
        trace
            .iter()
            .rposition(|c| *c == call)
            .expect("the call was made")
    };
    assert!(!trace.contains(&Call::Rename), "{trace:?}");
    assert!(
        last(Call::FlushData) < last(Call::FlushDirectory),
        "{trace:?}"
    );
    assert!(
        last(Call::FlushDirectory) < last(Call::SocketWrite),
        "{trace:?}"
    );
}

#[test]
fn every_directory_up_to_the_root_is_flushed_however_old_it_is() {
    let saboteur = Saboteur::default();
    let rig = Rig::with(Config::default(), saboteur.fault());
    let sources = sources(&rig);
    // The first put makes the directories. Whether it, or another put, or one that
    // failed has flushed their names is nothing that a later receipt may rely on.
    let nested = sources
        .iter()
        .filter(|(_, name)| NESTED.contains(&name.as_str()));
    for source in nested {
        saboteur.arm(None);
        put_all(&rig.client(1), std::slice::from_ref(source)).is_fine();
        let trace = saboteur.trace();
        let flushes = trace.iter().filter(|call| **call == Call::FlushDirectory);
        assert_eq!(flushes.count(), 3, "{trace:?}");
    }
}
