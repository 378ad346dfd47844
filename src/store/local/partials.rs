//! What arrived of files above one block, kept until its sender comes back.
//!
//! Such a file is received in `.haul/partial`, under a name made of whose it is and what it
//! is to become, so that the same offer finds it again: also another process, after a crash
//! or a power cut. Beside it lies its [label](super::partial_label). In one process a table
//! says who receives it, so that it can be taken over.
//!
//! What the process that wrote it still holds open, it remembers block by block, for a while and
//! as long as nobody else has touched it. Of everything else only the file itself tells, once it
//! is read again.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::info;

use super::blocks::Blocks;
use super::partial_files::{Body, Found, Old, Partial, PartialFiles, Useless};
use super::partial_label::Label;
use super::staging::LocalStaged;
use super::staging_area::Keeper;
use super::tree::Held;
use crate::entry::Version;
use crate::identity::Identity;
use crate::store::Swept;
use crate::store::error::Error;

/// How long partials are kept unless somebody says otherwise: a week.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Partials that are held open while nobody sends them, and blocks that are remembered of
/// all of them: a quarter of a TiB in 1 MiB blocks.
const RESTING_MAX: usize = 64;
const RESTING_BLOCKS_MAX: usize = 1 << 18;

/// How long what was written is believed to be there still, while nobody sends it: a pause in a
/// transfer. Disks decay slowly, but a week is a long time.
const BELIEVED: Duration = Duration::from_secs(600);

/// Between two looks at whether somebody else is heard.
const TICK: Duration = Duration::from_millis(50);
/// A wait for somebody else's end that takes longer has misunderstood something.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// The partials of one store.
#[derive(Debug)]
pub(super) struct Partials {
    files: PartialFiles,
    /// In seconds.
    keep: AtomicU64,
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    /// Which staging receives a partial, by its name.
    taken: HashMap<String, u64>,
    /// Those that nobody sends, the longest ago first.
    resting: VecDeque<Resting>,
}

/// A partial that nobody sends, held by the process that wrote it.
#[derive(Debug)]
struct Resting {
    of: Partial,
    body: Body,
    blocks: Blocks,
    directory: Arc<OwnedFd>,
    since: Instant,
    /// What it was when it was left.
    left: Option<Version>,
}

/// What is received from now on, and what is there of it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) directory: Arc<OwnedFd>,
    pub(super) body: Body,
    pub(super) blocks: Option<Blocks>,
}

/// What is done where there is nothing to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    Begin,
    Nothing,
}

impl Partials {
    pub(super) fn new(tree: &Arc<Held>, keeper: &Keeper) -> Self {
        Self {
            files: PartialFiles::new(tree, keeper),
            keep: AtomicU64::new(KEEP.as_secs()),
            table: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// How long they are kept.
    fn keep(&self) -> Duration {
        Duration::from_secs(self.keep.load(Ordering::Relaxed))
    }

    pub(super) fn set_keep(&self, keep: Duration) {
        self.keep.store(keep.as_secs(), Ordering::Relaxed);
    }

    /// A part of what has this label; none where nothing is kept.
    pub(super) fn part(&self, label: impl FnOnce() -> Option<Label>) -> Option<Partial> {
        if self.keep().is_zero() {
            return None;
        }
        label().map(|label| self.files.part(label))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which staging receives a part.
    pub(super) fn taker(&self, of: &Partial) -> Option<u64> {
        self.table().taken.get(&of.name).copied()
    }

    /// Whether something is there that can be gone on with, and how many bytes it takes on
    /// the disk. What is of something else goes, if nobody receives it.
    pub(super) fn stands(&self, of: &Partial) -> Option<u64> {
        self.files.stands(of).unwrap_or_else(|Useless| {
            self.remove_unused(of);
            None
        })
    }

    /// Removes what there is, if nobody receives it.
    pub(super) fn remove_unused(&self, of: &Partial) {
        if self.taker(of).is_none() {
            drop(self.wake(&of.name));
            self.files.remove_unused(&of.name);
        }
    }

    /// Receives a part from now on: what there is of it, taken over from somebody who is
    /// not heard any more where need be, or a new one. None where somebody else receives it.
    pub(super) fn take(
        &self,
        by: &LocalStaged,
        of: &Partial,
        otherwise: Otherwise,
    ) -> Result<Option<Taken>, Error> {
        let before = {
            let mut table = self.table();
            let before = table.taken.get(&of.name).copied();
            if before.is_none() {
                table.taken.insert(of.name.clone(), by.number());
            }
            before
        };
        if let Some(number) = before {
            let Some((was, taken)) = by.take_over(number) else {
                return Ok(None);
            };
            self.table().taken.insert(of.name.clone(), by.number());
            if was == *of {
                return Ok(Some(taken));
            }
            // With it goes its lock.
            drop(taken);
        }
        let taken = self.obtain(of, otherwise);
        if !matches!(taken, Ok(Some(_))) {
            self.let_go(of);
        }
        taken
    }

    fn obtain(&self, of: &Partial, otherwise: Otherwise) -> Result<Option<Taken>, Error> {
        if let Some(resting) = self.wake(&of.name) {
            let now = self.files.version(&resting.body, of);
            if resting.of == *of && now.is_some() {
                let is_believed = now == resting.left && resting.since.elapsed() < BELIEVED;
                let blocks = if is_believed {
                    Ok(resting.blocks)
                } else {
                    self.files.blocks_of(&resting.body, &of.label)
                };
                // One that cannot be read now is kept for whoever comes back once more.
                return Ok(blocks.ok().map(|blocks| Taken {
                    directory: resting.directory,
                    body: resting.body,
                    blocks: Some(blocks),
                }));
            }
            self.files.end(&resting.directory, &of.name, true);
        }
        match (self.files.find(of), self.files.existing()) {
            (Found::Part(body, blocks), Some(directory)) => {
                let blocks = Some(blocks);
                return Ok(Some(Taken {
                    directory,
                    body,
                    blocks,
                }));
            }
            (Found::Busy, _) => return Ok(None),
            (Found::Useless, Some(directory)) => self.files.end(&directory, &of.name, true),
            _ => {}
        }
        if otherwise == Otherwise::Nothing {
            return Ok(None);
        }
        let begun = self.files.begin(of)?;
        Ok(begun.map(|(directory, body)| Taken {
            directory,
            body,
            blocks: None,
        }))
    }

    /// Takes a partial from those at rest.
    fn wake(&self, name: &str) -> Option<Resting> {
        let mut table = self.table();
        let at = table.resting.iter().position(|it| it.of.name == name)?;
        table.resting.remove(at)
    }

    /// Nobody sends it any more: it waits until somebody does.
    pub(super) fn rest(&self, of: &Partial, taken: Taken) {
        let mut let_go = Vec::new();
        let left = self.files.version(&taken.body, of);
        let mut table = self.table();
        table.taken.remove(&of.name);
        table.resting.push_back(Resting {
            of: of.clone(),
            body: taken.body,
            blocks: taken.blocks.unwrap_or_default(),
            directory: taken.directory,
            since: Instant::now(),
            left,
        });
        let blocks = |table: &Table| -> usize {
            let tracked = table.resting.iter().map(|it| it.blocks.tracked());
            tracked.sum()
        };
        while table.resting.len() > RESTING_MAX || blocks(&table) > RESTING_BLOCKS_MAX {
            let_go.extend(table.resting.pop_front());
        }
        drop(table);
        self.changed.notify_all();
    }

    /// It is published, or given up: nothing of it is kept.
    pub(super) fn end(&self, directory: &OwnedFd, of: &Partial, is_named: bool) {
        self.files.end(directory, &of.name, is_named);
        self.let_go(of);
    }

    /// Nobody receives it any more.
    fn let_go(&self, of: &Partial) {
        self.table().taken.remove(&of.name);
        self.changed.notify_all();
    }

    /// Removes those that nobody came back for.
    pub(super) fn sweep(&self) -> Swept {
        let keep = self.keep();
        let old: VecDeque<Resting> = {
            let mut table = self.table();
            let all = std::mem::take(&mut table.resting);
            let (old, rest) = all.into_iter().partition(|it| it.since.elapsed() >= keep);
            table.resting = rest;
            old
        };
        // With them go their locks.
        drop(old);
        self.files
            .sweep(keep, |name| self.table().taken.contains_key(name))
    }

    /// Keeps no more of what nobody sends for an identity than this: the oldest go first.
    /// `is_offered` says which are about to be gone on with.
    pub(super) fn keep_at_rest(
        &self,
        by: &Identity,
        most: Swept,
        is_offered: impl Fn(&str) -> bool,
    ) -> Swept {
        let (mut kept, mut gone) = (Swept::default(), Swept::default());
        for Old { name, bytes } in self.files.oldest(Some(by)).into_iter().rev() {
            if is_offered(&name) || self.table().taken.contains_key(&name) {
                continue;
            }
            kept.files += 1;
            kept.bytes = kept.bytes.saturating_add(bytes);
            if kept.files <= most.files && kept.bytes <= most.bytes {
                continue;
            }
            drop(self.wake(&name));
            if self.files.remove_unused(&name) {
                gone.files += 1;
                gone.bytes += bytes;
            }
        }
        gone
    }

    /// Frees so many bytes by removing what was written to the longest ago, and nothing where
    /// all of it would not do. What is received now stays, and what was offered.
    pub(super) fn make_room(&self, bytes: u64, offered: &[&Partial]) -> u64 {
        let is_wanted = |name: &str| offered.iter().any(|it| it.name == name);
        let mut old = self.files.oldest(None);
        old.retain(|it| !is_wanted(&it.name) && !self.table().taken.contains_key(&it.name));
        if old.iter().map(|it| it.bytes).sum::<u64>() < bytes {
            return 0;
        }
        let mut swept = Swept::default();
        for Old { name, bytes: has } in old {
            if swept.bytes >= bytes {
                break;
            }
            // With it goes its lock.
            self.table().resting.retain(|it| it.of.name != name);
            if self.files.remove_unused(&name) {
                swept.files += 1;
                swept.bytes += has;
            }
        }
        let Swept { files, bytes } = swept;
        info!(
            files,
            bytes, "swept the oldest uploads that were broken off, to make room"
        );
        bytes
    }

    /// Waits until a part can be taken, or somebody else who receives it is there to stay.
    pub(super) fn await_turn(&self, by: &LocalStaged, of: &Partial) {
        let since = Instant::now();
        self.wait(of, |number| match by.shared.under_way.find(number) {
            // It is being put away at this moment.
            None => true,
            Some(other) => !other.gives_way_to(by) && !other.stays(since),
        });
    }

    /// Waits while whoever receives a part goes on with what `goes_on` asks of it.
    pub(super) fn wait(&self, of: &Partial, goes_on: impl Fn(u64) -> bool) {
        let end = Instant::now() + WAIT_MAX;
        // Looked at without the table: what is dropped meanwhile may need it.
        while self.taker(of).is_some_and(&goes_on) && Instant::now() < end {
            let table = self.table();
            drop(
                self.changed
                    .wait_timeout(table, TICK)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }
}
