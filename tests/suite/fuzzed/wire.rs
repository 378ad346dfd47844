//! Frames and messages, from bytes that anybody may have sent.

use std::io::Cursor;

use haul::content::block::BLOCK_MAX;
use haul::wire::frame::{CHECK, HEADER_MAX, LIST_MAX, PREFIX, Prefix};
use haul::wire::message::{Block, write};
use haul::wire::{Error, Frames, Incoming, Kind, Message, preface};

/// A connection's bytes, as they are and with check bytes that fit: no length is over its
/// limit, what is read is taken from what came, and what decodes encodes to the same.
pub fn frames(bytes: &[u8]) {
    is_read(bytes);
    is_read(&sealed(bytes));
}

/// One message of any kind, its header's map and its body: the bytes say which is which.
/// What decodes encodes to something that decodes the same.
pub fn message(bytes: &[u8]) {
    let Some(([kind, high, low], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    let map = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (map, body) = rest.split_at(map);
    if map.len() > HEADER_MAX - CHECK || body.len() > kind.body_max() {
        return;
    }
    if let Ok(Some(message)) = Message::read(kind, map, body) {
        assert_eq!(message.kind(), kind);
        is_the_same_again(&message);
    }
    if kind == Kind::Block
        && let Ok(header) = Block::read(map)
    {
        let mut bytes = Vec::new();
        header.write(body.len(), &mut bytes);
        match only(bytes) {
            Incoming::Block(came, len) => assert_eq!((came, len), (header, body.len())),
            other => panic!("a block came back as {other:?}"),
        }
    }
}

/// Reads a connection to its end, or to what is wrong with it.
fn is_read(bytes: &[u8]) {
    let mut frames = Frames::new(Cursor::new(bytes.to_vec()));
    match frames.read_preface() {
        Ok(version) => assert!(bytes.starts_with(&preface::encode(version))),
        Err(Error::NotHaul(_)) => assert!(!bytes.starts_with(b"haul\r\n")),
        Err(Error::Cut) => assert!(bytes.len() < preface::LEN),
        Err(error) => panic!("a preface cannot be {error}"),
    }
    let mut left = bytes.len().saturating_sub(preface::LEN);
    while let Ok(Some(prefix)) = frames.prefix() {
        assert!((CHECK..=HEADER_MAX).contains(&prefix.header));
        let max = prefix.kind.map_or(LIST_MAX, Kind::body_max);
        assert!(prefix.body <= max && max <= BLOCK_MAX as usize);
        let Ok(incoming) = frames.message(prefix) else {
            return;
        };
        match &incoming {
            Incoming::Message(message) => is_the_same_again(message),
            Incoming::Block(..) if frames.skip(prefix.body).is_err() => return,
            Incoming::Block(..) | Incoming::Unknown(..) => {}
        }
        let whole = PREFIX + prefix.header + prefix.body;
        assert!(whole <= left, "{whole} bytes were taken of {left}");
        left -= whole;
    }
}

/// The same connection with the check bytes that its frames should have, which no fuzzer
/// finds by itself.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = preface::LEN;
    while let Some(prefix) = bytes.get(at..at + PREFIX) {
        let prefix = Prefix::decode(prefix.try_into().expect("as long as a prefix"));
        let Ok(Prefix { kind, header, body }) = prefix else {
            break;
        };
        let check = at + PREFIX + header - CHECK;
        let end = check + CHECK + body;
        let covered = if kind == Ok(Kind::Block) { 0 } else { body };
        if bytes.len() < check + CHECK + covered {
            break;
        }
        let hash = blake3::Hasher::new()
            .update(&bytes[at..check])
            .update(&bytes[check + CHECK..check + CHECK + covered])
            .finalize();
        bytes[check..check + CHECK].copy_from_slice(&hash.as_bytes()[..CHECK]);
        at = end;
    }
    bytes
}

/// Writes a message, and reads it.
fn is_the_same_again(message: &Message) {
    let bytes = written(message);
    match only(bytes.clone()) {
        Incoming::Message(came) => {
            assert_eq!(came, *message);
            assert_eq!(written(&came), bytes);
        }
        other => panic!("{message:?} came back as {other:?}"),
    }
}

/// Reads the one frame that bytes of our own hold.
fn only(bytes: Vec<u8>) -> Incoming {
    let mut frames = Frames::new(Cursor::new(bytes));
    let prefix = frames.prefix().expect("a prefix").expect("a frame");
    frames.message(prefix).expect("a message")
}

fn written(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    macro_rules! write_each {
        ($($kind:ident)*) => {
            match message {
                $(Message::$kind(message) => write(message, &mut out),)*
            }
        };
    }
    write_each!(
        Hello Welcome List Entries Offer Want Drop Commit Receipt End Done Fetch Sent Nodes
        NodesAre Stop Working Fail Sum SumIs MakeDir Rename Remove Verify Finding
    );
    out
}
