//! An entry on its way: what was agreed about it, and its life until it has its name.
//!
//! A write holds the life shared, a commit takes it whole and ends it. So a block
//! that arrives late, for a file that was published or given up meanwhile, finds
//! no descriptor to write to: it can never land in what others read.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use rustix::io::Errno;

use super::Shared;
use super::blocks::{Arrival, Blocks};
use super::flush::FlushPoint;
use super::partial_files::{Body, Partial};
use super::partial_label::note;
use super::partials::Otherwise;
use super::room::Promise;
use super::staging_area::Area;
use crate::content::{Geometry, Node, Verified};
use crate::entry::{Entry, Mode};
use crate::offer::{Offering, OnExisting, Ticket};
use crate::store::error::{Action, Error};
use crate::store::{Holder, Staged, Standing};

/// What a staged file is until it is finished: its owner's alone.
pub(super) const PRIVATE: Mode = Mode::OWNER_ONLY;

/// How much of a large file the disk is given at a time. To give it less costs more: each time,
/// Linux asks every processor for the pages that it has at hand.
const WRITE_BACK: u64 = 8 << 20;

/// One entry that is staged, or was found to be there.
#[derive(Debug)]
pub struct LocalStaged {
    pub(super) shared: Arc<Shared>,
    pub(super) area: Arc<Area>,
    pub(super) flush: Arc<FlushPoint>,
    offering: Offering,
    standing: Standing,
    on_existing: OnExisting,
    number: u64,
    ticket: Option<Ticket>,
    blocks: Mutex<Blocks>,
    /// What it may still take on the disk.
    pub(super) promise: Promise,
    pub(super) life: RwLock<Life>,
    /// Whether the staged name is still there.
    pub(super) named: AtomicBool,
    /// Of what it is a part, where that is kept when its sender is gone.
    pub(super) partial: Option<Partial>,
    /// Whether something of it may be here already, which was not looked for yet.
    pub(super) is_partly: AtomicBool,
    /// The directory of partials, once it is received there.
    pub(super) among_partials: OnceLock<Arc<OwnedFd>>,
    /// Whether its partial is nobody else's.
    pub(super) owns_partial: AtomicBool,
    /// Who sends it.
    pub(super) holder: OnceLock<Arc<dyn Holder>>,
    /// The file that it replaces, once blocks are wanted of that; none where it cannot be read.
    pub(super) replaced: OnceLock<Option<Arc<OwnedFd>>>,
    /// A block was carried over from there.
    pub(super) carried: Condvar,
}

/// What became of what is staged.
#[derive(Debug)]
pub(super) enum Life {
    /// Nothing was written yet: a file is made with its first block.
    Unborn,
    /// Blocks are being written.
    Open(Body),
    /// The only block is written and all is set. The descriptor is kept for the flush
    /// while few are, or where the file's mode forbids to open it another time.
    Written(Option<OwnedFd>),
    /// It was committed, given up, or taken over by another try.
    Ended,
}

impl LocalStaged {
    /// Judged but not yet written to. It takes neither a descriptor nor memory for its
    /// blocks before the first of them comes: what is only offered costs little.
    pub(super) fn new(
        shared: &Arc<Shared>,
        (area, flush): (&Arc<Area>, &Arc<FlushPoint>),
        offering: &Offering,
        (standing, on_existing): (Standing, OnExisting),
        (partial, is_partly, promise): (Option<Partial>, bool, Promise),
        seal: impl FnOnce(u64) -> Ticket,
    ) -> Self {
        let number = area.next_name();
        let expected = match standing {
            Standing::Same(_) => None,
            Standing::SameIf(..) if !on_existing.may_replace() => None,
            Standing::SameIf(..) | Standing::Absent | Standing::Replaces(_) => {
                offering.entry.geometry()
            }
        };
        let sealed = expected.is_some_and(|geometry| !geometry.is_single());
        Self {
            shared: Arc::clone(shared),
            area: Arc::clone(area),
            flush: Arc::clone(flush),
            offering: offering.clone(),
            standing,
            on_existing,
            number,
            ticket: sealed.then(|| seal(number)),
            blocks: Mutex::new(Blocks::expected(expected.map_or(0, Geometry::blocks))),
            promise,
            life: RwLock::new(Life::Unborn),
            named: AtomicBool::new(false),
            partial,
            is_partly: AtomicBool::new(is_partly),
            among_partials: OnceLock::new(),
            owns_partial: AtomicBool::new(false),
            holder: OnceLock::new(),
            replaced: OnceLock::new(),
            carried: Condvar::new(),
        }
    }

    /// How many components of its path are the destination's own.
    pub(super) fn base(&self) -> u16 {
        self.offering.base
    }

    /// Whether it is a file of more than one block.
    pub(super) fn is_large(&self) -> bool {
        self.geometry()
            .is_some_and(|geometry| !geometry.is_single())
    }

    /// The staged name.
    pub(super) fn name(&self) -> String {
        match (&self.partial, self.among_partials.get()) {
            (Some(partial), Some(_)) => partial.name.clone(),
            _ => format!("{:x}", self.number),
        }
    }

    /// The directory that has the staged name.
    pub(super) fn directory(&self) -> &OwnedFd {
        let partials = self.among_partials.get();
        partials.map_or(&self.area.directory, |partials| partials)
    }

    /// The name's number, which a ticket seals.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Something has the staged name from now on.
    pub(super) fn was_named(&self) {
        self.named.store(true, Ordering::Relaxed);
    }

    /// It has its final name now.
    pub(super) fn was_renamed(&self) {
        self.named.store(false, Ordering::Relaxed);
    }

    /// Removes what has the staged name. What a part of is kept stays.
    pub(super) fn give_up_name(&self) {
        let is_part = self.among_partials.get().is_some();
        if !is_part && self.named.swap(false, Ordering::Relaxed) {
            let sys = &self.shared.tree.sys;
            let _ = sys.unlink(&self.area.directory, self.name());
        }
    }

    pub(super) fn failed(&self, action: Action, errno: Errno) -> Error {
        Error::system(action, &self.entry().path, errno)
    }

    pub(super) fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn geometry(&self) -> Option<Geometry> {
        self.entry().geometry()
    }

    fn create(&self) -> Result<OwnedFd, Error> {
        let file = self
            .shared
            .tree
            .sys
            .create(&self.area.directory, &self.name())
            .map_err(|errno| self.failed(Action::Stage, errno))?;
        self.was_named();
        Ok(file)
    }

    /// Claims a block for writing. `false` where it is verified or being written.
    fn claim(&self, block: &Verified<'_>) -> Result<bool, Error> {
        let mut blocks = self.blocks();
        if blocks.are_untouched() && !blocks.missing().is_empty() {
            let count = self.geometry().map_or(0, Geometry::blocks);
            let under_way = &self.shared.under_way;
            let count = under_way.remember_blocks(self.entry(), count)?;
            blocks.track(count);
        }
        loop {
            match blocks.claim(block) {
                Arrival::Write => return Ok(true),
                Arrival::Again => return Ok(false),
                Arrival::Different => return Err(Error::Mismatch(self.entry().path.clone())),
                Arrival::None => return Err(Error::NoStaging),
                Arrival::Later => {
                    let carried = self.carried.wait(blocks);
                    blocks = carried.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Makes the file, unless another connection's block has done so.
    fn be_born(&self, size: u64) -> Result<(), Error> {
        let unborn = |life: &Life| matches!(life, Life::Unborn);
        if !unborn(&self.life.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut life = self.life.write().unwrap_or_else(PoisonError::into_inner);
        if unborn(&life) && !self.begin_partial(&mut life, Otherwise::Begin)? {
            let file = self.create()?;
            let sized = self.shared.tree.sys.resize(&file, size);
            sized.map_err(|errno| self.failed(Action::Stage, errno))?;
            *life = Life::Open(Body {
                file: file.into(),
                notes: None,
            });
        }
        Ok(())
    }

    /// Has the disk begin with a part that is written, so that the flush finds little to wait for.
    ///
    /// Who writes the end of a part begins it. What others bring of it later is left to the
    /// flush, as is all of it where the system does not take the hint.
    fn begin_write_back(&self, file: &OwnedFd, written: Range<u64>) {
        let floor = |offset: u64| offset / WRITE_BACK * WRITE_BACK;
        let part = floor(written.start)..floor(written.end);
        if !part.is_empty() {
            let _ = self.shared.tree.sys.begin_write_back(file, part);
        }
    }

    pub(super) fn write(&self, block: &Verified<'_>) -> Result<(), Error> {
        let geometry = self.geometry().ok_or(Error::NoStaging)?;
        let offset = geometry.offset(block.index());
        let write = |file: &OwnedFd| {
            let sys = &self.shared.tree.sys;
            sys.write_at(file, block.bytes(), offset)
                .map_err(|errno| self.failed(Action::Write, errno))
        };
        if !geometry.is_single() {
            self.be_born(geometry.size())?;
            let life = self.life.read().unwrap_or_else(PoisonError::into_inner);
            let Life::Open(body) = &*life else {
                return Err(Error::NoStaging);
            };
            write(&body.file)?;
            self.begin_write_back(&body.file, offset..offset + block.bytes().len() as u64);
            if let Some(notes) = &body.notes {
                // A block that is not noted is fetched again, should it come to that.
                let sys = &self.shared.tree.sys;
                let _ = note(sys, notes, block.index().number(), block.node());
            }
            return Ok(());
        }
        // Its only block is the whole file: it is made, written and finished at once.
        let mut life = self.life.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*life, Life::Unborn) {
            return Err(Error::NoStaging);
        }
        let file = self.create()?;
        write(&file)?;
        self.finish(&file)?;
        let reopens = self.entry().mode.bits() & PRIVATE.bits() == PRIVATE.bits();
        let keep = !reopens || self.shared.under_way.may_keep();
        *life = Life::Written(keep.then_some(file));
        Ok(())
    }
}

impl Staged for LocalStaged {
    fn put(&self, block: Verified<'_>) -> Result<(), Error> {
        if !self.claim(&block)? {
            return Ok(());
        }
        let written = self.write(&block);
        self.promise.keep(block.bytes().len() as u64);
        self.blocks().settle(&block, written.is_ok());
        written
    }

    fn held(&self) -> Vec<Option<Node>> {
        self.blocks().held()
    }

    fn missing(&self) -> Vec<Range<u64>> {
        let blocks = self.blocks();
        let may_be_here = matches!(self.standing, Standing::SameIf(..));
        if may_be_here && blocks.are_untouched() {
            return Vec::new();
        }
        blocks.missing()
    }

    fn unproved(&self) -> Vec<Range<u64>> {
        self.blocks().unproved()
    }

    fn entry(&self) -> &Entry {
        &self.offering.entry
    }

    fn standing(&self) -> Standing {
        self.standing
    }

    fn on_existing(&self) -> OnExisting {
        self.on_existing
    }

    fn ticket(&self) -> Option<Ticket> {
        self.ticket.clone()
    }

    fn belongs_to(&self, holder: &Arc<dyn Holder>) {
        self.holder.get_or_init(|| Arc::clone(holder));
        self.take_over_own();
    }

    fn is_partly_here(&self) -> bool {
        self.is_partly.load(Ordering::Acquire)
    }

    fn recover(&self, blocks: Range<u64>) -> Result<Vec<Option<Node>>, Error> {
        self.read_back(blocks)
    }

    fn discard(&self) {
        self.end();
    }
}

impl Drop for LocalStaged {
    fn drop(&mut self) {
        self.put_away();
        let under_way = &self.shared.under_way;
        under_way.forget(self.number);
        under_way.forget_blocks(self.blocks().tracked());
        self.give_up_name();
    }
}
