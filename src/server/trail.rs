//! What one visitor does, on its way into the records.
//!
//! The door to the store has one of these for whoever came through. Without a record being
//! kept it costs nothing: no path is copied and no clock is read for it.

use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use super::Visitor;
use super::audit::{Asked, Audit, Record, Unrecorded};
use crate::code::Code;
use crate::content::Checksum;
use crate::entry::{Entry, Kind};
use crate::path::RemotePath;
use crate::store::{Aside, Error};

/// What a visitor does, to be recorded or not.
#[derive(Clone, Debug)]
pub(super) struct Trail(Option<Arc<Visit>>);

#[derive(Clone, Debug)]
struct Visit {
    audit: Arc<dyn Audit>,
    peer: String,
    visitor: Visitor,
    name: Option<String>,
    /// The directory that they take for the root.
    under: Option<RemotePath>,
}

/// One thing that a request is about.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub(super) path: Option<RemotePath>,
    to: Option<RemotePath>,
    pub(super) bytes: Option<u64>,
    pub(super) checksum: Option<Checksum>,
    /// Whether it was refused before anything was done.
    is_in_vain: bool,
}

/// Something that is being done. It is recorded also where it is never said to be over: the
/// connection was lost then, or its thread has panicked.
#[derive(Debug)]
pub(super) struct Act(Option<Doing>);

#[derive(Debug)]
struct Doing {
    visit: Arc<Visit>,
    asked: Asked,
    began: Instant,
    subjects: Vec<(Subject, Option<Code>)>,
}

impl Trail {
    /// The trail of somebody who has not come in yet.
    pub(super) fn new(audit: Option<&Arc<dyn Audit>>, peer: &str, visitor: Visitor) -> Self {
        Self(audit.map(|audit| {
            Arc::new(Visit {
                audit: Arc::clone(audit),
                peer: peer.to_owned(),
                visitor,
                name: None,
                under: None,
            })
        }))
    }

    /// The same once they came in: what they are called, and which directory they see.
    pub(super) fn of(&self, name: Option<String>, under: Option<&RemotePath>) -> Self {
        let named = |visit: &Arc<Visit>| {
            Arc::new(Visit {
                name,
                under: under.cloned(),
                ..(**visit).clone()
            })
        };
        Self(self.0.as_ref().map(named))
    }

    /// Whether something may be done, as it could be recorded.
    ///
    /// # Errors
    ///
    /// [`Error::CannotRecord`].
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.0 {
            Some(visit) if !visit.audit.is_ready() => Err(Error::CannotRecord),
            Some(_) | None => Ok(()),
        }
    }

    /// Records that they were not let in. Where that fails nothing was done, and nothing is
    /// owed for it.
    pub(super) fn refused(&self, code: Code) {
        if self.check().is_ok() {
            let _ = self.begin(Asked::Open, Subject::default).end(Some(code));
        }
    }

    /// Something with one subject begins.
    pub(super) fn begin(&self, asked: Asked, subject: impl FnOnce() -> Subject) -> Act {
        self.begin_each(asked, || vec![subject()])
    }

    /// Something with several subjects begins.
    pub(super) fn begin_each(&self, asked: Asked, subjects: impl FnOnce() -> Vec<Subject>) -> Act {
        Act(self.0.as_ref().map(|visit| Doing {
            visit: Arc::clone(visit),
            asked,
            began: Instant::now(),
            subjects: subjects().into_iter().map(|s| (s, None)).collect(),
        }))
    }
}

impl Subject {
    /// What is offered or stored.
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            bytes: matches!(entry.kind, Kind::File(_)).then(|| entry.size()),
            ..Self::at(Some(&entry.path))
        }
    }

    /// What has this name, or the root.
    pub(super) fn at(path: Option<&RemotePath>) -> Self {
        Self {
            path: path.cloned(),
            ..Self::default()
        }
    }
}

impl Subject {
    /// What is to have another name.
    pub(super) fn moved(from: &RemotePath, to: &RemotePath) -> Self {
        Self {
            to: Some(to.clone()),
            ..Self::at(Some(from))
        }
    }

    /// It got another name than the one that was asked for, if it did.
    pub(super) fn is_at(&mut self, aside: Option<&Aside>) {
        if let Some(aside) = aside {
            self.path = Some(aside.stored.clone());
        }
    }
}

impl Act {
    /// Counts content that was read.
    pub(super) fn read(&mut self, len: u64) {
        if let Some((subject, _)) = self.subject() {
            *subject.bytes.get_or_insert(0) += len;
        }
    }

    /// Notes what the content was found to be.
    pub(super) fn proved(&mut self, checksum: Checksum) {
        if let Some((subject, _)) = self.subject() {
            subject.checksum = Some(checksum);
        }
    }

    /// Records it, with why it was not done.
    ///
    /// # Errors
    ///
    /// [`Error::NotRecorded`].
    pub(super) fn end(mut self, failed: Option<Code>) -> Result<(), Error> {
        if let Some(subject) = self.subject() {
            subject.1 = failed;
        }
        self.keep()
    }

    /// Records what came of it, and returns that, or that it could not be recorded.
    pub(super) fn with<T>(mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let (Some((subject, _)), Err(error)) = (self.subject(), &result) {
            subject.is_in_vain = is_in_vain(error);
        }
        let recorded = self.end(result.as_ref().err().map(Error::code));
        result.and_then(|done| recorded.map(|()| done))
    }

    /// Records what came of each subject, and returns that. `note` says what is to be known of
    /// one that is done.
    pub(super) fn with_each<T>(
        mut self,
        mut results: Vec<Result<T, Error>>,
        note: impl Fn(&T, &mut Subject),
    ) -> Vec<Result<T, Error>> {
        let subjects = self.0.iter_mut().flat_map(|doing| &mut doing.subjects);
        for ((subject, failed), result) in subjects.zip(&results) {
            match result {
                Ok(done) => note(done, subject),
                Err(error) => {
                    *failed = Some(error.code());
                    subject.is_in_vain = is_in_vain(error);
                }
            }
        }
        if let Err(error) = self.keep() {
            for result in results.iter_mut().filter(|result| result.is_ok()) {
                *result = Err(error.clone());
            }
        }
        results
    }

    fn subject(&mut self) -> Option<&mut (Subject, Option<Code>)> {
        self.0.as_mut()?.subjects.first_mut()
    }

    fn keep(&mut self) -> Result<(), Error> {
        let Some(mut doing) = self.0.take() else {
            return Ok(());
        };
        if !doing.visit.audit.is_ready() {
            // What did nothing is not owed: whoever asks in vain would crowd out the record
            // of what was done.
            let asked = doing.asked;
            doing.subjects.retain(|(subject, failed)| {
                !subject.is_in_vain && asked.did_something(subject.bytes, *failed)
            });
        }
        let Doing {
            visit,
            asked,
            began,
            subjects,
        } = doing;
        let under = visit.under.as_ref();
        let beneath = |path: RemotePath| match under {
            Some(under) => format!("{under}/{path}"),
            None => path.to_string(),
        };
        let (time, took) = (SystemTime::now(), began.elapsed());
        let record = |(subject, failed): (Subject, Option<Code>)| Record {
            time,
            peer: &visit.peer,
            key: visit.visitor.key,
            name: visit.name.as_deref(),
            asked,
            path: match subject.path {
                Some(path) => Some(beneath(path)),
                None => under.map(ToString::to_string),
            },
            to: subject.to.map(beneath),
            bytes: subject.bytes,
            checksum: subject.checksum,
            failed,
            took,
        };
        let records: Vec<Record<'_>> = subjects.into_iter().map(record).collect();
        let kept = visit.audit.keep(&records);
        kept.map_err(|Unrecorded| Error::NotRecorded)
    }
}

/// Whether somebody was refused before anything was done.
fn is_in_vain(error: &Error) -> bool {
    matches!(error, Error::NotAllowed(_) | Error::CannotRecord)
}

impl Drop for Act {
    fn drop(&mut self) {
        let why = if thread::panicking() {
            Code::Unexpected
        } else {
            Code::Connection
        };
        for (_, failed) in self.0.iter_mut().flat_map(|doing| &mut doing.subjects) {
            failed.get_or_insert(why);
        }
        // Nobody is left to be told; until it is written, nothing more is done.
        let _ = self.keep();
    }
}
