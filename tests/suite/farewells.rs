//! A job that is done ends its connections and waits for nobody: far away the other side's end
//! comes a round trip later.

use std::fs;
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use haul::client::{Client, JobOptions, Options};
use haul::net::Transport;
use haul::net::plain::Plain;
use haul::store::Parents;

use crate::rig::{Rig, get, put, remote};
use crate::unharmed::eventually;

const CONNECTIONS: usize = 4;
const MIB: usize = 1 << 20;

/// What became of the connections of a client.
#[derive(Debug, Default)]
struct Ends {
    opened: AtomicUsize,
    /// Whose writing half was ended.
    finished: AtomicUsize,
    /// How often something was read, or waited for, after that.
    waits: AtomicUsize,
}

struct Leaving {
    inner: Plain,
    ends: Arc<Ends>,
    is_finished: bool,
}

impl Leaving {
    fn listen(&self) {
        let waits = usize::from(self.is_finished);
        self.ends.waits.fetch_add(waits, Ordering::SeqCst);
    }
}

impl Transport for Leaving {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.listen();
        self.inner.read(into, wait)
    }

    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize> {
        self.inner.write(slices, wait)
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        self.inner.is_readable()
    }

    fn await_input(&mut self, wait: Duration) -> io::Result<bool> {
        self.listen();
        self.inner.await_input(wait)
    }

    fn has_left(&mut self) -> io::Result<bool> {
        self.inner.has_left()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.is_finished = true;
        self.ends.finished.fetch_add(1, Ordering::SeqCst);
        self.inner.finish()
    }

    fn peer(&self) -> String {
        self.inner.peer()
    }
}

/// A client that is so far from its server.
fn client(rig: &Rig, distance: Duration) -> (Client, Arc<Ends>) {
    let (address, ends) = (rig.address.clone(), Arc::<Ends>::default());
    let told = Arc::clone(&ends);
    let connect = move || -> io::Result<Box<dyn Transport>> {
        // It stands for the way there and back.
        thread::sleep(distance);
        told.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Leaving {
            inner: Plain::new(TcpStream::connect(&address)?)?,
            ends: Arc::clone(&told),
            is_finished: false,
        }))
    };
    let options = Options {
        connections: CONNECTIONS,
        ..Options::default()
    };
    (Client::over(connect, options), ends)
}

#[track_caller]
fn nobody_was_waited_for(ends: &Ends, connections: usize) {
    eventually("all are ended", || {
        ends.finished.load(Ordering::SeqCst) == connections
    });
    assert_eq!(ends.opened.load(Ordering::SeqCst), connections);
    assert_eq!(ends.waits.load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_put_and_fetched_over_several_connections_is_done_with_its_last_answer() {
    let rig = Rig::new();
    let source = rig.file("source", 40 * MIB);
    let (client, ends) = client(&rig, Duration::ZERO);
    put(&client, &[(&source, "there")], &JobOptions::default()).is_fine();
    nobody_was_waited_for(&ends, CONNECTIONS);
    let into = rig.dir.path().join("into");
    get(&client, &[("there", "here")], &into, &JobOptions::default()).is_fine();
    nobody_was_waited_for(&ends, 2 * CONNECTIONS);
    assert_eq!(
        fs::read(source).unwrap(),
        fs::read(into.join("here")).unwrap()
    );
}

#[test]
fn what_is_listed_is_told_with_its_last_page() {
    let rig = Rig::new();
    let (client, ends) = client(&rig, Duration::ZERO);
    client.list(None, None).unwrap();
    nobody_was_waited_for(&ends, 1);
    client.make_dir(&remote("d"), Parents::Expect).unwrap();
    nobody_was_waited_for(&ends, 2);
}

#[test]
fn connections_that_were_opened_for_nothing_hold_nobody_up() {
    let rig = Rig::new();
    fs::write(rig.root().join("there"), "small").unwrap();
    let (client, ends) = client(&rig, Duration::from_millis(20));
    let into = rig.dir.path().join("into");
    get(&client, &[("there", "here")], &into, &JobOptions::default()).is_fine();
    nobody_was_waited_for(&ends, CONNECTIONS);
}
