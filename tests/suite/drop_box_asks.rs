//! All that somebody who may write and not read can say, with a client of their own.

use haul::code::Code;
use haul::content::Algorithm;
use haul::entry::{Entry, Kind, LinkTarget, Mode, Mtime, Version};
use haul::offer::{Compare, EntryId, OnExisting, Ticket, TransferId};
use haul::wire::Message;
use haul::wire::message::{Commit, Drop, End, Fetch, List, MakeDir, Nodes, Offer, Offered, Remove};
use haul::wire::message::{Rename, Sum, Verify, Wanted};

use crate::raw::{Heard, Raw, block, committed, cut, entry, list, offer, offered, sum};
use crate::rig::{noise, remote};

/// The number of the last request: its answer ends what is heard.
const LAST: u64 = 9999;

pub const SMALL: &[u8] = b"small";

/// Something that is said about a path.
pub struct Ask {
    pub what: &'static str,
    pub say: fn(&mut Guest, &str),
}

/// Somebody with a connection and a transfer.
pub struct Guest {
    pub raw: Raw,
    pub transfer: TransferId,
}

impl Guest {
    /// Puts a file of these bytes.
    fn puts(&mut self, number: u64, path: &str, bytes: &[u8]) {
        self.offers(vec![offered(EntryId(number), path, bytes)]);
        self.sends(number, bytes);
        self.commits(number, bytes);
    }

    pub fn offers(&mut self, entries: Vec<Offered>) {
        self.raw.say(&offer(self.transfer, entries));
    }

    fn sends(&mut self, number: u64, bytes: &[u8]) {
        for index in 0..cut(bytes).blocks() {
            let (header, body) = block(self.transfer, EntryId(number), bytes, index);
            self.raw.send_block(&header, &body);
        }
    }

    fn commits(&mut self, number: u64, bytes: &[u8]) {
        self.raw.say(&Commit {
            request: 100 + number,
            transfer: self.transfer,
            entries: vec![committed(EntryId(number), Some(sum(bytes)))],
        });
    }

    /// Offers under every policy and comparison.
    fn offers_in_every_way(&mut self, dry: bool, what: &[Entry]) {
        let mut number = 0;
        for on in [
            OnExisting::Refuse,
            OnExisting::IfNewer,
            OnExisting::Replace,
            OnExisting::ReplaceVersion(Version([0; 16])),
        ] {
            for compare in [Compare::Quick, Compare::Content] {
                let offered = |what: &Entry| {
                    number += 1;
                    Offered {
                        entry: EntryId(number),
                        what: what.clone(),
                        base: (number % 2) as u16,
                    }
                };
                let entries = what.iter().map(offered).collect();
                self.raw.say(&Offer {
                    on,
                    dry,
                    compare,
                    ..offer(self.transfer, entries)
                });
            }
        }
    }

    /// Everything that is heard up to the last answer, but for what is drawn by chance.
    pub fn hears(&mut self) -> Vec<String> {
        self.raw.say(&list(LAST));
        let mut all = Vec::new();
        loop {
            match self.raw.hear() {
                Heard::Message(Message::Fail(fail)) if fail.request == Some(LAST) => {
                    assert_eq!(fail.code, Code::NotAuthorised, "{fail:?}");
                    return all;
                }
                // Of a ticket only the length is shown.
                Heard::Message(message) => all.push(format!("{message:?}")),
                other => panic!("{other:?} after {all:?}"),
            }
        }
    }
}

fn link(path: &str, target: &str) -> Entry {
    Entry {
        kind: Kind::Link(LinkTarget::new(target).unwrap()),
        ..entry(path, b"")
    }
}

fn directory(path: &str) -> Entry {
    Entry {
        kind: Kind::Dir,
        mode: Mode::masked(0o751),
        ..entry(path, b"")
    }
}

pub const ASKS: [Ask; 22] = [
    Ask {
        what: "an offer of every size, under every policy and comparison",
        say: |guest, path| {
            let huge = Entry {
                kind: Kind::file(1 << 62).unwrap(),
                ..entry(path, b"")
            };
            let newer = Entry {
                mtime: Mtime::new(i64::from(u32::MAX), 0).unwrap(),
                ..entry(path, b"other")
            };
            let what = [entry(path, b""), entry(path, SMALL), newer, huge];
            guest.offers_in_every_way(false, &what);
        },
    },
    Ask {
        what: "the same, only to hear what would be done",
        say: |guest, path| {
            let what = [entry(path, SMALL), link(path, "a"), directory(path)];
            guest.offers_in_every_way(true, &what);
        },
    },
    Ask {
        what: "links, in the tree and out of it, under every policy",
        say: |guest, path| {
            let out = "../".repeat(9);
            let what = [link(path, "a"), link(path, "none"), link(path, &out)];
            guest.offers_in_every_way(false, &what);
        },
    },
    Ask {
        what: "a directory that is offered in earnest",
        say: |guest, path| {
            let what = [directory(path)];
            guest.offers_in_every_way(false, &what);
        },
    },
    Ask {
        what: "a small file",
        say: |guest, path| guest.puts(1, path, SMALL),
    },
    Ask {
        what: "an empty file",
        say: |guest, path| guest.puts(1, path, b""),
    },
    Ask {
        what: "a file of several blocks",
        say: |guest, path| guest.puts(1, path, &noise(2500)),
    },
    Ask {
        what: "the same name twice, one after the other",
        say: |guest, path| {
            guest.puts(1, path, SMALL);
            guest.puts(2, path, SMALL);
            guest.puts(3, path, b"other");
        },
    },
    Ask {
        what: "the same name twice in one commit",
        say: |guest, path| {
            let both = [1, 2].map(|number| offered(EntryId(number), path, SMALL));
            guest.offers(both.to_vec());
            guest.sends(1, SMALL);
            guest.sends(2, SMALL);
            let claim = |number| committed(EntryId(number), Some(sum(SMALL)));
            guest.raw.say(&Commit {
                request: 50,
                transfer: guest.transfer,
                entries: vec![claim(1), claim(2)],
            });
        },
    },
    Ask {
        what: "a file, and something in it",
        say: |guest, path| {
            guest.puts(1, path, SMALL);
            guest.puts(2, &format!("{path}/in/it"), SMALL);
            guest.puts(3, &format!("{path}/in"), SMALL);
        },
    },
    Ask {
        what: "a link",
        say: |guest, path| {
            let offered = |number, target| Offered {
                entry: EntryId(number),
                what: link(path, target),
                base: 0,
            };
            guest.offers(vec![offered(1, "a"), offered(2, "elsewhere")]);
            guest.raw.say(&Commit {
                request: 50,
                transfer: guest.transfer,
                entries: vec![committed(EntryId(1), None), committed(EntryId(2), None)],
            });
        },
    },
    Ask {
        what: "a file with another checksum than was said",
        say: |guest, path| {
            guest.offers(vec![offered(EntryId(1), path, SMALL)]);
            guest.sends(1, SMALL);
            guest.commits(1, b"other");
        },
    },
    Ask {
        what: "a file that is sent and then dropped",
        say: |guest, path| {
            guest.offers(vec![offered(EntryId(1), path, SMALL)]);
            guest.sends(1, SMALL);
            guest.raw.say(&Drop {
                transfer: guest.transfer,
                entry: EntryId(1),
            });
            guest.commits(1, SMALL);
        },
    },
    Ask {
        what: "blocks and commits of what was never offered, with a ticket or without",
        say: |guest, path| {
            let (mut header, body) = block(guest.transfer, EntryId(1), SMALL, 0);
            guest.raw.send_block(&header, &body);
            header.ticket = Ticket::new(&[7; 24]);
            header.path = Some(remote(path));
            header.size = Some(5);
            guest.raw.send_block(&header, &body);
            guest.commits(1, SMALL);
        },
    },
    Ask {
        what: "a directory",
        say: |guest, path| {
            for (request, parents) in [(1, false), (2, true), (3, false)] {
                let path = remote(path);
                guest.raw.say(&MakeDir {
                    request,
                    path,
                    parents,
                });
            }
        },
    },
    Ask {
        what: "a directory in a directory",
        say: |guest, path| {
            for (request, parents) in [(1, false), (2, true)] {
                let path = remote(&format!("{path}/new/newer"));
                guest.raw.say(&MakeDir {
                    request,
                    path,
                    parents,
                });
            }
        },
    },
    Ask {
        what: "modes and times of directories",
        say: |guest, path| {
            let inner = format!("{path}/new");
            let all = [directory(&inner), directory(path)];
            let offered = |(number, what): (u64, Entry)| Offered {
                entry: EntryId(number),
                what,
                base: 0,
            };
            guest.raw.say(&End {
                request: 1,
                transfer: guest.transfer,
                directories: (1..).zip(all).map(offered).collect(),
            });
        },
    },
    Ask {
        what: "another name for it, and its name for something else",
        say: |guest, path| {
            let (this, other) = (remote(path), remote("other"));
            for (request, from, to) in [(1, &this, &other), (2, &other, &this), (3, &this, &this)] {
                let (from, to) = (from.clone(), to.clone());
                guest.raw.say(&Rename { request, from, to });
            }
        },
    },
    Ask {
        what: "that it be removed",
        say: |guest, path| {
            for (request, tree) in [(1, false), (2, true)] {
                let path = remote(path);
                guest.raw.say(&Remove {
                    request,
                    path,
                    tree,
                });
            }
        },
    },
    Ask {
        what: "what is there",
        say: |guest, path| {
            for (request, depth) in [(1, Some(0)), (2, Some(1)), (3, None)] {
                for itself in [false, true] {
                    guest.raw.say(&List {
                        request,
                        path: Some(remote(path)),
                        depth,
                        after: None,
                        itself,
                    });
                }
            }
        },
    },
    Ask {
        what: "its bytes",
        say: |guest, path| {
            let wanted = Wanted {
                entry: EntryId(1),
                path: remote(path),
                version: Version([0; 16]),
                block: 1024,
                first: 0,
                count: 1,
            };
            guest.raw.say(&Fetch {
                request: 1,
                transfer: guest.transfer,
                files: vec![wanted],
            });
        },
    },
    Ask {
        what: "its checksum and nodes, and whether it decayed",
        say: |guest, path| {
            let (path, version) = (remote(path), Version([0; 16]));
            guest.raw.say(&Sum {
                request: 1,
                path: path.clone(),
                version,
                algorithm: Algorithm::Blake3,
            });
            guest.raw.say(&Verify {
                request: 3,
                path: path.clone(),
                version,
            });
            guest.raw.say(&Nodes {
                request: 2,
                transfer: None,
                entry: None,
                path: Some(path),
                version: Some(version),
                first: 0,
                count: 1,
            });
        },
    },
];
