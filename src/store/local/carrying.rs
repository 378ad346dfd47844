//! How a file that is to replace another gets what both have in common, so that it need not
//! be sent.
//!
//! A block of the old file is read, hashed, and written to the staging in its place: the same
//! bytes each time. So what counts as here is what was copied, whatever becomes of the old
//! file meanwhile. Only the sender knows whether it is what the new file has there, and what it
//! sends takes its place; the merge of all nodes proves the whole as ever.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::staging::LocalStaged;
use super::staging_area::Keeper;
use crate::content::{BlockIndex, Geometry, Node, observe};
use crate::store::{Staged, Standing};

impl LocalStaged {
    /// Whether it replaces a file that blocks can be had from.
    ///
    /// A download has nobody to judge them: its server tells no nodes.
    pub(super) fn may_carry_over(&self) -> bool {
        let replaces = match self.standing() {
            Standing::Replaces(_) => true,
            Standing::SameIf(..) => self.on_existing().may_replace(),
            Standing::Absent | Standing::Same(_) => false,
        };
        let is_put = matches!(self.shared.keeper, Keeper::Server);
        replaces && is_put && self.is_large()
    }

    /// Copies a block from the file that is replaced, unless something is in its place.
    pub(super) fn carry_over(&self, geometry: Geometry, number: u64, buffer: &mut Vec<u8>) {
        let Some(index) = geometry.index(number) else {
            return;
        };
        if !self.may_carry_over() || !self.blocks().begin_carrying(number) {
            return;
        }
        let node = self.copy(geometry, index, buffer);
        self.blocks().carried(number, node);
        self.carried.notify_all();
    }

    /// What cannot be copied is sent, and what is wrong is found out then.
    fn copy(&self, geometry: Geometry, index: BlockIndex, buffer: &mut Vec<u8>) -> Option<Node> {
        let len = geometry.len(index);
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let bytes = &mut buffer[..len];
        let sys = &self.shared.tree.sys;
        let read = sys.read_at(self.replaced()?, bytes, geometry.offset(index));
        if read != Ok(len) {
            return None;
        }
        let block = observe(geometry, index, bytes);
        self.write(&block).ok()?;
        Some(block.node())
    }

    /// The file that is replaced: the one that had the name when it was first asked for.
    pub(super) fn replaced(&self) -> Option<&OwnedFd> {
        let open = || {
            let opened = self.shared.tree.open_file(&self.entry().path);
            opened.ok().map(|(file, _)| Arc::new(file))
        };
        self.replaced.get_or_init(open).as_deref()
    }

    /// That file, if it was asked for.
    pub(super) fn has_replaced(&self) -> Option<Arc<OwnedFd>> {
        self.replaced.get().cloned().flatten()
    }
}
