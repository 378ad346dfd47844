//! Files that may be on the server already: their bytes decide.

use std::sync::Arc;

use super::Shared;
use super::outgoing_file::Item;
use super::search::source_code;
use super::worker::Worker;
use crate::client::Effect;
use crate::client::monitor::Status;
use crate::code::Code;
use crate::content::{Algorithm, Checksum, merge};
use crate::offer::Ticket;
use crate::store::{self, Source};
use crate::transfer::Error;
use crate::transfer::heartbeat::{patiently, say_working};
use crate::transfer::send::{in_order, nodes_of};

/// A file that is on the server if it has this checksum; if not, and it may replace
/// what is there, it goes by this ticket.
pub(super) struct Doubt<S> {
    pub(super) file: Shared<S>,
    pub(super) there: Checksum,
    pub(super) ticket: Option<Ticket>,
}

impl<S: Source> Worker<'_, '_, S> {
    /// Hashes a file, and does with it what that says.
    pub(super) fn compare(&mut self, doubt: Doubt<S>) -> Result<(), Error> {
        let Doubt {
            file,
            there,
            ticket,
        } = doubt;
        if file.is_settled() {
            return Ok(());
        }
        match self.hash(&file)? {
            Err(error) => self.source_failed(&file, &error),
            Ok(here) if here == there => {
                file.same.get_or_init(|| here);
                self.is_here(&file);
            }
            Ok(_) => self.differs(&file, ticket)?,
        }
        Ok(())
    }

    fn hash(&mut self, file: &Shared<S>) -> Result<Result<Checksum, store::Error>, Error> {
        let item = &file.item;
        let reader = match item.source.open(&item.from, item.version.as_ref()) {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error)),
        };
        let Some(geometry) = file.geometry().filter(|cut| !cut.is_single()) else {
            return Ok(in_order(&reader, Algorithm::Blake3));
        };
        let link = &mut self.session.link;
        link.flush()?;
        let hash = || nodes_of(&reader, geometry);
        let nodes = patiently("compare", hash, &mut || say_working(link))?;
        Ok(nodes.and_then(|nodes| {
            let whole = merge(&nodes).ok_or_else(|| store::Error::Changed(item.from.clone()));
            // Of what has no version nobody knows later whether it is still the same.
            if item.version.is_some() {
                file.hashed.get_or_init(|| nodes);
            }
            whole
        }))
    }

    /// The same is on the server: that is to be vouched for.
    pub(super) fn is_here(&mut self, file: &Shared<S>) {
        file.set_here();
        match self.push.options.effect {
            Effect::Real => self.written.add(file),
            Effect::Dry => self.would(file, Status::WouldSkip),
        }
    }

    fn differs(&mut self, file: &Shared<S>, ticket: Option<Ticket>) -> Result<(), Error> {
        let options = &self.push.options;
        if !options.on_existing.may_replace() {
            self.say_drop(file.id);
            let text = super::answers::refusal(Code::Exists, crate::offer::Reason::OtherContent);
            self.fail(file, Code::Exists, text);
            return Ok(());
        }
        match (options.effect, ticket, file.is_large()) {
            (Effect::Dry, ..) => self.would(file, Status::WouldReplace),
            // Most of it may be the same, or an earlier try have replaced it in part.
            (Effect::Real, Some(ticket), true) => {
                self.partly.push_back((Arc::clone(file), ticket));
            }
            (Effect::Real, None, false) => self.granted.push_back(Arc::clone(file)),
            (Effect::Real, ..) => {
                return Err(Error::Broken("a verdict that this client did not ask for"));
            }
        }
        Ok(())
    }

    /// Says what would be done with a file, if it can be read.
    pub(super) fn would(&mut self, file: &Shared<S>, status: Status) {
        let Item {
            source,
            from,
            version,
            ..
        } = &file.item;
        if file.geometry().is_some()
            && status != Status::WouldSkip
            && let Err(error) = source.open(from, version.as_ref())
        {
            return self.source_failed(file, &error);
        }
        if !file.settle() {
            return;
        }
        let subject = file.subject();
        self.push.job.moved(subject.size);
        if file.geometry().is_some() {
            self.push.job.finish(&subject, None, status);
        } else {
            let kind = file.entry().kind.clone();
            self.push.job.placed(subject.path, kind, status);
        }
    }

    pub(super) fn source_failed(&mut self, file: &Shared<S>, error: &store::Error) {
        self.say_drop(file.id);
        if matches!(error, store::Error::NotFound(_)) {
            self.vanished(file);
        } else {
            self.fail(file, source_code(error), error.to_string());
        }
    }
}
