//! Rights that are taken away while they are used, and what stands between two grants.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use haul::code::Code;
use haul::entry::{Kind, Mode};
use haul::fault::Fault;
use haul::offer::EntryId;
use haul::server::{Admit, Config, Grant, Refusal, Visitor};
use haul::wire::Message;
use haul::wire::message::{End, Fetch, Offered, Rights, Wanted};
use socket2::{Domain, Socket, Type};

use crate::raw::{Heard, Raw, block, commit, committed, list, offer, offered, sum, transfer};
use crate::rig::{Rig, noise, remote, visible};

const X: EntryId = EntryId(1);
const Y: EntryId = EntryId(2);

/// Lets everybody read and write, until it is shut.
#[derive(Debug)]
struct Door {
    is_open: AtomicBool,
    /// Who comes from here sees nothing but `box`, and is never shut out.
    confined: &'static str,
}

impl Admit for Door {
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        let may = Rights(Rights::READ.0 | Rights::WRITE.0);
        let confined = self.confined.parse().unwrap();
        if visitor.address == Some(confined) {
            return Ok(Grant {
                under: Some(remote("box")),
                ..Grant::of(may)
            });
        }
        let open = self.is_open.load(Ordering::SeqCst);
        open.then(|| Grant::of(may)).ok_or(Refusal::Stranger)
    }
}

fn guarded() -> (Rig, Arc<Door>) {
    let door = Arc::new(Door {
        is_open: AtomicBool::new(true),
        confined: "127.0.0.2",
    });
    let config = Config {
        admit: Arc::clone(&door) as Arc<dyn Admit>,
        ..Config::default()
    };
    (Rig::with(config, Fault::default()), door)
}

/// A connection from one address of this machine.
fn from(source: &str, rig: &Rig) -> Raw {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let [source, to] = [&format!("{source}:0"), &rig.address].map(|a| a.parse::<SocketAddr>());
    socket.bind(&source.unwrap().into()).unwrap();
    socket.connect(&to.unwrap().into()).unwrap();
    Raw::over(TcpStream::from(socket), &rig.keys)
        .begin()
        .unwrap()
}

/// A file of somebody's that was there before.
fn theirs(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1))
        .unwrap();
}

fn mode_and_second(path: &Path) -> (u32, i64) {
    let there = fs::metadata(path).unwrap();
    (there.mode() & 0o7777, there.mtime())
}

#[test]
fn a_file_that_is_being_fetched_ends_when_the_right_to_read_does() {
    const BLOCKS: u64 = 4096;
    let (rig, door) = guarded();
    // Long enough to be on its way for many times as long as an answer of the door holds.
    let big = fs::File::create(rig.root().join("big")).unwrap();
    big.set_len(BLOCKS << 20).unwrap();
    let mut raw = Raw::open(&rig);
    raw.say(&list(1));
    let Heard::Message(Message::Entries(page)) = raw.hear() else {
        panic!("no page");
    };
    raw.say(&Fetch {
        request: 7,
        transfer: transfer(),
        files: vec![Wanted {
            entry: X,
            path: remote("big"),
            version: page.entries[0].version.unwrap(),
            block: 1 << 20,
            first: 0,
            count: BLOCKS,
        }],
    });
    let mut came = 0;
    let sent = loop {
        match raw.hear() {
            Heard::Block(..) => came += 1,
            Heard::Message(Message::Sent(sent)) => break sent,
            other => panic!("{other:?}"),
        }
        door.is_open.store(false, Ordering::SeqCst);
    };
    assert!(came < BLOCKS, "all of it came");
    assert_eq!(sent.exceptions[0].code, Code::NotAuthorised);
}

#[test]
fn blocks_are_not_taken_any_more_once_the_right_to_write_is_gone() {
    let (rig, door) = guarded();
    let (id, bytes) = (transfer(), noise(3000));
    let mut raw = Raw::open(&rig);
    raw.say(&offer(id, vec![offered(X, "x", &bytes)]));
    raw.hear();
    door.is_open.store(false, Ordering::SeqCst);
    // It is found out within a moment.
    let (header, body) = block(id, X, &bytes, 0);
    let failed = (2..10_000_u64).find_map(|request| {
        raw.send_block(&header, &body);
        raw.say(&list(request));
        let fail = raw.hear_fail("a list, or the block before it");
        fail.entry.map(|entry| (entry, fail.code))
    });
    assert_eq!(failed, Some((X, Code::NotAuthorised)));
}

/// A directory that is offered to have this mode.
fn directory(number: EntryId, path: &str, mode: u32) -> Offered {
    let mut directory = offered(number, path, b"");
    directory.what.kind = Kind::Dir;
    directory.what.mode = Mode::masked(mode);
    directory
}

#[test]
fn whoever_may_not_replace_changes_no_mode_and_no_time_of_what_was_there() {
    let (rig, _door) = guarded();
    let bytes = noise(100);
    let at = |name: &str| rig.root().join(name);
    theirs(&at("theirs"), &bytes);
    fs::create_dir(at("dir")).unwrap();
    let before = [mode_and_second(&at("theirs")), mode_and_second(&at("dir"))];
    let (id, mut raw) = (transfer(), Raw::open(&rig));
    let mut same = offered(X, "theirs", &bytes);
    same.what.mode = Mode::masked(0);
    raw.say(&offer(id, vec![same, offered(Y, "new/file", &bytes)]));
    raw.hear();
    let (header, body) = block(id, Y, &bytes, 0);
    raw.send_block(&header, &body);
    let whole = Some(sum(&bytes));
    raw.say(&commit(id, vec![committed(X, whole), committed(Y, whole)]));
    let receipt = raw.hear();
    let is_fine = |heard: &Heard| match heard {
        Heard::Message(Message::Receipt(receipt)) => receipt.exceptions.is_empty(),
        _ => false,
    };
    assert!(is_fine(&receipt), "{receipt:?}");
    // Over another connection: which one made a directory does not matter.
    let mut raw = Raw::open(&rig);
    raw.say(&End {
        request: 5,
        transfer: id,
        directories: vec![
            directory(EntryId(3), "new", 0o750),
            directory(EntryId(4), "dir", 0),
        ],
    });
    let ended = raw.hear();
    assert!(is_fine(&ended), "{ended:?}");
    let after = [mode_and_second(&at("theirs")), mode_and_second(&at("dir"))];
    assert_eq!(after, before);
    assert_eq!(mode_and_second(&at("new")).0, 0o750);
}

#[test]
fn what_was_begun_in_the_whole_root_is_not_committed_by_the_same_key_from_a_part_of_it() {
    let (rig, door) = guarded();
    let bytes = noise(3000);
    theirs(&rig.root().join("theirs"), &bytes);
    let before = mode_and_second(&rig.root().join("theirs"));
    let (mut whole, mut part) = (from("127.0.0.1", &rig), from("127.0.0.2", &rig));
    let id = transfer();
    let mut same = offered(X, "theirs", &bytes);
    same.what.mode = Mode::masked(0o600);
    whole.say(&offer(id, vec![same, offered(Y, "new", &bytes)]));
    whole.hear();
    for index in 0..3 {
        let (header, body) = block(id, Y, &bytes, index);
        whole.send_block(&header, &body);
    }
    whole.is_answered("all is sent");
    door.is_open.store(false, Ordering::SeqCst);
    let sum = Some(sum(&bytes));
    part.say(&commit(id, vec![committed(X, sum), committed(Y, sum)]));
    let Heard::Message(Message::Receipt(receipt)) = part.hear() else {
        panic!("no receipt");
    };
    let refused: Vec<EntryId> = receipt.exceptions.iter().map(|e| e.entry).collect();
    assert_eq!(refused, [X, Y]);
    assert_eq!(mode_and_second(&rig.root().join("theirs")), before);
    assert!(visible(&rig.root().join("box")).is_empty());
}
