//! A connection in memory, which damages what passes.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use haul::net::Transport;

/// What happens to the bytes that pass one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    None,
    /// One bit of the byte at this offset is flipped.
    Flip(usize),
    /// The byte at this offset is missing.
    Drop(usize),
    /// The byte at this offset comes twice.
    Repeat(usize),
    /// Nothing more comes from the byte at this offset on, and no end either.
    Stall(usize),
    /// The connection ends before the byte at this offset.
    Cut(usize),
    /// The connection is reset before the byte at this offset: both ends have an error.
    Reset(usize),
}

/// All there is to do at an offset.
pub const DAMAGES: [fn(usize) -> Damage; 6] = [
    Damage::Flip,
    Damage::Drop,
    Damage::Repeat,
    Damage::Stall,
    Damage::Cut,
    Damage::Reset,
];

/// What becomes of one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Passes(u8),
    Doubles(u8),
    Vanishes,
    Ends,
    Resets,
}

impl Damage {
    /// What becomes of a byte at this offset.
    pub fn fate(self, offset: usize, byte: u8) -> Fate {
        match self {
            Self::Flip(at) if at == offset => Fate::Passes(byte ^ (1 << (at % 8))),
            Self::Drop(at) if at == offset => Fate::Vanishes,
            Self::Repeat(at) if at == offset => Fate::Doubles(byte),
            Self::Stall(at) if at <= offset => Fate::Vanishes,
            Self::Cut(at) if at <= offset => Fate::Ends,
            Self::Reset(at) if at <= offset => Fate::Resets,
            _ => Fate::Passes(byte),
        }
    }

    /// What comes of the bytes that one side says next, and how the connection ends in them.
    pub fn carry(self, offset: usize, said: &[u8]) -> (Vec<u8>, Option<Fate>) {
        let mut came = Vec::new();
        for (at, byte) in said.iter().enumerate() {
            match self.fate(offset + at, *byte) {
                Fate::Passes(byte) => came.push(byte),
                Fate::Doubles(byte) => came.extend([byte; 2]),
                Fate::Vanishes => {}
                end @ (Fate::Ends | Fate::Resets) => return (came, Some(end)),
            }
        }
        (came, None)
    }
}

/// Which end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client = 0,
    Server = 1,
}

/// One end. Dropping it ends the connection.
pub struct End {
    wire: Arc<Wire>,
    side: Side,
}

/// What both ends share.
pub struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Bytes on their way, by the side that wrote them.
    passing: [VecDeque<u8>; 2],
    said: [Vec<u8>; 2],
    finished: [bool; 2],
    waiting: [bool; 2],
    damage: [Damage; 2],
    ended: bool,
    /// Whether the end was a reset.
    reset: bool,
}

impl Wire {
    /// A connection on which `damage` is done to what `from` writes.
    pub fn pair(from: Side, damage: Damage) -> (End, End, Arc<Self>) {
        let mut both = [Damage::None; 2];
        both[from as usize] = damage;
        let wire = Arc::new(Self {
            state: Mutex::new(State {
                passing: Default::default(),
                said: Default::default(),
                finished: [false; 2],
                waiting: [false; 2],
                damage: both,
                ended: false,
                reset: false,
            }),
            changed: Condvar::new(),
        });
        let end = |side| End {
            wire: Arc::clone(&wire),
            side,
        };
        (end(Side::Client), end(Side::Server), Arc::clone(&wire))
    }

    /// What `side` has said, before anything was done to it.
    pub fn said(&self, side: Side) -> Vec<u8> {
        self.lock().said[side as usize].clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn is_whole(&self) -> io::Result<()> {
        if self.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    /// Whether the clock alone may end a wait.
    fn is_stalled(&self) -> bool {
        let stalls = |damage: &Damage| matches!(damage, Damage::Stall(_));
        self.damage.iter().any(stalls)
    }
}

impl Transport for End {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        let (us, them) = (self.side as usize, 1 - self.side as usize);
        let mut state = self.wire.lock();
        loop {
            state.is_whole()?;
            if !state.passing[them].is_empty() {
                let n = into.len().min(state.passing[them].len());
                for (place, byte) in into.iter_mut().zip(state.passing[them].drain(..n)) {
                    *place = byte;
                }
                return Ok(n);
            }
            if state.ended || state.finished[them] {
                return Ok(0);
            }
            state.waiting[us] = true;
            // Both wait and nothing is on its way: nobody will ever speak again.
            if state.waiting[them] && state.passing[us].is_empty() && !state.is_stalled() {
                state.ended = true;
                self.wire.changed.notify_all();
            } else {
                let (guard, timeout) = self.wire.changed.wait_timeout(state, wait).unwrap();
                state = guard;
                state.waiting[us] = false;
                if timeout.timed_out() {
                    return Err(ErrorKind::WouldBlock.into());
                }
            }
            state.waiting[us] = false;
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>], _wait: Duration) -> io::Result<usize> {
        let us = self.side as usize;
        let mut state = self.wire.lock();
        let mut taken = 0;
        for byte in slices.iter().flat_map(|slice| slice.iter().copied()) {
            state.is_whole()?;
            if state.ended {
                return Err(ErrorKind::BrokenPipe.into());
            }
            let offset = state.said[us].len();
            match state.damage[us].fate(offset, byte) {
                Fate::Passes(byte) => state.passing[us].push_back(byte),
                Fate::Doubles(byte) => state.passing[us].extend([byte; 2]),
                Fate::Vanishes => {}
                Fate::Ends => state.ended = true,
                Fate::Resets => (state.ended, state.reset) = (true, true),
            }
            if !state.ended {
                state.said[us].push(byte);
            }
            taken += 1;
        }
        self.wire.changed.notify_all();
        Ok(taken)
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        let them = 1 - self.side as usize;
        let state = self.wire.lock();
        state.is_whole()?;
        Ok(!state.passing[them].is_empty() || state.ended || state.finished[them])
    }

    fn has_left(&mut self) -> io::Result<bool> {
        let state = self.wire.lock();
        Ok(state.ended || state.finished[1 - self.side as usize])
    }

    fn finish(&mut self) -> io::Result<()> {
        self.wire.lock().finished[self.side as usize] = true;
        self.wire.changed.notify_all();
        Ok(())
    }

    fn peer(&self) -> String {
        "memory".to_owned()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.wire.lock().ended = true;
        self.wire.changed.notify_all();
    }
}

#[test]
fn each_damage_is_what_it_is_called() {
    for (damage, came, end) in [
        (Damage::None, &b"abcd"[..], None),
        (Damage::Flip(1), b"a`cd", None),
        (Damage::Drop(1), b"acd", None),
        (Damage::Repeat(1), b"abbcd", None),
        (Damage::Stall(1), b"a", None),
        (Damage::Cut(1), b"a", Some(Fate::Ends)),
        (Damage::Reset(1), b"a", Some(Fate::Resets)),
    ] {
        assert_eq!(damage.carry(0, b"abcd"), (came.to_vec(), end), "{damage:?}");
        // What comes in two pieces is damaged at the same byte.
        let (mut first, ended) = damage.carry(0, b"ab");
        if ended.is_none() {
            first.extend(damage.carry(2, b"cd").0);
        }
        assert_eq!(first, came, "{damage:?}");
    }
}
