//! Requests that read files from the store.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::Instant;

use tracing::info;

use super::access::Access;
use super::audit::Asked;
use super::session::{Session, hear, seconds};
use super::trail::Act;
use crate::code::Code;
use crate::content::{BlockSize, Geometry};
use crate::offer::TransferId;
use crate::store::{ReadAt, Source, Store};
use crate::transfer::send::{Ended, Run, send};
use crate::transfer::{Error, Link};
use crate::wire::Message;
use crate::wire::message::{FETCH_MAX, Fetch, Request, Sent, Unsent, Wanted, short};

/// Longest explanation of one exception, in bytes.
const TEXT_MAX: usize = 120;

/// Sends the blocks that are asked for, in order.
pub(super) fn fetch<S: Store>(session: &mut Session<'_, S>, fetch: &Fetch) -> Result<(), Error> {
    let began = Instant::now();
    if fetch.files.len() > FETCH_MAX {
        return Err(Error::Broken("more than 256 files in a fetch"));
    }
    let mut exceptions = Vec::new();
    let mut bytes = 0;
    let peer = session.peer;
    let (access, link, buffer, queue) = session.sending();
    let mut stopped = false;
    for wanted in &fetch.files {
        let mut act = access.begin(Asked::Fetch, Some(&wanted.path));
        let mut sending = Sending {
            access,
            link,
            buffer,
            queue,
            act: &mut act,
            bytes: &mut bytes,
        };
        let outcome = sending.file((fetch.request, fetch.transfer), wanted)?;
        match outcome.recorded(act) {
            Outcome::Sent => {}
            Outcome::Refused(code, text) => {
                let text = short(text, TEXT_MAX);
                exceptions.push(Unsent {
                    entry: wanted.entry,
                    code,
                    text,
                });
            }
            Outcome::Unwanted => exceptions.push(Unsent {
                entry: wanted.entry,
                code: Code::Interrupted,
                text: String::new(),
            }),
            Outcome::Stopped => {
                stopped = true;
                break;
            }
        }
    }
    info!(
        peer,
        files = fetch.files.len(),
        first = fetch.files.first().map(|w| w.path.as_str()),
        bytes,
        failed = exceptions.len(),
        why = exceptions.first().map(|e| e.text.as_str()),
        stopped,
        seconds = seconds(began),
        "fetch"
    );
    session.link.say(&Sent {
        request: fetch.request,
        exceptions,
    });
    Ok(())
}

enum Outcome {
    Sent,
    Refused(Code, String),
    /// The receiver gave up this file.
    Unwanted,
    /// The receiver wants no more of the whole request.
    Stopped,
}

impl Outcome {
    /// What the client is told: where sending cannot be recorded, that.
    fn recorded(self, act: Act) -> Self {
        let failed = match &self {
            Self::Sent => None,
            Self::Refused(code, _) => Some(*code),
            Self::Unwanted | Self::Stopped => Some(Code::Interrupted),
        };
        match (act.end(failed), self) {
            (Err(error), Self::Sent) => Self::Refused(error.code(), error.to_string()),
            (_, outcome) => outcome,
        }
    }
}

struct Sending<'s, S: Store> {
    access: &'s Access<S>,
    link: &'s mut Link,
    buffer: &'s mut Vec<u8>,
    queue: &'s mut VecDeque<Message>,
    act: &'s mut Act,
    bytes: &'s mut u64,
}

impl<S: Store> Sending<'_, S> {
    fn file(
        &mut self,
        (request, transfer): (Request, TransferId),
        wanted: &Wanted,
    ) -> Result<Outcome, Error> {
        let reader = match self.access.open(&wanted.path, Some(&wanted.version)) {
            Ok(reader) => reader,
            Err(error) => return Ok(Outcome::Refused(error.code(), error.to_string())),
        };
        let cut = BlockSize::new(wanted.block).and_then(|b| Geometry::new(reader.size(), b));
        let geometry = match cut {
            Ok(geometry) => geometry,
            Err(error) => return Ok(Outcome::Refused(Code::Protocol, error.to_string())),
        };
        let end = wanted.first.checked_add(wanted.count);
        let Some(end) = end.filter(|end| *end <= geometry.blocks()) else {
            let text = "blocks beyond the file's end".to_owned();
            return Ok(Outcome::Refused(Code::Protocol, text));
        };
        let run = Run {
            transfer,
            entry: wanted.entry,
            reader: &reader,
            geometry,
            blocks: wanted.first..end,
            tag: None,
            here: Vec::new(),
            hashed: None,
        };
        let stop = Cell::new(false);
        let is_end = |message: &Message| match message {
            Message::Stop(stopped) if stopped.request == request => {
                stop.set(true);
                true
            }
            Message::Fail(fail) => fail.entry == Some(wanted.entry),
            _ => false,
        };
        let (queue, act, bytes) = (&mut *self.queue, &mut *self.act, &mut *self.bytes);
        let ended = send(
            self.link,
            &run,
            self.buffer,
            |_, _, len, _| {
                *bytes += len as u64;
                act.read(len as u64);
            },
            |link| hear(link, queue, is_end),
        )?;
        Ok(match ended {
            Ended::Whole => Outcome::Sent,
            Ended::Stopped if stop.get() => Outcome::Stopped,
            Ended::Stopped => Outcome::Unwanted,
            Ended::SourceFailed(error) => Outcome::Refused(error.code(), error.to_string()),
        })
    }
}
