//! What a put's connection does with what the server says.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::Shared;
use super::outgoing_file::Work;
use super::worker::Worker;
use crate::client::monitor::Status;
use crate::code::Code;
use crate::offer::Verdict;
use crate::store::Source;
use crate::transfer::Error;
use crate::wire::Message;
use crate::wire::message::{Exception, Fail, Receipt, Want};

impl<S: Source> Worker<'_, '_, S> {
    /// Acts on a message.
    pub(super) fn answered(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Want(want) => self.wanted(want),
            Message::Receipt(receipt) => self.receipted(&receipt),
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
        let durable = self.session.welcome()?.durable;
        self.push.job.set_durable(durable);
        let mut unanswered: HashMap<_, _> = files.iter().map(|file| (file.id, file)).collect();
        for answered in want.verdicts {
            let file = unanswered
                .remove(&answered.entry)
                .ok_or(Error::Broken("a verdict on an entry that has none to come"))?;
            match (answered.verdict, file.geometry.is_single()) {
                (Verdict::Send(None), true) => self.granted.push_back(Arc::clone(file)),
                (Verdict::Send(Some(ticket)), false) => self.begin(file, ticket)?,
                (Verdict::Here, _) => {
                    file.set_here();
                    self.written.add(file);
                }
                (Verdict::Kept, _) => self.kept(file),
                (Verdict::Refused(code), _) => self.fail(file, code, refusal(code)),
                _ => return Err(Error::Broken("a verdict that this client did not ask for")),
            }
        }
        Ok(())
    }

    fn receipted(&mut self, receipt: &Receipt) -> Result<(), Error> {
        let (request, files) = self
            .commits
            .pop_front()
            .ok_or(Error::Broken("a receipt that nobody asked for"))?;
        if request != receipt.request {
            self.commits.push_front((request, files));
            return Err(Error::Broken("a receipt for another commit"));
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
        if file.settle() {
            self.push.job.moved(file.geometry.size());
            self.push.job.finish(&file.subject(), None, Status::Kept);
        }
    }

    fn stored(&mut self, file: &Shared<S>) {
        if !file.settle() {
            return;
        }
        let (checksum, status) = if file.is_here() {
            self.push.job.moved(file.geometry.size());
            (None, Status::Unchanged)
        } else {
            (
                file.second.get().copied().or(file.checksum()),
                Status::Stored,
            )
        };
        self.push.job.finish(&file.subject(), checksum, status);
    }

    /// Blocks went down with another connection: they are sent again.
    fn send_missing(&mut self, file: &Shared<S>, exception: &Exception) -> Result<(), Error> {
        let blocks = file.geometry.blocks();
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
            (None, None) => return Err(Error::from(fail.clone())),
        };
        for file in request.into_iter().flat_map(|(_, files)| files) {
            self.fail(&file, fail.code, said(fail.code, &fail.text));
        }
        Ok(())
    }

    /// Settles a file as failed, unless it is settled already.
    pub(super) fn fail(&mut self, file: &Shared<S>, code: Code, text: String) {
        if file.settle() {
            self.push.job.unmoved(file.take_back(u64::MAX));
            self.push.job.fail(&file.subject(), code, text);
        }
    }

    /// Gives what was offered on a lost connection to the others. A file's blocks
    /// that went over it may have arrived or not, so it is offered anew.
    pub(super) fn give_back(&mut self) {
        let ours = self.number;
        for (_, file) in self.known.drain() {
            if file.offered_by == ours && file.settle() {
                self.push.job.unmoved(file.take_back(u64::MAX));
                self.push.job.hand_out(Work::Again(file));
            }
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

/// What a refusal at the offer means: the code is all that the server says.
fn refusal(code: Code) -> String {
    match code {
        Code::Exists => "exists with other content".to_owned(),
        Code::Limit => "no space for it on the server, or over a limit".to_owned(),
        Code::NotAuthorised => "not allowed to put it there".to_owned(),
        Code::File => "the server cannot store it there".to_owned(),
        other => format!("refused by the server: {other}"),
    }
}

fn said(code: Code, text: &str) -> String {
    if text.is_empty() {
        code.to_string()
    } else {
        text.to_owned()
    }
}
