//! The access file as a server asks it: anew with everything that is done.
//!
//! What a person takes away must be gone at once, also from a conversation that is under
//! way, so each question looks whether the file has changed. That look is one system
//! call; only where it finds a change is the file read again. While it cannot be read,
//! nobody is admitted.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::net::keys::{Fingerprint, PublicKey};
use crate::utc::Utc;

use super::access_file::{AccessFile, Admissions};
use super::error::Error;
use super::grant::{Admission, Grant};
use super::latest_time::LatestTime;
use super::places::Places;
use super::private_file::Stamp;

/// How old a change must be, in seconds, before another one is sure to have another
/// time: file systems count in coarse steps.
const SETTLED: i64 = 2;

/// Who may do what, at every moment.
#[derive(Debug)]
pub struct Grants {
    file: AccessFile,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    read: Read,
    latest: LatestTime,
    /// What was logged last, so that it is not said with every question.
    told: Option<Error>,
}

/// What was read.
#[derive(Debug, Default)]
struct Read {
    /// What the file was then; `None` is a file that is not there.
    stamp: Option<Stamp>,
    /// Whether an equal stamp means that nothing has changed since.
    is_settled: bool,
    by_key: HashMap<Fingerprint, Vec<(PathBuf, Grant)>>,
    /// Whether any line ends at some time.
    has_end: bool,
}

impl Grants {
    /// Those of the user whose files are there. Nothing is read yet.
    #[must_use]
    pub fn new(places: &Places) -> Self {
        let file = AccessFile::new(places);
        Self {
            path: file.path(),
            file,
            state: Mutex::new(State {
                read: Read::default(),
                latest: LatestTime::new(places),
                told: None,
            }),
        }
    }

    /// What the holder of a key may do now in a root, which is absolute and has no links
    /// in it; nothing where they are not admitted at all.
    #[must_use]
    pub fn grant_for(&self, key: &PublicKey, root: &Path, now: Utc) -> Option<Grant> {
        let mut state = self.fresh();
        let now = state.time(now);
        let fingerprint = key.fingerprint();
        let roots = state.read.by_key.get(&fingerprint)?;
        let (_, grant) = roots.iter().find(|(named, _)| named == root)?;
        let grant = grant.clone();
        match (grant.expires, now) {
            (None, _) => Some(grant),
            // What time it is cannot be told, and so not what has expired.
            (Some(_), None) => None,
            (Some(end), Some(now)) if now < end => Some(grant),
            (Some(end), Some(_)) => {
                // Once this was said, it stays so.
                state.keep(Some(end));
                None
            }
        }
    }

    /// Whether anybody at all is admitted to a root now.
    #[must_use]
    pub fn admits_anybody(&self, root: &Path, now: Utc) -> bool {
        let mut state = self.fresh();
        let now = state.time(now);
        let holds = |grant: &Grant| {
            let is_before = |end| now.is_some_and(|now| now < end);
            grant.expires.is_none_or(is_before)
        };
        state.read.of_root(root).any(holds)
    }

    /// The state, with what the file says at this moment.
    fn fresh(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = state.read.is_settled
            && Stamp::of(&self.path).is_ok_and(|stamp| stamp == state.read.stamp);
        if !is_same {
            match self.read() {
                Ok((read, broken)) => {
                    if read.stamp != state.read.stamp {
                        for line in &broken {
                            tracing::warn!("{line}: it admits nobody");
                        }
                        state.told = None;
                    }
                    state.read = read;
                }
                Err(error) => {
                    // The next question tries again.
                    state.read = Read::default();
                    state.tell(error, "nobody is admitted");
                }
            }
        }
        state
    }

    /// Reads the file, and lists what is broken in it.
    fn read(&self) -> Result<(Read, Vec<Error>), Error> {
        let now = Utc::now();
        let Some(found) = self.file.find()? else {
            let read = Read {
                is_settled: true,
                ..Read::default()
            };
            return Ok((read, Vec::new()));
        };
        let Admissions { holding, broken } = Admissions::parse(&found.text);
        let has_end = holding.iter().any(|one| one.grant.expires.is_some());
        let mut by_key: HashMap<_, Vec<_>> = HashMap::new();
        for Admission { who, root, grant } in holding {
            by_key
                .entry(who.fingerprint())
                .or_default()
                .push((root, grant));
        }
        let read = Read {
            stamp: Some(found.stamp),
            is_settled: found.stamp.changed().plus(SETTLED) < now,
            by_key,
            has_end,
        };
        let broken = broken.into_iter().map(|(line, why)| {
            let path = self.path.clone();
            Error::Line { path, line, why }
        });
        Ok((read, broken.collect()))
    }
}

impl Read {
    /// What is granted in a root, to whomever.
    fn of_root(&self, root: &Path) -> impl Iterator<Item = &Grant> {
        let all = self.by_key.values().flatten();
        all.filter_map(move |(named, grant)| (named == root).then_some(grant))
    }
}

impl State {
    /// The time to judge by, where that matters and can be told.
    fn time(&mut self, now: Utc) -> Option<Utc> {
        if !self.read.has_end {
            return None;
        }
        match self.latest.see(now) {
            Ok(latest) => {
                self.keep(None);
                Some(latest)
            }
            Err(error) => {
                self.tell(error, "whoever is admitted for a time is not admitted");
                None
            }
        }
    }

    /// Has the time written down. Where that fails it still holds while this runs.
    fn keep(&mut self, moment: Option<Utc>) {
        if let Err(error) = self.latest.keep(moment) {
            self.tell(
                error,
                "after a restart, a clock that was set back is believed",
            );
        }
    }

    fn tell(&mut self, error: Error, consequence: &str) {
        if self.told.as_ref() != Some(&error) {
            tracing::warn!("{error}: {consequence}");
            self.told = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::places::Variables;
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_is_settled_is_looked_at_and_read_when_it_has_changed() {
        let home = tempfile::tempdir().unwrap();
        let variables = Variables {
            home: Some(home.path().into()),
            ..Variables::default()
        };
        let grants = Grants::new(&Places::find(&variables).unwrap());
        let key = crate::net::keys::Keypair::generate().unwrap().0.public();
        let line = format!("{key} root=/a rights=read");
        let mut admission = Admission::parse(&line).unwrap().unwrap();
        grants.file.authorize(&admission).unwrap();
        let rights = || {
            let grant = grants.grant_for(&key, Path::new("/a"), Utc::now());
            grant.map(|grant| grant.rights.0)
        };
        assert_eq!(rights(), Some(1));
        // Nobody can make a change an old one, but what was read can say that it was.
        {
            let mut state = grants.state.lock().unwrap();
            admission.grant.rights.0 = 2;
            let known = vec![(admission.root, admission.grant)];
            state.read.by_key.insert(key.fingerprint(), known);
            state.read.is_settled = true;
        }
        assert_eq!(rights(), Some(2));
        set_permissions(&grants.path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(rights(), Some(1));
    }
}
