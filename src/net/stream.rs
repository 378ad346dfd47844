//! A connection whose every wait has a named end.
//!
//! A timeout for each read is no defence against a peer that sends one byte just
//! before it expires, so a wait has two bounds: how long nothing may come, and
//! when all of it must have come. The deadlines lie beneath the transport's own
//! framing, so that later a peer cannot stall inside an encrypted record either.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::keys::PublicKey;
use crate::fault::{Call, Fault};

/// Longest single wait in the system, so that a deadline that moves closer is seen.
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
    /// `WouldBlock` or `TimedOut` when there was no room, or whatever failed.
    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize>;

    /// Whether a read would return at once, with bytes, the end or an error.
    ///
    /// # Errors
    ///
    /// Whatever failed.
    fn is_readable(&mut self) -> io::Result<bool>;

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

/// Since when a connection's owner waits for the peer in vain, for any thread to see.
/// Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub struct Silence(Arc<AtomicU64>);

/// What [`Silence`] counts from.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Silence {
    /// How long the wait lasts that is under way; no time where there is none.
    #[must_use]
    pub fn length(&self) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => BEGAN.elapsed().saturating_sub(Duration::from_millis(since)),
        }
    }

    fn during<T>(&self, wait: impl FnOnce() -> T) -> T {
        let now = BEGAN.elapsed().as_millis() as u64;
        self.0.store(now.max(1), Ordering::Relaxed);
        let came = wait();
        self.0.store(0, Ordering::Relaxed);
        came
    }
}

/// One connection. One thread owns it.
pub struct Stream {
    transport: Box<dyn Transport>,
    fault: Fault,
    silence: Silence,
    reading: Bound,
    writing: Bound,
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

    /// Repeats `attempt` with short waits until it gets something or time is up.
    fn wait<T>(self, mut attempt: impl FnMut(Duration) -> io::Result<T>) -> io::Result<T> {
        let silent = Instant::now() + self.silence;
        let end = silent.min(self.until);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(ErrorKind::TimedOut, self.phase.to_string()));
            }
            match attempt(left.min(TICK)) {
                Err(e) if is_wait(&e) => {}
                other => return other,
            }
        }
    }
}

/// Whether a call only ran out of the time that it was given.
fn is_wait(error: &io::Error) -> bool {
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
        let transport = &mut self.transport;
        let attempt = |wait| match transport.write(slices, wait) {
            // A peer that is gone may leave its window closed: nothing would ever
            // come back, and no write ever fail.
            Err(e) if is_wait(&e) && transport.has_left()? => Err(ErrorKind::BrokenPipe.into()),
            other => other,
        };
        self.silence.during(|| self.writing.wait(attempt))
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
