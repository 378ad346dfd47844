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
mod judging;
mod named;
mod partial_files;
mod partial_label;
mod partials;
mod places;
mod publish;
mod resolver;
mod resuming;
mod sealing;
mod settling;
mod staging;
mod staging_area;
mod sys;
mod tree;
mod tree_removal;
mod under_way;
mod walk;

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use staging::LocalStaged;
pub use tree::{LocalReader, Tree};
pub use walk::Walk;

use flush::{FlushPoint, SharedPoint};
use partials::Partials;
use resuming::may_be_sent;
use staging_area::{Area, Keeper};
use sys::DIRECTORY;
use tree::Held;
use under_way::UnderWay;

use super::error::{Action, Error};
use super::{Changes, Claim, Durability, Parents, Place, Published, Removal, Source, Staged};
use super::{Standing, Store, Swept};
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

/// A store as seen from one of its directories: names lead beneath that, and nowhere
/// else.
#[derive(Debug)]
struct Shared {
    tree: Arc<Held>,
    /// Where that is in the store; none for its top.
    under: Option<RemotePath>,
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
    partials: Partials,
    under_way: UnderWay,
    publishing: Mutex<()>,
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
        let tree = Held::open(path, fault)?;
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
        let store = Self::new(tree, Keeper::Job(job.to_string()), Durability::Batch)?;
        store.sweep();
        Ok(store)
    }

    /// Keeps what arrived and was not finished for so long: a week, unless this says
    /// otherwise. With no time at all it goes with its sender's connections.
    pub fn keep_partials(&self, keep: Duration) {
        self.shared.partials.set_keep(keep);
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
                under: None,
                core: Arc::new(Core {
                    partials: Partials::new(&tree, &keeper),
                    top: tree,
                    keeper,
                    durability,
                    reporting,
                    point: SharedPoint::default(),
                    area: Mutex::new(None),
                    under_way: UnderWay::default(),
                    publishing: Mutex::new(()),
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
        // It may be publishing what is offered again.
        let partial = self.partial(entry).inspect(|it| self.await_commit(it));
        let standing = self.judge(entry, terms)?;
        let partial = partial.filter(|_| may_be_sent(standing, terms.on));
        let there = partial.as_ref();
        let there = there.and_then(|it| self.shared.partials.stands(it));
        if matches!(standing, Standing::Absent | Standing::Replaces(_)) {
            let needed = entry.size().saturating_sub(there.unwrap_or(0));
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
            (partial, there.is_some()),
            |number| self.seal(number),
        );
        let staged = Arc::new(staged);
        if staged.ticket().is_some() {
            self.shared.under_way.remember(&staged);
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
        let above = self.shared.under.as_ref();
        let under = RemotePath::beneath(above, under.as_str());
        Ok(Self {
            shared: Arc::new(Shared {
                tree: Arc::new(held),
                under: Some(under.map_err(|_| Error::NoStaging)?),
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
        self.shared.under_way.find(number).ok_or(Error::NoStaging)
    }

    fn commit(&self, batch: Vec<(Arc<LocalStaged>, Claim)>) -> Vec<Result<Published, Error>> {
        let all: Vec<Arc<LocalStaged>> = batch.iter().map(|(it, _)| Arc::clone(it)).collect();
        let published = publish::commit(&self.shared, batch);
        for (staged, published) in all.iter().zip(&published) {
            staged.committed(published.is_ok());
        }
        published
    }

    fn sweep(&self) -> Swept {
        self.shared.partials.sweep()
    }

    fn settle(&self, directories: &[Offering]) -> Vec<Result<(), Error>> {
        settling::settle(&self.shared, directories)
    }
}
