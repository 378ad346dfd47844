//! One connection of several is lost: its work goes to the others.

use std::fs;
use std::io::{self, IoSlice};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use haul::client::{Client, Download, Event, JobOptions, Options, Retry};
use haul::net::Transport;
use haul::net::plain::Plain;
use haul::server::Config;
use haul::wire::message::Rights;

use crate::both_ways::{WAYS, Way};
use crate::evil::Giving;
use crate::raw::Raw;
use crate::rig::{Outcome, Rig, get, outcome, put, remote};
use crate::secrecy::{Keys, Secrecy};

const MIB: usize = 1 << 20;

/// A connection that is lost after so many bytes, whichever way they go.
struct Mortal {
    inner: Plain,
    left: usize,
}

impl Mortal {
    fn spend(&mut self, bytes: usize) -> usize {
        self.left = self.left.saturating_sub(bytes);
        bytes
    }

    fn is_alive(&self) -> io::Result<()> {
        if self.left == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Transport for Mortal {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.is_alive()?;
        let n = self.inner.read(into, wait)?;
        Ok(self.spend(n))
    }

    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize> {
        self.is_alive()?;
        let n = self.inner.write(slices, wait)?;
        Ok(self.spend(n))
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        self.is_alive()?;
        self.inner.is_readable()
    }

    fn has_left(&mut self) -> io::Result<bool> {
        self.inner.has_left()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }

    fn peer(&self) -> String {
        self.inner.peer()
    }
}

/// A client of which one connection, the n-th, is lost after `bytes`.
pub fn client(rig: &Rig, mortal: usize, bytes: usize) -> Client {
    let address = rig.address.clone();
    let opened = AtomicUsize::new(0);
    let connect = move || -> io::Result<Box<dyn Transport>> {
        let inner = Plain::new(TcpStream::connect(&address)?)?;
        let left = match opened.fetch_add(1, Ordering::SeqCst) {
            n if n == mortal => bytes,
            _ => usize::MAX,
        };
        Ok(Box::new(Mortal { inner, left }))
    };
    let options = Options {
        connections: 4,
        ..Options::default()
    };
    Client::over(connect, options)
}

/// Small segments, so that each connection carries many, each of several blocks.
fn rig() -> Rig {
    let config = Config {
        segment: 3 * MIB as u64,
        ..Config::default()
    };
    Rig::with(config, haul::fault::Fault::default())
}

/// Moments of a connection's life: before its opening, at it, and in mid-work.
const MOMENTS: [usize; 6] = [1, 60, 200, MIB / 2, 2 * MIB + 77, 5 * MIB];

#[track_caller]
fn goes_well(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.code(), 0, "{what}: {outcome:?}");
}

#[test]
fn a_put_goes_on_over_the_other_connections() {
    for mortal in [0, 2] {
        for bytes in MOMENTS {
            let rig = rig();
            let source = rig.file("source", 40 * MIB + 3);
            let small: Vec<_> = (0..300)
                .map(|n| rig.file(&format!("small-{n}"), n))
                .collect();
            let names: Vec<_> = (0..300).map(|n| format!("small-{n}")).collect();
            let mut files = vec![(source.as_path(), "there")];
            files.extend(
                small
                    .iter()
                    .zip(&names)
                    .map(|(p, n)| (p.as_path(), n.as_str())),
            );
            let what = format!("connection {mortal} lost after {bytes}");
            let outcome = put(&client(&rig, mortal, bytes), &files, &JobOptions::default());
            goes_well(&outcome, &what);
            for (path, name) in files {
                assert!(fs::read(path).unwrap() == fs::read(rig.root().join(name)).unwrap());
            }
        }
    }
}

#[test]
fn a_get_goes_on_over_the_other_connections() {
    for mortal in [1, 3] {
        for bytes in MOMENTS {
            let rig = rig();
            let source = rig.file("source", 40 * MIB + 3);
            fs::copy(&source, rig.root().join("there")).unwrap();
            let into = rig.dir.path().join("into");
            let what = format!("connection {mortal} lost after {bytes}");
            let client = client(&rig, mortal, bytes);
            let outcome = get(&client, &[("there", "here")], &into, &JobOptions::default());
            goes_well(&outcome, &what);
            assert!(fs::read(&source).unwrap() == fs::read(into.join("here")).unwrap());
        }
    }
}

/// So many tries, without a pause.
fn at_once(most: u32) -> Retry {
    Retry {
        most,
        first: Duration::ZERO,
        longest: Duration::ZERO,
    }
}

/// A client of which every connection is lost after so many bytes, and how many it opened.
fn mortal(rig: &Rig, bytes: usize, most: u32) -> (Client, Arc<AtomicUsize>) {
    let address = rig.address.clone();
    let opened = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&opened);
    let connect = move || -> io::Result<Box<dyn Transport>> {
        count.fetch_add(1, Ordering::SeqCst);
        let inner = Plain::new(TcpStream::connect(&address)?)?;
        Ok(Box::new(Mortal { inner, left: bytes }))
    };
    let options = Options {
        connections: 3,
        retry: at_once(most),
        ..Options::default()
    };
    (Client::over(connect, options), opened)
}

#[test]
fn a_job_that_gets_somewhere_goes_on_however_often_its_connections_are_lost() {
    for way in WAYS {
        let rig = rig();
        let source = rig.file("source", 40 * MIB + 3);
        fs::copy(&source, rig.root().join("old")).unwrap();
        // A connection that is reset takes with it what the server has not read yet.
        let (client, opened) = mortal(&rig, 3 * MIB + 77, 20);
        let options = JobOptions::default();
        let into = rig.dir.path().join("into");
        let (outcome, target) = match way {
            Way::Put => {
                let outcome = put(&client, &[(&source, "there")], &options);
                (outcome, rig.root().join("there"))
            }
            Way::Get => {
                let outcome = get(&client, &[("old", "here")], &into, &options);
                (outcome, into.join("here"))
            }
        };
        goes_well(&outcome, &format!("{way:?}"));
        assert_eq!(outcome.statuses().len(), 1, "{way:?}: it is told of once");
        assert!(fs::read(&source).unwrap() == fs::read(target).unwrap());
        let opened = opened.load(Ordering::SeqCst);
        assert!(opened > 10, "{way:?}: {opened} connections");
        let lost = |event: &&Event| matches!(event, Event::Lost(_));
        assert!(outcome.events.iter().filter(lost).count() > 3, "{way:?}");
    }
}

#[test]
fn whoever_may_only_write_goes_on_with_what_is_their_own() {
    let config = Config {
        admit: Arc::new(Rights(2)),
        ..Config::default()
    };
    let rig = Rig::with(config, haul::fault::Fault::default());
    let source = rig.file("source", 12 * MIB + 3);
    // A connection that is reset takes with it what the server has not read yet.
    let (client, opened) = mortal(&rig, 3 * MIB + 77, 20);
    let outcome = put(&client, &[(&source, "there")], &JobOptions::default());
    goes_well(&outcome, "without the right to read");
    assert!(fs::read(&source).unwrap() == fs::read(rig.root().join("there")).unwrap());
    assert!(opened.load(Ordering::SeqCst) > 3);
}

#[test]
fn a_job_that_gets_nowhere_is_given_up() {
    for most in [0, 1, 5] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        // It is friendly, and lets go of whoever has something for it.
        let serve = move || {
            for _ in 0..=most {
                let socket = listener.accept().unwrap().0;
                Raw::over(socket, &Keys::of(Secrecy::Plain)).hear_offer();
            }
            listener
        };
        let server = thread::spawn(serve);
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::write(&source, "source").unwrap();
        let options = Options {
            retry: at_once(most),
            ..Options::default()
        };
        let client = Client::new(&address, options);
        let outcome = put(&client, &[(&source, "there")], &JobOptions::default());
        assert_eq!(outcome.code(), 3, "{most}: {outcome:?}");
        let lost = |event: &&Event| matches!(event, Event::Lost(_));
        let lost = outcome.events.iter().filter(lost).count();
        assert_eq!(lost, most as usize, "{outcome:?}");
        let listener = server.join().unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "{most}: one try too many");
    }
}

#[test]
fn a_get_that_always_breaks_before_the_last_word_is_given_up() {
    const TRIES: u32 = 3;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options {
        connections: 1,
        retry: at_once(TRIES),
        ..Options::default()
    };
    let client = Client::new(&listener.local_addr().unwrap().to_string(), options);
    let server = thread::spawn(move || {
        for attempt in 0..=TRIES {
            let socket = listener.accept().unwrap().0;
            let mut raw = Raw::accepted(socket, &Keys::of(Secrecy::Plain));
            let mut giving = match attempt {
                0 => Giving::begin(&mut raw),
                _ => Giving::again(&mut raw),
            };
            // The last block comes each time, and that all are of one version is never said.
            giving.blocks();
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let download = || Download {
        from: Some(remote("f")),
        to: Some(remote("f")),
    };
    let outcome = outcome(|monitor| {
        let result = client.get(
            vec![download()],
            dir.path(),
            &JobOptions::default(),
            monitor,
        );
        let done = monitor.progress.bytes_done.load(Ordering::Relaxed);
        assert!(done <= 2500, "{done} bytes of 2500");
        result
    });
    assert_eq!(outcome.code(), 3, "{outcome:?}");
    let lost = |event: &&Event| matches!(event, Event::Lost(_));
    let lost = outcome.events.iter().filter(lost).count();
    assert_eq!(lost, TRIES as usize, "{outcome:?}");
    server.join().unwrap();
}

#[test]
fn a_server_that_never_welcomed_anybody_is_not_asked_again() {
    for bytes in [1, 60] {
        let rig = rig();
        let source = rig.file("source", 1000);
        let (client, opened) = mortal(&rig, bytes, 5);
        let outcome = put(&client, &[(&source, "there")], &JobOptions::default());
        assert_eq!(outcome.code(), 3, "{bytes}: {outcome:?}");
        assert_eq!(opened.load(Ordering::SeqCst), 1, "{bytes}");
    }
}

#[test]
fn a_job_whose_last_connection_is_lost_fails_and_leaves_nothing() {
    for bytes in MOMENTS {
        let rig = rig();
        let source = rig.file("source", 40 * MIB + 3);
        let address = rig.address.clone();
        let connect = move || -> io::Result<Box<dyn Transport>> {
            let inner = Plain::new(TcpStream::connect(&address)?)?;
            Ok(Box::new(Mortal { inner, left: bytes }))
        };
        let client = Client::over(connect, Options::default());
        let outcome = put(&client, &[(&source, "there")], &JobOptions::default());
        assert_eq!(outcome.code(), 3, "{bytes}: {outcome:?}");
        assert!(rig.visible().is_empty());
    }
}
