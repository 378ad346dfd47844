//! A client that puts a file of five blocks by hand, and may be broken off in the middle.

use std::fs;
use std::path::PathBuf;

use haul::code::Code;
use haul::content::{Node, node_of};
use haul::entry::Entry;
use haul::fault::Fault;
use haul::offer::{EntryId, OnExisting, Ticket, TransferId, Verdict};
use haul::server::Config;
use haul::wire::Message;
use haul::wire::message::{Nodes, NodesAre, Offer, Offered, Range};

use crate::putting::X;
use crate::raw::{Heard, Raw, block, commit, committed, cut, entry, offer, sum, transfer};
use crate::rig::{Rig, noise};
use crate::unharmed::{eventually, kept, patient};

/// Five blocks, the last of them short.
pub const LEN: usize = 4 * 1024 + 300;
pub const BLOCKS: u64 = 5;

pub fn bytes() -> Vec<u8> {
    noise(LEN)
}

/// A server whose deadlines no test reaches, and that never takes a client for lost.
pub fn config() -> Config {
    Config {
        deadlines: patient(),
        takeover: patient().stall,
        ..Config::default()
    }
}

pub fn rig() -> Rig {
    Rig::with(config(), Fault::default())
}

/// The nodes of those of the file's blocks.
pub fn nodes(of: &[u8], blocks: &[u64]) -> Vec<Option<Node>> {
    let node = |number: u64| {
        let index = cut(of).index(number)?;
        let at = cut(of).offset(index) as usize;
        let node = node_of(cut(of), index, &of[at..at + cut(of).len(index)]);
        blocks.contains(&number).then_some(node)
    };
    (0..BLOCKS).map(node).collect()
}

/// The blocks that need not be sent. What lies beside one on the same page of the disk is no
/// hole, and has a node like everything; it is not that of the file.
pub fn spared(has: &[Option<Node>], of: &[u8]) -> Vec<u64> {
    let right = nodes(of, &[0, 1, 2, 3, 4]);
    let is_right = |number: &u64| has[*number as usize] == right[*number as usize];
    (0..BLOCKS).filter(is_right).collect()
}

/// A client that puts `x`, as entry X of a transfer of its own.
pub struct Client {
    pub raw: Raw,
    pub id: TransferId,
    pub entry: EntryId,
    pub ticket: Option<Ticket>,
    /// Whether something may be there already.
    pub partly: bool,
}

impl Client {
    #[track_caller]
    pub fn offers(rig: &Rig, what: Entry) -> Self {
        Self::of(rig, transfer(), X, what)
    }

    #[track_caller]
    pub fn of(rig: &Rig, id: TransferId, number: EntryId, what: Entry) -> Self {
        Self::under(OnExisting::Refuse, rig, id, number, what)
    }

    /// One that may replace what has the name.
    #[track_caller]
    pub fn replaces(rig: &Rig, what: Entry) -> Self {
        Self::under(OnExisting::Replace, rig, transfer(), X, what)
    }

    #[track_caller]
    fn under(on: OnExisting, rig: &Rig, id: TransferId, number: EntryId, what: Entry) -> Self {
        let mut raw = Raw::open(rig);
        let offered = Offered {
            entry: number,
            what,
            base: 0,
        };
        raw.say(&Offer {
            on,
            ..offer(id, vec![offered])
        });
        let mut client = Self {
            raw,
            id,
            entry: number,
            ticket: None,
            partly: false,
        };
        match client.verdict() {
            Verdict::Send(ticket) => client.ticket = ticket,
            Verdict::Partly(ticket) => (client.ticket, client.partly) = (Some(ticket), true),
            // To whoever finds it to be another, it may be there in part.
            Verdict::SameIf(_, ticket) => (client.ticket, client.partly) = (ticket, true),
            other => panic!("{other:?}"),
        }
        client
    }

    #[track_caller]
    pub fn verdict(&mut self) -> Verdict {
        match self.raw.hear() {
            Heard::Message(Message::Want(mut want)) => want.verdicts.remove(0).verdict,
            other => panic!("no verdict but {other:?}"),
        }
    }

    pub fn asks(&mut self, first: u64, count: u64) {
        self.raw.say(&Nodes {
            request: 7,
            path: None,
            version: None,
            first,
            count,
            transfer: Some(self.id),
            entry: Some(self.entry),
        });
    }

    /// What the server says it has.
    #[track_caller]
    pub fn hears_nodes(&mut self) -> Vec<Option<Node>> {
        match self.raw.hear() {
            Heard::Message(Message::NodesAre(NodesAre {
                request: 7,
                first: 0,
                more: false,
                nodes,
            })) => nodes,
            other => panic!("no nodes but {other:?}"),
        }
    }

    #[track_caller]
    pub fn has(&mut self) -> Vec<Option<Node>> {
        self.asks(0, BLOCKS);
        self.hears_nodes()
    }

    pub fn send(&mut self, of: &[u8], blocks: &[u64]) {
        for index in blocks {
            let (header, body) = block(self.id, self.entry, of, *index);
            self.raw.send_block(&header, &body);
        }
        // All before this was read once it is answered.
        self.raw.is_answered("blocks");
    }

    /// Sends a block, with the ticket as if it were the first.
    pub fn late(&mut self, of: &[u8], index: u64) {
        let (header, body) = block(self.id, self.entry, of, index);
        self.raw.send_block(&header, &body);
    }

    /// Commits, and returns the exceptions.
    #[track_caller]
    pub fn commits(&mut self, of: &[u8]) -> Vec<(Code, Vec<Range>)> {
        let entry = committed(self.entry, Some(sum(of)));
        self.raw.say(&commit(self.id, vec![entry]));
        match self.raw.hear() {
            Heard::Message(Message::Receipt(receipt)) => {
                let exceptions = receipt.exceptions.into_iter();
                exceptions.map(|e| (e.code, e.missing)).collect()
            }
            other => panic!("no receipt but {other:?}"),
        }
    }

    /// Sends these and commits: the file is stored whole, and nothing is left of it.
    #[track_caller]
    pub fn finishes(&mut self, rig: &Rig, of: &[u8], blocks: &[u64]) {
        self.send(of, blocks);
        assert_eq!(self.commits(of), []);
        assert!(fs::read(rig.root().join("x")).unwrap() == of);
        assert_eq!(kept(rig), 0);
    }
}

pub fn x(of: &[u8]) -> Entry {
    entry("x", of)
}

/// Sends blocks of `x` over a connection that is lost then.
#[track_caller]
pub fn breaks_off(rig: &Rig, what: Entry, of: &[u8], blocks: &[u64]) {
    Client::offers(rig, what).send(of, blocks);
    eventually("the server has noticed", || {
        let client = Client::offers(rig, entry("z", b"z"));
        drop(client);
        kept(rig) == 1
    });
}

/// The file that is kept of `x`, and what says so.
#[track_caller]
pub fn kept_files(rig: &Rig) -> (PathBuf, PathBuf) {
    let all = fs::read_dir(rig.root().join(".haul/partial")).unwrap();
    let all: Vec<PathBuf> = all.map(|file| file.unwrap().path()).collect();
    let is_label = |path: &&PathBuf| path.extension().is_some();
    let label = all.iter().find(is_label).expect("a label");
    let file = all.iter().find(|path| path.extension().is_none());
    (file.expect("a file").clone(), label.clone())
}
