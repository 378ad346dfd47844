//! What a worker does with a listing: stage what it names, and hand its blocks out.
//!
//! A listing is read as far as there is room for what it names. Then it is stopped,
//! parked, and gone on with when most of that is done: so a million names cost no more
//! memory than some thousands, over one connection as over many.

use std::collections::VecDeque;
use std::sync::PoisonError;

use super::asked::Asked;
use super::incoming_file::Work;
use super::root::{HOPS_MAX, Root};
use super::stage::Stage;
use super::worker::Worker;
use super::{Looking, Pull};
use crate::client::monitor::Skip;
use crate::client::session::Session;
use crate::client::{Effect, Links};
use crate::code::Code;
use crate::entry::{Entry, Kind};
use crate::offer::Offering;
use crate::path::RemotePath;
use crate::store::Store;
use crate::transfer::Error;
use crate::wire::message::{Entries, List, Request, Stop};

/// Bytes of listings that are asked for ahead: what a server that is busy answering
/// takes in without reading it.
const AHEAD: usize = 12 << 10;
/// What a listing's request has beside its path.
const OVERHEAD: usize = 64;
/// Listings that are asked for ahead: a server that answers one holds no more than sixteen
/// requests besides.
const ROOTS_AHEAD: usize = 12;

/// Files that may be staged and not yet done before a listing has to wait.
const OPEN_MAX: u64 = 16 << 10;

/// A listing that is being answered.
pub(super) struct Listing {
    pub(super) root: Root,
    /// Whether it was asked to stop.
    stopped: bool,
}

/// Cuts places into as many as are asked for at once.
pub(super) fn batches(roots: Vec<Root>) -> Vec<Vec<Root>> {
    let mut batches: Vec<Vec<Root>> = Vec::new();
    let mut len = AHEAD;
    for root in roots {
        len += OVERHEAD + root.from.as_ref().map_or(0, |from| from.as_str().len());
        match batches.last_mut() {
            Some(batch) if len <= AHEAD && batch.len() < ROOTS_AHEAD => batch.push(root),
            _ => {
                len = 0;
                batches.push(vec![root]);
            }
        }
    }
    batches
}

/// Asks for the listings of `roots`.
pub(super) fn look<T>(
    session: &mut Session,
    roots: Vec<Root>,
    asked: &mut VecDeque<(Request, Asked<T>)>,
) {
    for root in roots {
        let request = session.request();
        session.link.say(&List {
            request,
            path: root.from.clone(),
            depth: None,
            after: root.after.clone(),
            itself: true,
        });
        let listing = Listing {
            root,
            stopped: false,
        };
        asked.push_back((request, Asked::Listing(Box::new(listing))));
    }
}

impl<S: Store> Pull<'_, S> {
    /// One place more has to be looked through.
    fn begin_to_look(&self, root: Root) {
        self.looking().open += 1;
        self.park(vec![root]);
    }

    /// A place is looked through; with the last one all is found.
    fn looked_through(&self) {
        let open = {
            let mut looking = self.looking();
            looking.open -= 1;
            looking.open
        };
        if open == 0 {
            self.job.all_found([]);
        } else {
            // What it named may be nothing, and then nothing else would wake the next.
            self.go_on_looking();
        }
    }

    /// Goes on with a listing that waits, if there is room for what it names.
    pub(super) fn go_on_looking(&self) {
        if self.job.open() > OPEN_MAX / 2 {
            return;
        }
        let next = self.looking().parked.pop_front();
        if let Some(roots) = next {
            self.job.hand_out(Work::Look(roots));
        }
    }

    /// Has places looked through when there is room for what they name.
    fn park(&self, roots: Vec<Root>) {
        self.looking().parked.push_back(roots);
        // What it waits for may have happened meanwhile.
        self.go_on_looking();
    }

    fn looking(&self) -> std::sync::MutexGuard<'_, Looking> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'env, S: Store + 'env> Worker<'_, 'env, S>
where
    S::Staged: 'env,
{
    /// Stages what a page names.
    pub(super) fn page(&mut self, page: &Entries) -> Result<(), Error> {
        let Some((request, Asked::Listing(mut listing))) = self.asked.pop_front() else {
            return Err(Error::OutOfOrder(crate::wire::Kind::Entries));
        };
        if request != page.request {
            self.asked.push_front((request, Asked::Listing(listing)));
            return Err(Error::Broken("a listing that nobody asked for"));
        }
        let known = self
            .take_in(&mut listing.root, page)
            .and_then(|()| listing.root.is_listed(page.more));
        if known.is_ok() && page.more {
            if !listing.stopped && self.pull.job.open() > OPEN_MAX {
                listing.stopped = true;
                self.session.link.say(&Stop { request });
            }
            self.asked.push_front((request, Asked::Listing(listing)));
        } else if known.is_ok() && listing.stopped {
            self.pull.park(vec![listing.root]);
        } else if known.is_ok() {
            self.pull.looked_through();
        } else {
            self.asked.push_front((request, Asked::Listing(listing)));
        }
        known
    }

    /// A place cannot be listed.
    pub(super) fn not_listed(&self, root: &Root, code: Code, text: String) {
        self.pull.job.fail_beside(root.shown(), code, text);
        self.pull.looked_through();
    }

    fn take_in(&mut self, root: &mut Root, page: &Entries) -> Result<(), Error> {
        self.pull.meet(root, self.session.welcome()?);
        let pull = self.pull;
        if pull.job.has_ended() {
            return Ok(());
        }
        let mut stage = Stage::new(pull, &self.crew.whole, page.entries.len());
        for entry in &page.entries {
            root.see(entry)?;
            match root.name_here(&entry.path) {
                Ok(to) => visit(pull, root, entry, to, &mut stage),
                Err(why) => {
                    let text = format!("under its name here, {why}");
                    pull.job
                        .fail_beside(entry.path.clone(), Code::Protocol, text);
                }
            }
        }
        let found = stage.finish();
        self.crew.grow(&found);
        let job = &pull.job;
        if let Some(special @ 1..) = page.special {
            job.skip(root.shown(), Skip::Special, special);
        }
        for (count, code, what) in [
            (
                page.unnamed,
                Code::Protocol,
                "names there that cannot be sent",
            ),
            (
                page.unreadable,
                Code::File,
                "directories or entries there that could not be read",
            ),
        ] {
            if count > 0 {
                job.fail_beside(root.shown(), code, format!("{what}: {count}"));
            }
        }
        Ok(())
    }
}

/// Does with an entry what is to be done with its kind.
fn visit<S: Store>(
    pull: &Pull<'_, S>,
    root: &Root,
    entry: &Entry,
    to: Option<RemotePath>,
    stage: &mut Stage<'_, '_, S>,
) {
    let is_top = root.inside(&entry.path).is_empty();
    let Some(to) = to else {
        // What is in the tree goes into the directory that is downloaded into.
        if entry.kind != Kind::Dir {
            let text = "a file needs a name here".to_owned();
            pull.job.fail_beside(entry.path.clone(), Code::Usage, text);
        }
        return;
    };
    let offering = Offering {
        base: root.base(),
        entry: Entry {
            path: to.clone(),
            ..entry.clone()
        },
    };
    let skip = |why| pull.job.skip(entry.path.clone(), why, 1);
    match (&entry.kind, pull.options.links) {
        (Kind::Dir, _) => match pull.options.effect {
            Effect::Real => pull.directory(entry.path.clone(), offering),
            Effect::Dry => stage.add(entry.path.clone(), offering),
        },
        (Kind::File(_), _) => stage.add(entry.path.clone(), offering),
        (Kind::Link(target), Links::Follow) => {
            match root.behind(&entry.path, target.as_str(), to) {
                None if is_top => {
                    let text = "is a link that may lead out of what is served".to_owned();
                    let path = entry.path.clone();
                    pull.job.fail_beside(path, Code::File, text);
                }
                None => skip(Skip::LeadsOut),
                Some(behind) if behind.holds(&entry.path) || behind.hops > HOPS_MAX => {
                    skip(Skip::Loop);
                }
                Some(behind) => pull.begin_to_look(behind),
            }
        }
        (Kind::Link(_), _) if is_top => {
            let text = "is a symbolic link: --links follow fetches what it leads to".to_owned();
            pull.job.fail_beside(entry.path.clone(), Code::File, text);
        }
        (Kind::Link(_), Links::Skip) => skip(Skip::Link),
        (Kind::Link(target), Links::Keep) => {
            if target.stays_within(root.inside(&entry.path).matches('/').count()) {
                stage.add(entry.path.clone(), offering);
            } else {
                skip(Skip::LeadsOut);
            }
        }
    }
}
