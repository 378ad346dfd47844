//! Going on with what is here from an earlier try.
//!
//! Each block that was verified then is noted with its node, and read again now: what has
//! decayed, or was never written, is fetched again. That the file there is still of the
//! version that those blocks are of, the server vouches for with the end of what is fetched:
//! so at least one block always is.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::incoming_file::{Part, Work};
use super::worker::Worker;
use crate::content::Geometry;
use crate::store::{Staged, Store};
use crate::transfer::Error;
use crate::transfer::heartbeat::{PULSE, say_working};

impl<'env, S: Store + 'env> Worker<'_, 'env, S>
where
    S::Staged: 'env,
{
    /// Begins with a piece of work.
    pub(super) fn take(&mut self, work: Work<S::Staged>) -> Result<(), Error> {
        let Work::Recover(part) = work else {
            self.ask(work);
            return Ok(());
        };
        self.recover(part)?;
        // It may have taken a while, and there may be more of it.
        while !self.asked.is_empty() && self.session.link.is_readable()? {
            self.listen()?;
        }
        Ok(())
    }

    /// Finds out which of some blocks are here, and has the others fetched.
    fn recover(&mut self, part: Part<S::Staged>) -> Result<(), Error> {
        let Part {
            file,
            geometry,
            blocks,
        } = part;
        if file.is_settled() {
            return Ok(());
        }
        // What was asked for is on its way while this is read.
        self.session.link.flush()?;
        let here = match file.staged.recover(blocks.clone()) {
            Ok(here) => here,
            Err(error) => {
                self.fail(&file, error.code(), error.to_string());
                return Ok(());
            }
        };
        let last = geometry.blocks() - 1;
        let mut missing: Vec<Range<u64>> = Vec::new();
        let mut spared = 0;
        for (number, node) in blocks.clone().zip(here) {
            if node.is_some() && number != last {
                spared += len(geometry, number);
                continue;
            }
            match missing.last_mut() {
                Some(run) if run.end == number => run.end += 1,
                _ => missing.push(number..number + 1),
            }
        }
        self.pull.job.moved(spared);
        file.done.fetch_add(spared, Ordering::Relaxed);
        let wanted: u64 = missing.iter().map(|run| run.end - run.start).sum();
        if file.wrote(blocks.end - blocks.start - wanted) {
            self.complete(&file);
        }
        for blocks in missing {
            let file = Arc::clone(&file);
            self.pull.job.hand_out(Work::Segment(Part {
                file,
                geometry,
                blocks,
            }));
        }
        // The server must not take this connection for dead meanwhile.
        if self.session.link.silent_for() >= PULSE {
            say_working(&mut self.session.link)?;
        }
        Ok(())
    }
}

/// The length of a block.
pub(super) fn len(geometry: Geometry, number: u64) -> u64 {
    let index = geometry.index(number);
    index.map_or(0, |index| geometry.len(index) as u64)
}
