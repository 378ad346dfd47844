//! One connection of a get, and what it has asked for.
//!
//! At most two requests are unanswered: while the blocks of one come, the server
//! knows the next already. Blocks must come exactly as they were asked for: a
//! server cannot make a client write anything else.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::RecvTimeoutError;

use super::Pull;
use super::asked::{Asked, Coming, Runs};
use super::crew::{Begun, Crew};
use super::incoming_file::{Incoming, Part, Purpose, Question, Work};
use super::looking;
use super::resuming::len;
use crate::client::monitor::Cancel;
use crate::client::route::Said;
use crate::client::session::Session;
use crate::code::Code;
use crate::content::Algorithm;
use crate::store::{Staged, Store};
use crate::transfer::Error;
use crate::transfer::heartbeat::{PULSE, say_working};
use crate::transfer::receive::{self, Received};
use crate::transfer::reception::Slot;
use crate::wire::message::{Block, Fail, Fetch, Request, Sent, Sum, SumIs};
use crate::wire::{self, Message};

/// Requests that may be unanswered.
const UNANSWERED: usize = 2;

pub(super) struct Worker<'scope, 'env, S: Store> {
    pub(super) crew: Crew<'scope, 'env, S>,
    pub(super) pull: &'env Pull<'env, S>,
    pub(super) session: Session,
    pub(super) asked: VecDeque<(Request, Asked<S::Staged>)>,
    buffer: Vec<u8>,
}

impl<'scope, 'env, S: Store + 'env> Worker<'scope, 'env, S>
where
    S::Staged: 'env,
{
    pub(super) fn new(crew: Crew<'scope, 'env, S>, (session, asked): Begun<S>) -> Self {
        Self {
            pull: crew.pull,
            crew,
            session,
            asked,
            buffer: Vec::new(),
        }
    }

    /// Works until the job has no work left.
    pub(super) fn run(&mut self, cancel: &Cancel) -> Result<(), Error> {
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            if self.pull.job.has_ended() {
                return Ok(());
            }
            if self.asked.len() < UNANSWERED
                && let Ok(work) = self.crew.work.try_recv()
            {
                self.take(work)?;
                continue;
            }
            if !self.asked.is_empty() {
                self.listen()?;
                continue;
            }
            self.session.link.flush()?;
            match self.crew.work.recv_timeout(PULSE) {
                Ok(work) => self.take(work)?,
                // The server must not take this connection for dead meanwhile.
                Err(RecvTimeoutError::Timeout) => say_working(&mut self.session.link)?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    pub(super) fn ask(&mut self, work: Work<S::Staged>) {
        match work {
            Work::Segment(part) | Work::Recover(part) => self.fetch(vec![part]),
            Work::Small(parts) => self.fetch(parts),
            Work::Look(roots) => looking::look(&mut self.session, roots, &mut self.asked),
            Work::Sum(question) => {
                let request = self.session.request();
                self.session.link.say(&Sum {
                    request,
                    path: question.path.clone(),
                    version: question.version,
                    algorithm: question.algorithm(),
                });
                self.asked.push_back((request, Asked::Sum(question)));
            }
        }
    }

    fn fetch(&mut self, mut parts: Vec<Part<S::Staged>>) {
        parts.retain(|part| !part.file.is_settled());
        if parts.is_empty() {
            return;
        }
        let request = self.session.request();
        self.session.link.say(&Fetch {
            request,
            transfer: self.pull.transfer,
            files: parts.iter().map(Part::wanted).collect(),
        });
        let runs = Runs::of(parts);
        self.asked.push_back((request, Asked::Blocks(runs)));
    }

    pub(super) fn listen(&mut self) -> Result<(), Error> {
        match self.session.next()? {
            wire::Incoming::Block(header, len) => self.block(&header, len),
            wire::Incoming::Message(Message::Sent(sent)) => self.sent(&sent),
            wire::Incoming::Message(Message::Entries(page)) => self.page(&page),
            wire::Incoming::Message(Message::SumIs(sum)) => self.sum_is(&sum),
            wire::Incoming::Message(Message::Fail(fail)) => self.refused(&fail),
            // What this version does not know, it did not ask for.
            wire::Incoming::Message(Message::Working(_)) | wire::Incoming::Unknown(..) => Ok(()),
            wire::Incoming::Message(other) => Err(Error::OutOfOrder(other.kind())),
        }
    }

    fn block(&mut self, header: &Block, len: usize) -> Result<(), Error> {
        let Some((_, Asked::Blocks(runs))) = self.asked.front_mut() else {
            return Err(Error::OutOfOrder(wire::Kind::Block));
        };
        if header.transfer != self.pull.transfer || header.ticket.is_some() {
            return Err(Error::Broken("a block of another transfer"));
        }
        let file = runs.due(header)?;
        if file.is_settled() {
            self.session.link.skip(len)?;
            runs.came();
            return Ok(());
        }
        let store = self.pull.store.as_ref();
        let received = receive::block(
            store.ok_or(Error::OutOfOrder(wire::Kind::Block))?,
            &self.pull.reception,
            &mut self.session.link,
            (header, len),
            &mut self.buffer,
        )?;
        // Only now: a block that was cut off in its middle has still to come.
        runs.came();
        match received {
            Received::Written(len) => {
                self.pull.job.moved(len as u64);
                file.done.fetch_add(len as u64, Ordering::Relaxed);
            }
            Received::Forgotten => {
                if let Some(Slot::Failed(code, text)) = self.pull.reception.slot(file.id) {
                    self.fail(&file, code, text);
                }
            }
        }
        Ok(())
    }

    /// The server vouches that what it sent is of the version that was asked for.
    ///
    /// Until then a file counts as missing blocks, whatever came: each block proves
    /// only itself, and a file that changed meanwhile is a mixture of proved blocks.
    fn sent(&mut self, sent: &Sent) -> Result<(), Error> {
        let runs = match self.asked.pop_front() {
            Some((request, Asked::Blocks(runs))) if request == sent.request => runs,
            Some(other) => {
                self.asked.push_front(other);
                return Err(Error::Broken("an end of something else"));
            }
            None => return Err(Error::OutOfOrder(wire::Kind::Sent)),
        };
        for Coming { part, next } in runs {
            let exception = sent.exceptions.iter().find(|e| e.entry == part.file.id);
            match exception {
                Some(exception) => {
                    let text = if exception.text.is_empty() {
                        exception.code.to_string()
                    } else {
                        exception.text.clone()
                    };
                    self.fail(&part.file, exception.code, text);
                }
                None if next == part.blocks.end => {
                    if part.file.wrote(next - part.blocks.start) {
                        self.complete(&part.file);
                    }
                }
                None => return Err(Error::Broken("fewer blocks than were asked for")),
            }
        }
        Ok(())
    }

    fn sum_is(&mut self, sum: &SumIs) -> Result<(), Error> {
        let question = match self.asked.pop_front() {
            Some((request, Asked::Sum(question)))
                if request == sum.request && sum.checksum.algorithm() == question.algorithm() =>
            {
                question
            }
            Some(other) => {
                self.asked.push_front(other);
                return Err(Error::OutOfOrder(wire::Kind::SumIs));
            }
            None => return Err(Error::OutOfOrder(wire::Kind::SumIs)),
        };
        match question.purpose {
            Purpose::Proof(file) => {
                file.second.get_or_init(|| sum.checksum);
                // The publisher lives as long as a worker does.
                let _ = self.crew.whole.send(file);
            }
            Purpose::Rehearsal(subject, here) => self.pull.would(&subject, here == sum.checksum),
            Purpose::Doubt(file, here) => {
                let pull = self.pull;
                let differs = !pull.is_same(&file, (here, sum.checksum), &self.crew.whole);
                if differs && pull.expects(&file) {
                    pull.fetch_alone(&file);
                }
            }
        }
        self.pull.go_on_looking();
        Ok(())
    }

    /// A file has failed, or a whole request.
    fn refused(&mut self, fail: &Fail) -> Result<(), Error> {
        if let Some(entry) = fail.entry {
            let file = self.asked.iter().find_map(|(_, asked)| match asked {
                Asked::Blocks(runs) => runs.file(entry),
                Asked::Listing(_) | Asked::Sum(_) => None,
            });
            if let Some(file) = file {
                self.fail(&file, fail.code, fail.text.clone());
            }
            return Ok(());
        }
        let at = self
            .asked
            .iter()
            .position(|(request, _)| Some(*request) == fail.request);
        let asked = at.and_then(|at| self.asked.remove(at));
        match asked {
            Some((_, Asked::Blocks(runs))) => {
                for coming in runs {
                    self.fail(&coming.part.file, fail.code, fail.text.clone());
                }
            }
            Some((_, Asked::Listing(listing))) => {
                self.not_listed(&listing.root, fail.code, fail.text.clone());
            }
            Some((_, Asked::Sum(question))) => match question.purpose {
                Purpose::Proof(file) | Purpose::Doubt(file, _) => {
                    self.fail(&file, fail.code, fail.text.clone());
                }
                Purpose::Rehearsal(subject, _) => {
                    self.pull.job.fail(&subject, fail.code, fail.text.clone());
                    self.pull.go_on_looking();
                }
            },
            None => return Err(fail.clone().into()),
        }
        // It may have been the last that a listing waits for.
        self.pull.go_on_looking();
        Ok(())
    }

    /// All blocks of a file are written and vouched for.
    pub(super) fn complete(&mut self, file: &Arc<Incoming<S::Staged>>) {
        if self.pull.options.checksum == Algorithm::Sha256 {
            self.pull.job.hand_out(Work::Sum(Question {
                path: file.from.clone(),
                version: file.version,
                purpose: Purpose::Proof(Arc::clone(file)),
            }));
        } else {
            // The publisher lives as long as a worker does.
            let _ = self.crew.whole.send(Arc::clone(file));
        }
    }

    pub(super) fn fail(&mut self, file: &Arc<Incoming<S::Staged>>, code: Code, text: String) {
        if file.settle() {
            // Blocks of it that still come are skipped: it is settled.
            self.pull.reception.take(file.id);
            file.staged.discard();
            self.pull.job.unmoved(file.done.load(Ordering::Relaxed));
            self.pull.job.fail(&file.subject(), code, text);
            self.pull.go_on_looking();
        }
    }

    /// Gives what a lost connection still owed to the others.
    pub(super) fn give_back(&mut self) {
        for (_, asked) in self.asked.drain(..) {
            match asked {
                Asked::Listing(listing) => {
                    self.pull.job.hand_out(Work::Look(vec![listing.root]));
                }
                Asked::Sum(question) => self.pull.job.hand_out(Work::Sum(question)),
                Asked::Blocks(runs) => {
                    for Coming { part, next } in runs {
                        let geometry = part.geometry;
                        if part.file.is_settled() {
                            continue;
                        }
                        // Its last block is fetched in any case: with it the server
                        // vouches for the version of those before it.
                        let Range { start, end } = part.blocks;
                        let from = next.min(end - 1);
                        part.file.wrote(from - start);
                        let file = part.file;
                        if next > from {
                            let again = len(geometry, from);
                            self.pull.job.unmoved(again);
                            file.done.fetch_sub(again, Ordering::Relaxed);
                        }
                        let blocks = from..end;
                        let part = Part {
                            file,
                            geometry,
                            blocks,
                        };
                        self.pull.job.hand_out(Work::Segment(part));
                    }
                }
            }
        }
    }

    /// Gives the connection back after a job that went well.
    pub(super) fn rest(self) {
        if self.asked.is_empty() {
            let Self { pull, session, .. } = self;
            pull.route.rest(session, pull.connect, Said::All);
        } else {
            self.session.end();
        }
    }
}
