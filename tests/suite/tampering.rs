//! A connection over sockets, which is damaged or cut on the way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::memory::{Damage, Side};

/// Both ends, and what has passed between them.
pub struct Tampered {
    pub client: TcpStream,
    pub server: TcpStream,
    passed: [Passed; 2],
}

/// What one side has said, as it said it.
type Passed = Arc<Mutex<Vec<u8>>>;

impl Tampered {
    /// A connection on which `damage` is done to what `from` says.
    pub fn with(from: Side, damage: Damage) -> Self {
        let ((client, near), (far, server)) = (joined(), joined());
        let passed: [Passed; 2] = Default::default();
        for side in [Side::Client, Side::Server] {
            let damage = if side == from { damage } else { Damage::None };
            let (near, far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let ends = match side {
                Side::Client => (near, far),
                Side::Server => (far, near),
            };
            let said = Arc::clone(&passed[side as usize]);
            let named = thread::Builder::new().name("tampering".to_owned());
            named.spawn(move || carry(ends, damage, &said)).unwrap();
        }
        Self {
            client,
            server,
            passed,
        }
    }

    /// What each side has said so far.
    pub fn passed(&self) -> impl Fn(Side) -> Vec<u8> + use<> {
        let passed = self.passed.clone();
        move |side| passed[side as usize].lock().unwrap().clone()
    }
}

/// What a byte of an encrypted connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of a record's type and version. Sealed records all have the same, and rustls reckons
    /// with those, whatever came; so nothing is lost with it.
    Label,
    /// Of a record's length: what is longer than it was is waited for.
    Length,
    /// Sealed, or what the seal is made from.
    Content,
    /// Of the last record, or beyond it: all was said before.
    Goodbye,
}

/// Bytes of a record's header (RFC 8446, section 5.1).
const HEADER: usize = 5;

/// Bytes of a sealed alert: its two, its type and its tag. Here it is a goodbye.
const ALERT: usize = 19;

/// Where each record begins that one side has said, and how long its content is.
fn records(said: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = said.get(at..at + HEADER)?;
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let begin = at;
        at += HEADER + len;
        Some((begin, len))
    })
}

/// Bytes that stand for all others: those of every header, and of each record the first, the
/// last and one between. Waits take their time: of lengths there are those of two records.
pub fn places(said: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    for (number, (at, len)) in records(said).enumerate() {
        places.extend([at, at + 1, at + 2]);
        if number == 0 || number == 3 {
            places.extend([at + 3, at + 4]);
        }
        let content = at + HEADER;
        places.extend([content, content + len / 2, content + len - 1]);
    }
    places.dedup();
    places
}

/// What the byte at `offset` is in what one side has said.
pub fn place(said: &[u8], offset: usize) -> Place {
    let mut records = records(said);
    let record = records.find(|(at, len)| offset < at + HEADER + len);
    match record {
        None | Some((_, ALERT)) => Place::Goodbye,
        Some((at, _)) if offset < at + 3 => Place::Label,
        Some((at, _)) if offset < at + HEADER => Place::Length,
        Some(_) => Place::Content,
    }
}

/// Two ends of one connection.
fn joined() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

fn carry((mut from, mut to): (TcpStream, TcpStream), damage: Damage, passed: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let mut passed = passed.lock().unwrap();
        let offset = passed.len();
        passed.extend_from_slice(&buffer[..len]);
        drop(passed);
        let within = |at: usize| at.checked_sub(offset).filter(|at| *at < len);
        let goes = match damage {
            Damage::Flip(at) => {
                if let Some(place) = within(at) {
                    buffer[place] ^= 1 << (at % 8);
                }
                len
            }
            Damage::Cut(at) => within(at).unwrap_or(len),
            Damage::None => len,
        };
        if to.write_all(&buffer[..goes]).is_err() {
            break;
        }
        if goes < len {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
