//! What a put's connection says: offers, blocks, commits, ends.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::Shared;
use super::outgoing_file::{Item, Outgoing, Work};
use super::worker::Worker;
use crate::client::Effect;
use crate::client::monitor::Event;
use crate::client::sharing::{pieces, share};
use crate::content::{Algorithm, Geometry};
use crate::offer::{EntryId, Offering, Ticket};
use crate::store::Source;
use crate::transfer::heartbeat::{patiently, say_working};
use crate::transfer::send::{Ended, Passage, Run, Tag, in_order, send};
use crate::transfer::{Error, Link, Wait};
use crate::wire::frame::LIST_MAX;
use crate::wire::message::{Commit, Committed, Drop, End, OFFER_MAX, Offer, Offered, fits};
use crate::wire::{Incoming, Kind, Message};

/// Bytes of the first offer, which is to fit a connection's first flight.
const FIRST_OFFER: usize = 12 << 10;

impl<S: Source> Worker<'_, '_, S> {
    /// Offers a file, and as many that wait behind it as fit one offer and are this connection's
    /// share.
    pub(super) fn offer(&mut self, first: Item<S>) {
        let max = if self.offered { LIST_MAX } else { FIRST_OFFER };
        self.offered = true;
        let most = share(self.feed.len(), self.push.workers, OFFER_MAX);
        let (mut entries, mut files, mut len) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(item) = next.take() {
            let offered = Offered {
                entry: self.push.next_entry(),
                what: item.entry().clone(),
                base: item.offering.base,
            };
            // The first always fits: with the longest path and link it has 9 KiB.
            if !fits(&offered, &mut len, max) && !files.is_empty() {
                self.carried = Some(item);
                break;
            }
            let file = Arc::new(Outgoing::new(offered.entry, item, self.number));
            self.known.insert(file.id, Arc::clone(&file));
            entries.push(offered);
            files.push(file);
            if entries.len() < most {
                next = self.next_item();
            }
        }
        let request = self.session.request();
        self.session.link.say(&Offer {
            request,
            transfer: self.push.transfer,
            on: self.push.options.on_existing,
            dry: self.push.options.effect == Effect::Dry,
            compare: self.push.options.compare,
            entries,
        });
        self.offers.push_back((request, files));
        self.known.retain(|_, file| !file.is_settled());
    }

    /// Announces a file above one block and hands its segments out.
    pub(super) fn begin(&mut self, file: &Shared<S>, ticket: Ticket) -> Result<(), Error> {
        let geometry = self.announce(file, ticket)?;
        let segment = self.session.welcome()?.segment;
        self.hand_out(file, pieces(geometry, segment, self.push.connect));
        Ok(())
    }

    /// Announces a file above one block.
    pub(super) fn announce(&mut self, file: &Shared<S>, ticket: Ticket) -> Result<Geometry, Error> {
        let Some(geometry) = file.geometry() else {
            return Err(Error::Broken("a ticket for something that has no blocks"));
        };
        file.ticket.get_or_init(|| ticket);
        file.count(&self.push.large);
        self.push.job.tell(Event::Started {
            path: file.entry().path.clone(),
            size: geometry.size(),
            done: Arc::clone(&file.done),
        });
        Ok(geometry)
    }

    /// Hands out some blocks, to whoever takes them.
    pub(super) fn hand_out(&self, file: &Shared<S>, runs: impl Iterator<Item = Range<u64>>) {
        for blocks in runs {
            let work = Work::Segment(Arc::clone(file), blocks);
            self.push.job.hand_out(work);
        }
    }

    /// Sends some blocks of a file; whoever sends its last one sees to its commit.
    pub(super) fn send(&mut self, file: &Shared<S>, blocks: Range<u64>) -> Result<(), Error> {
        let Some(geometry) = file.geometry().filter(|_| !file.is_settled()) else {
            return Ok(());
        };
        // What is heard between blocks begins with the server's preface; it came
        // while the verdict did, on whatever connection that was.
        self.session.welcome()?;
        let item = &file.item;
        let reader = match item.source.open(&item.from, item.version.as_ref()) {
            Ok(reader) => reader,
            Err(error) => {
                self.source_failed(file, &error);
                return Ok(());
            }
        };
        self.known.insert(file.id, Arc::clone(file));
        let shown = self.tagged.contains(&file.id);
        let tag = file.ticket.get().filter(|_| !shown).map(|ticket| Tag {
            ticket,
            path: &item.entry().path,
        });
        let run = Run {
            transfer: self.push.transfer,
            entry: file.id,
            reader: &reader,
            geometry,
            blocks: blocks.clone(),
            tag,
            here: file.there(&blocks),
            hashed: file.hashed.get().map(Vec::as_slice),
        };
        let owed = self.owed();
        let (job, heard, known) = (&self.push.job, &mut self.heard, &self.known);
        let tagged = &mut self.tagged;
        let mut moved = 0;
        let ended = send(
            &mut self.session.link,
            &run,
            &mut self.buffer,
            |index, node, len, passage| {
                job.moved(len as u64);
                file.note(index, node, len);
                moved += len as u64;
                if passage == Passage::Sent {
                    tagged.insert(file.id);
                    job.sent(len as u64);
                }
            },
            |link| {
                hear(link, file.id, |message| {
                    keep(heard, message, owed, |file| known.contains_key(file))
                })
            },
        );
        match ended {
            Ok(Ended::Whole) => {
                if file.wrote(blocks.end - blocks.start) {
                    self.complete(file, &reader)?;
                }
                Ok(())
            }
            // What was heard says why.
            Ok(Ended::Stopped) => Ok(()),
            Ok(Ended::SourceFailed(error)) => {
                self.source_failed(file, &error);
                Ok(())
            }
            Err(error) => {
                job.unmoved(file.take_back(moved));
                Err(error)
            }
        }
    }

    /// All blocks are written: proves the second checksum, where one is wanted.
    fn complete(&mut self, file: &Shared<S>, reader: &S::Reader) -> Result<(), Error> {
        if self.push.options.checksum == Algorithm::Sha256 && file.second.get().is_none() {
            let link = &mut self.session.link;
            link.flush()?;
            let second = patiently("sum", || in_order(reader, Algorithm::Sha256), &mut || {
                say_working(link)
            })?;
            match second {
                Ok(second) => file.second.get_or_init(|| second),
                Err(error) => {
                    self.source_failed(file, &error);
                    return Ok(());
                }
            };
        }
        self.written.add(file);
        Ok(())
    }

    /// Asks for what is written to be published.
    pub(super) fn commit(&mut self) {
        let files = self.written.take();
        for file in &files {
            file.set_committing(true);
        }
        let entries = files
            .iter()
            .map(|file| Committed {
                entry: file.id,
                checksum: file.checksum(),
                second: file.second.get().copied(),
            })
            .collect();
        let request = self.session.request();
        self.session.link.say(&Commit {
            request,
            transfer: self.push.transfer,
            entries,
        });
        self.commits.push_back((request, files));
    }

    /// Asks for directories to be settled.
    pub(super) fn end_transfer(&mut self, directories: Vec<Offering>) {
        let offered = directories.iter().map(|directory| Offered {
            entry: self.push.next_entry(),
            what: directory.entry.clone(),
            base: directory.base,
        });
        let offered: Vec<Offered> = offered.collect();
        let request = self.session.request();
        let ids = offered.iter().map(|offered| offered.entry).collect();
        self.session.link.say(&End {
            request,
            transfer: self.push.transfer,
            directories: offered,
        });
        self.end = Some((request, ids, directories));
    }

    pub(super) fn say_drop(&mut self, entry: EntryId) {
        self.session.link.say(&Drop {
            transfer: self.push.transfer,
            entry,
        });
    }
}

/// Hears what is said while blocks are sent; ends the run where its file has failed.
fn hear(
    link: &mut Link,
    file: EntryId,
    keep: impl FnOnce(Message) -> Result<(), Error>,
) -> Result<ControlFlow<()>, Error> {
    match link.next(Wait::Owed)?.ok_or(Error::Ended)? {
        Incoming::Message(Message::Fail(fail))
            if fail.entry.is_none() && fail.request.is_none() =>
        {
            Err(fail.into())
        }
        Incoming::Message(Message::Working(_)) | Incoming::Unknown(..) => {
            Ok(ControlFlow::Continue(()))
        }
        Incoming::Message(message) => {
            let failed = failed(&message) == Some(file);
            keep(message)?;
            Ok(if failed {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        }
        Incoming::Block(..) => Err(Error::OutOfOrder(Kind::Block)),
    }
}

/// Keeps a message for later, as long as there are no more than a server can have to say: the
/// answers that it owes, and that a file has failed. It says so for each block that it forgets,
/// and only the first time tells anything.
fn keep(
    heard: &mut VecDeque<Message>,
    message: Message,
    owed: usize,
    is_known: impl FnOnce(&EntryId) -> bool,
) -> Result<(), Error> {
    let about = failed(&message);
    let alike = heard.iter().filter(|other| failed(other) == about).count();
    match about {
        Some(file) if alike == 0 && is_known(&file) => heard.push_back(message),
        Some(_) => {}
        None if alike < owed => heard.push_back(message),
        None => return Err(Error::Broken("more answers than were asked for")),
    }
    Ok(())
}

/// The file that has failed, where a message says so of one.
fn failed(message: &Message) -> Option<EntryId> {
    match message {
        Message::Fail(fail) => fail.entry,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::wire::message::{Fail, Receipt};

    #[test]
    fn that_a_file_has_failed_is_kept_once_and_of_another_s_not_at_all() {
        let mut heard = VecDeque::new();
        for entry in [1, 2, 1, 1, 9, 2, 9] {
            let id = crate::offer::TransferId([0; 16]);
            let fail = Fail::entry(id, EntryId(entry), Code::File, "why");
            keep(&mut heard, Message::Fail(fail), 0, |id| id.0 < 9).unwrap();
        }
        let files: Vec<_> = heard.iter().filter_map(failed).collect();
        assert_eq!(files, [EntryId(1), EntryId(2)]);
    }

    #[test]
    fn one_answer_more_than_is_owed_is_an_error() {
        let mut heard = VecDeque::new();
        let mut answer = |request| {
            let exceptions = Vec::new();
            let receipt = Message::Receipt(Receipt {
                request,
                exceptions,
            });
            keep(&mut heard, receipt, 2, |_| false)
        };
        answer(1).unwrap();
        answer(2).unwrap();
        assert!(matches!(answer(3), Err(Error::Broken(_))));
        assert_eq!(heard.len(), 2);
    }
}
