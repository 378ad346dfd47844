//! Files in a directory of this machine.
//!
//! A [`Tree`] lists and reads; a [`LocalStore`] also stages and publishes. The
//! same code serves a server's root and the directory that a client downloads to.
//! Every name is resolved beneath a held directory and through no link, so what a
//! local user with write access does to the tree meanwhile leads nowhere else.

mod blocks;
mod changes;
mod checksum_record;
mod directories;
mod flush;
mod hidden;
mod judging;
mod named;
mod places;
mod publish;
mod resolver;
mod sealing;
mod settling;
mod staging;
mod staging_area;
mod sys;
mod tree;
mod tree_removal;
mod walk;

use std::collections::HashMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub use staging::LocalStaged;
pub use tree::{LocalReader, Tree};
pub use walk::Walk;

use flush::{FlushPoint, SharedPoint};
use staging_area::{Area, Keeper};
use sys::DIRECTORY;
use tree::Held;

use super::error::{Action, Error};
use super::{Changes, Claim, Durability, Parents, Place, Published, Removal, Source, Staged};
use super::{Standing, Store};
use crate::entry::{Cursor, Entry, Kind, Version};
use crate::fault::Fault;
use crate::identity::Identity;
use crate::offer::{Offering, Terms, Ticket, TransferId};
use crate::path::RemotePath;

/// A directory that files can be put into, on behalf of one identity.
///
/// Clones and [`Store::acting_for`] are handles to the same store.
#[derive(Clone, Debug)]
pub struct LocalStore {
    shared: Arc<Shared>,
    by: Identity,
}

/// Blocks that may be under way at once in one store: 4 TiB of files in 1 MiB blocks, in
/// at most 200 MiB of memory.
const BLOCKS_MAX: usize = 1 << 22;

/// While no more blocks than these are under way, small files keep their descriptors.
const KEEP_MAX: usize = 64;

/// A store as seen from one of its directories: names lead beneath that, and nowhere
/// else.
#[derive(Debug)]
struct Shared {
    tree: Arc<Held>,
    core: Arc<Core>,
}

impl Deref for Shared {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// What all handles share, from wherever they see the store.
#[derive(Debug)]
struct Core {
    /// Where files are staged, whatever they are to become.
    top: Arc<Held>,
    keeper: Keeper,
    durability: Durability,
    reporting: bool,
    /// What a job's batches share: it has one thread that commits.
    point: SharedPoint,
    /// Made with the first file that is staged, so that a tree that is only read
    /// stays untouched.
    area: Mutex<Option<Arc<Area>>>,
    live: Mutex<HashMap<u64, Weak<LocalStaged>>>,
    publishing: Mutex<()>,
    /// Blocks whose state is held in memory.
    blocks: AtomicUsize,
    key: [u8; 32],
}

impl LocalStore {
    /// Opens the directory at `path` for the one server that serves it.
    ///
    /// # Errors
    ///
    /// [`Error::Served`] where another process does, [`Error::NotOurs`] where what is
    /// called `.haul` in it is not haul's, [`Error::Root`] where it cannot be opened.
    pub fn serve(path: &Path, durability: Durability, fault: Fault) -> Result<Self, Error> {
        Self::serve_held(Held::open(path, fault)?, durability)
    }

    fn serve_held(tree: Arc<Held>, durability: Durability) -> Result<Self, Error> {
        let path = &tree.path;
        // The root's own lock, so that a tree that is only read stays untouched.
        tree.sys.lock(&tree.root).map_err(|errno| match errno {
            rustix::io::Errno::WOULDBLOCK => Error::Served(path.to_owned()),
            errno => Error::Root {
                action: Action::Lock,
                path: path.to_owned(),
                errno,
            },
        })?;
        staging_area::check(&tree)?;
        Self::new(tree, Keeper::Server, durability)
    }

    /// Opens the directory at `path` for one download.
    ///
    /// # Errors
    ///
    /// [`Error::Root`] where it cannot be opened.
    pub fn receive(path: &Path, job: TransferId, fault: Fault) -> Result<Self, Error> {
        let tree = Held::open(path, fault)?;
        Self::new(tree, Keeper::Job(job.to_string()), Durability::Batch)
    }

    fn new(tree: Arc<Held>, keeper: Keeper, durability: Durability) -> Result<Self, Error> {
        let mut key = [0; 32];
        rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty()).map_err(
            |errno| Error::Root {
                action: Action::Open,
                path: tree.path.clone(),
                errno,
            },
        )?;
        staging_area::sweep(&tree);
        let reporting = flush::reports_through_syncfs(&tree.root);
        Ok(Self {
            shared: Arc::new(Shared {
                tree: Arc::clone(&tree),
                core: Arc::new(Core {
                    top: tree,
                    keeper,
                    durability,
                    reporting,
                    point: SharedPoint::default(),
                    area: Mutex::new(None),
                    live: Mutex::new(HashMap::new()),
                    publishing: Mutex::new(()),
                    blocks: AtomicUsize::new(0),
                    key,
                }),
            }),
            by: Identity::Owner,
        })
    }

    /// Where the store is, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.tree.path
    }

    fn tree(&self) -> Tree {
        Tree::of(Arc::clone(&self.shared.tree))
    }

    /// Seals a staging's number for this identity.
    fn seal(&self, number: u64) -> Ticket {
        let mut bytes = number.to_be_bytes().to_vec();
        let mut hasher = blake3::Hasher::new_keyed(&self.shared.key);
        hasher.update(&bytes).update(self.by.as_bytes());
        bytes.extend_from_slice(&hasher.finalize().as_bytes()[..16]);
        Ticket::new(&bytes).expect("24 bytes are within a ticket's limit")
    }

    fn stage_one(
        &self,
        (area, flush): (&Arc<Area>, &Arc<FlushPoint>),
        (offering, terms): (&Offering, Terms),
        free: &mut u64,
    ) -> Result<Arc<LocalStaged>, Error> {
        let entry = &offering.entry;
        if entry.kind == Kind::Dir {
            return Err(Error::NotStorable(entry.path.clone()));
        }
        let standing = self.judge(entry, terms)?;
        if matches!(standing, Standing::Absent | Standing::Replaces(_)) {
            let needed = entry.size();
            *free = free.checked_sub(needed).ok_or_else(|| Error::NoRoom {
                path: entry.path.clone(),
                needed,
                free: *free,
            })?;
        }
        let staged = LocalStaged::new(
            &self.shared,
            (area, flush),
            offering,
            (standing, terms.on),
            |number| self.seal(number),
        );
        let staged = Arc::new(staged);
        if staged.ticket().is_some() {
            self.shared.remember(&staged);
        }
        Ok(staged)
    }

    /// What a batch of so many is staged with: its directory, its flush, and the free
    /// space.
    fn prepare(&self, files: usize) -> Result<(Arc<Area>, Arc<FlushPoint>, u64), Error> {
        let area = self.shared.area()?;
        let failed = |action| {
            let path = self.shared.tree.path.clone();
            move |errno| Error::Root {
                action,
                path,
                errno,
            }
        };
        let sys = &self.shared.tree.sys;
        let flush = match self.shared.keeper {
            Keeper::Server => FlushPoint::open(sys, &area),
            Keeper::Job(_) => self.shared.point.open(sys, &area, files),
        };
        let flush = flush.map_err(failed(Action::Flush))?;
        let space = sys.space(&area.directory).map_err(failed(Action::Look))?;
        Ok((area, flush, space.f_bavail.saturating_mul(space.f_frsize)))
    }
}

impl Core {
    fn area(&self) -> Result<Arc<Area>, Error> {
        let mut current = self.area.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(area) = &*current {
            return Ok(Arc::clone(area));
        }
        let area = Arc::new(Area::open(&self.top, &self.keeper)?);
        *current = Some(Arc::clone(&area));
        Ok(area)
    }

    fn live(&self) -> MutexGuard<'_, HashMap<u64, Weak<LocalStaged>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, staged: &Arc<LocalStaged>) {
        self.live().insert(staged.number(), Arc::downgrade(staged));
    }

    /// Counts the blocks of a file that begins to arrive, if there is memory for them.
    fn remember_blocks(&self, entry: &Entry, blocks: u64) -> Result<usize, Error> {
        let count = usize::try_from(blocks).unwrap_or(usize::MAX);
        let held = self.blocks.load(Ordering::Relaxed);
        if count > BLOCKS_MAX.saturating_sub(held) {
            return Err(Error::TooManyBlocks(entry.path.clone()));
        }
        // Two files that begin at once may both fit where only one should.
        self.blocks.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }

    fn forget_blocks(&self, count: usize) {
        self.blocks.fetch_sub(count, Ordering::Relaxed);
    }

    /// Whether a small file's descriptor may be kept until its commit.
    fn may_keep(&self) -> bool {
        self.blocks.load(Ordering::Relaxed) <= KEEP_MAX
    }

    fn forget(&self, number: u64) {
        self.live().remove(&number);
    }
}

impl Source for LocalStore {
    type Reader = LocalReader;
    type Walk = Walk;

    fn places(&self, under: Option<&RemotePath>) -> Vec<Place> {
        self.tree().places(under)
    }

    fn walk(
        &self,
        under: Option<&RemotePath>,
        depth: Option<u32>,
        after: Option<Cursor>,
    ) -> Result<Walk, Error> {
        self.tree().walk(under, depth, after)
    }

    fn open(&self, path: &RemotePath, expect: Option<&Version>) -> Result<LocalReader, Error> {
        self.tree().open(path, expect)
    }
}

impl Changes for LocalStore {
    fn make_dir(&self, path: &RemotePath, parents: Parents) -> Result<(), Error> {
        changes::make_dir(&self.shared, path, parents)
    }

    fn rename(&self, from: &RemotePath, to: &RemotePath) -> Result<(), Error> {
        changes::rename(&self.shared, from, to)
    }

    fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), Error> {
        changes::remove(&self.shared, path, removal)
    }
}

impl Store for LocalStore {
    type Staged = LocalStaged;

    fn acting_for(&self, by: Identity) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            by,
        }
    }

    fn beneath(&self, under: &RemotePath) -> Result<Self, Error> {
        // Made now, it is found by whoever comes later through another name.
        self.make_dir(under, Parents::Make)?;
        let tree = &self.shared.tree;
        let root = tree
            .sys
            .open_beneath(&tree.root, under.as_path(), DIRECTORY)
            .map_err(|errno| Error::system(Action::Open, under, errno))?;
        let held = Held {
            sys: tree.sys.another(),
            root,
            path: tree.path.join(under.as_path()),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                tree: Arc::new(held),
                core: Arc::clone(&self.shared.core),
            }),
            by: self.by.clone(),
        })
    }

    fn durability(&self) -> Durability {
        self.shared.durability
    }

    fn judge(&self, entry: &Entry, terms: Terms) -> Result<Standing, Error> {
        judging::judge(&self.shared.tree, entry, terms)
    }

    fn stage(&self, batch: &[Offering], terms: Terms) -> Vec<Result<Arc<LocalStaged>, Error>> {
        let (area, flush, mut free) = match self.prepare(batch.len()) {
            Ok(prepared) => prepared,
            Err(error) => return batch.iter().map(|_| Err(error.clone())).collect(),
        };
        batch
            .iter()
            .map(|offering| self.stage_one((&area, &flush), (offering, terms), &mut free))
            .collect()
    }

    fn reopen(&self, ticket: &Ticket) -> Result<Arc<LocalStaged>, Error> {
        let number = ticket.as_bytes().first_chunk().ok_or(Error::NoStaging)?;
        let number = u64::from_be_bytes(*number);
        if self.seal(number) != *ticket {
            return Err(Error::NoStaging);
        }
        let staged = self.shared.live().get(&number).and_then(Weak::upgrade);
        staged.ok_or(Error::NoStaging)
    }

    fn commit(&self, batch: Vec<(Arc<LocalStaged>, Claim)>) -> Vec<Result<Published, Error>> {
        publish::commit(&self.shared, batch)
    }

    fn settle(&self, directories: &[Offering]) -> Vec<Result<(), Error>> {
        settling::settle(&self.shared, directories)
    }
}
