//! From a listed entry to work: judge it, make room for it, hand its blocks out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::incoming_file::{Incoming, Part, Purpose, Question, Work};
use super::{Pull, Whole};
use crate::client::Effect;
use crate::client::job::{Job, Subject};
use crate::client::monitor::{Event, Status};
use crate::client::sharing::{pieces, segments};
use crate::code::Code;
use crate::content::{Checksum, Geometry};
use crate::entry::{Entry, Kind, Recorded, Version};
use crate::offer::{EntryId, Offering, Terms};
use crate::path::RemotePath;
use crate::store::{Error, Staged, Standing, Store};
use crate::wire::frame::LIST_MAX;
use crate::wire::message::{FETCH_MAX, fits};

/// Bytes of one batch of small files: a fetch is to be worth a segment.
const BATCH_BYTES: u64 = 8 << 20;

/// Small files that are worth a fetch to a connection that has nothing else to do.
const FETCH_LEAST: usize = 8;

/// Files that are staged at once.
const STAGE: usize = 256;

/// What one page of a listing comes to.
pub(super) struct Stage<'p, 'm, S: Store> {
    pull: &'p Pull<'m, S>,
    whole: &'p Whole<S>,
    /// What waits to be staged, under its name on the server.
    waiting: Vec<(RemotePath, Offering)>,
    batch: Batch<S::Staged>,
    found: Vec<Option<Geometry>>,
}

impl<'p, 'm, S: Store> Stage<'p, 'm, S> {
    /// For a page with so many entries.
    pub(super) fn new(pull: &'p Pull<'m, S>, whole: &'p Whole<S>, entries: usize) -> Self {
        let most = if pull.early.are_there() {
            (entries / pull.connect.connections).clamp(FETCH_LEAST, FETCH_MAX)
        } else {
            FETCH_MAX
        };
        Self {
            pull,
            whole,
            waiting: Vec::new(),
            batch: Batch::of(most),
            found: Vec::new(),
        }
    }

    /// Takes something that was listed.
    pub(super) fn add(&mut self, from: RemotePath, offering: Offering) {
        self.pull.job.found(offering.entry.size());
        self.waiting.push((from, offering));
        if self.waiting.len() >= STAGE {
            self.stage();
        }
    }

    /// Hands out what is left, and returns what there was.
    pub(super) fn finish(mut self) -> Vec<Option<Geometry>> {
        self.stage();
        self.batch.hand_out(&self.pull.job);
        self.found
    }

    fn stage(&mut self) {
        let pull = self.pull;
        let waiting = std::mem::take(&mut self.waiting);
        let terms = Terms {
            on: pull.options.on_existing,
            compare: pull.options.compare,
        };
        if pull.options.effect == Effect::Dry {
            for (from, offering) in waiting {
                self.found.push(offering.entry.geometry());
                self.rehearse(from, offering.entry, terms);
            }
            return;
        }
        let (names, offerings): (Vec<RemotePath>, Vec<Offering>) = waiting.into_iter().unzip();
        let Some(store) = &pull.store else {
            return;
        };
        let staged = store.stage(&offerings, terms);
        for ((from, offering), staged) in names.into_iter().zip(offerings).zip(staged) {
            let entry = offering.entry;
            self.found.push(entry.geometry());
            match staged {
                Ok(staged) => self.begin(from, &entry, staged),
                Err(error) => pull.not_taken(from, entry, &error),
            }
        }
    }

    fn begin(&mut self, from: RemotePath, entry: &Entry, staged: Arc<S::Staged>) {
        let pull = self.pull;
        let version = match (&entry.kind, entry.version) {
            (_, Some(version)) => version,
            // A link is fetched with its listing.
            (Kind::Link(_), None) => Version([0; 16]),
            (Kind::File(_) | Kind::Dir, None) => {
                let subject = Subject {
                    path: from,
                    size: entry.size(),
                };
                let text = "the server did not say which version it has".to_owned();
                return pull.job.fail(&subject, Code::Protocol, text);
            }
        };
        let id = EntryId(pull.entries.fetch_add(1, Ordering::Relaxed));
        // Whatever was done to it since: its bytes come, and are held against this.
        let recorded = entry.checksum.map(|recorded| recorded.checksum);
        let file = Arc::new(Incoming::new(id, from, (version, recorded), staged));
        let there = pull.believed(entry);
        match (file.staged.standing(), entry.geometry(), there) {
            (Standing::Same(_), ..) | (_, None, _) => pull.is_whole(&file, self.whole),
            (Standing::SameIf(_, here), Some(_), None) => {
                pull.job.hand_out(Work::Sum(Question {
                    path: file.from.clone(),
                    version,
                    purpose: Purpose::Doubt(file, here),
                }));
            }
            (Standing::SameIf(_, here), Some(geometry), Some(there)) => {
                if !pull.is_same(&file, (here, there), self.whole) {
                    self.fetch(&file, geometry);
                }
            }
            (Standing::Absent | Standing::Replaces(_), Some(geometry), _) => {
                self.fetch(&file, geometry);
            }
        }
    }

    fn fetch(&mut self, file: &Arc<Incoming<S::Staged>>, geometry: Geometry) {
        if !self.pull.expects(file) {
            return;
        }
        if geometry.is_single() {
            self.batch.add(file, geometry, &self.pull.job);
        } else {
            self.pull.hand_out_segments(file, geometry);
        }
    }

    /// Says what would be done with an entry.
    fn rehearse(&self, from: RemotePath, entry: Entry, terms: Terms) {
        let pull = self.pull;
        let standing = match &pull.store {
            Some(store) => store.judge(&entry, terms),
            // What is downloaded into is not there yet, and nothing in it.
            None => Ok(Standing::Absent),
        };
        let size = entry.size();
        let status = match standing {
            Ok(Standing::Absent) => Status::WouldStore,
            Ok(Standing::Same(_)) | Err(Error::Newer(_)) => Status::WouldSkip,
            Ok(Standing::Replaces(_)) => Status::WouldReplace,
            Ok(Standing::SameIf(_, here)) => {
                let subject = Subject { path: from, size };
                match (pull.believed(&entry), entry.version) {
                    (Some(there), _) => pull.would(&subject, here == there),
                    (None, Some(version)) => pull.job.hand_out(Work::Sum(Question {
                        path: subject.path.clone(),
                        version,
                        purpose: Purpose::Rehearsal(subject, here),
                    })),
                    (None, None) => pull.would(&subject, false),
                }
                return;
            }
            Err(error) => return pull.not_taken(from, entry, &error),
        };
        pull.job.moved(size);
        match entry.kind {
            Kind::File(_) => {
                let subject = Subject { path: from, size };
                pull.job.finish(&subject, None, status);
            }
            kind @ (Kind::Dir | Kind::Link(_)) => pull.job.placed(from, kind, status),
        }
    }
}

impl<S: Store> Pull<'_, S> {
    /// The checksum that the server has on record, where that is as good as one which it
    /// computes: nobody has touched the file since, and decay is not what is looked for.
    fn believed(&self, entry: &Entry) -> Option<Checksum> {
        let recorded = entry.checksum.filter(|_| self.options.compare.is_quick());
        recorded.and_then(Recorded::believed)
    }

    /// The store refuses something that was listed.
    fn not_taken(&self, path: RemotePath, entry: Entry, error: &Error) {
        let size = entry.size();
        let subject = Subject { path, size };
        match (error, entry.kind) {
            (Error::Newer(_), Kind::File(_)) => {
                self.job.moved(size);
                self.job.finish(&subject, None, Status::Kept);
            }
            (Error::Newer(_), kind) => self.job.placed(subject.path, kind, Status::Kept),
            (error, _) => self.job.fail(&subject, error.code(), error.to_string()),
        }
    }

    /// Nothing more has to come of it.
    pub(super) fn is_whole(&self, file: &Arc<Incoming<S::Staged>>, whole: &Whole<S>) {
        self.job.moved(file.entry().size());
        // The publisher lives as long as a worker holds its channel.
        let _ = whole.send(Arc::clone(file));
    }

    /// Decides whether the file that is here has the checksum of the one there. `false`
    /// where it has not, and is to be replaced.
    pub(super) fn is_same(
        &self,
        file: &Arc<Incoming<S::Staged>>,
        (here, there): (Checksum, Checksum),
        whole: &Whole<S>,
    ) -> bool {
        if here == there {
            file.same.get_or_init(|| here);
            self.is_whole(file, whole);
            return true;
        }
        if self.options.on_existing.may_replace() {
            return false;
        }
        if file.settle() {
            let error = Error::Exists(file.entry().path.clone());
            self.job
                .fail(&file.subject(), error.code(), error.to_string());
        }
        true
    }

    /// Says what would be done with a file that has the name of one that is here.
    pub(super) fn would(&self, subject: &Subject, is_same: bool) {
        let status = match (is_same, self.options.on_existing.may_replace()) {
            (true, _) => Status::WouldSkip,
            (false, true) => Status::WouldReplace,
            (false, false) => {
                let error = Error::Exists(subject.path.clone());
                return self.job.fail(subject, error.code(), error.to_string());
            }
        };
        self.job.moved(subject.size);
        self.job.finish(subject, None, status);
    }

    /// Expects a file's blocks. `false` where there is no room to.
    pub(super) fn expects(&self, file: &Arc<Incoming<S::Staged>>) -> bool {
        let expected = self.reception.insert(file.id, Arc::clone(&file.staged));
        if expected.is_err() && file.settle() {
            let text = "too many files at once".to_owned();
            self.job.fail(&file.subject(), Code::Limit, text);
        }
        expected.is_ok()
    }

    /// Fetches a file that was in doubt.
    pub(super) fn fetch_alone(&self, file: &Arc<Incoming<S::Staged>>) {
        match file.entry().geometry() {
            Some(geometry) if geometry.is_single() => {
                let file = Arc::clone(file);
                self.job.hand_out(Work::Small(vec![Part {
                    file,
                    geometry,
                    blocks: 0..1,
                }]));
            }
            Some(geometry) => self.hand_out_segments(file, geometry),
            None => {}
        }
    }

    /// Announces a file of several blocks, and lets any worker fetch them.
    pub(super) fn hand_out_segments(&self, file: &Arc<Incoming<S::Staged>>, geometry: Geometry) {
        self.job.tell(Event::Started {
            path: file.from.clone(),
            size: geometry.size(),
            done: Arc::clone(&file.done),
        });
        let segment = self.segment.load(Ordering::Relaxed);
        let is_partly_here = file.staged.is_partly_here();
        let runs: Vec<_> = if is_partly_here {
            segments(geometry, segment).collect()
        } else {
            pieces(geometry, segment, self.connect).collect()
        };
        for blocks in runs {
            let file = Arc::clone(file);
            let part = Part {
                file,
                geometry,
                blocks,
            };
            self.job.hand_out(if is_partly_here {
                Work::Recover(part)
            } else {
                Work::Segment(part)
            });
        }
    }
}

/// Small files that are fetched together.
struct Batch<T> {
    parts: Vec<Part<T>>,
    bytes: u64,
    len: usize,
    /// How many files it may be.
    most: usize,
}

impl<T> Batch<T> {
    fn of(most: usize) -> Self {
        Self {
            parts: Vec::new(),
            bytes: 0,
            len: 0,
            most,
        }
    }

    fn add(&mut self, file: &Arc<Incoming<T>>, geometry: Geometry, job: &Job<'_, Work<T>>) {
        let part = Part {
            file: Arc::clone(file),
            geometry,
            blocks: 0..1,
        };
        if !fits(&part.wanted(), &mut self.len, LIST_MAX) {
            self.hand_out(job);
            // The first of a list always fits: a path has 4,095 bytes.
            let _ = fits(&part.wanted(), &mut self.len, LIST_MAX);
        }
        self.bytes += geometry.size();
        self.parts.push(part);
        if self.parts.len() >= self.most || self.bytes >= BATCH_BYTES {
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
