//! One connection: whole messages in and out, each under its deadline.

use std::time::{Duration, Instant};

use crate::net::keys::PublicKey;
use crate::net::{Phase, Silence, Stream};
use crate::wire::frame::LIST_MAX;
use crate::wire::message::{Block, Encoded, Fail};
use crate::wire::{self, Frames, Incoming, preface};

use super::error::Error;

/// Input that is read and forgotten when a connection ends after an error: what a
/// peer may have on its way before it learns of the error.
const DISCARD_MAX: u64 = 64 << 20;

/// Silence after which a connection gives back the memory that it holds only while it is
/// busy: to have it again costs a thousandth of this.
const MOMENT: Duration = Duration::from_millis(100);

/// How long a peer may take, by what it is expected to do.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// To be connected to, in all; and then, in all, to say what it speaks.
    pub opening: Duration,
    /// To send the next request: in all.
    pub idle: Duration,
    /// To go on with a message or an answer: without a byte.
    pub stall: Duration,
    /// Least bytes a second that a body may come or go at, beyond `stall`.
    pub floor: u64,
    /// To finish what it says it is working on: in all.
    pub working: Duration,
    /// To close, after an error was said.
    pub closing: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            stall: Duration::from_secs(60),
            floor: 1 << 10,
            working: Duration::from_secs(3600),
            closing: Duration::from_secs(2),
        }
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The conversation's beginning, or a sign that it goes on.
    Opening,
    /// Another request, from a peer that owes none.
    Idle,
    /// What a peer owes: the rest of an upload, or an answer.
    Owed,
}

/// One connection. One thread owns it.
#[derive(Debug)]
pub struct Link {
    frames: Frames<Stream>,
    deadlines: Deadlines,
    queued: usize,
    /// Whether the other side's preface was read, or cannot be.
    greeted: bool,
    /// When something was said for the last time.
    said: Instant,
}

impl Link {
    /// Takes a connection on which nothing was said yet.
    #[must_use]
    pub fn new(stream: Stream, deadlines: Deadlines) -> Self {
        Self {
            frames: Frames::new(stream),
            deadlines,
            queued: 0,
            greeted: false,
            said: Instant::now(),
        }
    }

    /// How long the peer may take.
    #[must_use]
    pub fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// Who the peer is.
    pub fn peer(&mut self) -> String {
        self.frames.io().peer()
    }

    /// What shows how long the peer was waited for.
    pub fn silence(&mut self) -> Silence {
        self.frames.io().silence()
    }

    /// The key that the peer has proved to hold; none without encryption.
    pub fn peer_key(&mut self) -> Option<PublicKey> {
        self.frames.io().peer_key()
    }

    /// Queues this side's preface.
    pub fn greet(&mut self) {
        self.frames.queue_preface(preface::VERSION);
    }

    /// Reads the other side's preface. The deadline for the opening begins here.
    ///
    /// # Errors
    ///
    /// [`wire::Error::OtherVersion`] or [`wire::Error::NotHaul`].
    pub fn be_greeted(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.expect_opening();
        Ok(self.read_preface()?)
    }

    fn read_preface(&mut self) -> Result<(), wire::Error> {
        self.greeted = true;
        match self.frames.read_preface()? {
            preface::VERSION => Ok(()),
            theirs => Err(wire::Error::OtherVersion { theirs }),
        }
    }

    /// Begins the deadline for an opening: all that is waited for as [`Wait::Opening`]
    /// must come within it.
    pub fn expect_opening(&mut self) {
        let opening = self.deadlines.opening;
        self.frames.io().expect(Phase::Opening, opening);
    }

    /// Queues a message. What is queued goes out before the next wait.
    pub fn say<M: Encoded>(&mut self, message: &M) {
        self.frames.queue(message);
        self.queued += LIST_MAX;
        self.said = Instant::now();
    }

    /// How long nothing was said to the peer.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.said.elapsed()
    }

    /// Sends what is queued.
    ///
    /// # Errors
    ///
    /// Whatever the connection failed with.
    pub fn flush(&mut self) -> Result<(), Error> {
        let len = std::mem::take(&mut self.queued);
        let within = self.within(len);
        self.frames.io().allow_write(self.deadlines.stall, within);
        Ok(self.frames.flush()?)
    }

    /// Sends a block after what is queued; a small one may wait for the next flush.
    ///
    /// # Errors
    ///
    /// Whatever the connection failed with.
    pub fn send_block(&mut self, header: &Block, body: &[u8]) -> Result<(), Error> {
        let within = self.within(self.queued + body.len());
        self.frames.io().allow_write(self.deadlines.stall, within);
        self.queued += body.len();
        self.said = Instant::now();
        self.frames.send_block(header, body)?;
        if !self.frames.has_queued() {
            self.queued = 0;
        }
        Ok(())
    }

    /// Waits for the next message, after sending what is queued. `None` where the
    /// peer ended the connection between two messages.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the connection or the message.
    pub fn next(&mut self, wait: Wait) -> Result<Option<Incoming>, Error> {
        self.flush()?;
        self.expect(wait);
        self.receive(wait)
    }

    fn receive(&mut self, wait: Wait) -> Result<Option<Incoming>, Error> {
        let Some(prefix) = self.frames.prefix()? else {
            return Ok(None);
        };
        if wait != Wait::Opening {
            self.expect_body(prefix.header + LIST_MAX);
        }
        Ok(Some(self.frames.message(prefix)?))
    }

    /// Waits for the next message, as [`Link::next`] does, with next to no memory where none
    /// comes within a moment; `rest` then gives back what the caller holds.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the connection or the message.
    pub fn next_or_rest(
        &mut self,
        wait: Wait,
        rest: impl FnOnce(),
    ) -> Result<Option<Incoming>, Error> {
        self.flush()?;
        self.expect(wait);
        if !self.frames.has_buffered() {
            let stream = self.frames.io();
            if !stream.await_input(MOMENT).map_err(wire::Error::Io)? {
                rest();
                self.frames.rest();
                self.frames.io().rest().map_err(wire::Error::Io)?;
            }
        }
        self.receive(wait)
    }

    /// Reads a message that came before the connection broke; nothing is sent any more.
    pub fn hear_out(&mut self) -> Option<Incoming> {
        let closing = self.deadlines.closing;
        self.frames.io().expect(Phase::Stall, closing);
        if !self.greeted {
            self.read_preface().ok()?;
        }
        let prefix = self.frames.prefix().ok()??;
        self.frames.message(prefix).ok()
    }

    /// Reads the body of a block whose header just came; `into` is as long as it.
    ///
    /// # Errors
    ///
    /// Whatever the connection failed with.
    pub fn body(&mut self, into: &mut [u8]) -> Result<(), Error> {
        self.expect_body(into.len());
        Ok(self.frames.body(into)?)
    }

    /// Reads and forgets the body of a block whose header just came.
    ///
    /// # Errors
    ///
    /// Whatever the connection failed with.
    pub fn skip(&mut self, len: usize) -> Result<(), Error> {
        self.expect_body(len);
        Ok(self.frames.skip(len)?)
    }

    /// Whether a message, or a part of one, waits to be read.
    ///
    /// # Errors
    ///
    /// Whatever the connection failed with.
    pub fn is_readable(&mut self) -> Result<bool, Error> {
        if self.frames.has_buffered() {
            return Ok(true);
        }
        Ok(self.frames.io().is_readable().map_err(wire::Error::Io)?)
    }

    /// Whether something may be heard by now: while blocks gather to leave in one write,
    /// nothing is looked for, as a look is a system call and costs what a small file does.
    ///
    /// # Errors
    ///
    /// Whatever the connection failed with.
    pub fn has_news(&mut self) -> Result<bool, Error> {
        Ok((self.frames.has_buffered() || !self.frames.has_queued()) && self.is_readable()?)
    }

    /// Ends the connection; where there was an error that the peer can still be
    /// told of, it is.
    pub fn close(mut self, error: Option<&Error>) {
        match error {
            Some(Error::Wire(wire::Error::NotHaul(_))) => self.frames.queue_text(preface::NOT_HAUL),
            Some(error) if error.is_worth_saying() => {
                self.say(&Fail::connection(error.code(), error.to_string()));
            }
            Some(_) | None => {}
        }
        if self.flush().is_ok() {
            let within = self.deadlines.closing;
            self.frames.into_io().close(within, DISCARD_MAX);
        }
    }

    /// Ends a connection on which neither side owes the other anything, and waits for nobody:
    /// far away the other side's end would come a round trip later.
    pub fn leave(mut self) {
        if self.flush().is_ok() {
            self.frames.into_io().close(Duration::ZERO, 0);
        }
    }

    fn expect(&mut self, wait: Wait) {
        match wait {
            // One deadline for the whole opening: whoever waits began it.
            Wait::Opening => {}
            Wait::Idle => self.frames.io().expect(Phase::Idle, self.deadlines.idle),
            Wait::Owed => self.frames.io().expect(Phase::Answer, self.deadlines.stall),
        }
    }

    fn expect_body(&mut self, len: usize) {
        let within = self.within(len);
        self.frames.io().expect_body(self.deadlines.stall, within);
    }

    fn within(&self, len: usize) -> Duration {
        self.deadlines.stall + Duration::from_secs(len as u64 / self.deadlines.floor.max(1))
    }
}
