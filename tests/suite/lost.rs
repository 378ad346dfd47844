//! One connection of several is lost: its work goes to the others.

use std::fs;
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use haul::client::{Client, JobOptions, Options, Retry};
use haul::net::Transport;
use haul::net::plain::Plain;
use haul::server::Config;

use crate::rig::{Outcome, Rig, get, put};

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
