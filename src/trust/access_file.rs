//! The access file: who may do what, as it stands there.
//!
//! It is changed here, and read whole. What a server makes of it, question by question,
//! is the affair of [`Grants`](super::Grants).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::net::keys::Fingerprint;

use super::error::Error;
use super::grant::Admission;
use super::line::{LineError, numbered};
use super::line_file::{LineFile, add};
use super::places::Places;
use super::private_file::Found;
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

    /// Reads it as it is on disk.
    pub(super) fn find(&self) -> Result<Option<Found>, Error> {
        self.0.read()
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
        let mut read = Self::default();
        let mut first: HashMap<(Fingerprint, PathBuf), usize> = HashMap::new();
        let mut lines = Vec::new();
        for (number, line) in numbered(text) {
            match Admission::parse(line) {
                // What was cut off may have been a limit.
                Ok(Some(_)) if !line.ends_with('\n') => {
                    read.broken.push((number, LineError::Unfinished));
                }
                Ok(Some(admission)) => lines.push((number, admission)),
                Ok(None) => {}
                Err(why) => read.broken.push((number, why)),
            }
        }
        let mut contradicted = BTreeMap::new();
        for (number, admission) in &lines {
            let about = (admission.who.fingerprint(), admission.root.clone());
            // Which of the two was meant nobody can tell.
            if let Some(other) = first.insert(about, *number) {
                contradicted.extend([(other, *number), (*number, other)]);
            }
        }
        lines.retain(|(number, _)| !contradicted.contains_key(number));
        let also_in = |(number, other)| (number, LineError::AlsoIn(other));
        read.broken.extend(contradicted.into_iter().map(also_in));
        read.broken.sort_by_key(|(number, _)| *number);
        read.holding = lines.into_iter().map(|(_, admission)| admission).collect();
        read
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

/// The text without somebody's lines, and what those said. Also lines that contradict
/// each other go, and one that is unfinished.
fn without(text: &str, whom: &Whom, root: Option<&Path>) -> (String, Vec<Admission>) {
    let mut rest = String::new();
    let mut gone = Vec::new();
    for line in text.split_inclusive('\n') {
        match Admission::parse(line) {
            Ok(Some(one)) if whom.is(&one) && root.is_none_or(|root| one.root == root) => {
                gone.push(one);
            }
            _ => rest.push_str(line),
        }
    }
    (rest, gone)
}
