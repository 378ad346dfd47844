//! A server that follows a script, once, and what a client's job against it comes to.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use haul::client::{Client, JobOptions, Options};
use haul::code::Code;
use haul::entry::{Entry, Version};
use haul::offer::{EntryId, Ticket, Verdict};
use haul::transfer::Deadlines;
use haul::wire::message::{
    Above, Answered, Block, Commit, Entries, Exception, Fetch, Offer, Offered, Range, Receipt,
    Request, Rights, Sent, StoreId, Unsent, Want, Welcome,
};
use haul::wire::{Message, preface};

use crate::by_hand::{map, number};
use crate::raw::{Heard, Raw, block, entry};
use crate::rig::{Outcome, get, noise, put};
use crate::secrecy::{Keys, Secrecy};

/// Lets a client of one connection do `job` against a server that does what `script`
/// says, and then ends the connection.
pub fn facing(
    secrecy: Secrecy,
    deadlines: Deadlines,
    script: impl FnOnce(&mut Raw) + Send + 'static,
    job: impl FnOnce(&Client) -> Outcome,
) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (keys, server) = (Keys::of(secrecy), thread::Builder::new());
    let encryption = keys.client();
    let server = server.name("evil".to_owned()).spawn(move || {
        let mut raw = Raw::accepted(listener.accept().unwrap().0, &keys);
        script(&mut raw);
        raw.finish();
    });
    let options = Options {
        connections: 1,
        deadlines,
        encryption,
        ..Options::default()
    };
    let outcome = job(&Client::new(&address, options));
    server.unwrap().join().expect("the script ends well");
    outcome
}

/// The file that is fetched: `f`, 2,500 bytes in blocks of 1 KiB.
pub fn file() -> Entry {
    Entry {
        version: Some(Version([1; 16])),
        ..entry("f", &noise(2500))
    }
}

pub fn welcome() -> Welcome {
    Welcome {
        request: 0,
        agent: "evil".to_owned(),
        rights: Rights::ALL,
        segment: 8 << 20,
        store: StoreId([3; 16]),
        durable: true,
        above: Above::default(),
    }
}

pub fn page(request: Request, entries: Vec<Entry>) -> Entries {
    Entries {
        request,
        more: false,
        unnamed: 0,
        unreadable: 0,
        special: None,
        entries,
    }
}

impl Raw {
    /// Greets and welcomes a client, and hears its first request.
    pub fn welcomes(&mut self) -> Message {
        self.is_greeted();
        assert!(matches!(self.hear(), Heard::Message(Message::Hello(_))));
        self.send(&preface::encode(1));
        self.say(&welcome());
        self.hear_message()
    }

    pub fn hear_message(&mut self) -> Message {
        match self.hear() {
            Heard::Message(message) => message,
            other => panic!("no message but {other:?}"),
        }
    }

    /// Hears which file is to be listed.
    pub fn hear_list(&mut self) -> Request {
        match self.welcomes() {
            Message::List(list) => list.request,
            other => panic!("{other:?}"),
        }
    }

    /// Hears what is offered.
    pub fn hear_offer(&mut self) -> Offer {
        match self.welcomes() {
            Message::Offer(offer) => offer,
            other => panic!("{other:?}"),
        }
    }
}

/// The header of one page of a listing, by hand.
pub fn page_map(request: Request) -> Vec<u8> {
    let zero = || number(0);
    map(&[
        (0, number(request)),
        (1, vec![0xf4]),
        (2, zero()),
        (3, zero()),
    ])
}

/// Gets `f` from a server that follows `script`.
pub fn gets(
    secrecy: Secrecy,
    into: &Path,
    deadlines: Deadlines,
    script: impl FnOnce(&mut Raw) + Send + 'static,
) -> Outcome {
    facing(secrecy, deadlines, script, |client| {
        get(client, &[("f", "f")], into, &JobOptions::default())
    })
}

/// A server that was asked for blocks.
pub struct Giving<'r> {
    pub raw: &'r mut Raw,
    pub fetch: Fetch,
}

impl<'r> Giving<'r> {
    /// Lists [`file`], and hears what is wanted of it.
    pub fn begin(raw: &'r mut Raw) -> Self {
        let request = raw.hear_list();
        raw.say(&page(request, vec![file()]));
        Self::when_asked(raw)
    }

    pub fn when_asked(raw: &'r mut Raw) -> Self {
        let asked = raw.hear_message();
        Self::asked(raw, asked)
    }

    /// Welcomes a client that goes on, and hears what it wants.
    pub fn again(raw: &'r mut Raw) -> Self {
        let asked = raw.welcomes();
        Self::asked(raw, asked)
    }

    fn asked(raw: &'r mut Raw, asked: Message) -> Self {
        match asked {
            Message::Fetch(fetch) => Self { raw, fetch },
            other => panic!("{other:?}"),
        }
    }

    /// Sends block `index`, after something was done to it.
    pub fn send(&mut self, index: u64, damage: impl FnOnce(&mut Block, &mut Vec<u8>)) {
        let entry = self.fetch.files[0].entry;
        let (mut header, mut body) = block(self.fetch.transfer, entry, &noise(2500), index);
        damage(&mut header, &mut body);
        self.raw.send_block(&header, &body);
    }

    pub fn sent(&mut self, exceptions: Vec<Unsent>) {
        let request = self.fetch.request;
        self.raw.say(&Sent {
            request,
            exceptions,
        });
    }

    /// Sends what is wanted.
    pub fn all(&mut self) {
        self.blocks();
        self.sent(vec![]);
    }

    /// Sends the blocks that are wanted, and not that these are all.
    pub fn blocks(&mut self) {
        let wanted = &self.fetch.files[0];
        let blocks = wanted.first..wanted.first + wanted.count;
        blocks.for_each(|index| self.send(index, |_, _| {}));
    }
}

pub const SMALL: usize = 1000;
/// Three blocks of the size that haul chooses.
pub const LARGE: usize = (2 << 20) + 7;

/// Puts files of these sizes on a server that follows `script`.
pub fn puts(
    secrecy: Secrecy,
    deadlines: Deadlines,
    sizes: &[usize],
    script: impl FnOnce(&mut Raw) + Send + 'static,
) -> Outcome {
    puts_until(secrecy, deadlines, sizes, |raw, _| script(raw))
}

/// The same with a script that can wait for the end of the job.
pub fn puts_until(
    secrecy: Secrecy,
    deadlines: Deadlines,
    sizes: &[usize],
    script: impl FnOnce(&mut Raw, &mpsc::Receiver<()>) + Send + 'static,
) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let name = |size: &usize| (dir.path().join(size.to_string()), size.to_string());
    let files: Vec<_> = sizes.iter().map(name).collect();
    for ((path, _), size) in files.iter().zip(sizes) {
        fs::write(path, noise(*size)).unwrap();
    }
    let files = files
        .iter()
        .map(|(path, name)| (path.as_path(), name.as_str()));
    let files: Vec<_> = files.collect();
    let (over, ended) = mpsc::channel();
    let script = move |raw: &mut Raw| script(raw, &ended);
    facing(secrecy, deadlines, script, |client| {
        let outcome = put(client, &files, &JobOptions::default());
        drop(over);
        outcome
    })
}

/// A verdict on each offered file, by its size.
pub fn want(offer: &Offer, verdict: impl Fn(usize) -> Verdict) -> Want {
    let answer = |offered: &Offered| Answered {
        entry: offered.entry,
        verdict: verdict(offered.what.size() as usize),
    };
    Want {
        request: offer.request,
        verdicts: offer.entries.iter().map(answer).collect(),
    }
}

pub fn ticket_for(size: usize) -> Option<Ticket> {
    (size >= LARGE).then(|| Ticket::new(b"ticket").unwrap())
}

/// Takes a small file, and hears its commit.
pub fn takes(raw: &mut Raw) -> Commit {
    let offer = raw.hear_offer();
    raw.say(&want(&offer, |_| Verdict::Send(None)));
    hears_commit(raw)
}

pub fn hears_commit(raw: &mut Raw) -> Commit {
    loop {
        match raw.hear() {
            Heard::Message(Message::Commit(commit)) => return commit,
            Heard::Message(Message::Drop(_)) | Heard::Block(..) => {}
            other => panic!("no commit but {other:?}"),
        }
    }
}

pub fn exception(entry: EntryId, code: Code, missing: Vec<Range>) -> Exception {
    Exception {
        entry,
        code,
        text: "why".to_owned(),
        missing,
    }
}

pub fn receipt(request: Request, exceptions: Vec<Exception>) -> Receipt {
    Receipt {
        request,
        exceptions,
    }
}
