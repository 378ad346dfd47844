//! One connection to the server: ask, and be answered.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::entry::{Cursor, Entry};
use crate::net::Phase;
use crate::offer::TransferId;
use crate::path::RemotePath;
use crate::token::Token;
use crate::transfer::{Error, Link, Wait};
use crate::wire::message::{Encoded, Hello, List, Request, Welcome};
use crate::wire::{self, Incoming, Message};

use super::Listing;
use super::monitor::{Cancel, Hold};

/// Program and version, for the server's log.
const AGENT: &str = concat!("haul/", env!("CARGO_PKG_VERSION"));

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) link: Link,
    welcome: Option<Welcome>,
    next: Request,
    /// Since when the server has said nothing but that it is working.
    working: Option<Instant>,
    /// Whether nothing more can be asked.
    over: bool,
    /// Ends the connection with the session, however that ends.
    hold: Option<Hold>,
    /// Set once the server has welcomed us.
    met: Arc<AtomicBool>,
}

impl Session {
    /// Begins a conversation, as a guest where there is a token. Preface and `Hello` are
    /// queued, to leave with the first request.
    pub(super) fn begin(
        mut link: Link,
        hold: Option<Hold>,
        token: Option<Token>,
        met: Arc<AtomicBool>,
    ) -> Self {
        link.greet();
        link.say(&Hello {
            request: 0,
            agent: AGENT.to_owned(),
            token,
        });
        Self {
            link,
            welcome: None,
            next: 1,
            working: None,
            over: false,
            hold,
            met,
        }
    }

    /// A number that no request of this connection has had.
    pub(super) fn request(&mut self) -> Request {
        self.next += 1;
        self.next - 1
    }

    /// Lets `cancel` end the connection, and whatever could before no more.
    pub(super) fn obey(&mut self, cancel: &Cancel) {
        if let Some(hold) = &mut self.hold {
            hold.pass_to(cancel);
        }
    }

    /// Whether the connection has failed, or the server has ended it.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether nothing has come that nobody asked for: not even the connection's end.
    pub(super) fn is_silent(&mut self) -> bool {
        matches!(self.link.is_readable(), Ok(false))
    }

    /// Asks the server for a sign of life, which it has `opening` to give. What it says
    /// of anything before that is passed over.
    pub(super) fn is_there(&mut self) -> bool {
        let request = self.request();
        self.link.say(&List {
            request,
            path: None,
            depth: Some(0),
            after: None,
            itself: false,
        });
        self.link.expect_opening();
        loop {
            match self.link.next(Wait::Opening) {
                Ok(Some(Incoming::Message(Message::Entries(page)))) => {
                    return page.request == request && !page.more;
                }
                // One who may not read is answered too.
                Ok(Some(Incoming::Message(Message::Fail(fail)))) if fail.entry.is_none() => {
                    return fail.request == Some(request);
                }
                Ok(Some(Incoming::Message(Message::Fail(_) | Message::Working(_)))) => {}
                _ => return false,
            }
        }
    }

    /// What the server said of itself, once it has.
    pub(super) fn welcome(&mut self) -> Result<&Welcome, Error> {
        if self.welcome.is_none() {
            let welcome = self.be_welcomed();
            self.over |= welcome.is_err();
            self.welcome = Some(welcome.map_err(|error| self.last_words(error))?);
        }
        self.welcome.as_ref().ok_or(Error::Ended)
    }

    fn be_welcomed(&mut self) -> Result<Welcome, Error> {
        self.link.be_greeted()?;
        match self.link.next(Wait::Opening)?.ok_or(Error::Ended)? {
            Incoming::Message(Message::Welcome(welcome)) => {
                self.met.store(true, Ordering::Relaxed);
                Ok(welcome)
            }
            Incoming::Message(Message::Fail(fail)) => Err(fail.into()),
            other => Err(out_of_order(&other)),
        }
    }

    /// Waits for what the server says next.
    ///
    /// A `Fail` that concerns the connection is an error, and so is a server that
    /// says for too long that it is working.
    pub(super) fn next(&mut self) -> Result<Incoming, Error> {
        let next = self.hear();
        self.over |= next.is_err();
        next
    }

    fn hear(&mut self) -> Result<Incoming, Error> {
        self.welcome()?;
        let incoming = self.link.next(Wait::Owed);
        match incoming.and_then(|incoming| incoming.ok_or(Error::Ended)) {
            Ok(Incoming::Message(Message::Fail(fail)))
                if fail.entry.is_none() && fail.request.is_none() =>
            {
                Err(fail.into())
            }
            Ok(Incoming::Message(Message::Working(working))) => {
                let since = *self.working.get_or_insert_with(Instant::now);
                if since.elapsed() > self.link.deadlines().working {
                    let late = io::Error::new(io::ErrorKind::TimedOut, Phase::Answer.to_string());
                    return Err(wire::Error::Io(late).into());
                }
                Ok(Incoming::Message(Message::Working(working)))
            }
            Ok(other) => {
                self.working = None;
                Ok(other)
            }
            Err(error) => Err(self.last_words(error)),
        }
    }

    /// What the server said before the connection broke, if it said why.
    ///
    /// A write that fails is mostly the second thing to happen: the server has sent
    /// a `Fail` and closed, and the `Fail` still waits to be read.
    pub(super) fn last_words(&mut self, error: Error) -> Error {
        let broken = match &error {
            Error::Wire(wire::Error::Io(e)) => e.kind() != io::ErrorKind::TimedOut,
            Error::Wire(wire::Error::Cut) | Error::Ended => true,
            _ => false,
        };
        if !broken {
            return error;
        }
        loop {
            match self.link.hear_out() {
                Some(Incoming::Message(Message::Fail(fail))) if fail.entry.is_none() => {
                    return fail.into();
                }
                Some(Incoming::Message(_) | Incoming::Unknown(..)) => {}
                Some(Incoming::Block(..)) | None => return error,
            }
        }
    }

    /// Lists what is at `path`, or the root.
    pub(super) fn list(
        &mut self,
        path: Option<&RemotePath>,
        depth: Option<u32>,
    ) -> Result<Listing, Error> {
        let request = self.request();
        self.link.say(&List {
            request,
            path: path.cloned(),
            depth,
            after: None,
            itself: false,
        });
        let mut listing = Listing::default();
        loop {
            match self.next()? {
                Incoming::Message(Message::Entries(page)) if page.request == request => {
                    // Page after page, a server can say more than a number holds.
                    let add = |sum: &mut u64, more| *sum = sum.saturating_add(more);
                    add(&mut listing.unnamed, page.unnamed);
                    add(&mut listing.unreadable, page.unreadable);
                    add(&mut listing.special, page.special.unwrap_or(0));
                    check_page(&page.entries, listing.entries.last(), path)?;
                    listing.entries.extend(page.entries);
                    if !page.more {
                        return Ok(listing);
                    }
                }
                Incoming::Message(Message::Working(_)) | Incoming::Unknown(..) => {}
                Incoming::Message(Message::Fail(fail)) if fail.request == Some(request) => {
                    return Err(fail.into());
                }
                other => return Err(out_of_order(&other)),
            }
        }
    }

    /// Asks for something that is done or not, and waits until it is.
    pub(super) fn ask<M: Encoded>(
        &mut self,
        message: impl FnOnce(Request) -> M,
    ) -> Result<(), Error> {
        let request = self.request();
        self.link.say(&message(request));
        loop {
            match self.next()? {
                Incoming::Message(Message::Done(done)) if done.request == request => {
                    return Ok(());
                }
                Incoming::Message(Message::Working(_)) | Incoming::Unknown(..) => {}
                Incoming::Message(Message::Fail(fail)) if fail.request == Some(request) => {
                    return Err(fail.into());
                }
                other => return Err(out_of_order(&other)),
            }
        }
    }

    /// Ends the connection in the middle of something.
    pub(super) fn end(self) {
        self.link.close(None);
    }

    /// Ends the connection when all that was asked is answered.
    pub(super) fn leave(self) {
        self.link.leave();
    }
}

/// A transfer's name that nobody can guess and nobody else has.
pub(super) fn random_transfer() -> TransferId {
    let mut id = [0; 16];
    // The system has randomness from its start on; without it no name is unique,
    // and a server would refuse the entries of the second.
    let _ = rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty());
    TransferId(id)
}

/// A server that lists what was not asked for is not believed.
pub(super) fn check_page(
    page: &[Entry],
    last: Option<&Entry>,
    path: Option<&RemotePath>,
) -> Result<(), Error> {
    let cursors: Vec<Cursor> = last.into_iter().chain(page).map(Entry::cursor).collect();
    if !cursors.is_sorted_by(|a, b| a < b) {
        return Err(Error::Broken("a listing out of order"));
    }
    let beneath = |cursor: &Cursor| match path {
        None => true,
        Some(path) => cursor
            .as_str()
            .strip_prefix(path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    if cursors.iter().all(beneath) {
        Ok(())
    } else {
        Err(Error::Broken("a listing of something else"))
    }
}

/// The error for a message that has no meaning now.
pub(super) fn out_of_order(incoming: &Incoming) -> Error {
    match incoming {
        Incoming::Message(message) => Error::OutOfOrder(message.kind()),
        Incoming::Block(..) => Error::OutOfOrder(wire::Kind::Block),
        Incoming::Unknown(..) => Error::Broken("a message of an unknown kind"),
    }
}
