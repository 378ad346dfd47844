//! A put beside connections that are silent or slow, some of which were let in: it must not
//! wait for any of them.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use haul::wire::Message;
use haul::wire::message::write;
use haul::wire::preface;

use crate::idle::many_files_may_be_open;
use crate::place::Place;
use crate::program::Running;
use crate::putting::X;
use crate::raw::{Heard, Raw, block, hello, offer, offered, transfer};
use crate::rig::noise;
use crate::secrecy::{Keys, Secrecy};

/// Between two bytes of who is slow.
const PACE: Duration = Duration::from_secs(1);

/// How somebody holds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    SilentBeforeTheOpening,
    SilentAfterIt,
    SlowOpening,
    /// A body that comes far below the floor.
    SlowBody,
}

const MANNERS: [Manner; 4] = [
    Manner::SilentBeforeTheOpening,
    Manner::SilentAfterIt,
    Manner::SlowOpening,
    Manner::SlowBody,
];

/// A connection that costs whoever has it nothing.
struct Nuisance {
    manner: Manner,
    socket: TcpStream,
    /// What is said a byte at a time.
    rest: std::vec::IntoIter<u8>,
    _raw: Option<Raw>,
}

impl Nuisance {
    /// None where there is no place for it.
    fn new(address: &str, manner: Manner) -> Option<Self> {
        let socket = TcpStream::connect(address).unwrap();
        let spare = socket.try_clone().unwrap();
        let mut said = Vec::new();
        let raw = match manner {
            Manner::SilentBeforeTheOpening => None,
            Manner::SlowOpening => {
                said.extend(preface::encode(preface::VERSION));
                write(&hello(), &mut said);
                None
            }
            Manner::SilentAfterIt | Manner::SlowBody => {
                let mut raw = Raw::over(spare, &Keys::of(Secrecy::Plain)).begin()?;
                if manner == Manner::SlowBody {
                    said = begin_put(&mut raw)?;
                }
                Some(raw)
            }
        };
        socket.set_nonblocking(true).unwrap();
        Some(Self {
            manner,
            socket,
            rest: said.into_iter(),
            _raw: raw,
        })
    }

    fn has_ended(&self) -> bool {
        let mut sink = [0; 256];
        loop {
            match (&self.socket).read(&mut sink) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                _ => return true,
            }
        }
    }

    fn goes_on(&mut self) {
        if let Some(byte) = self.rest.next() {
            let _ = self.socket.write(&[byte]);
        }
    }
}

/// Offers a file, and returns what is to follow.
fn begin_put(raw: &mut Raw) -> Option<Vec<u8>> {
    let (id, bytes) = (transfer(), noise(2500));
    raw.say(&offer(
        id,
        vec![offered(X, &format!("slow-{id:?}"), &bytes)],
    ));
    match raw.hear() {
        Heard::Message(Message::Want(_)) => {}
        _ => return None,
    }
    let (header, body) = block(id, X, &bytes, 0);
    let mut said = Vec::new();
    header.write(body.len(), &mut said);
    said.extend(body);
    Some(said)
}

/// So many of each manner, until they are told to go: who is ended comes again at once.
/// Returns how often that was.
fn annoy(mut all: Vec<Nuisance>, address: &str, told: &Receiver<()>) -> usize {
    let mut again = 0;
    while told.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
        for one in &mut all {
            if one.has_ended() {
                again += 1;
                if let Some(new) = Nuisance::new(address, one.manner) {
                    *one = new;
                }
            }
            one.goes_on();
        }
    }
    again
}

/// Runs a put of the file `x`, and returns how long it took.
#[track_caller]
fn timed(place: &Place, name: &str) -> Duration {
    let began = Instant::now();
    let line = format!("put -q --plaintext x [ADDRESS]/{name}");
    let ended = Running::start(place.haul(&line)).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    fs::remove_file(place.root().join(name)).unwrap();
    began.elapsed()
}

/// Times a put alone and beside so many of each manner.
#[track_caller]
fn alone_and_beside(each: usize, len: usize) -> [Duration; 2] {
    many_files_may_be_open();
    let flags = format!(
        "-q --plaintext --durability none --max-connections {}",
        5 * each + 64
    );
    let place = Place::serving(&flags);
    place.file("x", &noise(len));
    timed(&place, "warm");
    let alone = timed(&place, "alone");
    let address = &place.server.address;
    let new = |number| Nuisance::new(address, MANNERS[number % MANNERS.len()]).expect("a place");
    let all: Vec<_> = (0..each * MANNERS.len()).map(new).collect();
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let annoy = thread::Builder::new().spawn_scoped(scope, move || annoy(all, address, &told));
        let beside = timed(&place, "beside");
        let server = &place.server.running;
        let threads = server.threads().expect("the server lives");
        drop(tell);
        let again = annoy.unwrap().join().unwrap();
        println!(
            "{alone:?} alone, {beside:?} beside {each} each of {MANNERS:?}, of which {again} were \
             ended and came again; the server has {threads} threads"
        );
        // A few have been dropped for others before they were let in, and come again.
        assert!(threads as usize > 2 * each, "they are not there");
        [alone, beside]
    })
}

#[test]
fn a_put_finishes_beside_connections_that_are_slow_or_silent() {
    alone_and_beside(25, 32 << 20);
}

/// A thousand slow and a thousand silent ones: half a minute on two cores, 2 GiB in the
/// temporary directory and a hard limit of 5,000 descriptors. Where others use the machine its
/// figures say little.
///
///     cargo test --release --test suite -- --ignored --nocapture a_thousand_slow_and_a_thousand_silent
#[test]
#[ignore = "takes half a minute of a machine that does nothing else"]
fn a_put_beside_a_thousand_slow_and_a_thousand_silent_takes_at_most_twice_its_time() {
    let rounds: Vec<_> = (0..3).map(|_| alone_and_beside(500, 1 << 30)).collect();
    let [alone, beside] = [0, 1].map(|which| {
        let mut times: Vec<_> = rounds.iter().map(|round| round[which]).collect();
        times.sort();
        times[times.len() / 2]
    });
    println!("medians: {alone:?} alone, {beside:?} beside them");
    assert!(beside <= 2 * alone, "{beside:?}, alone {alone:?}");
}
