//! Frames over memory: how they gather, and where they are cut.

use super::*;
use crate::content::Node;
use crate::offer::{EntryId, TransferId};
use crate::wire::message::Hello;
use std::io::Cursor;

fn hello() -> Hello {
    Hello {
        request: 7,
        agent: "test".into(),
        token: None,
    }
}

fn block(index: u64) -> Block {
    Block {
        transfer: TransferId([1; 16]),
        entry: EntryId(2),
        index,
        node: Node([3; 32]),
        ticket: None,
        path: None,
        size: None,
    }
}

fn written(fill: impl FnOnce(&mut Frames<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut frames = Frames::new(Cursor::new(Vec::new()));
    fill(&mut frames);
    frames.flush().unwrap();
    frames.io.into_inner()
}

fn reading(bytes: Vec<u8>) -> Frames<Cursor<Vec<u8>>> {
    Frames::new(Cursor::new(bytes))
}

#[test]
fn messages_and_blocks_come_back_as_they_went() {
    let large = vec![9; 3 * INPUT];
    let bytes = written(|frames| {
        frames.queue_preface(1);
        frames.queue(&hello());
        frames.send_block(&block(0), b"small").unwrap();
        frames.send_block(&block(1), &large).unwrap();
        frames.queue(&hello());
    });
    let mut frames = reading(bytes);
    assert_eq!(frames.read_preface().unwrap(), 1);
    for expected in [None, Some(&b"small"[..]), Some(&large), None] {
        let prefix = frames.prefix().unwrap().unwrap();
        match (frames.message(prefix).unwrap(), expected) {
            (Incoming::Message(Message::Hello(came)), None) => assert_eq!(came, hello()),
            (Incoming::Block(_, len), Some(expected)) => {
                let mut body = vec![0; len];
                frames.body(&mut body).unwrap();
                assert_eq!(body, expected);
            }
            (other, _) => panic!("{other:?}"),
        }
    }
    assert!(frames.prefix().unwrap().is_none());
}

#[test]
fn a_connection_that_rests_between_two_messages_loses_nothing() {
    let large = vec![9; 3 * INPUT];
    let bytes = written(|frames| {
        for _ in 0..3 {
            frames.queue(&hello());
            frames.send_block(&block(1), &large).unwrap();
        }
    });
    let mut frames = reading(bytes);
    frames.queue(&hello());
    let mut came = 0;
    while let Some(prefix) = frames.prefix().unwrap() {
        if let Incoming::Block(_, len) = frames.message(prefix).unwrap() {
            let mut body = vec![0; len];
            frames.body(&mut body).unwrap();
            assert!(body == large);
        }
        came += 1;
        frames.rest();
        assert!(!frames.output.is_empty(), "what is to be sent");
    }
    assert_eq!(came, 6);
    assert_eq!(frames.scratch.capacity(), 0);
    assert_eq!(frames.input.len(), INPUT_FEW, "for the end");
}

#[test]
fn much_that_comes_is_read_at_once_and_little_takes_little_room() {
    let bytes = written(|frames| (0..2000).for_each(|_| frames.queue(&hello())));
    let mut frames = reading(bytes);
    let mut rooms = Vec::new();
    while let Some(prefix) = frames.prefix().unwrap() {
        frames.message(prefix).unwrap();
        rooms.push(frames.input.len());
    }
    rooms.dedup();
    assert_eq!(rooms, [INPUT_FEW, INPUT]);
}

#[test]
fn an_end_inside_a_message_is_a_cut() {
    let bytes = written(|frames| frames.queue(&hello()));
    for len in 1..bytes.len() {
        let mut frames = reading(bytes[..len].to_vec());
        let result = frames
            .prefix()
            .and_then(|prefix| frames.message(prefix.unwrap()));
        assert!(matches!(result, Err(Error::Cut)), "{len}");
    }
}

#[test]
fn a_message_of_an_unknown_kind_is_skipped_whole() {
    let mut bytes = written(|frames| frames.queue(&hello()));
    // The check bytes cover the kind, so they are made anew for the new one.
    bytes[0] = 99;
    let map = bytes.len() - frame::CHECK;
    let sum = blake3::hash(&bytes[..map]);
    bytes.truncate(map);
    bytes.extend_from_slice(&sum.as_bytes()[..frame::CHECK]);
    bytes.extend(written(|frames| frames.queue(&hello())));
    let mut frames = reading(bytes);
    let prefix = frames.prefix().unwrap().unwrap();
    assert!(matches!(
        frames.message(prefix).unwrap(),
        Incoming::Unknown(99, Some(7))
    ));
    let prefix = frames.prefix().unwrap().unwrap();
    assert!(matches!(
        frames.message(prefix).unwrap(),
        Incoming::Message(_)
    ));
}
