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
        let (job, heard) = (&self.push.job, &mut self.heard);
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
            |link| hear(link, heard, file.id),
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

/// Keeps what is said while blocks are sent; ends the run where its file has failed.
fn hear(
    link: &mut Link,
    heard: &mut VecDeque<Message>,
    file: EntryId,
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
            let failed = matches!(&message, Message::Fail(fail) if fail.entry == Some(file));
            heard.push_back(message);
            Ok(if failed {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        }
        Incoming::Block(..) => Err(Error::OutOfOrder(Kind::Block)),
    }
}
