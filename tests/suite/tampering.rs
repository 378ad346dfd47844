//! A connection over sockets, which is damaged on the way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::memory::{Damage, Fate, Side};

/// Both ends, and what has passed between them.
pub struct Tampered {
    pub client: TcpStream,
    pub server: TcpStream,
    passed: Passed,
}

/// What each side has said, as it said it.
#[derive(Clone, Default)]
pub struct Passed([Arc<Mutex<Vec<u8>>>; 2]);

impl Passed {
    pub fn of(&self, side: Side) -> Vec<u8> {
        self.0[side as usize].lock().unwrap().clone()
    }
}

impl Tampered {
    /// A connection on which `damage` is done to what `from` says.
    pub fn with(from: Side, damage: Damage) -> Self {
        let ((client, near), (far, server)) = (joined(), joined());
        let passed = Passed::default();
        tamper(&near, &far, (from, damage), &passed);
        Self {
            client,
            server,
            passed,
        }
    }

    /// What each side has said so far.
    pub fn passed(&self) -> impl Fn(Side) -> Vec<u8> + use<> {
        let passed = self.passed.clone();
        move |side| passed.of(side)
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

/// All that one side has said but for its goodbye.
pub fn before_goodbye(said: &[u8]) -> &[u8] {
    let goodbye = records(said).find(|(_, len)| *len == ALERT);
    &said[..goodbye.map_or(said.len(), |(at, _)| at)]
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

/// Carries what both sides say, with this damage to what one of them does.
pub fn tamper(near: &TcpStream, far: &TcpStream, (from, damage): (Side, Damage), passed: &Passed) {
    let is_reset = Arc::<AtomicBool>::default();
    for side in [Side::Client, Side::Server] {
        let damage = if side == from { damage } else { Damage::None };
        let (near, far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let ends = match side {
            Side::Client => (near, far),
            Side::Server => (far, near),
        };
        let said = Arc::clone(&passed.0[side as usize]);
        let is_reset = Arc::clone(&is_reset);
        let named = thread::Builder::new().name("tampering".to_owned());
        let carry = move || carry(ends, damage, &said, &is_reset);
        named.spawn(carry).unwrap();
    }
}

fn carry(
    (mut from, mut to): (TcpStream, TcpStream),
    damage: Damage,
    passed: &Mutex<Vec<u8>>,
    is_reset: &AtomicBool,
) {
    let mut buffer = [0; 16 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let mut passed = passed.lock().unwrap();
        let offset = passed.len();
        passed.extend_from_slice(&buffer[..len]);
        drop(passed);
        let (came, end) = damage.carry(offset, &buffer[..len]);
        let is_over = to.write_all(&came).is_err();
        match end {
            Some(Fate::Resets) => {
                is_reset.store(true, Ordering::SeqCst);
                reset([&from, &to]);
            }
            Some(_) => {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            }
            None => {}
        }
        if is_over {
            break;
        }
    }
    if !is_reset.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// Has both connections end with a reset, once nobody here holds them any more.
fn reset(both: [&TcpStream; 2]) {
    for socket in both {
        SockRef::from(socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        // Wakes whoever carries the other way; no word of it leaves this machine.
        let _ = socket.shutdown(Shutdown::Read);
    }
}
