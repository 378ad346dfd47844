//! One connection of a put, and what is under way on it.
//!
//! The worker never waits while it could send: answers are read when they are
//! there, and waited for only when nothing is left to do. At most two offers and
//! two commits are unanswered, so that the server's answers always fit the
//! connection's buffers and no two writers ever wait for each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never, select};

use super::comparing::Doubt;
use super::outgoing_file::{Item, Work};
use super::resuming::Recovering;
use super::{Push, Shared};
use crate::client::Options;
use crate::client::monitor::Cancel;
use crate::client::route::{Route, Said};
use crate::client::session::Session;
use crate::offer::{EntryId, Offering, Ticket};
use crate::store::Source;
use crate::transfer::Error;
use crate::transfer::heartbeat::{PULSE, say_working};
use crate::wire::message::{COMMIT_MAX, OFFER_MAX, Request};
use crate::wire::{Incoming, Kind, Message};

/// Requests of a kind that may be unanswered.
const UNANSWERED: usize = 2;
/// Files above one block that may be offered and not yet stored: each is kept in mind on
/// both sides, and few are sent at a time.
const LARGE_MAX: usize = 1024;
/// When a commit is due: a flush is worth so many bytes, or this long a wait.
const COMMIT_BYTES: u64 = 64 << 20;
const COMMIT_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Worker<'p, 'm, S: Source> {
    pub(super) number: usize,
    pub(super) push: &'p Push<'m, S>,
    pub(super) session: Session,
    pub(super) feed: Receiver<Item<S>>,
    work: Receiver<Work<S>>,
    pub(super) offers: VecDeque<(Request, Vec<Shared<S>>)>,
    pub(super) commits: VecDeque<(Request, Vec<Shared<S>>)>,
    /// The end that is unanswered: its directories, and their numbers.
    pub(super) end: Option<Ending>,
    /// Files of which the server may have something.
    pub(super) partly: VecDeque<(Shared<S>, Ticket)>,
    /// Those of which it tells what it has.
    pub(super) recovering: VecDeque<Recovering<S>>,
    /// Files that may be on the server already.
    pub(super) doubts: VecDeque<Doubt<S>>,
    /// Files of one block that the server wants.
    pub(super) granted: VecDeque<Shared<S>>,
    /// Files that are written whole and not yet committed.
    pub(super) written: Written<S>,
    /// Files that this connection has offered, or sent blocks of.
    pub(super) known: HashMap<EntryId, Shared<S>>,
    /// Files whose ticket this connection has shown.
    pub(super) tagged: HashSet<EntryId>,
    pub(super) heard: VecDeque<Message>,
    pub(super) buffer: Vec<u8>,
    pub(super) offered: bool,
    /// What no longer fitted the last offer.
    pub(super) carried: Option<Item<S>>,
}

pub(super) struct Written<S> {
    pub(super) files: Vec<Shared<S>>,
    bytes: u64,
    since: Option<Instant>,
}

/// An end's request, and the numbers of its directories.
pub(super) type Ending = (Request, Vec<EntryId>, Vec<Offering>);

enum Next<S> {
    Item(Item<S>),
    Work(Work<S>),
    Nothing,
    Over,
}

impl<'p, 'm, S: Source> Worker<'p, 'm, S> {
    pub(super) fn new(
        number: usize,
        push: &'p Push<'m, S>,
        session: Session,
        feed: Receiver<Item<S>>,
        work: Receiver<Work<S>>,
    ) -> Self {
        Self {
            number,
            push,
            session,
            feed,
            work,
            offers: VecDeque::new(),
            commits: VecDeque::new(),
            end: None,
            partly: VecDeque::new(),
            recovering: VecDeque::new(),
            doubts: VecDeque::new(),
            granted: VecDeque::new(),
            written: Written {
                files: Vec::new(),
                bytes: 0,
                since: None,
            },
            known: HashMap::new(),
            tagged: HashSet::new(),
            heard: VecDeque::new(),
            buffer: Vec::new(),
            offered: false,
            carried: None,
        }
    }

    /// Works until the job has no work left.
    pub(super) fn run(&mut self, cancel: &Cancel) -> Result<(), Error> {
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            if self.push.job.has_ended() {
                return Ok(());
            }
            if let Some(message) = self.heard.pop_front() {
                self.answered(message)?;
            } else if self.awaits_answer() && self.session.link.has_news()? {
                self.listen()?;
            } else if !self.do_something()? && !self.wait()? {
                return Ok(());
            }
        }
    }

    /// How many requests are unanswered.
    pub(super) fn owed(&self) -> usize {
        let end = usize::from(self.end.is_some());
        self.offers.len() + self.commits.len() + self.recovering.len() + end
    }

    fn awaits_answer(&self) -> bool {
        self.owed() > 0
    }

    /// Does the next thing that needs no waiting; `false` where there is none.
    fn do_something(&mut self) -> Result<bool, Error> {
        // Neither side would read while both write long messages.
        if !self.recovering.is_empty() {
            return Ok(false);
        }
        let waiting = self.granted.len() + self.doubts.len() + self.partly.len();
        let large = self.push.large.load(Ordering::Relaxed);
        let may_offer = self.offers.len() < UNANSWERED && waiting < OFFER_MAX && large < LARGE_MAX;
        if may_offer && let Some(item) = self.next_item() {
            self.offer(item);
            return Ok(true);
        }
        if self.written.is_due() && self.commits.len() < UNANSWERED {
            self.commit();
        } else if let Some(file) = self.granted.pop_front() {
            self.send(&file, 0..1)?;
        } else if let Some(doubt) = self.doubts.pop_front() {
            self.compare(doubt)?;
        } else if !self.partly.is_empty() && self.work.is_empty() {
            self.ask_for_nodes()?;
        } else if let Ok(work) = self.work.try_recv() {
            self.take(work)?;
        } else if !self.written.files.is_empty() && self.commits.len() < UNANSWERED {
            self.commit();
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// The next thing to be offered, if it is there already.
    pub(super) fn next_item(&mut self) -> Option<Item<S>> {
        let carried = self.carried.take();
        carried.or_else(|| self.feed.try_recv().ok())
    }

    /// Waits for an answer or for work; `false` where the job is over.
    fn wait(&mut self) -> Result<bool, Error> {
        if self.awaits_answer() {
            self.listen()?;
            return Ok(true);
        }
        if let Some(item) = self.carried.take() {
            self.offer(item);
            return Ok(true);
        }
        self.session.link.flush()?;
        match self.next() {
            Next::Item(item) => self.offer(item),
            Next::Work(work) => self.take(work)?,
            // The server must not take this connection for dead meanwhile.
            Next::Nothing => say_working(&mut self.session.link)?,
            Next::Over => return Ok(false),
        }
        Ok(true)
    }

    fn next(&mut self) -> Next<S> {
        select! {
            recv(self.work) -> work => work.map_or(Next::Over, Next::Work),
            recv(self.feed) -> item => if let Ok(item) = item {
                Next::Item(item)
            } else {
                // Closed, it would be ready for ever.
                self.feed = never();
                self.next()
            },
            default(PULSE) => Next::Nothing,
        }
    }

    fn take(&mut self, work: Work<S>) -> Result<(), Error> {
        match work {
            Work::Segment(file, blocks) => {
                let result = self.send(&file, blocks.clone());
                if result.is_err() && !file.is_settled() {
                    self.push.job.hand_out(Work::Segment(file, blocks));
                }
                result
            }
            Work::Again(file) => {
                // In this order: what is dropped first cannot be gone on with.
                self.offer(file.item.clone());
                self.say_drop(file.id);
                Ok(())
            }
            Work::Commit(file) => {
                self.written.add(&file);
                Ok(())
            }
            Work::End(directories) => {
                // Where nothing had to be offered, the server has said nothing yet.
                match self.session.welcome() {
                    Ok(welcome) => self.push.meet(welcome),
                    Err(error) => {
                        self.push.job.hand_out(Work::End(directories));
                        return Err(error);
                    }
                }
                if !self.push.job.has_ended() {
                    self.end_transfer(directories);
                }
                Ok(())
            }
        }
    }

    /// Hears the next message.
    fn listen(&mut self) -> Result<(), Error> {
        match self.session.next()? {
            Incoming::Message(message) => self.answered(message),
            // What this version does not know, it did not ask for.
            Incoming::Unknown(..) => Ok(()),
            Incoming::Block(..) => Err(Error::OutOfOrder(Kind::Block)),
        }
    }

    /// Gives the connection back after a job that went well.
    pub(super) fn rest(self, route: &Route, options: &Options) {
        // What an aborted job has staged goes with its connections.
        let is_done = !self.push.job.has_ended();
        if !is_done || self.awaits_answer() || !self.heard.is_empty() {
            self.session.end();
        } else {
            // A block may have failed of a file that another connection committed.
            route.rest(self.session, options, Said::PerhapsMore);
        }
    }

    /// What the server said before the connection broke.
    pub(super) fn last_words(&mut self, error: Error) -> Error {
        self.session.last_words(error)
    }
}

impl<S> Written<S> {
    pub(super) fn add(&mut self, file: &Shared<S>) {
        self.bytes += file.entry().size();
        self.since.get_or_insert_with(Instant::now);
        self.files.push(Arc::clone(file));
    }

    fn is_due(&self) -> bool {
        self.files.len() >= COMMIT_MAX
            || self.bytes >= COMMIT_BYTES
            || self
                .since
                .is_some_and(|since| since.elapsed() >= COMMIT_AFTER)
    }

    /// Takes as many as one commit holds.
    pub(super) fn take(&mut self) -> Vec<Shared<S>> {
        let rest = self.files.split_off(self.files.len().min(COMMIT_MAX));
        if rest.is_empty() {
            self.bytes = 0;
            self.since = None;
        }
        std::mem::replace(&mut self.files, rest)
    }
}
