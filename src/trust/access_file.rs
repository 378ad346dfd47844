//! The access file: who may do what, as it stands there.
//!
//! It is changed here, and read whole. What a server makes of it, question by question,
//! is the affair of [`Grants`](super::Grants).

use std::path::{Path, PathBuf};

use super::error::Error;
use super::grant::Admission;
use super::line::LineError;
use super::line_file::{self, LineFile, add, all};
use super::places::Places;
use super::who::Who;

const HEAD: &str = r#"# Who may do what. A server reads this again as soon as it changes: haul authorize and
# haul revoke change it, haul access shows it, and you can edit it. A line is
#
#   KEY root=DIR rights=read,write,replace,delete [name=NAME] [under=PATH]
#       [max-bytes=10GiB] [max-files=100] [expires=2025-11-22T12:00:00Z]
#
# without a break. KEY is "ssh-ed25519 AAAA..." or "SHA256:..."; DIR is absolute, without
# links in it, and the line holds for a server of exactly that directory. What holds a
# space is quoted: name="Anna B.". A line that is broken, or that another one contradicts,
# admits nobody.
"#;

/// The access file of one user.
#[derive(Clone, Debug)]
pub struct AccessFile(LineFile);

/// What an access file says.
#[derive(Clone, Debug, Default)]
pub struct Admissions {
    /// The lines that hold, expired ones too.
    pub holding: Vec<Admission>,
    /// The numbers of the lines that admit nobody, the first being 1, and why.
    pub broken: Vec<(usize, LineError)>,
}

/// Whose lines are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Those of this key.
    Key(Who),
    /// Those that have this name.
    Name(String),
}

impl AccessFile {
    /// The file of the user whose files are there. Nothing is read yet.
    #[must_use]
    pub fn new(places: &Places) -> Self {
        Self(LineFile::new(places.config(), "access", HEAD))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.path()
    }

    /// Reads it. What is not there admits nobody.
    ///
    /// # Errors
    ///
    /// Where it cannot be relied on.
    pub fn read(&self) -> Result<Admissions, Error> {
        Ok(Admissions::parse(&self.0.text()?))
    }

    /// The same, to be asked again and again.
    pub(super) fn lines(&self) -> LineFile {
        self.0.clone()
    }

    /// Writes a line, in place of those that the same key has for the same root, and
    /// returns the last of those.
    ///
    /// # Errors
    ///
    /// Where the file cannot be relied on or changed.
    pub fn authorize(&self, admission: &Admission) -> Result<Option<Admission>, Error> {
        self.0.change(|text| {
            let whom = Whom::Key(admission.who);
            let (rest, mut gone) = without(text, &whom, Some(&admission.root));
            let new = add(&rest, &admission.to_string());
            Ok((Some(new), gone.pop()))
        })
    }

    /// Removes the lines of somebody, of all roots or of one, and returns them.
    ///
    /// # Errors
    ///
    /// Where the file cannot be relied on or changed.
    pub fn revoke(&self, whom: &Whom, root: Option<&Path>) -> Result<Vec<Admission>, Error> {
        self.0.change(|text| {
            let (rest, gone) = without(text, whom, root);
            Ok(((!gone.is_empty()).then_some(rest), gone))
        })
    }
}

impl Admissions {
    /// Reads the text of a file: every text says something, be it only what is broken.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let about = |one: &Admission| (one.who.fingerprint(), one.root.clone());
        let (holding, broken) = all(text, Admission::parse, about);
        Self { holding, broken }
    }
}

impl Whom {
    fn is(&self, admission: &Admission) -> bool {
        match self {
            Self::Key(who) => admission.who.fingerprint() == who.fingerprint(),
            Self::Name(name) => admission.grant.name.as_ref() == Some(name),
        }
    }
}

/// The text without somebody's lines, and what those said.
fn without(text: &str, whom: &Whom, root: Option<&Path>) -> (String, Vec<Admission>) {
    let is_meant = |one: &Admission| whom.is(one) && root.is_none_or(|root| one.root == root);
    line_file::without(text, |line| Admission::parse(line).ok()?.filter(is_meant))
}
