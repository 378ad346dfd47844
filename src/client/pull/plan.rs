//! What there is to fetch, and how it is cut into work.

use std::sync::Arc;

use super::incoming_file::{Incoming, Part, Work};
use super::{Pull, Whole};
use crate::client::Download;
use crate::client::job::{Job, Subject, connections};
use crate::client::monitor::{Event, Status};
use crate::client::session::{Session, out_of_order};
use crate::code::Code;
use crate::entry::{Entry, Kind};
use crate::offer::EntryId;
use crate::path::RemotePath;
use crate::store::{self, Staged, Standing, Store};
use crate::transfer::Error;
use crate::wire::frame::LIST_MAX;
use crate::wire::message::{FETCH_MAX, List, fits};
use crate::wire::{self, Message};

/// Bytes of listings that are asked for ahead: what a server that is busy answering
/// takes in without reading it.
const AHEAD: usize = 12 << 10;
/// What a listing's request has beside its path.
const OVERHEAD: usize = 64;

/// Bytes of one batch of small files: a fetch is to be worth a segment.
const BATCH_BYTES: u64 = 8 << 20;

/// Files that are staged at once.
const STAGE: usize = 256;

/// What was found on the server.
pub(super) struct Found {
    files: Vec<(RemotePath, Entry)>,
    failed: Vec<(Subject, Code, String)>,
}

/// Asks for the entry of each download.
pub(super) fn list(session: &mut Session, downloads: Vec<Download>) -> Result<Found, Error> {
    let mut found = Found {
        files: Vec::new(),
        failed: Vec::new(),
    };
    let mut waiting = std::collections::VecDeque::new();
    let mut downloads = downloads.into_iter();
    let mut ahead = 0;
    loop {
        while ahead < AHEAD {
            let Some(download) = downloads.next() else {
                break;
            };
            ahead += download.from.as_str().len() + OVERHEAD;
            let request = session.request();
            session.link.say(&List {
                request,
                path: Some(download.from.clone()),
                depth: Some(0),
                after: None,
            });
            waiting.push_back((request, download));
        }
        let Some((request, download)) = waiting.pop_front() else {
            return Ok(found);
        };
        ahead -= download.from.as_str().len() + OVERHEAD;
        match answer(session)? {
            wire::Incoming::Message(Message::Entries(page)) if page.request == request => {
                found.add(download, page.entries)?;
            }
            wire::Incoming::Message(Message::Fail(fail)) if fail.request == Some(request) => {
                found.fail(download, fail.code, fail.text);
            }
            other => return Err(out_of_order(&other)),
        }
    }
}

/// What the server says next, but for its patience-keeping.
fn answer(session: &mut Session) -> Result<wire::Incoming, Error> {
    loop {
        match session.next()? {
            wire::Incoming::Message(Message::Working(_)) | wire::Incoming::Unknown(..) => {}
            other => return Ok(other),
        }
    }
}

impl Found {
    fn add(&mut self, download: Download, entries: Vec<Entry>) -> Result<(), Error> {
        let Ok([entry]) = <[Entry; 1]>::try_from(entries) else {
            return Err(Error::Broken(
                "a listing of more or less than was asked for",
            ));
        };
        if entry.path != download.from {
            return Err(Error::Broken("a listing of something else"));
        }
        match entry.kind {
            Kind::File(_) => {
                let path = download.to;
                self.files.push((download.from, Entry { path, ..entry }));
            }
            Kind::Dir => self.fail(download, Code::File, "is a directory".to_owned()),
            Kind::Link(_) => self.fail(download, Code::File, "is a symbolic link".to_owned()),
        }
        Ok(())
    }

    fn fail(&mut self, download: Download, code: Code, text: String) {
        let subject = Subject {
            path: download.from,
            size: 0,
        };
        self.failed.push((subject, code, text));
    }

    /// How many of at most `max` connections this work can use.
    pub(super) fn connections(&self, max: usize) -> usize {
        connections(self.files.iter().filter_map(|(_, e)| e.geometry()), max)
    }

    /// Stages what was found, and hands its blocks out.
    pub(super) fn stage<S: Store>(self, pull: &Pull<'_, S>, whole: &Whole<S>) {
        for (subject, code, text) in self.failed {
            pull.job.found(0);
            pull.job.fail(&subject, code, text);
        }
        let mut batch = Batch::default();
        let mut number = 0;
        for chunk in self.files.chunks(STAGE) {
            let entries: Vec<Entry> = chunk.iter().map(|(_, entry)| entry.clone()).collect();
            let staged = pull.store.stage(&entries, pull.options.on_existing);
            for ((from, entry), staged) in chunk.iter().zip(staged) {
                pull.job.found(entry.size());
                let subject = Subject {
                    path: from.clone(),
                    size: entry.size(),
                };
                match (staged, entry.version, entry.geometry()) {
                    (Ok(staged), Some(version), Some(geometry)) => {
                        let what = (version, geometry, entry.checksum);
                        let id = EntryId(number);
                        let file = Arc::new(Incoming::new(id, from.clone(), what, staged));
                        begin(pull, whole, &file, &mut batch);
                        number += 1;
                    }
                    (Err(store::Error::Newer(_)), ..) => {
                        pull.job.moved(entry.size());
                        pull.job.finish(&subject, None, Status::Kept);
                    }
                    (Err(error), ..) => pull.job.fail(&subject, error.code(), error.to_string()),
                    (Ok(_), ..) => {
                        let text = "the server did not say which version it has".to_owned();
                        pull.job.fail(&subject, Code::Protocol, text);
                    }
                }
            }
        }
        batch.hand_out(&pull.job);
    }
}

fn begin<S: Store>(
    pull: &Pull<'_, S>,
    whole: &Whole<S>,
    file: &Arc<Incoming<S::Staged>>,
    batch: &mut Batch<S::Staged>,
) {
    if let Standing::Same(_) = file.staged.standing() {
        pull.job.moved(file.geometry.size());
        // The publisher lives as long as this thread holds its channel.
        let _ = whole.send(Arc::clone(file));
        return;
    }
    if pull
        .reception
        .insert(file.id, Arc::clone(&file.staged))
        .is_err()
    {
        if file.settle() {
            let text = "too many files at once".to_owned();
            pull.job.fail(&file.subject(), Code::Limit, text);
        }
        return;
    }
    if file.geometry.is_single() {
        batch.add(file, &pull.job);
        return;
    }
    pull.job.tell(Event::Started {
        path: file.from.clone(),
        size: file.geometry.size(),
        done: Arc::clone(&file.done),
    });
    for blocks in file.geometry.segments(pull.segment) {
        let file = Arc::clone(file);
        pull.job.hand_out(Work::Segment(Part { file, blocks }));
    }
}

/// Small files that are fetched together.
struct Batch<T> {
    parts: Vec<Part<T>>,
    bytes: u64,
    len: usize,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            bytes: 0,
            len: 0,
        }
    }
}

impl<T> Batch<T> {
    fn add(&mut self, file: &Arc<Incoming<T>>, job: &Job<'_, Work<T>>) {
        let part = Part {
            file: Arc::clone(file),
            blocks: 0..1,
        };
        if !fits(&part.wanted(), &mut self.len, LIST_MAX) {
            self.hand_out(job);
            // The first of a list always fits: a path has 4,095 bytes.
            let _ = fits(&part.wanted(), &mut self.len, LIST_MAX);
        }
        self.bytes += file.geometry.size();
        self.parts.push(part);
        if self.parts.len() >= FETCH_MAX || self.bytes >= BATCH_BYTES {
            self.hand_out(job);
        }
    }

    fn hand_out(&mut self, job: &Job<'_, Work<T>>) {
        self.bytes = 0;
        self.len = 0;
        if !self.parts.is_empty() {
            job.hand_out(Work::Small(std::mem::take(&mut self.parts)));
        }
    }
}
