//! The file of invitations, as it stands there.
//!
//! It is kept with the state, and not beside the access file: a server writes into it whom
//! an invitation was used by, and what decides who may come in beyond that it cannot change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use crate::net::keys::Fingerprint;
use crate::token::{InvitationId, Token};
use crate::utc::Utc;

use super::access_file::Whom;
use super::error::{Action, Error};
use super::grant::Grant;
use super::invitation::{Bearer, Invitation};
use super::line::LineError;
use super::line_file::{LineFile, add, all, without};
use super::places::Places;
use super::private_file::system;

const HEAD: &str = "\
# Invitations: who shows the secret of one may do what its line says. haul invite and haul
# revoke change this file, haul access shows it, and a server that is used by an invitation
# made --once writes down by whom (bound=). Of a secret only the hash is here. A line that is
# broken admits nobody.
";

/// How long an invitation that has expired is kept, in seconds, so that whoever comes by it
/// is told why they may not.
const KEPT: i64 = 30 * 86_400;

/// How long a server waits for others who change the file: whoever comes in by it waits too,
/// and not for long.
const PATIENCE: Duration = Duration::from_secs(5);

/// The invitations of one user.
#[derive(Clone, Debug)]
pub struct InvitationFile(LineFile);

/// What the file says.
#[derive(Clone, Debug, Default)]
pub struct Invitations {
    /// The lines that hold, expired ones too.
    pub holding: Vec<Invitation>,
    /// The numbers of the lines that admit nobody, the first being 1, and why.
    pub broken: Vec<(usize, LineError)>,
}

impl InvitationFile {
    /// The file of the user whose files are there. Nothing is read yet.
    #[must_use]
    pub fn new(places: &Places) -> Self {
        Self(LineFile::new(places.state(), "invitations", HEAD))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.path()
    }

    /// Reads it. What is not there invites nobody.
    ///
    /// # Errors
    ///
    /// Where it cannot be relied on.
    pub fn read(&self) -> Result<Invitations, Error> {
        Ok(Invitations::parse(&self.0.text()?))
    }

    /// The same, to be asked again and again by a server.
    pub(super) fn lines(&self) -> LineFile {
        self.0.clone().waiting(PATIENCE)
    }

    /// Makes an invitation, and returns it with the secret that nobody can be told again.
    ///
    /// # Errors
    ///
    /// Where the file cannot be relied on or changed.
    pub fn invite(
        &self,
        root: &Path,
        grant: &Grant,
        bearer: Bearer,
        now: Utc,
    ) -> Result<(Invitation, Token), Error> {
        self.0.change(|text| {
            let is_over = |one: &Invitation| one.grant.expires.is_some_and(|e| e.plus(KEPT) < now);
            let (text, _) = without(text, |line| Invitation::parse(line).ok()?.filter(is_over));
            let token = self.unused(&text)?;
            let invitation = Invitation {
                id: token.id,
                hash: token.secret.hash(),
                bearer,
                root: root.to_owned(),
                grant: grant.clone(),
            };
            let new = add(&text, &invitation.to_string());
            Ok((Some(new), (invitation, token)))
        })
    }

    /// Removes invitations, of all roots or of one, and returns them: those of this id or
    /// name, or those that the holder of a key came by alone.
    ///
    /// # Errors
    ///
    /// Where the file cannot be relied on or changed.
    pub fn revoke(&self, whom: &Whom, root: Option<&Path>) -> Result<Vec<Invitation>, Error> {
        let is_meant =
            |one: &Invitation| is_of(one, whom) && root.is_none_or(|root| one.root == root);
        self.0.change(|text| {
            let (rest, gone) = without(text, |line| Invitation::parse(line).ok()?.filter(is_meant));
            Ok(((!gone.is_empty()).then_some(rest), gone))
        })
    }

    /// A token of which no line has the id, be it broken.
    fn unused(&self, text: &str) -> Result<Token, Error> {
        loop {
            let token = Token::generate().map_err(|error| {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                system(Action::Write, &self.path(), errno)
            })?;
            if !text.contains(&token.id.to_string()) {
                return Ok(token);
            }
        }
    }
}

impl Invitations {
    /// Reads the text of a file: every text says something, be it only what is broken.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (holding, broken) = all(text, Invitation::parse, |one| one.id);
        Self { holding, broken }
    }
}

/// Binds the invitation of an id to the key that it was first used with, and has that on
/// disk. One that is bound already, or gone, stays as it is.
pub(super) fn bind(file: &LineFile, id: InvitationId, to: Fingerprint) -> Result<(), Error> {
    file.change(|text| {
        let bearer = Bearer::Only(to);
        let mut is_bound = false;
        let lines = text.split_inclusive('\n').map(|line| {
            let read = Invitation::parse(line).ok().flatten();
            let is_meant = |one: &Invitation| one.id == id && one.bearer == Bearer::First;
            match read.filter(is_meant) {
                // What may have been cut off admits nobody, and stays cut off.
                Some(one) if line.ends_with('\n') => {
                    is_bound = true;
                    format!("{}\n", Invitation { bearer, ..one })
                }
                _ => line.to_owned(),
            }
        });
        let new: String = lines.collect();
        Ok((is_bound.then_some(new), ()))
    })
}

fn is_of(invitation: &Invitation, whom: &Whom) -> bool {
    match whom {
        Whom::Key(who) => invitation.bearer == Bearer::Only(who.fingerprint()),
        Whom::Name(name) => {
            invitation.grant.name.as_ref() == Some(name)
                || InvitationId::parse(name) == Some(invitation.id)
        }
    }
}
