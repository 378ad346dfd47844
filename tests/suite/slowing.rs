//! A peer that takes what is sent too slowly, in a run of blocks.

use std::io::{self, IoSlice};
use std::thread;
use std::time::Duration;

use haul::content::Node;
use haul::fault::Fault;
use haul::net::{Stream, Transport};
use haul::offer::{EntryId, TransferId};
use haul::transfer::{Deadlines, Error, Link};
use haul::wire;
use haul::wire::message::Block;

/// A peer that takes so many bytes at once, and then one a millisecond, for seconds.
struct Slowing {
    at_once: usize,
    patience: u32,
}

impl Transport for Slowing {
    fn read(&mut self, _: &mut [u8], _: Duration) -> io::Result<usize> {
        Ok(0)
    }

    fn write(&mut self, slices: &[IoSlice<'_>], _: Duration) -> io::Result<usize> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        if self.at_once > 0 {
            let taken = self.at_once.min(len);
            self.at_once -= taken;
            return Ok(taken);
        }
        let left = self.patience.checked_sub(1);
        self.patience = left.ok_or(io::ErrorKind::ConnectionReset)?;
        thread::sleep(Duration::from_millis(1));
        Ok(1)
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn has_left(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer(&self) -> String {
        "slowing".to_owned()
    }
}

#[test]
fn the_last_block_of_a_run_may_take_no_longer_than_the_first() {
    let body = vec![0; 512 << 10];
    let deadlines = Deadlines {
        stall: Duration::from_millis(100),
        floor: 1 << 20,
        ..Deadlines::default()
    };
    let slowing = Slowing {
        at_once: 64 << 20,
        patience: 5_000,
    };
    let stream = Stream::new(slowing, Fault::default(), deadlines.opening);
    let mut link = Link::new(stream, deadlines);
    let header = |index| Block {
        transfer: TransferId([0; 16]),
        entry: EntryId(0),
        index,
        node: Node([0; 32]),
        ticket: None,
        path: None,
        size: None,
    };
    let error = (0..).find_map(|index| link.send_block(&header(index), &body).err());
    match error {
        Some(Error::Wire(wire::Error::Io(e))) => {
            assert_eq!(e.kind(), io::ErrorKind::TimedOut, "{e}");
        }
        other => panic!("{other:?}"),
    }
}
