//! A file on its way: blocks written, counted, and guarded by a lock on its life.
//!
//! A write holds the life shared, a commit takes it whole and ends it. So a block
//! that arrives late, for a file that was published or given up meanwhile, finds
//! no descriptor to write to: it can never land in what others read.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Shared;
use super::checksum_record;
use super::flush::FlushPoint;
use super::staging_area::Area;
use crate::content::{Checksum, Geometry, Node, Pass, Verified, merge};
use crate::entry::{Entry, Mode};
use crate::offer::{OnExisting, Ticket};
use crate::store::error::{Action, Error};
use crate::store::{Claim, Staged, Standing};

/// What a staged file is until it is finished: its owner's alone.
const PRIVATE: Mode = Mode::OWNER_ONLY;

/// Bytes of a file that are read at once to hash it in order.
const AT_ONCE: usize = 1 << 20;

/// One file that is staged, or was found to be there.
#[derive(Debug)]
pub struct LocalStaged {
    shared: Arc<Shared>,
    pub(super) area: Arc<Area>,
    pub(super) flush: Arc<FlushPoint>,
    entry: Entry,
    geometry: Geometry,
    standing: Standing,
    on_existing: OnExisting,
    number: u64,
    ticket: Option<Ticket>,
    blocks: Mutex<Blocks>,
    life: RwLock<Life>,
    /// Whether the staged file's name is still in the staging directory.
    named: AtomicBool,
}

/// What became of the staged file.
#[derive(Debug)]
enum Life {
    /// Nothing was written yet: the file is made with its first block.
    Unborn,
    /// Blocks are being written.
    Open(OwnedFd),
    /// The only block is written and all is set. The descriptor is kept for the flush
    /// while few are, or where the file's mode forbids to open it another time.
    Written(Option<OwnedFd>),
    /// It was committed, or given up.
    Ended,
}

#[derive(Debug)]
struct Blocks {
    states: Vec<State>,
    left: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Free,
    Writing,
    Verified(Node),
}

impl LocalStaged {
    /// Judged but not yet written to. It takes neither a descriptor nor memory for its
    /// blocks before the first of them comes: what is only offered costs little.
    pub(super) fn new(
        shared: &Arc<Shared>,
        (area, flush): (&Arc<Area>, &Arc<FlushPoint>),
        (entry, geometry): (&Entry, Geometry),
        (standing, on_existing): (Standing, OnExisting),
        seal: impl FnOnce(u64) -> Ticket,
    ) -> Self {
        let here = matches!(standing, Standing::Same(_));
        let number = area.next_name();
        let sealed = !here && !geometry.is_single();
        Self {
            shared: Arc::clone(shared),
            area: Arc::clone(area),
            flush: Arc::clone(flush),
            entry: entry.clone(),
            geometry,
            standing,
            on_existing,
            number,
            ticket: sealed.then(|| seal(number)),
            blocks: Mutex::new(Blocks {
                states: Vec::new(),
                left: if here { 0 } else { geometry.blocks() },
            }),
            life: RwLock::new(Life::Unborn),
            named: AtomicBool::new(false),
        }
    }

    /// What was to be done with what exists.
    pub(super) fn on_existing(&self) -> OnExisting {
        self.on_existing
    }

    /// Whether the file is one block.
    pub(super) fn is_single(&self) -> bool {
        self.geometry.is_single()
    }

    fn create(&self) -> Result<OwnedFd, Error> {
        let file = self
            .shared
            .tree
            .sys
            .create(&self.area.directory, &self.name())
            .map_err(|errno| self.failed(Action::Stage, errno))?;
        self.named.store(true, Ordering::Relaxed);
        Ok(file)
    }

    /// The staged file's name.
    pub(super) fn name(&self) -> String {
        format!("{:x}", self.number)
    }

    /// The name's number, which a ticket seals.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The staged file has its final name now.
    pub(super) fn was_renamed(&self) {
        self.named.store(false, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, action: Action, errno: Errno) -> Error {
        Error::system(action, &self.entry.path, errno)
    }

    /// Ends the staging and proves what its sender claimed: every block verified,
    /// their merge and the second checksum as announced. Mode, time and checksum
    /// are set. Returns the descriptor that saw all writes, if it is still open.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] leaves the staging as it was; any other ends it.
    pub(super) fn seal(&self, claim: &Claim) -> Result<(Option<OwnedFd>, Checksum), Error> {
        let path = || self.entry.path.clone();
        let mut life = self.life.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*life, Life::Ended) {
            return Err(Error::NoStaging);
        }
        let nodes: Option<Vec<Node>> = self.held().into_iter().collect();
        let nodes = nodes.filter(|nodes| !nodes.is_empty());
        let nodes = nodes.ok_or_else(|| Error::Incomplete(path()))?;
        let (file, finished) = match std::mem::replace(&mut *life, Life::Ended) {
            Life::Open(file) => (Some(file), false),
            Life::Written(file) => (file, true),
            Life::Unborn | Life::Ended => return Err(Error::NoStaging),
        };
        let whole = merge(&nodes).ok_or_else(|| Error::Incomplete(path()))?;
        if claim.whole != Some(whole) {
            return Err(Error::Mismatch(path()));
        }
        if finished && claim.second.is_none() {
            return Ok((file, whole));
        }
        let reopened;
        let open = if let Some(file) = &file {
            file
        } else {
            let name = self.name();
            let sys = &self.shared.tree.sys;
            reopened = sys
                .open_in(&self.area.directory, &name, OFlags::RDONLY)
                .map_err(|errno| self.failed(Action::Open, errno))?;
            &reopened
        };
        self.prove_second(open, claim.second)?;
        self.finish(open, whole, claim.second)?;
        Ok((file, whole))
    }

    /// Reads the staged bytes in order and holds them against a second checksum.
    fn prove_second(&self, file: &OwnedFd, second: Option<Checksum>) -> Result<(), Error> {
        let Some(second) = second else {
            return Ok(());
        };
        let mut pass = Pass::new(second.algorithm());
        let mut buffer = vec![0; AT_ONCE];
        let mut offset = 0;
        while offset < self.geometry.size() {
            let n = self
                .shared
                .tree
                .sys
                .read_at(file, &mut buffer, offset)
                .map_err(|errno| self.failed(Action::Read, errno))?;
            if n == 0 {
                break;
            }
            pass.update(&buffer[..n]);
            offset += n as u64;
        }
        if pass.finish() == second {
            Ok(())
        } else {
            Err(Error::Mismatch(self.entry.path.clone()))
        }
    }

    /// Sets mode, checksum and time. The time comes last: recording the checksum
    /// is a change too.
    fn finish(
        &self,
        file: &OwnedFd,
        whole: Checksum,
        second: Option<Checksum>,
    ) -> Result<(), Error> {
        let sys = &self.shared.tree.sys;
        let of = (self.geometry.size(), self.entry.mtime);
        let sums: Vec<Checksum> = std::iter::once(whole).chain(second).collect();
        // An attribute is refused to a file that its owner may not write, which it
        // is when it was finished before.
        let writable = match second {
            Some(_) => sys.set_mode(file, PRIVATE),
            None => Ok(()),
        };
        writable
            .and_then(|()| checksum_record::record(sys, file, of, &sums))
            .and_then(|()| sys.set_mode(file, self.entry.mode))
            .and_then(|()| sys.set_mtime(file, self.entry.mtime))
            .map_err(|errno| self.failed(Action::Record, errno))
    }

    /// Claims a block for writing. `false` where it is verified or being written:
    /// the same block may come twice when a connection was lost.
    fn claim_block(&self, block: &Verified<'_>) -> Result<bool, Error> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.states.is_empty() && blocks.left > 0 {
            let count = self
                .shared
                .remember_blocks(&self.entry, self.geometry.blocks())?;
            blocks.states = vec![State::Free; count];
        }
        let number = block.index().number() as usize;
        let state = blocks.states.get_mut(number).ok_or(Error::NoStaging)?;
        match *state {
            State::Free => {
                *state = State::Writing;
                Ok(true)
            }
            State::Verified(node) if node != block.node() => {
                Err(Error::Mismatch(self.entry.path.clone()))
            }
            State::Writing | State::Verified(_) => Ok(false),
        }
    }

    fn settle_block(&self, block: &Verified<'_>, written: bool) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let number = block.index().number() as usize;
        if written {
            blocks.states[number] = State::Verified(block.node());
            blocks.left -= 1;
        } else {
            blocks.states[number] = State::Free;
        }
    }

    /// Makes the file, unless another connection's block has done so.
    fn be_born(&self) -> Result<(), Error> {
        let unborn = |life: &Life| matches!(life, Life::Unborn);
        if !unborn(&self.life.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut life = self.life.write().unwrap_or_else(PoisonError::into_inner);
        if unborn(&life) {
            let file = self.create()?;
            let sized = self.shared.tree.sys.resize(&file, self.geometry.size());
            sized.map_err(|errno| self.failed(Action::Stage, errno))?;
            *life = Life::Open(file);
        }
        Ok(())
    }

    fn write(&self, block: &Verified<'_>) -> Result<(), Error> {
        let offset = self.geometry.offset(block.index());
        let write = |file: &OwnedFd| {
            let sys = &self.shared.tree.sys;
            sys.write_at(file, block.bytes(), offset)
                .map_err(|errno| self.failed(Action::Write, errno))
        };
        if !self.geometry.is_single() {
            self.be_born()?;
            let life = self.life.read().unwrap_or_else(PoisonError::into_inner);
            return match &*life {
                Life::Open(file) => write(file),
                _ => Err(Error::NoStaging),
            };
        }
        // Its only block is the whole file: it is made, written and finished at once.
        let mut life = self.life.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*life, Life::Unborn) {
            return Err(Error::NoStaging);
        }
        let file = self.create()?;
        write(&file)?;
        self.finish(&file, Checksum::Blake3(block.node().0), None)?;
        let reopens = self.entry.mode.bits() & PRIVATE.bits() == PRIVATE.bits();
        let keep = !reopens || self.shared.may_keep();
        *life = Life::Written(keep.then_some(file));
        Ok(())
    }
}

impl Staged for LocalStaged {
    fn put(&self, block: Verified<'_>) -> Result<(), Error> {
        if !self.claim_block(&block)? {
            return Ok(());
        }
        let written = self.write(&block);
        self.settle_block(&block, written.is_ok());
        written
    }

    fn held(&self) -> Vec<Option<Node>> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks
            .states
            .iter()
            .map(|state| match state {
                State::Verified(node) => Some(*node),
                State::Free | State::Writing => None,
            })
            .collect()
    }

    fn missing(&self) -> Vec<Range<u64>> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.left == 0 {
            return Vec::new();
        }
        if blocks.states.is_empty() {
            return std::iter::once(0..blocks.left).collect();
        }
        let mut runs: Vec<Range<u64>> = Vec::new();
        for (number, state) in (0u64..).zip(&blocks.states) {
            match (state, runs.last_mut()) {
                (State::Verified(_), _) => {}
                (_, Some(run)) if run.end == number => run.end += 1,
                _ => runs.push(number..number + 1),
            }
        }
        runs
    }

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn standing(&self) -> Standing {
        self.standing
    }

    fn ticket(&self) -> Option<Ticket> {
        self.ticket.clone()
    }
}

impl Drop for LocalStaged {
    fn drop(&mut self) {
        self.shared.forget(self.number);
        let blocks = self
            .blocks
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        self.shared.forget_blocks(blocks.states.len());
        if self.named.load(Ordering::Relaxed) {
            let _ = self
                .shared
                .tree
                .sys
                .unlink(&self.area.directory, self.name());
        }
    }
}
