//! What all handles of a store share: where it stages, and what is under way.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use super::flush::SharedPoint;
use super::kept_nodes::NodeFiles;
use super::leaving::Leaving;
use super::made::Made;
use super::partials::Partials;
use super::room::Room;
use super::staging_area::{Area, Keeper};
use super::tree::Held;
use super::under_way::UnderWay;
use super::unlocking::Unlocking;
use crate::identity::Identity;
use crate::path::RemotePath;
use crate::store::error::Error;
use crate::store::{Durability, Telling, Touching};

/// A store as seen from one of its directories: names lead beneath that, and nowhere
/// else.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tree: Arc<Held>,
    /// Where that is in the store; none for its top.
    pub(super) under: Option<RemotePath>,
    pub(super) core: Arc<Core>,
}

impl Deref for Shared {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// What all handles share, from wherever they see the store.
#[derive(Debug)]
pub(super) struct Core {
    /// Where files are staged, whatever they are to become.
    pub(super) top: Arc<Held>,
    pub(super) keeper: Keeper,
    pub(super) durability: Durability,
    pub(super) reporting: bool,
    /// What vouches for the flush of a job's batches, which share it.
    pub(super) point: SharedPoint,
    /// Made with the first file that is staged, so that a tree that is only read
    /// stays untouched.
    pub(super) area: Mutex<Option<Arc<Area>>>,
    pub(super) partials: Partials,
    pub(super) under_way: UnderWay,
    pub(super) made: Made,
    pub(super) room: Room,
    pub(super) leaving: Arc<Leaving>,
    pub(super) nodes: NodeFiles,
    pub(super) publishing: Mutex<()>,
    pub(super) key: [u8; 32],
    /// What keeps another server out of the root. It goes last.
    _served: Option<Unlocking>,
}

/// On whose behalf something is stored, and what they may see and change of what is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'w> {
    pub(super) by: &'w Identity,
    pub(super) telling: Telling,
    pub(super) touching: Touching,
}

impl Core {
    /// A store in `top` of which nothing is under way.
    pub(super) fn new(
        top: Arc<Held>,
        keeper: Keeper,
        (durability, reporting): (Durability, bool),
        key: [u8; 32],
        served: Option<Unlocking>,
    ) -> Self {
        Self {
            partials: Partials::new(&top, &keeper),
            nodes: NodeFiles::of(Arc::clone(&top)),
            top,
            keeper,
            durability,
            reporting,
            point: SharedPoint::default(),
            area: Mutex::new(None),
            under_way: UnderWay::default(),
            made: Made::default(),
            room: Room::default(),
            leaving: Arc::default(),
            publishing: Mutex::new(()),
            key,
            _served: served,
        }
    }

    pub(super) fn area(&self) -> Result<Arc<Area>, Error> {
        let mut current = self.area.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(area) = &*current {
            return Ok(Arc::clone(area));
        }
        let area = Arc::new(Area::open(&self.top, &self.keeper)?);
        *current = Some(Arc::clone(&area));
        Ok(area)
    }
}
