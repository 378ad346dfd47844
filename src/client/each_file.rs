//! One question for each file of a tree, some ahead of the answers: nobody waits a round trip
//! for each, and a server that is busy reading takes in what is asked meanwhile.

use std::collections::VecDeque;

use super::session::{Session, out_of_order};
use super::{Client, Error, Listing};
use crate::code::Code;
use crate::entry::{Entry, Kind, Version};
use crate::path::RemotePath;
use crate::store;
use crate::transfer;
use crate::wire::message::{Encoded, Request};
use crate::wire::{Incoming, Message};

/// Bytes of requests that may be unanswered at once: what a server that is busy reading
/// files takes in without reading it.
const AHEAD: usize = 12 << 10;

/// What a request counts besides its path.
const REQUEST: usize = 64;

impl Client {
    /// Asks of the file at `path`, or of every file beneath it, or of all there are, and tells
    /// `hear` of each, in the order of a listing: its entry, and the answer or why there is
    /// none. `read` says what an answer about an entry is, and to which request.
    ///
    /// Returns what was listed and is no file: directories, links, and how much could not be
    /// listed.
    ///
    /// # Errors
    ///
    /// What ended the whole job: that there is no such path or no file, or the connection's
    /// end. A file that failed alone is told to `hear`.
    pub(super) fn ask_of_each<M: Encoded, T>(
        &self,
        path: Option<&RemotePath>,
        ask: impl Fn(Request, RemotePath, Version) -> M,
        read: impl Fn(&Entry, Message) -> Result<(Request, T), transfer::Error>,
        mut hear: impl FnMut(Entry, Result<T, Error>),
    ) -> Result<Listing, Error> {
        let listing = self.ask(|session| {
            let mut listing = session.list(path, None)?;
            let entries = std::mem::take(&mut listing.entries);
            let (files, others): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .partition(|entry| matches!(entry.kind, Kind::File(_)));
            listing.entries = others;
            ask_all(session, files, (&ask, &read), |entry, answer| {
                hear(
                    entry,
                    answer.map_err(|e| self.route.explain(e, &self.options)),
                );
            })?;
            Ok(listing)
        })?;
        match listing.entries.first() {
            // A listing has the entry of what was asked for only where that holds no others.
            Some(entry) if Some(&entry.path) == path => Err(Error::Refused {
                code: Code::File,
                text: store::Error::NotAFile(entry.path.clone()).to_string(),
            }),
            _ => Ok(listing),
        }
    }
}

fn ask_all<M: Encoded, T>(
    session: &mut Session,
    files: Vec<Entry>,
    (ask, read): (
        &impl Fn(Request, RemotePath, Version) -> M,
        &impl Fn(&Entry, Message) -> Result<(Request, T), transfer::Error>,
    ),
    mut hear: impl FnMut(Entry, Result<T, transfer::Error>),
) -> Result<(), transfer::Error> {
    let mut files = files.into_iter().peekable();
    let mut asked: VecDeque<(Request, Entry)> = VecDeque::new();
    let mut ahead = 0;
    loop {
        while let Some(entry) =
            files.next_if(|next| asked.is_empty() || ahead + cost(next) <= AHEAD)
        {
            let version = entry.version;
            let version = version.ok_or(transfer::Error::Broken("a file without a version"))?;
            let request = session.request();
            session.link.say(&ask(request, entry.path.clone(), version));
            ahead += cost(&entry);
            asked.push_back((request, entry));
        }
        let Some((request, entry)) = asked.pop_front() else {
            return Ok(());
        };
        ahead -= cost(&entry);
        let told = answer(session, request, |message| read(&entry, message))?;
        hear(entry, told);
    }
}

fn cost(entry: &Entry) -> usize {
    entry.path.as_str().len() + REQUEST
}

/// Waits for one answer, or why there is none.
fn answer<T>(
    session: &mut Session,
    request: Request,
    read: impl Fn(Message) -> Result<(Request, T), transfer::Error>,
) -> Result<Result<T, transfer::Error>, transfer::Error> {
    loop {
        match session.next()? {
            Incoming::Message(Message::Working(_)) | Incoming::Unknown(..) => {}
            Incoming::Message(Message::Fail(fail)) if fail.request == Some(request) => {
                return Ok(Err(fail.into()));
            }
            Incoming::Message(message) => {
                let kind = message.kind();
                return match read(message)? {
                    (of, told) if of == request => Ok(Ok(told)),
                    _ => Err(transfer::Error::OutOfOrder(kind)),
                };
            }
            other @ Incoming::Block(..) => return Err(out_of_order(&other)),
        }
    }
}
