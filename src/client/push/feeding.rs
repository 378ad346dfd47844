//! What is found goes to the workers; what comes last is kept.

use crossbeam_channel::Sender;

use super::Push;
use super::outgoing_file::{Item, Work};
use super::search::{Found, Search, Top};
use crate::client::sharing::connections;
use crate::client::{Effect, Options, Upload};
use crate::offer::{EntryId, Offering};
use crate::store::Source;
use crate::wire::frame::LIST_MAX;
use crate::wire::message::{OFFER_MAX, Offered, fits};

/// Things that are looked at before it is decided how many connections they are worth.
pub(super) const FIRST_LOOK: usize = 256;

/// What was found first.
pub(super) struct FirstLook<S> {
    found: Vec<Found<S>>,
    more: bool,
}

impl<S: Source> FirstLook<S> {
    pub(super) fn of<I: Iterator<Item = Upload<S>>>(search: &mut Search<I, S>) -> Self {
        Self {
            found: search.take(FIRST_LOOK).collect(),
            more: !search.is_over(),
        }
    }

    /// How many of the connections that there may be this work can use.
    pub(super) fn connections(&self, options: &Options) -> usize {
        if self.more {
            return options.connections;
        }
        let sizes = self.found.iter().filter_map(|found| match found {
            Found::Item(item) | Found::Directory(item) => Some(item.entry().geometry()),
            Found::Tree(top) => top.directory.is_some().then_some(None),
            Found::Skipped(..) | Found::Failed(..) => None,
        });
        connections(sizes, options)
    }
}

impl<S> IntoIterator for FirstLook<S> {
    type Item = Found<S>;
    type IntoIter = std::vec::IntoIter<Found<S>>;

    fn into_iter(self) -> Self::IntoIter {
        self.found.into_iter()
    }
}

/// The way from the search to the workers.
pub(super) struct Feeding<'p, 'm, S: Source> {
    push: &'p Push<'m, S>,
    feed: Sender<Item<S>>,
    /// In the order in which they were found: what is in one comes after it.
    directories: Vec<Offering>,
}

impl<'p, 'm, S: Source> Feeding<'p, 'm, S> {
    pub(super) fn new(push: &'p Push<'m, S>, feed: Sender<Item<S>>) -> Self {
        Self {
            push,
            feed,
            directories: Vec::new(),
        }
    }

    /// Does with a thing what is to be done with it.
    pub(super) fn tell(&mut self, found: Found<S>) {
        let job = &self.push.job;
        match found {
            Found::Item(item) => self.offer(item),
            Found::Directory(item) => self.directory(item),
            Found::Tree(Top {
                places,
                to,
                directory,
            }) => {
                self.push.begin_tree(places, to);
                if let Some(item) = directory {
                    self.directory(item);
                }
            }
            Found::Skipped(path, why) => job.skip(path, why, 1),
            Found::Failed(path, code, text) => job.fail_beside(path, code, text),
        }
    }

    fn offer(&self, item: Item<S>) {
        self.push.job.found(item.entry().size());
        // Without workers the job has ended with an error of theirs.
        let _ = self.feed.send(item);
    }

    fn directory(&mut self, item: Item<S>) {
        match self.push.options.effect {
            Effect::Real => self.directories.push(item.offering),
            Effect::Dry => self.offer(item),
        }
    }

    /// The ends of the transfer: what is deepest comes first.
    pub(super) fn finale(self) -> Vec<Work<S>> {
        let mut ends: Vec<Vec<Offering>> = Vec::new();
        let mut len = 0;
        for offering in self.directories.into_iter().rev() {
            let offered = Offered {
                entry: EntryId(u64::MAX),
                what: offering.entry,
                base: offering.base,
            };
            let has_room = fits(&offered, &mut len, LIST_MAX);
            let offering = Offering {
                entry: offered.what,
                base: offered.base,
            };
            match ends.last_mut() {
                Some(end) if has_room && end.len() < OFFER_MAX => end.push(offering),
                _ => {
                    // The first of a list always fits: a path has 4,095 bytes.
                    len = LIST_MAX / 8;
                    ends.push(vec![offering]);
                }
            }
        }
        ends.into_iter().map(Work::End).collect()
    }
}
