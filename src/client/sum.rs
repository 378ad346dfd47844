//! Checksums of what is on a server, read there: nothing but names and sums moves.

use std::collections::VecDeque;

use super::session::{Session, out_of_order};
use super::{Client, Error, Listing};
use crate::code::Code;
use crate::content::{Algorithm, Checksum};
use crate::entry::{Entry, Kind};
use crate::path::RemotePath;
use crate::store;
use crate::transfer;
use crate::wire::message::{Request, Sum};
use crate::wire::{Incoming, Message};

/// Bytes of requests that may be unanswered at once: what a server that is busy reading
/// files takes in without reading it.
const AHEAD: usize = 12 << 10;

/// What a request counts besides its path.
const REQUEST: usize = 64;

impl Client {
    /// Has the server read the file at `path`, or every file beneath it, or all there are,
    /// and tells `hear` of each, in the order of a listing: its entry, and its checksum or
    /// why there is none. Recorded checksums are not believed here.
    ///
    /// Returns what was listed and has no checksum: directories, links, and how much could
    /// not be listed.
    ///
    /// ```
    /// # use haul::{fault::Fault, server::{Config, Server}, store::{Durability, LocalStore}};
    /// # let served = tempfile::tempdir()?;
    /// # let store = LocalStore::serve(served.path(), Durability::Batch, Fault::default())?;
    /// # let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
    /// # let address = server.addresses()?[0].to_string();
    /// # let _running = server.start()?;
    /// # std::fs::write(served.path().join("notes"), "sea")?;
    /// use haul::client::{Client, Options};
    /// use haul::content::Algorithm;
    ///
    /// let client = Client::new(&address, Options::default());
    /// let mut sums = Vec::new();
    /// client.sum(None, Algorithm::Blake3, |entry, sum| sums.push((entry.path, sum.ok())))?;
    /// let (path, sum) = sums.remove(0);
    /// assert_eq!(path.as_str(), "notes");
    /// let expected = format!("blake3:{}", blake3::hash(b"sea").to_hex());
    /// assert_eq!(sum.map(|sum| sum.to_string()), Some(expected));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What ended the whole job: that there is no such path or no file, or the connection's
    /// end. A file that failed alone is told to `hear`.
    pub fn sum(
        &self,
        path: Option<&RemotePath>,
        algorithm: Algorithm,
        mut hear: impl FnMut(Entry, Result<Checksum, Error>),
    ) -> Result<Listing, Error> {
        let listing = self.ask(|session| {
            let mut listing = session.list(path, None)?;
            let entries = std::mem::take(&mut listing.entries);
            let (files, others): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .partition(|entry| matches!(entry.kind, Kind::File(_)));
            listing.entries = others;
            sum_all(session, files, algorithm, |entry, sum| {
                hear(entry, sum.map_err(|e| self.route.explain(e, &self.options)));
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

/// Asks for the checksum of each file, some ahead of the answers.
fn sum_all(
    session: &mut Session,
    files: Vec<Entry>,
    algorithm: Algorithm,
    mut hear: impl FnMut(Entry, Result<Checksum, transfer::Error>),
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
            session.link.say(&Sum {
                request,
                path: entry.path.clone(),
                version,
                algorithm,
            });
            ahead += cost(&entry);
            asked.push_back((request, entry));
        }
        let Some((request, entry)) = asked.pop_front() else {
            return Ok(());
        };
        ahead -= cost(&entry);
        let sum = answer(session, request, algorithm)?;
        hear(entry, sum);
    }
}

fn cost(entry: &Entry) -> usize {
    entry.path.as_str().len() + REQUEST
}

/// Waits for one checksum, or why there is none.
fn answer(
    session: &mut Session,
    request: Request,
    algorithm: Algorithm,
) -> Result<Result<Checksum, transfer::Error>, transfer::Error> {
    loop {
        match session.next()? {
            Incoming::Message(Message::SumIs(sum))
                if sum.request == request && sum.checksum.algorithm() == algorithm =>
            {
                return Ok(Ok(sum.checksum));
            }
            Incoming::Message(Message::Working(_)) | Incoming::Unknown(..) => {}
            Incoming::Message(Message::Fail(fail)) if fail.request == Some(request) => {
                return Ok(Err(fail.into()));
            }
            other => return Err(out_of_order(&other)),
        }
    }
}
