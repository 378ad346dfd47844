//! Requests that ask what is in the store.

use std::ops::ControlFlow;
use std::time::Instant;

use tracing::{info, warn};

use super::audit::Asked;
use super::session::{Session, hear, seconds};
use crate::entry::{Entry, Kind};
use crate::path::{PathError, RemotePath};
use crate::store::{self, Source, Store};
use crate::transfer::Error;
use crate::wire::Message;
use crate::wire::frame::LIST_MAX;
use crate::wire::message::{Entries, List, fits};

/// Sends the entries at and beneath a path, in pages.
pub(super) fn list<S: Store>(session: &mut Session<'_, S>, list: &List) -> Result<(), Error> {
    let began = Instant::now();
    let peer = session.peer;
    let (access, link, _, queue) = session.sending();
    let act = access.begin(Asked::List, list.path.as_ref());
    let walk = |depth| access.walk(list.path.as_ref(), depth, list.after.clone());
    let wants_itself = list.itself && list.after.is_none() && list.depth != Some(0);
    let found = walk(list.depth).and_then(|beneath| {
        let itself = wants_itself.then(|| walk(Some(0))).transpose()?;
        // What is no directory is its own listing already.
        let itself = itself.into_iter().flatten().filter(is_directory);
        Ok(itself.chain(beneath))
    });
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            // That it was refused is the answer, recorded or not.
            let _ = act.end(Some(error.code()));
            session.refuse(list.request, error.code(), error.to_string());
            return Ok(());
        }
    };
    let mut page = Page::new(list);
    let (mut listed, mut stopped) = (0_u64, false);
    for item in found {
        match item {
            Ok(entry) => {
                listed += 1;
                let Some(full) = page.add(entry) else {
                    continue;
                };
                link.say(&full);
                link.flush()?;
                let is_stop =
                    |m: &Message| matches!(m, Message::Stop(s) if s.request == list.request);
                while !stopped && link.is_readable()? {
                    let flow = hear(link, queue, is_stop)?;
                    stopped = flow == ControlFlow::Break(());
                }
                if stopped {
                    break;
                }
                if let Err(error) = access.may_read_on() {
                    let _ = act.end(Some(error.code()));
                    session.refuse(list.request, error.code(), error.to_string());
                    return Ok(());
                }
            }
            // What has haul's own name is nobody's affair.
            Err(store::Error::Unusable {
                why: PathError::Reserved,
                ..
            }) => {}
            Err(store::Error::Unusable { count, .. }) => page.entries.unnamed += count,
            Err(store::Error::NotAFile(_)) => {
                *page.entries.special.get_or_insert_default() += 1;
            }
            Err(error) => {
                warn!(peer, why = error.to_string(), "cannot be listed");
                page.entries.unreadable += 1;
            }
        }
    }
    match act.end(None) {
        Ok(()) => link.say(&page.entries),
        Err(error) => session.refuse(list.request, error.code(), error.to_string()),
    }
    info!(
        peer,
        path = list.path.as_ref().map(RemotePath::as_str),
        listed,
        seconds = seconds(began),
        "list"
    );
    Ok(())
}

fn is_directory(item: &Result<Entry, store::Error>) -> bool {
    item.as_ref().is_ok_and(|entry| entry.kind == Kind::Dir)
}

/// Most bytes of a listing's first page, so that it comes with a new connection's first flight:
/// who asked fetches what it names while the rest is on its way. Each page after it may be twice
/// as long.
const FIRST_PAGE: usize = 8 << 10;

struct Page {
    entries: Entries,
    len: usize,
    max: usize,
}

impl Page {
    fn new(list: &List) -> Self {
        Self {
            entries: Entries {
                request: list.request,
                more: false,
                unnamed: 0,
                unreadable: 0,
                special: None,
                entries: Vec::new(),
            },
            len: 0,
            max: FIRST_PAGE,
        }
    }

    /// Adds an entry; returns the page before it where that is full.
    fn add(&mut self, entry: Entry) -> Option<Entries> {
        let mut full = None;
        if !fits(&entry, &mut self.len, self.max) {
            let next = Entries {
                entries: Vec::new(),
                unnamed: 0,
                unreadable: 0,
                special: None,
                ..self.entries.clone()
            };
            let mut page = std::mem::replace(&mut self.entries, next);
            page.more = true;
            full = Some(page);
            self.len = 0;
            self.max = (2 * self.max).min(LIST_MAX);
            // No entry is longer than a page: a path has 4,095 bytes, a link as many.
            let _ = fits(&entry, &mut self.len, self.max);
        }
        self.entries.entries.push(entry);
        full
    }
}
