//! Files in a directory of this machine.
//!
//! A [`Tree`] lists and reads; a [`LocalStore`] also stages and publishes. The
//! same code serves a server's root and the directory that a client downloads to.
//! Every name is resolved beneath a held directory and through no link, so what a
//! local user with write access does to the tree meanwhile leads nowhere else.

mod blocks;
mod carrying;
mod changes;
mod checksum_record;
mod core;
mod directories;
mod drop_box;
mod flush;
mod hidden;
mod judging;
mod kept_nodes;
mod leaving;
mod made;
mod named;
mod offering;
mod partial_files;
mod partial_label;
mod partials;
mod places;
mod publish;
mod resolver;
mod resuming;
mod room;
mod sealing;
mod settling;
mod staging;
mod staging_area;
mod sys;
mod ticket;
mod tree;
mod tree_removal;
mod under_way;
mod unlocking;
mod walk;
mod within;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

pub use leaving::Replaced;
pub use room::Limits;
pub use staging::LocalStaged;
pub use tree::{LocalReader, Tree};
pub use walk::Walk;

use self::core::{Core, Shared, Writer};
use drop_box::DropBox;
use judging::Judge;
use resuming::may_be_sent;
use staging_area::Keeper;
use sys::DIRECTORY;
use tree::Held;
use unlocking::Unlocking;
use within::Records;

use super::error::{Action, Error};
use super::{Aside, Changes, Claim, Durability, KeptNodes, Parents, Place, Published, Removal};
use super::{Missing, Source, Standing, Store, Swept, Telling, Touching};
use crate::content::Checksum;
use crate::entry::{Cursor, Entry, Version};
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
    telling: Telling,
    touching: Touching,
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
        let root = tree.sys.open_in(&tree.root, ".", DIRECTORY);
        let locked = root.and_then(|root| tree.sys.lock(root));
        let locked = locked.map_err(|errno| match errno {
            Errno::WOULDBLOCK => Error::Served(path.to_owned()),
            errno => Error::Root {
                action: Action::Lock,
                path: path.to_owned(),
                errno,
            },
        })?;
        staging_area::check(&tree)?;
        staging_area::sweep(&tree);
        Self::new(tree, Keeper::Server, durability, Some(locked))
    }

    /// Opens the directory at `path` for one download, or for the rehearsal of one: nothing is
    /// touched yet.
    ///
    /// # Errors
    ///
    /// [`Error::Root`] where it cannot be opened.
    pub fn receive(path: &Path, job: TransferId, fault: Fault) -> Result<Self, Error> {
        let tree = Held::open(path, fault)?;
        Self::new(tree, Keeper::Job(job.to_string()), Durability::Batch, None)
    }

    /// Keeps what arrived and was not finished for so long: a week, unless this says
    /// otherwise. With no time at all it goes with its sender's connections.
    pub fn keep_partials(&self, keep: Duration) {
        self.shared.partials.set_keep(keep);
    }

    /// Takes no more than this from now on: unless it says otherwise, all that the disk has
    /// room for.
    pub fn limit(&self, limits: Limits) {
        self.shared.room.limit(limits);
    }

    fn new(
        tree: Arc<Held>,
        keeper: Keeper,
        durability: Durability,
        served: Option<Unlocking>,
    ) -> Result<Self, Error> {
        let mut key = [0; 32];
        rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty()).map_err(
            |errno| Error::Root {
                action: Action::Open,
                path: tree.path.clone(),
                errno,
            },
        )?;
        let reporting = flush::reports_through_syncfs(&tree.root);
        Ok(Self {
            shared: Arc::new(Shared {
                tree: Arc::clone(&tree),
                under: None,
                core: Arc::new(Core::new(
                    tree,
                    keeper,
                    (durability, reporting),
                    key,
                    served,
                )),
            }),
            by: Identity::Owner,
            telling: Telling::All,
            touching: Touching::Settle,
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

    /// Whose tickets are sealed and opened here.
    fn whose(&self) -> ticket::Whose<'_> {
        (&self.by, self.shared.under.as_ref())
    }

    /// On whose behalf something is stored, and how.
    fn writer(&self) -> Writer<'_> {
        Writer {
            by: &self.by,
            telling: self.telling,
            touching: self.touching,
        }
    }

    /// What stores for whoever is told nothing.
    fn drop_box(&self) -> Option<DropBox<'_>> {
        DropBox::of(&self.shared, &self.by, self.telling)
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
        let tree = Arc::clone(&self.shared.tree);
        Walk::new(tree, (under, depth, after), Records::Read)
    }

    fn open(&self, path: &RemotePath, expect: Option<&Version>) -> Result<LocalReader, Error> {
        self.tree().open(path, expect)
    }
}

impl Changes for LocalStore {
    fn make_dir(&self, path: &RemotePath, parents: Parents) -> Result<Option<Aside>, Error> {
        changes::make_dir(&self.shared, self.drop_box().as_ref(), path, parents)
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
        Self { by, ..self.clone() }
    }

    fn telling(&self, what: Telling) -> Self {
        Self {
            telling: what,
            ..self.clone()
        }
    }

    fn touching(&self, what: Touching) -> Self {
        Self {
            touching: what,
            ..self.clone()
        }
    }

    fn beneath(&self, under: &RemotePath, missing: Missing) -> Result<Self, Error> {
        if missing == Missing::Make {
            // Made now, it is found by whoever comes later through another name.
            self.make_dir(under, Parents::Make)?;
        }
        let tree = &self.shared.tree;
        let root = tree
            .sys
            .open_beneath(&tree.root, under.as_path(), DIRECTORY)
            .map_err(|errno| match errno {
                // Nothing that was asked for is missing: what they stand on is.
                Errno::NOENT => Error::System {
                    action: Action::Open,
                    path: under.clone(),
                    errno,
                },
                errno => Error::system(Action::Open, under, errno),
            })?;
        let held = Held {
            sys: tree.sys.another(),
            root,
            path: tree.path.join(under.as_path()),
        };
        let above = self.shared.under.as_ref();
        let too_long = |_| Error::system(Action::Open, under, Errno::NAMETOOLONG);
        let under = RemotePath::beneath(above, under.as_str()).map_err(too_long)?;
        Ok(Self {
            shared: Arc::new(Shared {
                tree: Arc::new(held),
                under: Some(under),
                core: Arc::clone(&self.shared.core),
            }),
            by: self.by.clone(),
            telling: self.telling,
            touching: self.touching,
        })
    }

    fn durability(&self) -> Durability {
        self.shared.durability
    }

    fn judge(&self, entry: &Entry, terms: Terms) -> Result<Standing, Error> {
        let standing = Judge::new(&self.shared.tree, self.telling).judge(entry, terms)?;
        if may_be_sent(standing, terms.on) {
            self.check_size(entry)?;
        }
        Ok(standing)
    }

    fn stage(&self, batch: &[Offering], terms: Terms) -> Vec<Result<Arc<LocalStaged>, Error>> {
        self.take(batch, terms)
    }

    fn reopen(&self, ticket: &Ticket) -> Result<Arc<LocalStaged>, Error> {
        let number =
            ticket::open(&self.shared.key, self.whose(), ticket).ok_or(Error::NoStaging)?;
        self.shared.under_way.find(number).ok_or(Error::NoStaging)
    }

    fn commit(&self, batch: Vec<(Arc<LocalStaged>, Claim)>) -> Vec<Result<Published, Error>> {
        let all: Vec<Arc<LocalStaged>> = batch.iter().map(|(it, _)| Arc::clone(it)).collect();
        let published = publish::commit(&self.shared, self.writer(), batch);
        for (staged, published) in all.iter().zip(&published) {
            staged.committed(published.is_ok());
        }
        published
    }

    fn keep_at_rest(&self, most: Swept) -> Swept {
        let parts = self.shared.under_way.parts();
        let partials = &self.shared.partials;
        partials.keep_at_rest(&self.by, most, |name| parts.contains(name))
    }

    fn sweep(&self) -> Swept {
        // A server did that when it began.
        if matches!(self.shared.keeper, Keeper::Job(_)) {
            staging_area::sweep(&self.shared.tree);
        }
        self.shared.partials.sweep()
    }

    fn sweep_nodes(&self, goes_on: impl Fn() -> bool) {
        if matches!(self.shared.keeper, Keeper::Server) {
            self.shared.nodes.sweep(goes_on);
        }
    }

    fn kept_nodes(&self, checksum: Checksum) -> Option<KeptNodes> {
        self.shared.nodes.find(checksum)
    }

    fn settle(&self, directories: &[Offering]) -> Vec<Result<Option<Aside>, Error>> {
        settling::settle(&self.shared, self.writer(), directories)
    }
}
