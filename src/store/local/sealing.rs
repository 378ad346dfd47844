//! From staged to ready: what its sender claimed is proved, and all that is to be said
//! of a file beside its bytes is set.

use std::os::fd::OwnedFd;
use std::sync::PoisonError;

use rustix::fs::OFlags;

use super::checksum_record::{Record, Recording};
use super::judging::AT_ONCE;
use super::staging::{Life, LocalStaged};
use super::tree::{mtime_of, size_of, version_of};
use crate::content::{Checksum, Node, Pass, merge};
use crate::entry::{Kind, LinkTarget, Mode, Version};
use crate::offer::OnExisting;
use crate::store::error::{Action, Error};
use crate::store::{Claim, Staged, Standing, Touching};

/// What is proved and waits to be flushed.
#[derive(Debug)]
pub(super) struct Sealed {
    /// The descriptor that saw all writes, if it is still open; for a file that was
    /// here already, the file itself.
    pub(super) file: Option<OwnedFd>,
    /// What was proved of its content.
    pub(super) checksum: Option<Checksum>,
    /// A second checksum that was proved.
    pub(super) second: Option<Checksum>,
    /// Where it is.
    pub(super) at: At,
}

/// Where a sealed entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Under its staged name, to be renamed.
    Staging,
    /// Under its own name, since before it was offered.
    Home,
}

impl LocalStaged {
    /// Ends the staging and proves what its sender claimed.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] leaves the staging as it was; any other ends it.
    pub(super) fn seal(&self, claim: &Claim, touching: Touching) -> Result<Sealed, Error> {
        match (&self.entry().kind, self.standing()) {
            (Kind::Link(_), Standing::Same(version)) => self.settle_link(version, touching),
            (Kind::Link(target), _) => self.make_link(target),
            (_, Standing::Same(version)) => self.settle_file(version, None, touching),
            (_, Standing::SameIf(version, checksum)) if self.blocks().are_untouched() => {
                if claim.whole == Some(checksum) {
                    self.settle_file(version, Some(checksum), touching)
                } else {
                    Err(Error::Incomplete(self.entry().path.clone()))
                }
            }
            _ => self.seal_blocks(claim),
        }
    }

    /// Every block is verified, their merge and the second checksum are as announced.
    fn seal_blocks(&self, claim: &Claim) -> Result<Sealed, Error> {
        let path = || self.entry().path.clone();
        let mut life = self.life.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*life, Life::Ended) {
            return Err(Error::NoStaging);
        }
        let nodes: Option<Vec<Node>> = self.held().into_iter().collect();
        let nodes = nodes.filter(|nodes| !nodes.is_empty());
        let nodes = nodes.ok_or_else(|| Error::Incomplete(path()))?;
        let (file, finished) = match std::mem::replace(&mut *life, Life::Ended) {
            Life::Open(body) => (body.file.into_file(), false),
            Life::Written(file) => (file, true),
            Life::Unborn | Life::Ended => return Err(Error::NoStaging),
        };
        let whole = merge(&nodes).ok_or_else(|| Error::Incomplete(path()))?;
        if claim.whole != Some(whole) {
            return Err(Error::Mismatch(path()));
        }
        if !finished || claim.second.is_some() {
            let reopened;
            let open = if let Some(file) = &file {
                file
            } else {
                let name = self.name();
                let sys = &self.shared.tree.sys;
                reopened = sys
                    .open_in(self.directory(), &name, OFlags::RDONLY)
                    .map_err(|errno| self.failed(Action::Open, errno))?;
                &reopened
            };
            self.prove_second(open, claim.second)?;
            if !finished {
                self.finish(open)?;
            }
        }
        Ok(Sealed {
            file,
            checksum: Some(whole),
            second: claim.second,
            at: At::Staging,
        })
    }

    /// The file is here: its mode is set, and its time where its content was compared.
    fn settle_file(
        &self,
        version: Version,
        proved: Option<Checksum>,
        touching: Touching,
    ) -> Result<Sealed, Error> {
        let entry = self.entry();
        let tree = &self.shared.tree;
        let (file, stat) = tree.open_file(&entry.path)?;
        let record = Record::of(&tree.sys, &file);
        let untouched = record.filter(|record| record.is_untouched(&stat));
        let second = untouched.and_then(|record| record.second);
        let untouched = untouched.map(|record| record.checksum);
        // An earlier commit, whose receipt was lost, may have done all this: then it has
        // the size and time that were offered, and what is proved is on record.
        let is_done = size_of(&stat) == entry.size()
            && mtime_of(&stat) == entry.mtime
            && (proved.is_none() || untouched == proved);
        if version_of(&stat) != version && !is_done {
            return Err(Error::Overtaken(entry.path.clone()));
        }
        let checksum = proved.or(untouched);
        let failed = |errno| self.failed(Action::Record, errno);
        let set = || {
            if touching == Touching::Leave {
                return Ok(());
            }
            let sys = &tree.sys;
            let is_moved = entry.mode != Mode::masked(stat.st_mode);
            if is_moved {
                sys.set_mode(&file, entry.mode).map_err(failed)?;
            }
            let is_later = mtime_of(&stat) != entry.mtime;
            if is_later {
                // The time that is set here is what whoever writes in place has moved: it is
                // looked at as late as can be, as nobody sees that edit afterwards.
                let now = sys.stat(&file).map_err(failed)?;
                if (size_of(&now), mtime_of(&now)) != (size_of(&stat), mtime_of(&stat)) {
                    return Err(Error::Overtaken(entry.path.clone()));
                }
                sys.set_mtime(&file, entry.mtime).map_err(failed)?;
            }
            // One that was on record for other bytes must not outlive the proof, and one for
            // these is to be no older than what was just set. What somebody may have written
            // since nobody vouches for, unless it was proved.
            let renewed = proved.or(untouched);
            match renewed.filter(|_| is_moved || is_later || renewed != untouched) {
                Some(checksum) => Recording {
                    file: &file,
                    size: entry.size(),
                    mtime: entry.mtime,
                    mode: entry.mode,
                    checksum,
                    second: second.filter(|_| untouched == Some(checksum)),
                }
                .keep(sys)
                .map_err(failed),
                None => Ok(()),
            }
        };
        set()?;
        Ok(Sealed {
            file: Some(file),
            checksum,
            second: None,
            at: At::Home,
        })
    }

    fn settle_link(&self, version: Version, touching: Touching) -> Result<Sealed, Error> {
        let entry = self.entry();
        let tree = &self.shared.tree;
        let (directory, stat) = tree.look_in(&entry.path)?;
        if version_of(&stat) != version {
            return Err(Error::Overtaken(entry.path.clone()));
        }
        if mtime_of(&stat) != entry.mtime && touching == Touching::Settle {
            tree.sys
                .set_link_mtime(&directory, entry.path.name(), entry.mtime)
                .map_err(|errno| self.failed(Action::Record, errno))?;
        }
        Ok(Sealed {
            file: None,
            checksum: None,
            second: None,
            at: At::Home,
        })
    }

    fn make_link(&self, target: &LinkTarget) -> Result<Sealed, Error> {
        let mut life = self.life.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(std::mem::replace(&mut *life, Life::Ended), Life::Ended) {
            return Err(Error::NoStaging);
        }
        let sys = &self.shared.tree.sys;
        let name = self.name();
        sys.make_link(target.as_str(), &self.area.directory, &name)
            .map_err(|errno| self.failed(Action::MakeLink, errno))?;
        self.was_named();
        sys.set_link_mtime(&self.area.directory, &name, self.entry().mtime)
            .map_err(|errno| self.failed(Action::Record, errno))?;
        Ok(Sealed {
            file: None,
            checksum: None,
            second: None,
            at: At::Staging,
        })
    }

    /// Reads the staged bytes in order and holds them against a second checksum.
    fn prove_second(&self, file: &OwnedFd, second: Option<Checksum>) -> Result<(), Error> {
        let Some(second) = second else {
            return Ok(());
        };
        let mut pass = Pass::new(second.algorithm());
        let mut buffer = vec![0; AT_ONCE];
        let mut offset = 0;
        while offset < self.entry().size() {
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
            Err(Error::Mismatch(self.entry().path.clone()))
        }
    }

    /// A second checksum that was proved with this first one: a repair gives a file bytes that
    /// it is known to have had, and that is as true of them as it was then.
    fn second_on_record(&self, first: Checksum) -> Option<Checksum> {
        let file = match self.on_existing() {
            OnExisting::ReplaceVersion(_) => self.replaced()?,
            OnExisting::Refuse | OnExisting::IfNewer | OnExisting::Replace => return None,
        };
        let record = Record::of(&self.shared.tree.sys, file);
        record.filter(|record| record.checksum == first)?.second
    }

    /// Sets mode and time.
    pub(super) fn finish(&self, file: &OwnedFd) -> Result<(), Error> {
        let sys = &self.shared.tree.sys;
        sys.set_mode(file, self.entry().mode)
            .and_then(|()| sys.set_mtime(file, self.entry().mtime))
            .map_err(|errno| self.failed(Action::Record, errno))
    }

    /// Records what was proved, and has `publish` give it its name at once.
    pub(super) fn record(
        &self,
        sealed: &Sealed,
        publish: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(checksum) = sealed.checksum else {
            return publish();
        };
        let sys = &self.shared.tree.sys;
        let reopened;
        let file = if let Some(file) = &sealed.file {
            file
        } else {
            reopened = sys
                .open_in(self.directory(), &self.name(), OFlags::RDONLY)
                .map_err(|errno| self.failed(Action::Open, errno))?;
            &reopened
        };
        let entry = self.entry();
        let recording = Recording {
            file,
            size: entry.size(),
            mtime: entry.mtime,
            mode: entry.mode,
            checksum,
            second: sealed.second.or_else(|| self.second_on_record(checksum)),
        };
        recording.before(sys, |errno| self.failed(Action::Record, errno), publish)
    }
}
