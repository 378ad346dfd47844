//! What a put's connection does with what the server says.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::Shared;
use super::comparing::Doubt;
use super::outgoing_file::{Outgoing, Work};
use super::worker::{Ending, Worker};
use crate::client::Effect;
use crate::client::monitor::{Skip, Status};
use crate::code::Code;
use crate::content::Geometry;
use crate::entry::{Entry, Kind};
use crate::offer::{Compare, EntryId, OnExisting, Reason, Verdict};
use crate::store::Source;
use crate::transfer::Error;
use crate::wire::Message;
use crate::wire::message::{Exception, Fail, Receipt, Request, Want};

impl<S: Source> Worker<'_, '_, S> {
    /// Acts on a message.
    pub(super) fn answered(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Want(want) => self.wanted(want),
            Message::Receipt(receipt) => self.receipted(&receipt),
            Message::NodesAre(page) => self.told(page),
            Message::Fail(fail) => self.failed(&fail),
            Message::Working(_) => Ok(()),
            other => Err(Error::OutOfOrder(other.kind())),
        }
    }

    fn wanted(&mut self, want: Want) -> Result<(), Error> {
        let (request, files) = self
            .offers
            .pop_front()
            .ok_or(Error::Broken("verdicts that nobody asked for"))?;
        if request != want.request || want.verdicts.len() != files.len() {
            // Given back with everything else that is under way here.
            self.offers.push_front((request, files));
            return Err(Error::Broken("verdicts for another offer"));
        }
        self.push.meet(self.session.welcome()?);
        if self.push.job.has_ended() {
            return Ok(());
        }
        let mut unanswered: HashMap<_, _> = files.iter().map(|file| (file.id, file)).collect();
        for answered in want.verdicts {
            let file = unanswered
                .remove(&answered.entry)
                .ok_or(Error::Broken("a verdict on an entry that has none to come"))?;
            self.judged(file, answered.verdict)?;
        }
        Ok(())
    }

    fn judged(&mut self, file: &Shared<S>, verdict: Verdict) -> Result<(), Error> {
        let unasked = Error::Broken("a verdict that this client did not ask for");
        let is_file = file.geometry().is_some();
        match (verdict, self.push.options.effect) {
            // By content only the sender can tell.
            (Verdict::Here, _) if is_file && self.push.options.compare == Compare::Content => {
                return Err(unasked);
            }
            (Verdict::Here, _) => self.is_here(file),
            // Whatever else the server may keep, it was not told to.
            (Verdict::Kept, _) if self.push.options.on_existing != OnExisting::IfNewer => {
                return Err(unasked);
            }
            (Verdict::Kept, Effect::Dry) => self.would(file, Status::WouldSkip),
            (Verdict::Kept, Effect::Real) => self.kept(file),
            (Verdict::Refused(code, reason), _) => self.fail(file, code, refusal(code, reason)),
            (Verdict::SameIf(there, ticket), _) if is_file => self.doubts.push_back(Doubt {
                file: Arc::clone(file),
                there,
                ticket,
            }),
            (Verdict::Send(None), Effect::Dry) => self.would(file, Status::WouldStore),
            (Verdict::Replace, Effect::Dry) => self.would(file, Status::WouldReplace),
            (Verdict::Send(Some(ticket)), Effect::Real) if file.is_large() => {
                self.begin(file, ticket)?;
            }
            (Verdict::Partly(ticket), Effect::Real) if file.is_large() => {
                self.partly.push_back((Arc::clone(file), ticket));
            }
            (Verdict::Send(None), Effect::Real) if file.is_large() => return Err(unasked),
            (Verdict::Send(None), Effect::Real) if is_file => {
                self.granted.push_back(Arc::clone(file));
            }
            // A link has no body: its target was in the offer.
            (Verdict::Send(None), Effect::Real) => self.written.add(file),
            _ => return Err(unasked),
        }
        Ok(())
    }

    /// Directories have their modes and times.
    fn settled(&mut self, (_, ids, directories): Ending, receipt: &Receipt) -> Result<(), Error> {
        is_about(receipt, &ids)?;
        let job = &self.push.job;
        for (id, directory) in ids.into_iter().zip(directories) {
            let Entry { path, kind, .. } = directory.entry;
            match receipt.exceptions.iter().find(|e| e.entry == id) {
                None => job.place(path, kind, Status::Stored),
                Some(e) => job.fail_beside(path, e.code, said(e.code, &e.text)),
            }
        }
        job.finale_ended();
        Ok(())
    }

    fn receipted(&mut self, receipt: &Receipt) -> Result<(), Error> {
        if let Some(end) = self
            .end
            .take_if(|(request, ..)| *request == receipt.request)
        {
            return self.settled(end, receipt);
        }
        let (request, files) = self
            .commits
            .pop_front()
            .ok_or(Error::Broken("a receipt that nobody asked for"))?;
        if request != receipt.request {
            self.commits.push_front((request, files));
            return Err(Error::Broken("a receipt for another commit"));
        }
        let ids: Vec<EntryId> = files.iter().map(|file| file.id).collect();
        if let Err(error) = is_about(receipt, &ids) {
            self.commits.push_front((request, files));
            return Err(error);
        }
        for file in files {
            let exception = receipt.exceptions.iter().find(|e| e.entry == file.id);
            match exception {
                None => self.stored(&file),
                Some(exception) if exception.missing.is_empty() => {
                    let text = said(exception.code, &exception.text);
                    self.fail(&file, exception.code, text);
                }
                Some(exception) => self.send_missing(&file, exception)?,
            }
        }
        Ok(())
    }

    fn kept(&self, file: &Shared<S>) {
        if !file.settle() {
            return;
        }
        let (job, subject) = (&self.push.job, file.subject());
        job.moved(subject.size);
        match &file.entry().kind {
            Kind::File(_) => job.finish(&subject, None, Status::Kept),
            kind => job.placed(subject.path, kind.clone(), Status::Kept),
        }
    }

    fn stored(&mut self, file: &Shared<S>) {
        if !file.settle() {
            return;
        }
        let status = if file.is_here() {
            self.push.job.moved(file.entry().size());
            Status::Unchanged
        } else {
            Status::Stored
        };
        let subject = file.subject();
        if file.geometry().is_some() {
            let checksum = file.second.get().copied().or(file.checksum());
            self.push.job.finish(&subject, checksum, status);
        } else {
            let kind = file.entry().kind.clone();
            self.push.job.placed(subject.path, kind, status);
        }
    }

    /// Blocks went down with another connection: they are sent again.
    fn send_missing(&mut self, file: &Shared<S>, exception: &Exception) -> Result<(), Error> {
        let blocks = file.geometry().map_or(0, Geometry::blocks);
        let mut runs: Vec<Range<u64>> = Vec::new();
        for run in &exception.missing {
            let end = run
                .first
                .checked_add(run.count)
                .filter(|end| *end <= blocks);
            let end = end.ok_or(Error::Broken(
                "blocks are missing that the file does not have",
            ))?;
            runs.push(run.first..end);
        }
        file.set_committing(false);
        let bytes = file.unwrote(&runs);
        self.push.job.unmoved(bytes);
        for run in runs {
            self.push.job.hand_out(Work::Segment(Arc::clone(file), run));
        }
        Ok(())
    }

    fn failed(&mut self, fail: &Fail) -> Result<(), Error> {
        if let Some(entry) = fail.entry {
            // It may be long settled: the server says so for every block it forgets,
            // a second copy of one that it has committed included.
            let known = self.known.get(&entry);
            let known = known.filter(|file| !file.is_settled() && !file.is_committing());
            if let Some(file) = known.map(Arc::clone) {
                self.say_drop(entry);
                self.fail(&file, fail.code, said(fail.code, &fail.text));
            }
            return Ok(());
        }
        let is_it = |(request, _): &(u64, _)| Some(*request) == fail.request;
        let offers = self.offers.iter().position(is_it);
        let commits = self.commits.iter().position(is_it);
        let request = match (offers, commits) {
            (Some(at), _) => self.offers.remove(at),
            (None, Some(at)) => self.commits.remove(at),
            (None, None) if self.is_end(fail.request) => {
                if let Some((_, _, directories)) = self.end.take() {
                    for directory in directories {
                        let text = said(fail.code, &fail.text);
                        let path = directory.entry.path;
                        self.push.job.fail_beside(path, fail.code, text);
                    }
                    self.push.job.finale_ended();
                }
                return Ok(());
            }
            (None, None) if self.not_told(fail.request)? => return Ok(()),
            (None, None) => return Err(Error::from(fail.clone())),
        };
        for file in request.into_iter().flat_map(|(_, files)| files) {
            self.fail(&file, fail.code, said(fail.code, &fail.text));
        }
        Ok(())
    }

    /// The source is not there any more: that is no failure, and is said.
    pub(super) fn vanished(&mut self, file: &Shared<S>) {
        if file.settle() {
            self.push.job.unmoved(file.take_back(u64::MAX));
            self.push.job.leave_out(file.subject().path, Skip::Vanished);
        }
    }

    /// Settles a file as failed, unless it is settled already. What the server has only let
    /// go of is offered again.
    pub(super) fn fail(&mut self, file: &Shared<S>, code: Code, text: String) {
        if !file.settle() {
            return;
        }
        let job = &self.push.job;
        job.unmoved(file.take_back(u64::MAX));
        // The server has let go of it, and it is offered again.
        if code == Code::Connection && file.item.lost < self.push.connect.retry.most {
            let mut item = file.item.clone();
            item.lost += 1;
            let again = Outgoing::new(self.push.next_entry(), item, self.number);
            job.hand_out(Work::Again(Arc::new(again)));
        } else {
            job.fail(&file.subject(), code, text);
        }
    }

    fn is_end(&self, request: Option<Request>) -> bool {
        self.end.as_ref().map(|(end, ..)| *end) == request
    }

    /// Gives what was offered on a lost connection to the others. A file's blocks
    /// that went over it may have arrived or not, so it is offered anew.
    pub(super) fn give_back(&mut self) {
        let ours = self.number;
        self.partly.clear();
        self.recovering.clear();
        if let Some(item) = self.carried.take() {
            let file = Arc::new(Outgoing::new(self.push.next_entry(), item, ours));
            self.push.job.hand_out(Work::Again(file));
        }
        for (_, file) in self.known.drain() {
            if file.offered_by == ours && file.settle() {
                self.push.job.unmoved(file.take_back(u64::MAX));
                self.push.job.hand_out(Work::Again(file));
            }
        }
        if let Some((_, _, directories)) = self.end.take() {
            self.push.job.hand_out(Work::End(directories));
        }
        // What others offered: a commit without an answer may have been done, which
        // a second offer finds out; one that was not asked for yet can still be.
        for file in self.commits.drain(..).flat_map(|(_, files)| files) {
            if file.settle() {
                self.push.job.unmoved(file.take_back(u64::MAX));
                self.push.job.hand_out(Work::Again(file));
            }
        }
        for file in self.written.files.drain(..) {
            if !file.is_settled() {
                self.push.job.hand_out(Work::Commit(file));
            }
        }
    }
}

/// Checks that a receipt excepts nothing but what it is for: whoever says that something
/// else has failed has not understood what it vouches for.
fn is_about(receipt: &Receipt, asked: &[EntryId]) -> Result<(), Error> {
    if receipt.exceptions.iter().all(|e| asked.contains(&e.entry)) {
        return Ok(());
    }
    Err(Error::Broken(
        "a receipt with an exception for something else",
    ))
}

/// What a refusal at the offer means.
pub(super) fn refusal(code: Code, reason: Reason) -> String {
    match (code, reason) {
        (_, Reason::OtherContent) => "exists with other content".to_owned(),
        (_, Reason::OtherKind) => {
            "something of another kind has its name there, or that of a directory above it"
                .to_owned()
        }
        (_, Reason::Link) => {
            "a symbolic link stands in its way there, and is not followed".to_owned()
        }
        (_, Reason::Mount) => "it would be on another file system there".to_owned(),
        (_, Reason::LeadsOut) => "the link would lead out of the tree there".to_owned(),
        (_, Reason::Space(None)) => "there is no space for it on the server".to_owned(),
        (_, Reason::Space(Some(free))) => {
            format!("there is no space for it on the server: {free} bytes are left")
        }
        (_, Reason::ReadOnly) => "the file system there is read-only".to_owned(),
        (_, Reason::Size(None)) => "it is larger than a file may be there".to_owned(),
        (_, Reason::Size(Some(most))) => {
            format!("it is larger than a file may be there: {most} bytes")
        }
        (_, Reason::Quota(None)) => "it is more than you may store there".to_owned(),
        (_, Reason::Quota(Some(left))) => {
            format!("it is more than you may store there: {left} bytes are left")
        }
        (_, Reason::Count) => "it is more files than you may store there".to_owned(),
        (_, Reason::Replacing) => "not allowed to replace here".to_owned(),
        (Code::Exists, Reason::Unsaid) => "exists there".to_owned(),
        (Code::Limit, Reason::Unsaid) => "over a limit of the server".to_owned(),
        (Code::NotAuthorised, Reason::Unsaid) => "not allowed to put it there".to_owned(),
        (Code::File, Reason::Unsaid) => "the server cannot store it there".to_owned(),
        (other, Reason::Unsaid) => format!("refused by the server: {other}"),
    }
}

fn said(code: Code, text: &str) -> String {
    if text.is_empty() {
        code.to_string()
    } else {
        text.to_owned()
    }
}
