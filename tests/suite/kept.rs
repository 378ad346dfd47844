//! A connection that is kept from one job to the next.

use std::fs;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haul::client::{Cancel, Client, Connected, Idle, JobOptions, Options, Parents, Removal};
use haul::content::Algorithm;
use haul::net::Transport;
use haul::net::plain::Plain;
use haul::transfer::Deadlines;

use crate::raw::{PATIENCE, SOON};
use crate::rig::{Rig, get, put, remote};

/// The connections of a client, and what becomes of them.
#[derive(Default)]
struct Lines {
    opened: Mutex<Vec<TcpStream>>,
    /// Whether those that are open carry nothing any more, and nobody says so.
    cut: Mutex<Arc<AtomicBool>>,
}

/// A connection that may be cut without a sign of it.
struct Line {
    inner: Plain,
    cut: Arc<AtomicBool>,
}

impl Lines {
    fn connect(&self, address: &str) -> io::Result<Line> {
        let socket = TcpStream::connect(address)?;
        self.opened.lock().unwrap().push(socket.try_clone()?);
        let inner = Plain::new(socket)?;
        let cut = Arc::clone(&self.cut.lock().unwrap());
        Ok(Line { inner, cut })
    }

    fn count(&self) -> usize {
        self.opened.lock().unwrap().len()
    }

    /// Ends the connections as a server does that goes away.
    fn end(&self) {
        for socket in &*self.opened.lock().unwrap() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Cuts those that are open; new ones are whole.
    fn cut(&self) {
        let mut cut = self.cut.lock().unwrap();
        cut.store(true, Ordering::SeqCst);
        *cut = Arc::default();
    }
}

impl Transport for Line {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.inner.read(into, wait)
    }

    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize> {
        if self.cut.load(Ordering::SeqCst) {
            return Ok(slices.iter().map(|slice| slice.len()).sum());
        }
        self.inner.write(slices, wait)
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        Ok(!self.cut.load(Ordering::SeqCst) && self.inner.is_readable()?)
    }

    fn has_left(&mut self) -> io::Result<bool> {
        Ok(!self.cut.load(Ordering::SeqCst) && self.inner.has_left()?)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }

    fn peer(&self) -> String {
        self.inner.peer()
    }
}

/// A client that keeps a connection, which is asked whether it stands after `trust`, and
/// has `opening` to answer.
fn keeping(rig: &Rig, trust: Duration, opening: Duration) -> (Client, Arc<Lines>) {
    let lines = Arc::<Lines>::default();
    let (opened, address) = (Arc::clone(&lines), rig.address.clone());
    let connect = move || -> io::Result<Box<dyn Transport>> {
        opened
            .connect(&address)
            .map(|line| Box::new(line) as Box<dyn Transport>)
    };
    let options = Options {
        connections: 1,
        idle: Idle::Keep { trust },
        deadlines: Deadlines {
            opening,
            ..Deadlines::default()
        },
        ..Options::default()
    };
    (Client::over(connect, options), lines)
}

#[test]
fn requests_and_jobs_go_over_one_connection() {
    for trust in [Duration::MAX, Duration::ZERO] {
        let rig = Rig::new();
        let (client, lines) = keeping(&rig, trust, PATIENCE);
        assert_eq!(client.connect().unwrap(), Connected::Anew);
        let (small, large) = (rig.file("small", 7), rig.file("large", 3 << 20));
        for n in 0..8 {
            let (small_there, large_there) = (format!("{n}/small"), format!("{n}/large"));
            let files = [(&*small, &*small_there), (&*large, &*large_there)];
            put(&client, &files, &JobOptions::default()).is_fine();
            let refused = put(&client, &[(&large, &small_there)], &JobOptions::default());
            assert_eq!(refused.code(), 6, "{refused:?}");
            assert!(client.stat(Some(&remote("none"))).is_err());
            assert_eq!(
                client
                    .list(Some(&remote(&small_there)), None)
                    .unwrap()
                    .entries
                    .len(),
                1
            );
            let into = rig.dir.path().join(n.to_string());
            let names = [(&*small_there, "small"), (&*large_there, "large")];
            get(&client, &names, &into, &JobOptions::default()).is_fine();
            assert_eq!(
                fs::read(into.join("large")).unwrap(),
                fs::read(&large).unwrap()
            );
            let mut sums = 0;
            client
                .sum(None, Algorithm::Blake3, |_, _| sums += 1)
                .unwrap();
            assert_eq!(sums, 2 * (n + 1));
            client.make_dir(&remote("d"), Parents::Expect).unwrap();
            client.rename(&remote("d"), &remote("e")).unwrap();
            client.remove(&remote("e"), Removal::Single).unwrap();
            assert_eq!(client.connect().unwrap(), Connected::Still);
        }
        assert_eq!(lines.count(), 1);
    }
}

#[test]
fn a_connection_that_ended_is_replaced_before_anything_is_asked() {
    let rig = Rig::new();
    let (client, lines) = keeping(&rig, Duration::MAX, PATIENCE);
    let source = rig.file("source", 7);
    client.connect().unwrap();
    for n in 0..3 {
        lines.end();
        client
            .make_dir(&remote(&format!("d{n}")), Parents::Expect)
            .unwrap();
        lines.end();
        put(
            &client,
            &[(&source, &format!("f{n}"))],
            &JobOptions::default(),
        )
        .is_fine();
        lines.end();
        assert_eq!(client.connect().unwrap(), Connected::Again);
    }
    assert_eq!(lines.count(), 10);
    assert_eq!(rig.visible(), ["d0", "d1", "d2", "f0", "f1", "f2"]);
}

#[test]
fn a_connection_that_is_cut_in_silence_is_replaced_when_it_is_asked_for_a_sign() {
    let rig = Rig::new();
    let (client, lines) = keeping(&rig, Duration::ZERO, SOON * 10);
    client.connect().unwrap();
    lines.cut();
    client.make_dir(&remote("d"), Parents::Expect).unwrap();
    lines.cut();
    assert_eq!(client.connect().unwrap(), Connected::Again);
    assert_eq!(lines.count(), 3);
}

#[test]
fn one_job_is_cancelled_and_the_next_goes_on() {
    let rig = Rig::new();
    let options = Options {
        idle: Idle::Keep {
            trust: Duration::MAX,
        },
        ..Options::default()
    };
    let all = Client::new(&rig.address, options);
    let first = Cancel::default();
    all.for_jobs(1, first.clone()).connect().unwrap();
    let second = Cancel::default();
    let client = all.for_jobs(1, second.clone());
    assert_eq!(client.connect().unwrap(), Connected::Still);
    second.cancel();
    assert_eq!(client.stat(None).unwrap_err().code().number(), 130);
    // What it left is dead, and no obstacle.
    assert!(all.for_jobs(1, Cancel::default()).stat(None).is_ok());
    first.cancel();
    let third = all.for_jobs(1, Cancel::default());
    assert_eq!(third.connect().unwrap(), Connected::Still);
}

#[test]
fn a_server_that_is_stopped_does_not_wait_for_a_connection_that_rests() {
    let rig = Rig::new();
    let (client, _) = keeping(&rig, Duration::MAX, PATIENCE);
    client.connect().unwrap();
    // Its handle waits until all connections have ended.
    drop(rig);
    assert_eq!(client.connect().unwrap_err().code().number(), 3);
}
