//! Connections that have not been let in: too many, from one source or from many, spoiled,
//! silent, or strangers'; and who is let in all the same.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use haul::client::{Client, Error, Idle, JobOptions, Options};
use haul::code::Code;
use haul::fault::Fault;
use haul::net::Transport;
use haul::net::keys::{Keypair, PublicKey};
use haul::net::plain::Plain;
use haul::net::tls::{ClientSide, Encrypted, Expected, ServerSide};
use haul::server::{Acquaintance, Admit, Config, Grant, OpeningLimits, Refusal, Visitor};
use haul::wire::message::Rights;
use socket2::{Domain, Socket, Type};

use crate::place::Place;
use crate::program::Running;
use crate::raw::{PATIENCE, Raw};
use crate::rig::{Rig, noise, put};
use crate::unharmed::{eventually, patient};

/// What is said to a server before it knows whose it is, none of it what it should be.
const SPOILED: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x00\x04none",
    b"haul\r\n\xff\xff",
    b"haul\r\n\x00\x01\x05\x00\xff\xff\x00\x00\x00\x00",
];

/// Connects from an address of this machine.
fn connect(source: &str, to: &str) -> TcpStream {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap().into();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // There are fewer ports than openings.
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address(&format!("{source}:0"))).unwrap();
    socket.connect(&address(to)).unwrap();
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Spoils an opening, and returns what the server says to that.
fn spoil(source: &str, to: &str, how: usize) -> Vec<u8> {
    let mut socket = connect(source, to);
    // It may have been refused already.
    let _ = socket.write_all(SPOILED[how % SPOILED.len()]);
    let _ = socket.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    let _ = socket.read_to_end(&mut said);
    said
}

fn is_refused(said: &[u8]) -> bool {
    let text = b"came to nothing";
    said.windows(text.len()).any(|window| window == text)
}

/// Admits one key, and strangers if it is told to.
#[derive(Debug)]
struct Door {
    key: PublicKey,
    strangers: bool,
}

impl Admit for Door {
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        let acquaintance = match visitor.key {
            Some(key) if key == self.key => Acquaintance::Known,
            Some(_) if self.strangers => Acquaintance::Stranger,
            _ => return Err(Refusal::Stranger),
        };
        Ok(Grant {
            acquaintance,
            ..Grant::of(Rights::ALL)
        })
    }
}

/// A server that encrypts, and somebody whom it admits.
struct Guarded {
    rig: Rig,
    server: PublicKey,
    guest: Keypair,
}

impl Guarded {
    fn with(strangers: bool, config: Config) -> Self {
        let [server, guest] = [key(), key()];
        let door = Door {
            key: guest.public(),
            strangers,
        };
        let config = Config {
            admit: Arc::new(door),
            encryption: Some(ServerSide::new(&server).unwrap()),
            deadlines: patient(),
            ..config
        };
        Self {
            rig: Rig::with(config, Fault::default()),
            server: server.public(),
            guest,
        }
    }

    /// Somebody with a key at an address of this machine, who keeps a connection.
    fn somebody(&self, source: &'static str, key: &Keypair) -> Client {
        let side = ClientSide::new(key, Expected::Key(self.server)).unwrap();
        let address = self.rig.address.clone();
        let connect = move || {
            let plain = Plain::new(connect(source, &address))?;
            Ok(Box::new(Encrypted::connect(plain, &side)?) as Box<dyn Transport>)
        };
        let idle = Idle::Keep { trust: PATIENCE };
        let connections = 1;
        let options = Options {
            connections,
            idle,
            deadlines: patient(),
            ..Options::default()
        };
        Client::over(connect, options)
    }

    fn guest(&self, source: &'static str) -> Client {
        self.somebody(source, &self.guest)
    }

    /// A put of the guest's from 127.0.0.1 works.
    #[track_caller]
    fn takes_a_put(&self) {
        let source = self.rig.file("source", 4 << 20);
        let options = JobOptions::default();
        put(&self.guest("127.0.0.1"), &[(&source, "x")], &options).is_fine();
        fs::remove_file(self.rig.root().join("x")).unwrap();
    }
}

fn key() -> Keypair {
    Keypair::generate().unwrap().0
}

/// A server with these limits for what is not let in yet.
fn limited(openings: OpeningLimits) -> Config {
    Config {
        openings,
        ..Config::default()
    }
}

/// So many openings may be spoiled, and time forgives nothing.
fn unforgiving(spoiled: u32) -> OpeningLimits {
    OpeningLimits {
        spoiled,
        forgiven_in: Duration::from_secs(3600),
        ..OpeningLimits::default()
    }
}

/// How many of these connections have not been ended.
fn still_there(held: &[TcpStream]) -> usize {
    let is_open = |socket: &&TcpStream| {
        socket.set_nonblocking(true).unwrap();
        let read = (&**socket).read(&mut [0]);
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    held.iter().filter(is_open).count()
}

#[track_caller]
fn is_told(client: &Client, code: Code, words: &str) {
    let error: Error = client.list(None, Some(0)).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_source_that_spoils_its_openings_is_refused_early_beside_a_put_that_is_not() {
    for spoiled in [0, 20] {
        let guarded = Guarded::with(false, limited(unforgiving(spoiled)));
        let heard = thread::scope(|scope| {
            let noise = || {
                let spoil = |how| spoil("127.0.0.2", &guarded.rig.address, how);
                (0..200).map(spoil).filter(|said| !is_refused(said)).count()
            };
            let source = thread::Builder::new().spawn_scoped(scope, noise).unwrap();
            guarded.takes_a_put();
            source.join().unwrap()
        });
        assert_eq!(heard, spoiled as usize + 1, "of two hundred");
        guarded.takes_a_put();
        // Whoever holds an admitted key there is told to come back.
        let guest = guarded.guest("127.0.0.2");
        is_told(&guest, Code::Connection, "came to nothing, try again later");
    }
}

#[test]
fn keys_that_are_not_admitted_count_too_and_more_of_them_where_somebody_is_known() {
    let guarded = Guarded::with(false, limited(unforgiving(3)));
    let tries = |source, heard| {
        for _ in 0..heard {
            let stranger = guarded.somebody(source, &key());
            is_told(&stranger, Code::NotAuthorised, "not admitted");
        }
        let stranger = guarded.somebody(source, &key());
        is_told(&stranger, Code::Connection, "came to nothing");
    };
    tries("127.0.0.2", 4);
    let guest = guarded.guest("127.0.0.1");
    guest.list(None, Some(0)).unwrap();
    tries("127.0.0.1", 3 * 8 + 1);
    // What is under way goes on.
    guest.list(None, Some(0)).unwrap();
}

#[test]
fn who_was_let_in_may_have_opened_more_and_leave() {
    let guarded = Guarded::with(false, limited(unforgiving(3)));
    for _ in 0..5 {
        guarded.guest("127.0.0.1").list(None, Some(0)).unwrap();
        for _ in 0..15 {
            let mut socket = connect("127.0.0.1", &guarded.rig.address);
            socket.shutdown(Shutdown::Write).unwrap();
            // Until it was seen.
            let _ = socket.read_to_end(&mut Vec::new());
        }
    }
}

#[test]
fn silent_connections_keep_nobody_out() {
    // Who is dropped for others has spoiled nothing.
    let guarded = Guarded::with(false, limited(unforgiving(0)));
    let silent = |source: &str| {
        let one = |_| connect(source, &guarded.rig.address);
        (0..300).map(one).collect::<Vec<_>>()
    };
    // From one source, and from more than have their own bound in all.
    let mut held = silent("127.0.0.1");
    guarded.takes_a_put();
    held.extend(
        ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
            .into_iter()
            .flat_map(silent),
    );
    guarded.takes_a_put();
    eventually("no more stay than may", || still_there(&held) <= 512);
    assert!(
        still_there(&held) > 400,
        "the others wait for their deadline"
    );
}

#[test]
fn those_from_where_somebody_was_let_in_stay_when_others_are_dropped() {
    let openings = OpeningLimits {
        at_once: 0,
        ..OpeningLimits::default()
    };
    let guarded = Guarded::with(false, limited(openings));
    let open = |source: &str, count| {
        let one = |_| connect(source, &guarded.rig.address);
        (0..count).map(one).collect::<Vec<_>>()
    };
    guarded.takes_a_put();
    let known = open("127.0.0.1", 10);
    let others = open("127.0.0.2", 200);
    // However few there may be, one client can open as many as it does at once.
    eventually("the others are too many", || still_there(&others) <= 54);
    assert_eq!((still_there(&known), still_there(&others)), (10, 54));
}

#[test]
fn strangers_have_half_of_the_places_and_the_others_are_for_whom_one_knows() {
    // Who comes when there is no place has spoiled nothing.
    let config = Config {
        max_connections: 6,
        ..limited(unforgiving(0))
    };
    let guarded = Guarded::with(true, config);
    let one = |_| guarded.somebody("127.0.0.2", &key());
    let strangers: Vec<Client> = (0..3).map(one).collect();
    for stranger in &strangers {
        stranger.list(None, Some(0)).unwrap();
    }
    let one_more = one(0);
    is_told(&one_more, Code::Connection, "full for strangers");
    let guest = guarded.guest("127.0.0.2");
    guest.list(None, Some(0)).unwrap();
    drop(strangers);
    eventually("a stranger's place is free", || {
        one_more.list(None, Some(0)).is_ok()
    });
}

#[test]
fn a_source_has_as_many_connections_as_it_may_and_another_its_own() {
    let config = Config {
        max_per_source: 2,
        deadlines: patient(),
        ..Config::default()
    };
    let rig = Rig::with(config, Fault::default());
    let open = |source| Raw::over(connect(source, &rig.address), &rig.keys).begin();
    let mut held: Vec<Raw> = (0..2).map(|_| open("127.0.0.2").unwrap()).collect();
    let mut third = Raw::over(connect("127.0.0.2", &rig.address), &rig.keys);
    third.is_greeted();
    third.is_ended(Code::Connection, "full for this address", "a third");
    assert!(open("127.0.0.1").is_some());
    held.pop();
    eventually("a place is free", || open("127.0.0.2").is_some());
}

#[test]
fn the_flag_bounds_what_one_address_may_have() {
    let place = Place::serving("--max-per-source 1");
    let held = connect("127.0.0.1", &place.server.address);
    place.run("ls --retries 0 [ADDRESS]").is_full();
    drop(held);
    eventually("its place is free", || {
        place.run("ls [ADDRESS]").code == Some(0)
    });
}

/// Runs a put of 1 GiB, and returns how long it took.
fn timed(place: &Place, name: &str) -> Duration {
    let began = Instant::now();
    let ended = Running::start(place.haul(&format!("put -q x [ADDRESS]/{name}"))).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    fs::remove_file(place.root().join(name)).unwrap();
    began.elapsed()
}

/// Beside a source of 10,000 bad openings: half a minute on two cores, and 2 GiB in the
/// temporary directory. Where others use the machine its figures say little.
///
///     cargo test --release --test suite -- --ignored --nocapture ten_thousand_bad_openings
#[test]
#[ignore = "takes half a minute of a machine that does nothing else"]
fn a_put_beside_ten_thousand_bad_openings_takes_at_most_twice_its_time() {
    const OPENINGS: usize = 10_000;
    const AT_ONCE: usize = 4;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let place = Place::serving("-q --durability none");
        fs::write(place.here().join("x"), noise(1 << 30)).unwrap();
        timed(&place, "warm");
        alone.push(timed(&place, "alone"));
        let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let noise = || {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= OPENINGS {
                    return;
                }
                let said = spoil("127.0.0.2", &place.server.address, number);
                refused.fetch_add(usize::from(is_refused(&said)), Ordering::SeqCst);
            }
        };
        let began = Instant::now();
        let (made, lasted) = thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                thread::Builder::new().spawn_scoped(scope, noise).unwrap();
            }
            eventually("the noise has begun", || next.load(Ordering::SeqCst) > 100);
            let before = next.load(Ordering::SeqCst);
            beside.push(timed(&place, "beside"));
            (next.load(Ordering::SeqCst).min(OPENINGS) - before, began)
        });
        println!(
            "round {round}: {:?} alone, {:?} beside {made} of {OPENINGS} bad openings, which took \
             {:?}; {} were refused",
            alone[round],
            beside[round],
            lasted.elapsed(),
            refused.load(Ordering::SeqCst),
        );
        assert!(refused.load(Ordering::SeqCst) > OPENINGS / 2);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[1]
    };
    let (alone, beside) = (median(&mut alone), median(&mut beside));
    println!("medians: {alone:?} alone, {beside:?} beside them");
    assert!(beside <= 2 * alone, "{beside:?}, alone {alone:?}");
}
