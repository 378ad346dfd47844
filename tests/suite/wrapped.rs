//! A store that a test looks into: other block sizes, and a word before each call.

use std::sync::Arc;

use haul::content::{BlockSize, Geometry, Node, Verified};
use haul::entry::{Cursor, Entry, Kind, Version};
use haul::identity::Identity;
use haul::offer::{Offering, OnExisting, Terms, Ticket};
use haul::path::RemotePath;
use haul::store::{
    Aside, Changes, Claim, Durability, Error, Missing, OnRecord, Parents, Published, ReadAt,
    Removal,
};
use haul::store::{Holder, Source, Staged, Standing, Store, Swept, Telling, Touching};

/// What a test hears of a store.
pub trait Listener: Send + Sync + 'static {
    /// A block is about to be read.
    fn reading(&self) {}
    /// A block was verified and is about to be staged.
    fn staging(&self) {}
}

/// Hears nothing.
pub struct Deaf;

impl Listener for Deaf {}

/// A source or store whose files are cut into blocks of another size.
pub struct Wrapped<S, L> {
    pub inner: S,
    pub block: u64,
    pub listener: Arc<L>,
}

pub struct WrappedReader<R, L>(R, Arc<L>);

pub struct WrappedStaged<T, L>(Arc<T>, Arc<L>);

impl<S, L> Wrapped<S, L> {
    pub fn new(inner: S, block: u64, listener: L) -> Self {
        Self {
            inner,
            block,
            listener: Arc::new(listener),
        }
    }
}

fn recut(entry: Entry, block: u64) -> Entry {
    let kind = match entry.kind {
        Kind::File(cut) => {
            let block = BlockSize::new(block).unwrap();
            Kind::File(Geometry::new(cut.size(), block).unwrap())
        }
        other => other,
    };
    Entry { kind, ..entry }
}

impl<R: ReadAt, L: Listener> ReadAt for WrappedReader<R, L> {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<(), Error> {
        self.1.reading();
        self.0.read_at(into, offset)
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn check_version(&self) -> Result<(), Error> {
        self.0.check_version()
    }

    fn on_record(&self) -> Result<Option<OnRecord>, Error> {
        self.0.on_record()
    }
}

impl<S: Source, L: Listener> Source for Wrapped<S, L>
where
    S::Walk: 'static,
{
    type Reader = WrappedReader<S::Reader, L>;
    type Walk = Box<dyn Iterator<Item = Result<Entry, Error>>>;

    fn walk(
        &self,
        under: Option<&RemotePath>,
        depth: Option<u32>,
        after: Option<Cursor>,
    ) -> Result<Self::Walk, Error> {
        let (walk, block) = (self.inner.walk(under, depth, after)?, self.block);
        Ok(Box::new(
            walk.map(move |entry| entry.map(|entry| recut(entry, block))),
        ))
    }

    fn open(&self, path: &RemotePath, expect: Option<&Version>) -> Result<Self::Reader, Error> {
        let reader = self.inner.open(path, expect)?;
        Ok(WrappedReader(reader, Arc::clone(&self.listener)))
    }
}

impl<S: Store, L: Listener> Changes for Wrapped<S, L>
where
    S::Walk: 'static,
{
    fn make_dir(&self, path: &RemotePath, parents: Parents) -> Result<Option<Aside>, Error> {
        self.inner.make_dir(path, parents)
    }

    fn rename(&self, from: &RemotePath, to: &RemotePath) -> Result<(), Error> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), Error> {
        self.inner.remove(path, removal)
    }
}

impl<S: Store, L: Listener> Store for Wrapped<S, L>
where
    S::Walk: 'static,
{
    type Staged = WrappedStaged<S::Staged, L>;

    fn acting_for(&self, by: Identity) -> Self {
        Self {
            inner: self.inner.acting_for(by),
            block: self.block,
            listener: Arc::clone(&self.listener),
        }
    }

    fn telling(&self, what: Telling) -> Self {
        Self {
            inner: self.inner.telling(what),
            block: self.block,
            listener: Arc::clone(&self.listener),
        }
    }

    fn touching(&self, what: Touching) -> Self {
        Self {
            inner: self.inner.touching(what),
            block: self.block,
            listener: Arc::clone(&self.listener),
        }
    }

    fn beneath(&self, under: &RemotePath, missing: Missing) -> Result<Self, Error> {
        Ok(Self {
            inner: self.inner.beneath(under, missing)?,
            block: self.block,
            listener: Arc::clone(&self.listener),
        })
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn judge(&self, entry: &Entry, terms: Terms) -> Result<Standing, Error> {
        self.inner.judge(entry, terms)
    }

    fn stage(&self, batch: &[Offering], terms: Terms) -> Vec<Result<Arc<Self::Staged>, Error>> {
        let wrap = |staged| Arc::new(WrappedStaged(staged, Arc::clone(&self.listener)));
        let staged = self.inner.stage(batch, terms);
        staged.into_iter().map(|one| one.map(wrap)).collect()
    }

    fn settle(&self, directories: &[Offering]) -> Vec<Result<Option<Aside>, Error>> {
        self.inner.settle(directories)
    }

    fn reopen(&self, ticket: &Ticket) -> Result<Arc<Self::Staged>, Error> {
        let staged = self.inner.reopen(ticket)?;
        Ok(Arc::new(WrappedStaged(staged, Arc::clone(&self.listener))))
    }

    fn commit(&self, batch: Vec<(Arc<Self::Staged>, Claim)>) -> Vec<Result<Published, Error>> {
        let unwrap = |(staged, claim): (Arc<Self::Staged>, Claim)| (Arc::clone(&staged.0), claim);
        self.inner.commit(batch.into_iter().map(unwrap).collect())
    }

    fn sweep(&self) -> Swept {
        self.inner.sweep()
    }

    fn sweep_nodes(&self, goes_on: impl Fn() -> bool) {
        self.inner.sweep_nodes(goes_on);
    }
}

impl<T: Staged, L: Listener> Staged for WrappedStaged<T, L> {
    fn put(&self, block: Verified<'_>) -> Result<(), Error> {
        self.1.staging();
        self.0.put(block)
    }

    fn held(&self) -> Vec<Option<Node>> {
        self.0.held()
    }

    fn missing(&self) -> Vec<std::ops::Range<u64>> {
        self.0.missing()
    }

    fn unproved(&self) -> Vec<std::ops::Range<u64>> {
        self.0.unproved()
    }

    fn entry(&self) -> &Entry {
        self.0.entry()
    }

    fn standing(&self) -> Standing {
        self.0.standing()
    }

    fn on_existing(&self) -> OnExisting {
        self.0.on_existing()
    }

    fn ticket(&self) -> Option<Ticket> {
        self.0.ticket()
    }

    fn belongs_to(&self, holder: &Arc<dyn Holder>) {
        self.0.belongs_to(holder);
    }

    fn is_partly_here(&self) -> bool {
        self.0.is_partly_here()
    }

    fn recover(&self, blocks: std::ops::Range<u64>) -> Result<Vec<Option<Node>>, Error> {
        self.0.recover(blocks)
    }

    fn discard(&self) {
        self.0.discard();
    }
}
