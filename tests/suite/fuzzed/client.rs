//! What a client says, in choices that a fuzzer's bytes make.
//!
//! Bytes alone would never get past the first check. So they choose, one after the other,
//! between requests about a few names, uploads that are honest but for one thing, frames of
//! any content under check bytes that fit, and bytes as they are.

use haul::content::{Algorithm, BlockSize, Checksum, Geometry, node_of};
use haul::entry::{Cursor, Entry, Kind, LinkTarget, Mode, Mtime, Version};
use haul::offer::{Compare, EntryId, OnExisting, Ticket, TransferId};
use haul::path::RemotePath;
use haul::wire::message::{
    Block, Commit, Committed, Drop, Encoded, End, Fetch, Hello, List, MakeDir, Offer, Offered,
    Remove, Rename, Sum, Wanted, Working, write,
};
use haul::wire::preface;

/// Names that are there, names that could be, and one that leads out.
const NAMES: [&str; 8] = [
    "old",
    "dir",
    "dir/in",
    "link",
    "link/secret",
    "new",
    "dir/new",
    "new/a/b",
];

/// What a client says, in choices that are made by bytes.
pub struct Client<'b> {
    bytes: &'b [u8],
    versions: Vec<(RemotePath, Version)>,
    said: Vec<u8>,
    requests: u64,
    connections: usize,
}

/// More connections one after the other show nothing new.
const CONNECTIONS_MAX: usize = 4;

impl<'b> Client<'b> {
    /// One who knows the versions of what is there, as if they had listed it.
    pub fn new(bytes: &'b [u8], versions: Vec<(RemotePath, Version)>) -> Self {
        Self {
            bytes,
            versions,
            said: Vec::new(),
            requests: 0,
            connections: 0,
        }
    }

    /// All that is said over one connection; nothing where there is nothing left to say, or
    /// there were enough of them.
    pub fn next_connection(&mut self) -> Option<Vec<u8>> {
        if self.bytes.is_empty() || self.connections == CONNECTIONS_MAX {
            return None;
        }
        self.connections += 1;
        self.said = preface::encode(1).to_vec();
        self.requests = 0;
        let agent = "fuzzer".to_owned();
        self.say(&Hello {
            request: 0,
            agent,
            token: None,
        });
        while !self.bytes.is_empty() {
            match self.byte() % 16 {
                0 => self.bytes_as_they_are(),
                1 => self.frame(),
                2 | 3 => self.offer(),
                4..=6 => self.block(),
                7 | 8 => self.commit(),
                9 => self.fetch(),
                10 => self.ask(),
                11 => self.change(),
                12 => self.end(),
                13 => self.say(&Working {}),
                14 => {
                    let (transfer, entry) = (self.transfer(), self.entry());
                    self.say(&Drop { transfer, entry });
                }
                _ => break,
            }
        }
        Some(std::mem::take(&mut self.said))
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn take(&mut self, len: usize) -> &'b [u8] {
        let (taken, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    fn say<M: Encoded>(&mut self, message: &M) {
        write(message, &mut self.said);
    }

    fn request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    fn transfer(&mut self) -> TransferId {
        TransferId([self.byte() % 3; 16])
    }

    fn entry(&mut self) -> EntryId {
        EntryId(u64::from(self.byte() % 4))
    }

    fn name(&mut self) -> RemotePath {
        let name = NAMES[usize::from(self.byte()) % NAMES.len()];
        RemotePath::parse(name).expect("a name")
    }

    fn version(&mut self, path: &RemotePath) -> Version {
        let mut known = self.versions.iter();
        let known = known.find_map(|(name, version)| (name == path).then_some(*version));
        known.unwrap_or(Version([7; 16]))
    }

    fn bytes_as_they_are(&mut self) {
        let len = self.byte();
        let bytes = self.take(usize::from(len));
        self.said.extend_from_slice(bytes);
    }

    /// A frame of any kind, map and body, whose check bytes fit.
    fn frame(&mut self) {
        let [kind, map, body] = [self.byte(), self.byte(), self.byte()];
        let map = self.take(usize::from(map));
        let body = self.take(usize::from(body));
        let at = self.said.len();
        self.said.extend([kind % 32, 0]);
        self.said.extend((map.len() as u16 + 8).to_be_bytes());
        self.said.extend((body.len() as u32).to_be_bytes());
        self.said.extend(map);
        let covered: &[u8] = if kind % 32 == 7 { &[] } else { body };
        let check = blake3::Hasher::new()
            .update(&self.said[at..])
            .update(covered)
            .finalize();
        self.said.extend(&check.as_bytes()[..8]);
        self.said.extend(body);
    }

    fn offer(&mut self) {
        let (request, transfer, terms) = (self.request(), self.transfer(), self.byte());
        let entries = (0..=terms >> 6).map(|_| self.offered()).collect();
        let version = Version([terms; 16]);
        self.say(&Offer {
            request,
            transfer,
            on: [
                OnExisting::Refuse,
                OnExisting::IfNewer,
                OnExisting::Replace,
                OnExisting::ReplaceVersion(version),
            ][usize::from(terms % 4)],
            dry: terms & 4 != 0,
            compare: if terms & 8 == 0 {
                Compare::Quick
            } else {
                Compare::Content
            },
            entries,
        });
    }

    /// A file, and now and then a link or a directory.
    fn offered(&mut self) -> Offered {
        let (entry, path, kind) = (self.entry(), self.name(), self.byte());
        let kind = match kind % 8 {
            0 => Kind::Dir,
            1 => Kind::Link(LinkTarget::new(NAMES[usize::from(kind >> 5)]).expect("a target")),
            2 => Kind::Link(LinkTarget::new("../beside/secret").expect("a target")),
            _ => Kind::File(cut(content(entry).len())),
        };
        let mode = self.byte();
        let what = Entry {
            path,
            kind,
            mode: Mode::masked(u32::from(mode) << 4),
            mtime: Mtime::new(i64::from(mode), 0).expect("a time"),
            version: None,
            checksum: None,
        };
        let base = u16::from(mode % 3);
        Offered { entry, what, base }
    }

    /// A block of an entry's content, honest but for what one byte says.
    fn block(&mut self) {
        let (transfer, entry, dishonesty) = (self.transfer(), self.entry(), self.byte());
        let bytes = content(entry);
        let index = u64::from(dishonesty >> 5) % cut(bytes.len()).blocks();
        let number = cut(bytes.len()).index(index).expect("a block");
        let start = cut(bytes.len()).offset(number) as usize;
        let mut body = bytes[start..start + cut(bytes.len()).len(number)].to_vec();
        let node = node_of(cut(bytes.len()), number, &body);
        let mut block = Block {
            transfer,
            entry,
            index,
            node,
            ticket: None,
            path: None,
            size: None,
        };
        match dishonesty % 32 {
            0 => body.push(0),
            1 => drop(body.pop()),
            2 => body.iter_mut().for_each(|byte| *byte ^= 1),
            3 => block.index += 1,
            4 => block.node.0[0] ^= 1,
            5 => {
                let ticket = self.byte();
                block.ticket = Ticket::new(self.take(usize::from(ticket % 41)));
                (block.path, block.size) = (Some(self.name()), Some(bytes.len() as u64));
            }
            _ => {}
        }
        block.write(body.len(), &mut self.said);
        self.said.extend(body);
    }

    fn commit(&mut self) {
        let (request, transfer, count) = (self.request(), self.transfer(), self.byte() % 4);
        let entries = (0..count).map(|_| self.committed()).collect();
        self.say(&Commit {
            request,
            transfer,
            entries,
        });
    }

    fn committed(&mut self) -> Committed {
        let (entry, claim) = (self.entry(), self.byte());
        let bytes = content(entry);
        let right = Checksum::Blake3(*blake3::hash(&bytes).as_bytes());
        Committed {
            entry,
            checksum: match claim % 8 {
                0 => None,
                1 => Some(Checksum::Blake3([claim; 32])),
                2 => Some(Checksum::Sha256([claim; 32])),
                _ => Some(right),
            },
            second: (claim >> 5 == 1).then_some(Checksum::Sha256([claim; 32])),
        }
    }

    fn fetch(&mut self) {
        let (request, transfer, count) = (self.request(), self.transfer(), self.byte() % 4);
        let files = (0..count).map(|_| self.wanted()).collect();
        self.say(&Fetch {
            request,
            transfer,
            files,
        });
    }

    fn wanted(&mut self) -> Wanted {
        let (entry, path, range) = (self.entry(), self.name(), self.byte());
        let version = self.version(&path);
        Wanted {
            entry,
            path,
            version,
            block: 1 << (10 + range % 15),
            first: u64::from(range >> 6),
            count: u64::from(range >> 4 & 3),
        }
    }

    fn ask(&mut self) {
        let (request, path, how) = (self.request(), self.name(), self.byte());
        if how & 1 == 0 {
            self.say(&List {
                request,
                path: (how & 2 == 0).then_some(path.clone()),
                depth: (how & 4 == 0).then_some(u32::from(how >> 6)),
                after: (how & 8 == 0).then(|| Cursor::parse(path.as_str()).expect("a name")),
                itself: how & 16 == 0,
            });
        } else {
            let version = self.version(&path);
            let algorithm = if how & 2 == 0 {
                Algorithm::Blake3
            } else {
                Algorithm::Sha256
            };
            self.say(&Sum {
                request,
                path,
                version,
                algorithm,
            });
        }
    }

    fn change(&mut self) {
        let (request, path, how) = (self.request(), self.name(), self.byte());
        let is_whole = how & 4 == 0;
        match how % 3 {
            0 => self.say(&MakeDir {
                request,
                path,
                parents: is_whole,
            }),
            1 => {
                let to = self.name();
                self.say(&Rename {
                    request,
                    from: path,
                    to,
                });
            }
            _ => self.say(&Remove {
                request,
                path,
                tree: is_whole,
            }),
        }
    }

    fn end(&mut self) {
        let (request, transfer, count) = (self.request(), self.transfer(), self.byte() % 4);
        let mut directory = || {
            let mut offered = self.offered();
            if offered.what.mode.bits() & 0o20 == 0 {
                offered.what.kind = Kind::Dir;
            }
            offered
        };
        let directories = (0..count).map(|_| directory()).collect();
        self.say(&End {
            request,
            transfer,
            directories,
        });
    }
}

/// The content of an entry: nothing, one short block, one whole one, or three.
fn content(entry: EntryId) -> Vec<u8> {
    let len = [0_u64, 100, 1024, 2500][entry.0 as usize % 4];
    (0..len)
        .map(|at| (at % 251) as u8 ^ entry.0 as u8)
        .collect()
}

fn cut(len: usize) -> Geometry {
    let block = BlockSize::new(1024).expect("a block size");
    Geometry::new(len as u64, block).expect("a file")
}
