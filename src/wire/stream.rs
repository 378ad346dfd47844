//! Frames on anything that is `Read` and `Write`.
//!
//! Small messages and bodies gather in one buffer and leave in one write; a large
//! body goes out straight from its owner, and comes in straight into it.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::ops::Range;

use super::error::Error;
use super::frame::{self, Kind, PREFIX, Prefix};
use super::message::{self, Block, Encoded, Message, Request};
use super::preface;

/// Bytes that are read ahead where many come: several small messages at once.
const INPUT: usize = 64 << 10;
/// Bytes that are read ahead where few do: one request now and then.
const INPUT_FEW: usize = 4 << 10;
/// Bytes that gather before they are written without being asked to.
const OUTPUT: usize = 128 << 10;
/// A body from here on is worth a write of its own instead of a copy.
const LARGE: usize = 32 << 10;

/// What came.
#[derive(Debug)]
pub enum Incoming {
    /// A whole message.
    Message(Message),
    /// A block's header; its body of so many bytes is next, for [`Frames::body`].
    Block(Block, usize),
    /// A message of a kind that version 1 does not know, and its request's number
    /// where it has one; it was skipped.
    Unknown(u8, Option<Request>),
}

/// One connection's messages, both ways.
#[derive(Debug)]
pub struct Frames<T> {
    io: T,
    input: Vec<u8>,
    /// The part of `input` that was read from the connection and not yet taken.
    ready: Range<usize>,
    output: Vec<u8>,
    /// Header and body of the message at hand.
    scratch: Vec<u8>,
    prefix: [u8; PREFIX],
}

impl<T: Read + Write> Frames<T> {
    /// Wraps a connection on which nothing was said yet.
    pub fn new(io: T) -> Self {
        Self {
            io,
            input: Vec::new(),
            ready: 0..0,
            output: Vec::new(),
            scratch: Vec::new(),
            prefix: [0; PREFIX],
        }
    }

    /// The connection beneath.
    pub fn io(&mut self) -> &mut T {
        &mut self.io
    }

    /// Gives the connection back; what was read ahead or queued is lost.
    #[must_use]
    pub fn into_io(self) -> T {
        self.io
    }

    /// Whether bytes that were read wait to be taken.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether anything is queued and not yet sent.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.output.is_empty()
    }

    /// Gives back what memory is needed only while messages come and go.
    pub fn rest(&mut self) {
        if self.ready.is_empty() {
            (self.input, self.ready) = (Vec::new(), 0..0);
        }
        if self.output.is_empty() {
            self.output = Vec::new();
        }
        self.scratch = Vec::new();
    }

    /// Queues the preface that opens a connection.
    pub fn queue_preface(&mut self, version: u16) {
        self.output.extend_from_slice(&preface::encode(version));
    }

    /// Queues text for a peer that does not speak haul.
    pub fn queue_text(&mut self, text: &[u8]) {
        self.output.extend_from_slice(text);
    }

    /// Queues a message; [`Frames::flush`] sends what is queued.
    pub fn queue<M: Encoded>(&mut self, message: &M) {
        message::write(message, &mut self.output);
    }

    /// Sends a block, after what is queued. A small one is queued itself.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn send_block(&mut self, header: &Block, body: &[u8]) -> Result<(), Error> {
        header.write(body.len(), &mut self.output);
        if body.len() < LARGE {
            self.output.extend_from_slice(body);
            return if self.output.len() < OUTPUT {
                Ok(())
            } else {
                self.flush()
            };
        }
        let result = write_both(&mut self.io, &self.output, body);
        self.output.clear();
        result
    }

    /// Sends all that is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn flush(&mut self) -> Result<(), Error> {
        let result = write_both(&mut self.io, &self.output, &[]);
        self.output.clear();
        result
    }

    /// Reads the other side's preface and returns its version.
    ///
    /// # Errors
    ///
    /// [`Error::NotHaul`] at the first byte that cannot belong to a preface.
    pub fn read_preface(&mut self) -> Result<u16, Error> {
        while self.ready.len() < preface::LEN {
            if !preface::may_become(&self.input[self.ready.clone()]) {
                let came = self.input[self.ready.clone()].escape_ascii().to_string();
                return Err(Error::NotHaul(came));
            }
            if self.read_ahead()? == 0 {
                return Err(Error::Cut);
            }
        }
        let mut bytes = [0; preface::LEN];
        self.take(&mut bytes)?;
        preface::decode(&bytes)
    }

    /// Waits for the next message's prefix. `None` where the connection ended
    /// between two messages.
    ///
    /// # Errors
    ///
    /// [`Error::Cut`], or a length beyond its limit.
    pub fn prefix(&mut self) -> Result<Option<Prefix>, Error> {
        if self.ready.is_empty() && self.read_ahead()? == 0 {
            return Ok(None);
        }
        let mut bytes = [0; PREFIX];
        self.take(&mut bytes)?;
        self.prefix = bytes;
        Prefix::decode(&bytes).map(Some)
    }

    /// Reads what the prefix announced.
    ///
    /// # Errors
    ///
    /// [`Error::Cut`], [`Error::Damaged`], or what is wrong with the header or list.
    pub fn message(&mut self, prefix: Prefix) -> Result<Incoming, Error> {
        let block = prefix.kind == Ok(Kind::Block);
        let len = prefix.header + if block { 0 } else { prefix.body };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(len, 0);
        let result = self
            .take(&mut scratch)
            .and_then(|()| self.interpret(prefix, &scratch));
        self.scratch = scratch;
        result
    }

    fn interpret(&self, prefix: Prefix, bytes: &[u8]) -> Result<Incoming, Error> {
        let (header, body) = bytes.split_at(prefix.header);
        let map = frame::open(&self.prefix, header, body)?;
        let kind = match prefix.kind {
            Ok(kind) => kind,
            Err(number) => return Ok(Incoming::Unknown(number, message::request_of(map))),
        };
        match Message::read(kind, map, body)? {
            Some(message) => Ok(Incoming::Message(message)),
            None => Ok(Incoming::Block(Block::read(map)?, prefix.body)),
        }
    }

    /// Reads a block's body, `into` being as long as it.
    ///
    /// # Errors
    ///
    /// [`Error::Cut`] or [`Error::Io`].
    pub fn body(&mut self, into: &mut [u8]) -> Result<(), Error> {
        self.take(into)
    }

    /// Reads a block's body and forgets it.
    ///
    /// # Errors
    ///
    /// [`Error::Cut`] or [`Error::Io`].
    pub fn skip(&mut self, mut len: usize) -> Result<(), Error> {
        while len > 0 {
            if self.ready.is_empty() && self.read_ahead()? == 0 {
                return Err(Error::Cut);
            }
            let skipped = len.min(self.ready.len());
            self.ready.start += skipped;
            len -= skipped;
        }
        Ok(())
    }

    /// Fills `into` from what was read ahead, then from the connection.
    fn take(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < into.len() {
            if self.ready.is_empty() {
                let rest = &mut into[filled..];
                if rest.len() >= LARGE {
                    match read_some(&mut self.io, rest)? {
                        0 => return Err(Error::Cut),
                        n => filled += n,
                    }
                    continue;
                }
                if self.read_ahead()? == 0 {
                    return Err(Error::Cut);
                }
            }
            let n = self.ready.len().min(into.len() - filled);
            let from = &self.input[self.ready.start..self.ready.start + n];
            into[filled..filled + n].copy_from_slice(from);
            self.ready.start += n;
            filled += n;
        }
        Ok(())
    }

    /// Reads what has come, behind what was not yet taken.
    fn read_ahead(&mut self) -> Result<usize, Error> {
        if self.input.is_empty() {
            self.input = vec![0; INPUT_FEW];
        }
        if self.ready.is_empty() {
            // It was full, so more is on its way.
            if self.ready.end == self.input.len() && self.ready.end < INPUT {
                self.input = vec![0; INPUT];
            }
            self.ready = 0..0;
        }
        let n = read_some(&mut self.io, &mut self.input[self.ready.end..])?;
        self.ready.end += n;
        Ok(n)
    }
}

fn read_some(io: &mut impl Read, into: &mut [u8]) -> Result<usize, Error> {
    loop {
        match io.read(into) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            other => return Ok(other?),
        }
    }
}

/// Writes two slices one after the other, in one call where the system takes both.
fn write_both(io: &mut impl Write, first: &[u8], second: &[u8]) -> Result<(), Error> {
    let mut slices = [IoSlice::new(first), IoSlice::new(second)];
    let mut left = &mut slices[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match io.write_vectored(left) {
            Ok(0) => return Err(Error::Cut),
            Ok(n) => IoSlice::advance_slices(&mut left, n),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
