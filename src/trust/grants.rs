//! Who may do what as a server asks it: anew with everything that is done.
//!
//! Both files are [`Watched`], so what a person takes away is gone at once, and while one of
//! them cannot be read, nobody is admitted by it. What expires does so by a clock that is
//! never set back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::net::keys::{Fingerprint, PublicKey};
use crate::token::{InvitationId, Token};
use crate::utc::Utc;

use super::access_file::{AccessFile, Admissions};
use super::error::Error;
use super::grant::{Admission, Grant};
use super::invitation::{Bearer, Invitation};
use super::invitation_file::{InvitationFile, Invitations, bind};
use super::latest_time::LatestTime;
use super::places::Places;
use super::watched::{Made, Watched};

/// Who may do what, at every moment.
#[derive(Debug)]
pub struct Grants {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    access: Watched<Access>,
    invitations: Watched<Invited>,
    latest: LatestTime,
    /// What was logged last of the clock, so that it is not said with every question.
    told: Option<Error>,
}

/// What the access file says.
#[derive(Debug, Default)]
struct Access {
    by_key: HashMap<Fingerprint, Vec<(PathBuf, Grant)>>,
    /// Whether any line ends at some time.
    has_end: bool,
}

/// What the file of invitations says.
type Invited = HashMap<InvitationId, Invitation>;

/// Why somebody may not come in by an invitation. Who has not its secret is told the same of
/// one that exists and of one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uninvited {
    /// There is none of that id and secret, or none any more, or none for this root.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was for one key, and another has come by it.
    Taken,
    /// It is for one key, and that this is the one cannot be written down.
    Unrecorded,
}

impl Grants {
    /// Those of the user whose files are there. Nothing is read yet.
    #[must_use]
    pub fn new(places: &Places) -> Self {
        Self {
            state: Mutex::new(State {
                access: Watched::new(AccessFile::new(places).lines()),
                invitations: Watched::new(InvitationFile::new(places).lines()),
                latest: LatestTime::new(places),
                told: None,
            }),
        }
    }

    /// What the holder of a key may do now in a root, which is absolute and has no links
    /// in it; nothing where they are not admitted at all.
    #[must_use]
    pub fn grant_for(&self, key: &PublicKey, root: &Path, now: Utc) -> Option<Grant> {
        let mut state = self.state();
        state.access.look(by_key);
        let has_end = state.access.known().has_end;
        let now = state.time(has_end, now);
        let fingerprint = key.fingerprint();
        let roots = state.access.known().by_key.get(&fingerprint)?;
        let (_, grant) = roots.iter().find(|(named, _)| named == root)?;
        let grant = grant.clone();
        (!state.is_over(&grant, now)).then_some(grant)
    }

    /// What a guest may do now in a root, who holds a key and comes by an invitation. One
    /// that is for a single key is theirs from the first time on, and that is on disk before
    /// this returns.
    ///
    /// # Errors
    ///
    /// Why they may not come in.
    pub fn grant_by(
        &self,
        token: &Token,
        key: &PublicKey,
        root: &Path,
        now: Utc,
    ) -> Result<Grant, Uninvited> {
        let print = key.fingerprint();
        let (invitation, file) = {
            let mut state = self.state();
            let found = state.invitation(token, print, root, now)?;
            (found, state.invitations.file().clone())
        };
        if invitation.bearer != Bearer::First {
            return Ok(invitation.grant);
        }
        // Nobody else waits meanwhile for an answer.
        if let Err(error) = bind(&file, token.id, print) {
            tracing::warn!("{error}: nobody comes in by the invitation {}", token.id);
            return Err(Uninvited::Unrecorded);
        }
        // Somebody else may have been quicker.
        let invitation = self.state().invitation(token, print, root, now)?;
        if invitation.bearer == Bearer::First {
            return Err(Uninvited::Unrecorded);
        }
        tracing::info!("the invitation {} is bound to {print}", token.id);
        Ok(invitation.grant)
    }

    /// Whether anybody at all is admitted to a root now.
    #[must_use]
    pub fn admits_anybody(&self, root: &Path, now: Utc) -> bool {
        let mut state = self.state();
        let all = state.of_root(root);
        let has_end = all.iter().any(|grant| grant.expires.is_some());
        let now = state.time(has_end, now);
        let is_before = |end| now.is_some_and(|now| now < end);
        all.iter().any(|grant| grant.expires.is_none_or(is_before))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for State {
    /// What was seen outlives an orderly end to the second.
    fn drop(&mut self) {
        let latest = self.latest.seen();
        self.keep(latest);
    }
}

impl State {
    /// The invitation that a token proves and that holds now for a key and a root.
    fn invitation(
        &mut self,
        token: &Token,
        key: Fingerprint,
        root: &Path,
        now: Utc,
    ) -> Result<Invitation, Uninvited> {
        self.invitations.look(by_id);
        let found = self.invitations.known().get(&token.id);
        // An id that nobody has takes as long to refuse as a secret that is wrong.
        let hash = found.map_or(blake3::Hash::from_bytes([0; 32]), |found| found.hash);
        let is_proved = hash == token.secret.hash();
        let invitation = found.filter(|found| is_proved && found.root == root);
        let invitation = invitation.ok_or(Uninvited::Unknown)?.clone();
        let now = self.time(invitation.grant.expires.is_some(), now);
        if self.is_over(&invitation.grant, now) {
            return Err(Uninvited::Expired);
        }
        match invitation.bearer {
            Bearer::Only(first) if first != key => Err(Uninvited::Taken),
            _ => Ok(invitation),
        }
    }

    /// What is granted in a root at this moment, to whomever.
    fn of_root(&mut self, root: &Path) -> Vec<Grant> {
        self.access.look(by_key);
        self.invitations.look(by_id);
        let authorized = self.access.known().by_key.values().flatten();
        let authorized = authorized.filter_map(|(named, grant)| (named == root).then_some(grant));
        let invited = self.invitations.known().values();
        let invited = invited.filter_map(|one| (one.root == root).then_some(&one.grant));
        authorized.chain(invited).cloned().collect()
    }

    /// Whether a grant has ended by the time that [`time`](Self::time) told.
    fn is_over(&mut self, grant: &Grant, now: Option<Utc>) -> bool {
        match (grant.expires, now) {
            (None, _) => false,
            // What time it is cannot be told, and so not what has expired.
            (Some(_), None) => true,
            (Some(end), Some(now)) if now < end => false,
            (Some(end), Some(_)) => {
                // Once this was said, it stays so.
                self.keep(Some(end));
                true
            }
        }
    }

    /// The time to judge by, where something ends and it can be told.
    fn time(&mut self, has_end: bool, now: Utc) -> Option<Utc> {
        if !has_end {
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
        match self.latest.keep(moment) {
            // Whoever is busy beside it ends soon, and the next question tries again.
            Ok(()) | Err(Error::Busy(_)) => {}
            Err(error) => self.tell(
                error,
                "after a restart, a clock that was set back is believed",
            ),
        }
    }

    fn tell(&mut self, error: Error, consequence: &str) {
        if self.told.as_ref() != Some(&error) {
            tracing::warn!("{error}: {consequence}");
            self.told = Some(error);
        }
    }
}

/// Reads the access file.
fn by_key(text: &str) -> Made<Access> {
    let Admissions { holding, broken } = Admissions::parse(text);
    let mut access = Access {
        has_end: holding.iter().any(|one| one.grant.expires.is_some()),
        ..Access::default()
    };
    for Admission { who, root, grant } in holding {
        let roots = access.by_key.entry(who.fingerprint()).or_default();
        roots.push((root, grant));
    }
    (access, broken)
}

/// Reads the file of invitations.
fn by_id(text: &str) -> Made<Invited> {
    let Invitations { holding, broken } = Invitations::parse(text);
    (
        holding.into_iter().map(|one| (one.id, one)).collect(),
        broken,
    )
}
