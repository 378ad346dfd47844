//! What somebody may do in one directory: one line of the access file.
//!
//! ```text
//! ssh-ed25519 AAAA... root=/srv/files rights=read,write name=anna under=inbox
//! ```
//!
//! A field that is not known makes a line broken, and is not passed over: it may be a
//! limit that a later haul has written.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use crate::path::RemotePath;
use crate::utc::Utc;
use crate::wire::message::Rights;

use super::ledger::Limit;
use super::line::{LineError, fields, quoted, words};
use super::who::Who;

/// What somebody may do, and with how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What they are called here.
    pub name: Option<String>,
    /// What they may do.
    pub rights: Rights,
    /// What they take for the root; without it, the root itself.
    pub under: Option<RemotePath>,
    /// Most bytes that they may store.
    pub max_bytes: Option<u64>,
    /// Most files that they may store.
    pub max_files: Option<u64>,
    /// The moment from which they may do nothing.
    pub expires: Option<Utc>,
}

/// A grant, and to whom and where it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// To whom.
    pub who: Who,
    /// The directory, absolute: a server of any other takes no notice of it.
    pub root: PathBuf,
    /// What they may do there.
    pub grant: Grant,
}

/// The rights, as words in the order of their bits.
const RIGHTS: [(&str, Rights); 4] = [
    ("read", Rights(1)),
    ("write", Rights(2)),
    ("replace", Rights(4)),
    ("delete", Rights(8)),
];

/// The fields in the order in which they are written.
const FIELDS: [&str; 7] = [
    "root",
    "rights",
    "name",
    "under",
    "max-bytes",
    "max-files",
    "expires",
];

const SIZES: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// Most bytes of a name: enough for a person, and for a line of a list.
const NAME_MAX: usize = 100;

/// The words for rights: `read`, `write`, `replace`, `delete`.
#[must_use]
pub fn rights_words(rights: Rights) -> Vec<&'static str> {
    let has = |(_, right): &&(_, Rights)| rights.include(*right);
    RIGHTS.iter().filter(has).map(|(word, _)| *word).collect()
}

/// Whether somebody may be called this: it must not look like a key, nor act on a screen.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_plain = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    (1..=NAME_MAX).contains(&text.len())
        && text.trim() == text
        && text.chars().all(is_plain)
        && !["SHA256:", "ssh-"].iter().any(|key| text.starts_with(key))
}

/// Reads a count of bytes: `1000`, `10KiB`, `3GiB`; nothing where it is none, or zero.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let with_unit = |(unit, scale): &(&str, u64)| Some((text.strip_suffix(unit)?, *scale));
    let (number, scale) = SIZES.iter().find_map(with_unit).unwrap_or((text, 1));
    parse_count(number)?.checked_mul(scale)
}

/// Reads a count of something; nothing where it is none, or zero.
#[must_use]
pub fn parse_count(text: &str) -> Option<u64> {
    // The standard library would take `+1` as well.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|count| digits && *count > 0)
}

/// Reads when a grant ends: a moment, or a day, which it is good for to its end.
#[must_use]
pub fn parse_end(text: &str) -> Option<Utc> {
    const DAY: i64 = 86_400;
    /// The last second of the year 9999: the one after it could be written in no line.
    const LAST: i64 = 253_402_300_799;
    let end = |day: Utc| day.plus(DAY).min(Utc::from_seconds(LAST));
    let day = || Utc::parse_date(text).map(end);
    Utc::parse(text).or_else(day)
}

impl Grant {
    /// How much they may store, where that is not as much as they like.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        let (bytes, files) = (self.max_bytes, self.max_files);
        Some(Limit { bytes, files }).filter(|limit| *limit != Limit::default())
    }
}

impl Admission {
    /// Reads a line, or nothing where it says nothing.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(line: &str) -> Result<Option<Self>, LineError> {
        let mut words = words(line)?.into_iter().peekable();
        if words.peek().is_none() {
            return Ok(None);
        }
        let who = Who::take(&mut words)?;
        let (root, grant) = parse_terms(words)?;
        Ok(Some(Self { who, root, grant }))
    }
}

/// Reads the fields of a line: a root, and what is granted there.
pub(super) fn parse_terms(
    words: impl Iterator<Item = Vec<u8>>,
) -> Result<(PathBuf, Grant), LineError> {
    let [root, rights, name, under, max_bytes, max_files, expires] = fields(words, FIELDS)?;
    let root = root.ok_or(LineError::Missing("root"))?;
    let rights = rights.ok_or(LineError::Missing("rights"))?;
    let name = text(
        name,
        "name",
        "a name without characters that cannot be seen",
    );
    let size = "a number, as 1000, 10KiB or 3GiB";
    let grant = Grant {
        rights: text(Some(rights), "rights", RIGHTS_FORM)
            .and(parse_rights)?
            .unwrap_or(Rights(0)),
        name: name.and(|name| is_name(name).then(|| name.to_owned()))?,
        under: parse_under(under)?,
        max_bytes: text(max_bytes, "max-bytes", size).and(parse_size)?,
        max_files: text(max_files, "max-files", "a number").and(parse_count)?,
        expires: text(
            expires,
            "expires",
            "a day or moment, as 2025-11-22T12:04:05Z",
        )
        .and(parse_end)?,
    };
    Ok((parse_root(root)?, grant))
}

/// As it stands in the file.
impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.who)?;
        write_terms(f, &self.root, &self.grant)
    }
}

/// Writes the fields as [`parse_terms`] reads them.
pub(super) fn write_terms(f: &mut fmt::Formatter<'_>, root: &Path, grant: &Grant) -> fmt::Result {
    let Grant {
        name,
        rights,
        under,
        max_bytes,
        max_files,
        expires,
    } = grant;
    let root = quoted(root.as_os_str().as_bytes());
    let rights = rights_words(*rights).join(",");
    write!(f, "root={root} rights={rights}")?;
    if let Some(name) = name {
        write!(f, " name={}", quoted(name.as_bytes()))?;
    }
    if let Some(under) = under {
        write!(f, " under={}", quoted(under.as_str().as_bytes()))?;
    }
    if let Some(bytes) = *max_bytes {
        let whole = |(_, scale): &&(_, u64)| bytes.is_multiple_of(*scale);
        let (unit, scale) = SIZES.iter().find(whole).unwrap_or(&("", 1));
        write!(f, " max-bytes={}{unit}", bytes / scale)?;
    }
    if let Some(files) = max_files {
        write!(f, " max-files={files}")?;
    }
    expires.map_or(Ok(()), |expires| write!(f, " expires={expires}"))
}

const RIGHTS_FORM: &str = "words of read,write,replace,delete";

/// A value of a field, and what the field takes.
struct Value {
    bytes: Option<Vec<u8>>,
    field: &'static str,
    form: &'static str,
}

fn text(bytes: Option<Vec<u8>>, field: &'static str, form: &'static str) -> Value {
    Value { bytes, field, form }
}

impl Value {
    /// What `parse` makes of it, if it is there at all.
    fn and<T>(self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, LineError> {
        let (field, form) = (self.field, self.form);
        let Some(bytes) = self.bytes else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).ok();
        match text.and_then(parse) {
            None => Err(LineError::Value { field, form }),
            some => Ok(some),
        }
    }
}

/// Reads rights as [`rights_words`] names them, with commas between; nothing where one of
/// the words is none.
#[must_use]
pub fn parse_rights(text: &str) -> Option<Rights> {
    let right = |word| RIGHTS.iter().find(|(known, _)| *known == word);
    let bits = text.split(',').try_fold(0, |bits, word| {
        let (_, right) = right(word)?;
        Some(bits | right.0)
    });
    bits.map(Rights)
}

fn parse_root(bytes: Vec<u8>) -> Result<PathBuf, LineError> {
    let root = PathBuf::from(OsString::from_vec(bytes));
    if is_root(&root) {
        return Ok(root);
    }
    Err(LineError::Value {
        field: "root",
        form: "an absolute path without \"..\"",
    })
}

/// Whether a path can be that of a root: it must not depend on anything.
#[must_use]
pub fn is_root(path: &Path) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    let holds_nul = path.as_os_str().as_bytes().contains(&0);
    path.is_absolute() && path.components().all(plain) && !holds_nul
}

fn parse_under(bytes: Option<Vec<u8>>) -> Result<Option<RemotePath>, LineError> {
    let parse = |bytes| RemotePath::from_local(&OsString::from_vec(bytes));
    bytes.map(parse).transpose().map_err(LineError::Under)
}
