//! A connection whose every wait has a named end.
//!
//! A timeout for each read is no defence against a peer that sends one byte just
//! before it expires, so a wait has two bounds: how long nothing may come, and
//! when all of it must have come. A transport waits no longer at a time than it is
//! told, so that a peer cannot stall inside an encrypted record either.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::time::{Duration, Instant};

use super::keys::PublicKey;
use super::silence::Silence;
use crate::fault::{Call, Fault};

/// Longest single wait in the system, so that a peer that left while it was written to is seen.
const TICK: Duration = Duration::from_secs(1);

/// What a peer was expected to do when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Say who it is and what it speaks.
    Opening,
    /// Send the next request.
    Idle,
    /// Answer a request.
    Answer,
    /// Go on with what it began to send or to read.
    Stall,
}

/// What carries bytes: a socket, an encrypted session, or memory in tests.
pub trait Transport: Send {
    /// Reads what has come, waiting at most `wait`; 0 bytes are the end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` when nothing came, or whatever failed.
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize>;

    /// Writes some of `slices`, waiting at most `wait` for room.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` when there was no room, `Interrupted` when there was some,
    /// and the same bytes are to be given again, or whatever failed.
    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize>;

    /// Whether a read would return at once, with bytes, the end or an error.
    ///
    /// # Errors
    ///
    /// Whatever failed.
    fn is_readable(&mut self) -> io::Result<bool>;

    /// Waits at most `wait` until a read would return at once, and says whether it would.
    /// One that cannot wait without reading says yes at once: then the read waits.
    ///
    /// # Errors
    ///
    /// Whatever failed.
    fn await_input(&mut self, wait: Duration) -> io::Result<bool> {
        let _ = wait;
        Ok(true)
    }

    /// Gives back what memory is needed only while bytes move.
    fn rest(&mut self) {}

    /// Whether the peer will say no more, though what it said may still be unread.
    ///
    /// # Errors
    ///
    /// Whatever failed.
    fn has_left(&mut self) -> io::Result<bool>;

    /// Tells the peer that no more will be written.
    ///
    /// # Errors
    ///
    /// Whatever failed.
    fn finish(&mut self) -> io::Result<()>;

    /// Who the peer is, for names and logs.
    fn peer(&self) -> String;

    /// The key that the peer has proved to hold; none where nothing is encrypted, or
    /// not yet.
    fn peer_key(&self) -> Option<PublicKey> {
        None
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        (**self).read(into, wait)
    }

    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize> {
        (**self).write(slices, wait)
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        (**self).is_readable()
    }

    fn await_input(&mut self, wait: Duration) -> io::Result<bool> {
        (**self).await_input(wait)
    }

    fn rest(&mut self) {
        (**self).rest();
    }

    fn has_left(&mut self) -> io::Result<bool> {
        (**self).has_left()
    }

    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }

    fn peer(&self) -> String {
        (**self).peer()
    }

    fn peer_key(&self) -> Option<PublicKey> {
        (**self).peer_key()
    }
}

/// One connection. One thread owns it.
pub struct Stream {
    transport: Box<dyn Transport>,
    fault: Fault,
    silence: Silence,
    reading: Bound,
    writing: Bound,
    /// Whether a write was given up.
    is_cut: bool,
}

/// How long a wait may be: in silence, and in all.
#[derive(Clone, Copy)]
struct Bound {
    phase: Phase,
    silence: Duration,
    until: Instant,
}

impl Stream {
    /// Wraps a transport; until the first deadline is set, a peer has `opening` for everything.
    pub fn new(transport: impl Transport + 'static, fault: Fault, opening: Duration) -> Self {
        let bound = Bound::within(Phase::Opening, opening);
        Self {
            transport: Box::new(transport),
            fault,
            silence: Silence::default(),
            reading: bound,
            writing: bound,
            is_cut: false,
        }
    }

    /// Bounds all reads from now on together by `within`.
    pub fn expect(&mut self, phase: Phase, within: Duration) {
        self.reading = Bound::within(phase, within);
    }

    /// Bounds the reads of what the peer has begun to send: `silence` without a
    /// byte, or `within` in all.
    pub fn expect_body(&mut self, silence: Duration, within: Duration) {
        self.reading = Bound {
            silence,
            ..Bound::within(Phase::Stall, within)
        };
    }

    /// Bounds all writes from now on together by `within`.
    pub fn allow_write(&mut self, silence: Duration, within: Duration) {
        self.writing = Bound {
            silence,
            ..Bound::within(Phase::Stall, within)
        };
    }

    /// Whether a read would return at once.
    ///
    /// # Errors
    ///
    /// Whatever the transport reports.
    pub fn is_readable(&mut self) -> io::Result<bool> {
        self.transport.is_readable()
    }

    /// Waits at most `moment`, and no longer than a read may, until a read would return at
    /// once; says whether it would.
    ///
    /// # Errors
    ///
    /// Whatever the transport reports.
    pub fn await_input(&mut self, moment: Duration) -> io::Result<bool> {
        self.silence.begin();
        let came = self
            .transport
            .await_input(moment.min(self.reading.left()))?;
        if came {
            self.silence.end();
        }
        Ok(came)
    }

    /// Waits as long as a read may until one would return at once, with next to no memory
    /// and without waking up: most connections ask for nothing most of the time.
    ///
    /// # Errors
    ///
    /// `TimedOut`, naming the phase, once the deadline has passed; else what the transport
    /// reports.
    pub fn rest(&mut self) -> io::Result<()> {
        let (transport, reading) = (&mut self.transport, &self.reading);
        transport.rest();
        self.silence.during(|| {
            loop {
                let left = reading.left();
                if transport.await_input(left)? {
                    return Ok(());
                }
                if left.is_zero() {
                    return Err(reading.passed());
                }
            }
        })
    }

    /// What shows how long the peer was waited for.
    #[must_use]
    pub fn silence(&self) -> Silence {
        self.silence.clone()
    }

    /// Who the peer is.
    #[must_use]
    pub fn peer(&self) -> String {
        self.transport.peer()
    }

    /// The key that the peer has proved to hold.
    #[must_use]
    pub fn peer_key(&self) -> Option<PublicKey> {
        self.transport.peer_key()
    }

    /// Ends the connection so that what was written last is not lost.
    ///
    /// Closing a socket with unread input makes the system reset it, and a reset
    /// overtakes a `Fail` that explains it. So writing ends first, and input is
    /// read and forgotten until the peer closes too, for at most `within` and
    /// `bytes`.
    pub fn close(mut self, within: Duration, bytes: u64) {
        if self.transport.finish().is_err() {
            return;
        }
        self.expect(Phase::Stall, within);
        let mut sink = [0; 8 << 10];
        let mut left = bytes;
        while left > 0 {
            match self.read(&mut sink) {
                Ok(0) | Err(_) => return,
                Ok(n) => left = left.saturating_sub(n as u64),
            }
        }
    }
}

impl Bound {
    fn within(phase: Phase, within: Duration) -> Self {
        Self {
            phase,
            silence: within,
            until: Instant::now() + within,
        }
    }

    /// How long a wait that begins now may be.
    fn left(self) -> Duration {
        let until = self.until.saturating_duration_since(Instant::now());
        until.min(self.silence)
    }

    fn passed(self) -> io::Error {
        io::Error::new(ErrorKind::TimedOut, self.phase.to_string())
    }

    /// Repeats `attempt` with short waits until it gets something or time is up.
    fn wait<T>(self, mut attempt: impl FnMut(Duration) -> io::Result<T>) -> io::Result<T> {
        let end = Instant::now() + self.left();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.passed());
            }
            match attempt(left.min(TICK)) {
                Err(e) if is_wait(&e) => {}
                other => return other,
            }
        }
    }
}

/// Whether a call only ran out of the time that it was given.
pub(super) fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.fault.ask(Call::SocketRead)?;
        let transport = &mut self.transport;
        let read = || self.reading.wait(|wait| transport.read(into, wait));
        self.silence.during(read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.fault.ask(Call::SocketWrite)?;
        // A part of what was given up may be on its way, and what came next would be taken
        // for the rest of it.
        if self.is_cut {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let transport = &mut self.transport;
        let attempt = |wait| match transport.write(slices, wait) {
            // A peer that is gone may leave its window closed: nothing would ever
            // come back, and no write ever fail.
            Err(e) if is_wait(&e) && transport.has_left()? => Err(ErrorKind::BrokenPipe.into()),
            other => other,
        };
        let written = self.silence.during(|| self.writing.wait(attempt));
        self.is_cut = matches!(&written, Err(e) if e.kind() != ErrorKind::Interrupted);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({})", self.peer())
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opening => "the other side did not open the conversation in time",
            Self::Idle => "the other side sent no request in time",
            Self::Answer => "the other side did not answer in time",
            Self::Stall => "the other side stalled in the middle of a message",
        })
    }
}
