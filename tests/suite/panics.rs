//! A panic in any thread of a job ends the job: nobody waits for what that thread had to do.

use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use haul::client::{Client, JobOptions, Options, Upload};
use haul::fault::{Call, Fault};

use crate::raw::PATIENCE;
use crate::rig::{Rig, get, outcome, remote};

/// The job ends, and passes the panic on.
#[track_caller]
fn panics(job: impl FnOnce() + Send + 'static) {
    let (alive, ended) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let _alive = alive;
        job();
    });
    assert_eq!(
        ended.recv_timeout(PATIENCE),
        Err(RecvTimeoutError::Disconnected)
    );
    assert!(thread.join().is_err(), "it went well");
}

#[test]
fn a_get_ends_whose_publisher_panics() {
    let rig = Rig::new();
    fs::write(rig.root().join("there"), "there").unwrap();
    let fault = Fault::watched(|call| {
        assert_ne!(call, Call::Rename, "a panic that the test asked for");
        Ok(())
    });
    let options = Options {
        fault,
        ..Options::default()
    };
    let client = Client::new(&rig.address, options);
    let into = rig.dir.path().join("into");
    panics(move || {
        get(&client, &[("there", "here")], &into, &JobOptions::default());
    });
}

#[test]
fn a_put_ends_whose_search_panics() {
    let rig = Rig::new();
    let (source, client) = (rig.file("source", 10), rig.client(2));
    // Behind those that are looked at before anybody begins.
    let uploads = (0..400).map(move |number| {
        assert!(number < 300, "a panic that the test asked for");
        Upload::local(&source, Some(remote(&number.to_string())))
    });
    panics(move || {
        outcome(|monitor| client.put(uploads, &JobOptions::default(), monitor)).is_fine();
    });
}
