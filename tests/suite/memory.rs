//! A connection in memory, which damages or cuts what passes.

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
    /// The connection ends before the byte at this offset.
    Cut(usize),
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

impl Transport for End {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        let (us, them) = (self.side as usize, 1 - self.side as usize);
        let mut state = self.wire.lock();
        loop {
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
            if state.waiting[them] && state.passing[us].is_empty() {
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
            if state.ended {
                return Err(ErrorKind::BrokenPipe.into());
            }
            let offset = state.said[us].len();
            let passes = match state.damage[us] {
                Damage::Flip(at) if at == offset => byte ^ (1 << (at % 8)),
                Damage::Cut(at) if at == offset => {
                    state.ended = true;
                    byte
                }
                _ => byte,
            };
            if !state.ended {
                state.passing[us].push_back(passes);
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
