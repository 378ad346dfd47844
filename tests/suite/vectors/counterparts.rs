//! What each message vector says, as this crate holds it.
//!
//! The values make one conversation: `hello.txt` of one block and `sample.bin` of
//! two are offered, sent and committed, then listed and fetched.

use haul::code::Code;
use haul::content::{Algorithm, Checksum, Node};
use haul::entry::{Cursor, Entry, Kind, LinkTarget, Mode, Mtime, Recorded, Touched, Version};
use haul::offer::{Compare, EntryId, OnExisting, Reason, Ticket, TransferId, Verdict};
use haul::path::RemotePath;
use haul::token::{InvitationId, Secret, Token};
use haul::wire::Message;
use haul::wire::message::{
    Above, Answered, Block, Commit, Committed, Done, Drop, End, Entries, Exception, Fail, Fetch,
    Finding, Hello, List, MakeDir, Nodes, NodesAre, Offer, Offered, Range, Receipt, Remove, Rename,
    Rights, Sent, State, Stop, StoreId, Sum, SumIs, Unsent, Verify, Want, Wanted, Welcome, Working,
    write,
};

use super::{Said, cut, nodes, plain, sample};

const TRANSFER: TransferId =
    TransferId(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
const VERSION: Version = Version([0xa5; 16]);
const SHA: Checksum = Checksum::Sha256([0x5a; 32]);
const SMALL: EntryId = EntryId(0);
const LARGE: EntryId = EntryId(1);
const HELLO: &[u8] = b"hello";
const SIZE: u64 = 1025;

fn ticket() -> Ticket {
    Ticket::new(&[0x77; 24]).unwrap()
}

fn token() -> Token {
    Token {
        id: InvitationId([0x3f, 0x9a, 0x01, 0xbc]),
        secret: Secret::new(TRANSFER.0),
    }
}

fn path(text: &str) -> RemotePath {
    RemotePath::parse(text).unwrap()
}

fn sum_of_hello() -> Checksum {
    Checksum::Blake3(*blake3::hash(HELLO).as_bytes())
}

fn file(name: &str, size: u64) -> Entry {
    Entry {
        path: path(name),
        kind: Kind::File(cut(size)),
        mode: Mode::masked(0o644),
        mtime: Mtime::new(1_700_000_000, 5).unwrap(),
        version: None,
        checksum: None,
    }
}

fn recorded(touched: Touched) -> Recorded {
    let checksum = plain(SIZE);
    Recorded { checksum, touched }
}

fn listed(entry: Entry) -> Entries {
    Entries {
        request: 4,
        more: true,
        unnamed: 0,
        unreadable: 0,
        special: None,
        entries: vec![entry],
    }
}

fn offer(request: u64, on: OnExisting) -> Offer {
    Offer {
        request,
        transfer: TRANSFER,
        on,
        dry: false,
        compare: Compare::Quick,
        entries: Vec::new(),
    }
}

fn want(entry: EntryId, verdict: Verdict) -> Want {
    Want {
        request: 2,
        verdicts: vec![Answered { entry, verdict }],
    }
}

fn except(code: Code, text: &str, missing: Vec<Range>) -> Receipt {
    Receipt {
        request: 3,
        exceptions: vec![Exception {
            entry: LARGE,
            code,
            text: text.into(),
            missing,
        }],
    }
}

fn wanted(entry: EntryId, name: &str, count: u64) -> Wanted {
    Wanted {
        entry,
        path: path(name),
        version: VERSION,
        block: 1024,
        first: 0,
        count,
    }
}

fn directory(number: u64, name: &str) -> Offered {
    Offered {
        entry: EntryId(number),
        what: Entry {
            kind: Kind::Dir,
            mode: Mode::masked(0o755),
            mtime: Mtime::new(-1, 999_999_999).unwrap(),
            ..file(name, 0)
        },
        base: 0,
    }
}

fn link(name: &str, target: &str) -> Entry {
    Entry {
        kind: Kind::Link(LinkTarget::new(target).unwrap()),
        mode: Mode::masked(0o777),
        ..file(name, 0)
    }
}

/// Rows of a name and a message; braces keep one row on one line.
macro_rules! table {
    ($($name:literal $kind:ident { $($fields:tt)* })*) => {
        vec![$({
            let (message, mut bytes) = ($kind { $($fields)* }, Vec::new());
            write(&message, &mut bytes);
            ($name, Said::Message(Message::$kind(message)), bytes)
        }),*]
    };
}

/// A vector's name, what it says, and how this crate writes it.
type Row = (&'static str, Said, Vec<u8>);

/// Every vector that is a message.
pub(super) fn counterparts() -> Vec<Row> {
    [around_files(), puts(), gets(), changes(), blocks()].concat()
}

fn around_files() -> Vec<Row> {
    table! {
        "hello" Hello { request: 0, agent: "example/1".into(), token: None }
        "hello-invited" Hello { request: 0, agent: "example/1".into(), token: Some(token()) }
        "welcome" Welcome {
            request: 0, agent: "haul/0.1.0".into(), rights: Rights::ALL,
            segment: 8 << 20, store: StoreId([0xb2; 16]), durable: true,
            above: Above(vec![]),
        }
        "welcome-above" Welcome {
            request: 0, agent: "haul/0.1.0".into(), rights: Rights::READ,
            segment: 8 << 20, store: StoreId([0xb2; 16]), durable: true,
            above: Above(vec![StoreId([0xb3; 16]), StoreId([0xb4; 16])]),
        }
        "list" List {
            request: 4, path: Some(path("a")), depth: Some(1), after: None, itself: false,
        }
        "list-itself" List {
            request: 4, path: Some(path("a")), depth: None, after: None, itself: true,
        }
        "list-all-after" List {
            request: 5, path: None, depth: None, after: Some(Cursor::parse("a/b/").unwrap()),
            itself: false,
        }
        "entries-directory" Entries { ..listed(Entry {
            kind: Kind::Dir, mode: Mode::masked(0o755), ..file("a/b", 0)
        }) }
        "entries-link" Entries { ..listed(Entry {
            kind: Kind::Link(LinkTarget::new("../x").unwrap()), mode: Mode::masked(0o777),
            ..file("a/link", 0)
        }) }
        "entries-file" Entries { more: false, unnamed: 2, unreadable: 1, special: Some(3), ..listed(Entry {
            version: Some(VERSION), checksum: Some(recorded(Touched::Never)), ..file("a/sample.bin", SIZE)
        }) }
        "entries-touched" Entries { ..listed(Entry {
            version: Some(VERSION), checksum: Some(recorded(Touched::Since)), ..file("a/sample.bin", SIZE)
        }) }
        "nodes" Nodes {
            request: 12, path: Some(path("a/sample.bin")), version: Some(VERSION), first: 0,
            count: 2, transfer: None, entry: None,
        }
        "nodes-of-entry" Nodes {
            request: 12, path: None, version: None, first: 0, count: 2,
            transfer: Some(TRANSFER), entry: Some(LARGE),
        }
        "nodes-are" NodesAre {
            request: 12, first: 0, more: false, nodes: nodes(SIZE).into_iter().map(Some).collect(),
        }
        "nodes-are-partly" NodesAre {
            request: 12, first: 0, more: false, nodes: vec![Some(nodes(SIZE)[0]), None],
        }
        "sum" Sum {
            request: 13, path: path("a/sample.bin"), version: VERSION, algorithm: Algorithm::Sha256,
        }
        "sum-is" SumIs { request: 13, checksum: SHA }
        "verify" Verify { request: 18, path: path("a/sample.bin"), version: VERSION }
        "finding-sound" Finding { ..finding(State::Sound) }
        "finding-decayed" Finding {
            block: Some(1024), decayed: Some(1), runs: vec![Range { first: 1, count: 1 }],
            ..finding(State::Decayed)
        }
        "finding-unplaced" Finding { ..finding(State::Decayed) }
        "finding-edited" Finding { ..finding(State::Edited) }
        "finding-unrecorded" Finding { checksum: None, ..finding(State::Unrecorded) }
        "stop" Stop { request: 10 }
        "working" Working {}
        "fail-connection" Fail { ..Fail::connection(Code::Protocol, "unknown flags 0x01") }
        "fail-request" Fail { ..Fail::request(4, Code::NotFound, "\"a\" is not there") }
        "fail-unexpected" Fail { ..Fail::connection(Code::Unexpected, "") }
        "fail-entry" Fail { ..Fail::entry(TRANSFER, LARGE, Code::Limit, "no space") }
    }
}

fn finding(state: State) -> Finding {
    Finding {
        request: 18,
        state,
        checksum: Some(Checksum::Blake3([0x5b; 32])),
        block: None,
        decayed: None,
        runs: Vec::new(),
    }
}

fn puts() -> Vec<Row> {
    table! {
        "offer" Offer { entries: vec![
            Offered { entry: SMALL, what: file("a/hello.txt", 5), base: 0 },
            Offered { entry: LARGE, what: file("a/sample.bin", SIZE), base: 0 },
        ], ..offer(2, OnExisting::Refuse) }
        "offer-if-newer-dry" Offer { dry: true, ..offer(6, OnExisting::IfNewer) }
        "offer-content" Offer {
            compare: Compare::Content, ..offer(6, OnExisting::Refuse)
        }
        "offer-link" Offer { entries: vec![
            Offered { entry: EntryId(2), what: link("x/y/a/link", "../b"), base: 2 },
        ], ..offer(2, OnExisting::Refuse) }
        "offer-replace" Offer { ..offer(7, OnExisting::Replace) }
        "offer-replace-version" Offer { ..offer(8, OnExisting::ReplaceVersion(VERSION)) }
        "want" Want { request: 2, verdicts: vec![
            Answered { entry: SMALL, verdict: Verdict::Send(None) },
            Answered { entry: LARGE, verdict: Verdict::Send(Some(ticket())) },
        ] }
        "want-here" Want { ..want(SMALL, Verdict::Here) }
        "want-same-if" Want { ..want(SMALL, Verdict::SameIf(sum_of_hello(), None)) }
        "want-same-if-or-send" Want {
            ..want(LARGE, Verdict::SameIf(sum_of_hello(), Some(ticket())))
        }
        "want-replace" Want { ..want(SMALL, Verdict::Replace) }
        "want-partly" Want { ..want(LARGE, Verdict::Partly(ticket())) }
        "want-kept" Want { ..want(SMALL, Verdict::Kept) }
        "want-refused" Want { ..want(SMALL, Verdict::Refused(Code::Exists, Reason::OtherContent)) }
        "want-refused-space" Want {
            ..want(LARGE, Verdict::Refused(Code::Limit, Reason::Space(Some(65536))))
        }
        "want-refused-unsaid" Want {
            ..want(SMALL, Verdict::Refused(Code::NotAuthorised, Reason::Unsaid))
        }
        "drop" Drop { transfer: TRANSFER, entry: LARGE }
        "commit" Commit { request: 3, transfer: TRANSFER, entries: vec![
            Committed { entry: SMALL, checksum: Some(sum_of_hello()), second: None },
            Committed { entry: LARGE, checksum: Some(plain(SIZE)), second: Some(SHA) },
            Committed { entry: EntryId(300), checksum: None, second: None },
        ] }
        "receipt" Receipt { request: 3, exceptions: vec![] }
        "receipt-missing" Receipt { ..except(Code::Connection, "not whole", vec![
            Range { first: 0, count: 2 }, Range { first: 7, count: 1 },
        ]) }
        "receipt-mismatch" Receipt { ..except(Code::Mismatch, "", vec![]) }
        "end" End {
            request: 9, transfer: TRANSFER, directories: vec![
                directory(8, "a/b"), directory(9, "a"),
            ],
        }
        "done" Done { request: 9 }
    }
}

fn gets() -> Vec<Row> {
    table! {
        "fetch" Fetch {
            request: 10, transfer: TRANSFER, files: vec![wanted(LARGE, "a/sample.bin", 2)],
        }
        "fetch-small" Fetch { request: 11, transfer: TRANSFER, files: vec![
            wanted(EntryId(2), "a/hello.txt", 1), wanted(EntryId(3), "a/gone.txt", 1),
        ] }
        "sent" Sent { request: 10, exceptions: vec![] }
        "sent-not-all" Sent { request: 11, exceptions: vec![
            Unsent { entry: EntryId(3), code: Code::NotFound, text: "not there".into() },
        ] }
    }
}

fn changes() -> Vec<Row> {
    table! {
        "make-dir" MakeDir { request: 14, path: path("a/b"), parents: true }
        "rename" Rename { request: 15, from: path("a/hello.txt"), to: path("b/hi.txt") }
        "remove" Remove { request: 16, path: path("a"), tree: true }
        "remove-one" Remove { request: 17, path: path("b/hi.txt"), tree: false }
    }
}

fn blocks() -> Vec<Row> {
    let only = Block {
        transfer: TRANSFER,
        entry: SMALL,
        index: 0,
        node: Node(*sum_of_hello().bytes()),
        ticket: None,
        path: None,
        size: None,
    };
    let tagged = Block {
        entry: LARGE,
        index: 1,
        node: nodes(SIZE)[1],
        ticket: Some(ticket()),
        path: Some(path("a/sample.bin")),
        size: Some(SIZE),
        ..only.clone()
    };
    let row = |(name, header, body): (_, Block, &[u8])| {
        let mut bytes = Vec::new();
        header.write(body.len(), &mut bytes);
        bytes.extend_from_slice(body);
        (name, Said::Block(header, body.to_vec()), bytes)
    };
    let last = &sample(SIZE)[1024..];
    [("block-only", only, HELLO), ("block-tagged", tagged, last)]
        .map(row)
        .into()
}
