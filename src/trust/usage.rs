//! How much was stored by those who may store at most so much, as it stands on disk.
//!
//! ```text
//! SHA256:... root=/srv/files bytes=1048576 files=3
//! ```
//!
//! It has a directory of its own, and so a lock of its own: a server that counts what is
//! stored does so all the time, and nobody else has to wait for that.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::net::keys::Fingerprint;

use super::error::Error;
use super::grant::{Admission, is_root};
use super::invitation::Invitation;
use super::line::{LineError, fields, numbered, quoted, words};
use super::line_file::{LineFile, add};
use super::places::Places;

const HEAD: &str = "\
# What was stored by those who may store at most so much. A server counts it here before it
# stores. What is replaced or removed later stays counted, until haul authorize admits the
# same key anew: then it begins at nothing. haul access shows it.
";

/// Whose storing is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// That of whoever holds a key.
    Key(Fingerprint),
    /// That of all who come by one invitation, which has this id.
    Invitation(String),
}

impl From<&Admission> for Account {
    fn from(admission: &Admission) -> Self {
        Self::Key(admission.who.fingerprint())
    }
}

impl From<&Invitation> for Account {
    fn from(invitation: &Invitation) -> Self {
        Self::Invitation(invitation.id.to_string())
    }
}

/// So much that is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes of content.
    pub bytes: u64,
    /// Files and links.
    pub files: u64,
}

/// What was stored, by each account in each root.
pub type Used = HashMap<About, Amount>;

/// Whose storing, and in which root.
type About = (Account, PathBuf);

/// The file in which what was stored is counted.
#[derive(Clone, Debug)]
pub struct UsageFile(LineFile);

/// The fields in the order in which they are written.
const FIELDS: [&str; 3] = ["root", "bytes", "files"];

/// What an invitation's id stands behind.
const INVITATION: &str = "invitation=";

impl UsageFile {
    /// The file of the user whose files are there. Nothing is read yet.
    #[must_use]
    pub fn new(places: &Places) -> Self {
        Self(LineFile::new(&places.state().join("usage"), "ledger", HEAD))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.path()
    }

    /// Reads it. Where it is not there, nothing was stored.
    ///
    /// # Errors
    ///
    /// Where it cannot be relied on. A line that says nothing certain is one about anybody.
    pub fn read(&self) -> Result<Used, Error> {
        self.parse(&self.0.text()?)
    }

    /// Begins to count at nothing for these, as they are admitted anew or no more.
    ///
    /// # Errors
    ///
    /// Where the file cannot be relied on or changed.
    pub fn forget(&self, whom: &[(Account, PathBuf)]) -> Result<(), Error> {
        let is_about = |line: &str| {
            let parsed = parse(line);
            parsed.is_ok_and(|parsed| parsed.is_some_and(|(about, _)| whom.contains(&about)))
        };
        if !self.0.text()?.split_inclusive('\n').any(is_about) {
            return Ok(());
        }
        self.0.change(|text| {
            let others = text.split_inclusive('\n').filter(|line| !is_about(line));
            Ok((Some(others.collect()), ()))
        })
    }

    /// Has `edit` say what is to be counted for an account in place of what is, if that is
    /// to change.
    pub(super) fn change<T>(
        &self,
        account: &Account,
        root: &Path,
        edit: impl FnOnce(Amount) -> (Option<Amount>, T),
    ) -> Result<T, Error> {
        let about = (account.clone(), root.to_owned());
        self.0.change(|text| {
            let used = self.parse(text)?.remove(&about).unwrap_or_default();
            let (new, result) = edit(used);
            let written = new.map(|new| {
                let is_other = |line: &&str| match parse(line) {
                    Ok(Some((other, _))) => other != about,
                    _ => true,
                };
                let others: String = text.split_inclusive('\n').filter(is_other).collect();
                add(&others, &Line(&about, new).to_string())
            });
            Ok((written, result))
        })
    }

    fn parse(&self, text: &str) -> Result<Used, Error> {
        let mut used = Used::new();
        for (number, line) in numbered(text) {
            let broken = |why| self.0.broken(number, why);
            let Some((about, amount)) = parse(line).map_err(broken)? else {
                continue;
            };
            // What was cut off may have been digits.
            if !line.ends_with('\n') {
                return Err(broken(LineError::Unfinished));
            }
            if used.insert(about, amount).is_some() {
                return Err(broken(LineError::Twice));
            }
        }
        Ok(used)
    }
}

impl Amount {
    /// Whether it is nothing at all.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Both together, or the most that can be counted.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }

    /// What is left without the other one.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            files: self.files.saturating_sub(other.files),
        }
    }
}

/// A line, as it stands in the file.
struct Line<'l>(&'l About, Amount);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self((account, root), Amount { bytes, files }) = self;
        match account {
            Account::Key(fingerprint) => write!(f, "{fingerprint}")?,
            Account::Invitation(id) => write!(f, "{INVITATION}{}", quoted(id.as_bytes()))?,
        }
        let root = quoted(root.as_os_str().as_bytes());
        write!(f, " root={root} bytes={bytes} files={files}")
    }
}

/// Reads a line, or nothing where it says nothing.
fn parse(line: &str) -> Result<Option<(About, Amount)>, LineError> {
    let mut words = words(line)?.into_iter();
    let Some(first) = words.next() else {
        return Ok(None);
    };
    let account = String::from_utf8_lossy(&first);
    let account = match account.strip_prefix(INVITATION) {
        Some(id) => Account::Invitation(id.to_owned()),
        None => Account::Key(Fingerprint::parse(&account)?),
    };
    let [root, bytes, files] = fields(words, FIELDS)?;
    let root = PathBuf::from(OsString::from_vec(root.ok_or(LineError::Missing("root"))?));
    if !is_root(&root) {
        let form = "an absolute path without \"..\"";
        return Err(LineError::Value {
            field: "root",
            form,
        });
    }
    let amount = Amount {
        bytes: count(bytes, "bytes")?,
        files: count(files, "files")?,
    };
    Ok(Some(((account, root), amount)))
}

fn count(value: Option<Vec<u8>>, field: &'static str) -> Result<u64, LineError> {
    let value = value.ok_or(LineError::Missing(field))?;
    // The standard library would take `+1` as well.
    let digits = value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(&value).ok().filter(|_| digits);
    let form = "a number";
    number
        .and_then(|number| number.parse().ok())
        .ok_or(LineError::Value { field, form })
}
