//! Going on with what the server has: from an earlier try, or in the file that is replaced.
//!
//! The server tells the node of each block that it has, a page after the other, and may have
//! to read them first. Our own blocks are read and hashed in any case: those that have the
//! same node are not sent. So it does not matter what the server has, or what went wrong with
//! the earlier try.

use std::ops::Range;
use std::sync::Arc;

use super::Shared;
use super::worker::Worker;
use crate::client::sharing::segments;
use crate::content::Geometry;
use crate::offer::Ticket;
use crate::store::Source;
use crate::transfer::Error;
use crate::wire::message::{Nodes, NodesAre, Request};

/// Files that are asked about at once over one connection: the server keeps few requests in
/// mind while it answers one.
const ASKED_MAX: usize = 8;

/// A file of which the server tells what it has.
pub(super) struct Recovering<S> {
    pub(super) request: Request,
    file: Shared<S>,
    /// How many blocks are told of.
    told: u64,
}

impl<S: Source> Worker<'_, '_, S> {
    /// Asks what the server has of some files. The answers may be long: no block is sent over
    /// this connection before they are here.
    pub(super) fn ask_for_nodes(&mut self) -> Result<(), Error> {
        while self.recovering.len() < ASKED_MAX
            && let Some((file, ticket)) = self.partly.pop_front()
        {
            self.recover(&file, ticket)?;
        }
        Ok(())
    }

    fn recover(&mut self, file: &Shared<S>, ticket: Ticket) -> Result<(), Error> {
        let geometry = self.announce(file, ticket)?;
        let request = self.session.request();
        self.session.link.say(&Nodes {
            request,
            path: None,
            version: None,
            first: 0,
            count: geometry.blocks(),
            transfer: Some(self.push.transfer),
            entry: Some(file.id),
        });
        self.recovering.push_back(Recovering {
            request,
            file: Arc::clone(file),
            told: 0,
        });
        Ok(())
    }

    /// The server has told of some more blocks: they can be compared.
    pub(super) fn told(&mut self, page: NodesAre) -> Result<(), Error> {
        let Some(mut recovering) = self.recovering.pop_front() else {
            return Err(Error::Broken("nodes that nobody asked for"));
        };
        let file = Arc::clone(&recovering.file);
        let blocks = file.geometry().map_or(0, Geometry::blocks);
        let first = recovering.told;
        let told = first + page.nodes.len() as u64;
        let is_next = page.request == recovering.request && page.first == first;
        let ends = told == blocks;
        if !is_next || told > blocks || page.more == ends || told == first {
            self.recovering.push_front(recovering);
            return Err(Error::Broken("nodes of other blocks than were asked for"));
        }
        file.note_there(page.nodes);
        recovering.told = told;
        if page.more {
            self.recovering.push_front(recovering);
        }
        self.compare_some(&file, &(first..told))
    }

    /// The server does not tell any more: what is left is sent.
    pub(super) fn not_told(&mut self, request: Option<Request>) -> Result<bool, Error> {
        let is_it = |it: &Recovering<S>| Some(it.request) == request;
        let Some(at) = self.recovering.iter().position(is_it) else {
            return Ok(false);
        };
        if let Some(Recovering { file, told, .. }) = self.recovering.remove(at) {
            let blocks = file.geometry().map_or(0, Geometry::blocks);
            self.compare_some(&file, &(told..blocks))?;
        }
        Ok(true)
    }

    /// Hands out the segments whose last block is among these.
    fn compare_some(&mut self, file: &Shared<S>, blocks: &Range<u64>) -> Result<(), Error> {
        let segment = self.session.welcome()?.segment;
        let all = file.geometry().into_iter();
        let all = all.flat_map(|geometry| segments(geometry, segment));
        self.hand_out(file, all.filter(|run| blocks.contains(&(run.end - 1))));
        Ok(())
    }
}
