//! A raw client with an upload under way, ready to misbehave.

use haul::content::Checksum;
use haul::offer::{EntryId, Ticket, TransferId, Verdict};
use haul::wire::Message;
use haul::wire::message::{Answered, Block, Committed, Exception};

use crate::raw::{Heard, Raw, block, commit, committed, offer, offered, sum, transfer};
use crate::rig::{Rig, noise, remote};

pub const X: EntryId = EntryId(1);
pub const ABSENT: EntryId = EntryId(77);

/// A file `x` of three blocks that was offered and granted.
pub struct Putting {
    pub raw: Raw,
    pub id: TransferId,
    pub bytes: Vec<u8>,
    pub ticket: Ticket,
}

impl Putting {
    pub fn begin(rig: &Rig) -> Self {
        let (mut raw, id, bytes) = (Raw::open(rig), transfer(), noise(2500));
        match &grants(&mut raw, id, vec![(X, "x", &bytes)])[..] {
            [
                Answered {
                    entry: X,
                    // What another has begun may still be there.
                    verdict: Verdict::Send(Some(ticket)) | Verdict::Partly(ticket),
                },
            ] => {
                let ticket = ticket.clone();
                Self {
                    raw,
                    id,
                    bytes,
                    ticket,
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Sends block `index`, after something was done to it.
    pub fn send(&mut self, index: u64, damage: impl FnOnce(&mut Block, &mut Vec<u8>)) {
        let (mut header, mut body) = block(self.id, X, &self.bytes, index);
        damage(&mut header, &mut body);
        self.raw.send_block(&header, &body);
    }

    pub fn send_all(&mut self) {
        (0..3).for_each(|index| self.send(index, |_, _| {}));
    }

    /// Sends block 0 with a ticket, path and size.
    pub fn show(&mut self, entry: EntryId, ticket: &[u8], path: &str, size: u64) {
        self.send(0, |header, _| {
            header.entry = entry;
            header.ticket = Ticket::new(ticket);
            header.path = Some(remote(path));
            header.size = Some(size);
        });
    }

    pub fn checksum(&self) -> Checksum {
        sum(&self.bytes)
    }

    pub fn commit(&mut self, entry: EntryId, checksum: Option<Checksum>, second: Option<Checksum>) {
        let entry = Committed {
            second,
            ..committed(entry, checksum)
        };
        self.raw.say(&commit(self.id, vec![entry]));
    }

    pub fn commit_well(&mut self) {
        self.commit(X, Some(self.checksum()), None);
    }

    pub fn receipt(&mut self, case: &str) -> Vec<Exception> {
        match self.raw.hear() {
            Heard::Message(Message::Receipt(receipt)) => receipt.exceptions,
            other => panic!("{case}: no receipt but {other:?}"),
        }
    }
}

/// Offers files, and returns what the server decides.
#[track_caller]
pub fn grants(raw: &mut Raw, id: TransferId, files: Vec<(EntryId, &str, &[u8])>) -> Vec<Answered> {
    let offered = |(entry, path, bytes): (_, &str, &[u8])| offered(entry, path, bytes);
    raw.say(&offer(id, files.into_iter().map(offered).collect()));
    match raw.hear() {
        Heard::Message(Message::Want(want)) => want.verdicts,
        other => panic!("no verdicts but {other:?}"),
    }
}
