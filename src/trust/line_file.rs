//! A file of lines that haul and a person both change.
//!
//! What haul does not understand or was not asked to change stays as it was, comments
//! and broken lines included: a person wrote them.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::Directory;
use super::error::Error;
use super::line::{LineError, numbered};
use super::private_file::{Found, Holds};

/// Where such a file is.
#[derive(Clone, Debug)]
pub(super) struct LineFile {
    directory: PathBuf,
    name: &'static Path,
    /// What a new one begins with, for a person who opens it.
    head: &'static str,
    /// How long a change may wait for another one.
    patience: Duration,
}

/// How long other commands may take for their changes. Each only writes a small file, but
/// flushes it, which on a busy disk takes seconds, and several may be waiting in line.
const PATIENCE: Duration = Duration::from_secs(60);

impl LineFile {
    pub(super) fn new(directory: &Path, name: &'static str, head: &'static str) -> Self {
        Self {
            directory: directory.to_owned(),
            name: Path::new(name),
            head,
            patience: PATIENCE,
        }
    }

    /// The same, where a change may wait so long for another one.
    pub(super) fn waiting(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(self.name)
    }

    /// Reads it, or nothing where it is not there.
    pub(super) fn read(&self) -> Result<Option<Found>, Error> {
        match Directory::open(&self.directory)? {
            Some(directory) => directory.read(self.name, Holds::Lines),
            None => Ok(None),
        }
    }

    /// Reads its text, which is empty where it is not there.
    pub(super) fn text(&self) -> Result<String, Error> {
        Ok(self.read()?.map(|found| found.text).unwrap_or_default())
    }

    /// Has `edit` say what the file is to hold in place of what it holds, or that it
    /// stays as it is. No other command changes it meanwhile.
    pub(super) fn change<T>(
        &self,
        edit: impl FnOnce(&str) -> Result<(Option<String>, T), Error>,
    ) -> Result<T, Error> {
        let directory = Directory::make(&self.directory)?;
        let locked = directory.lock(self.patience)?;
        let old = directory.read(self.name, Holds::Lines)?;
        let text = old.as_ref().map_or(self.head, |found| &found.text);
        let (new, result) = edit(text)?;
        if let Some(new) = new {
            locked.replace(self.name, &new, old.as_ref())?;
        }
        Ok(result)
    }

    /// The error for a line that cannot be relied on.
    pub(super) fn broken(&self, line: usize, why: LineError) -> Error {
        let path = self.path();
        Error::Line { path, line, why }
    }
}

/// Adds a line. A last one that may have been cut off stays the last, and unfinished:
/// a line feed behind it would say that it is whole.
pub(super) fn add(text: &str, line: &str) -> String {
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    let (whole, unfinished) = text.split_at(end);
    format!("{whole}{line}\n{unfinished}")
}

/// Reads all lines of a text: those that hold, and the numbers of those that do not, the
/// first being 1, with why. Two lines `about` the same contradict each other.
pub(super) fn all<T, K: Eq + Hash>(
    text: &str,
    parse: impl Fn(&str) -> Result<Option<T>, LineError>,
    about: impl Fn(&T) -> K,
) -> (Vec<T>, Vec<(usize, LineError)>) {
    let (mut lines, mut broken) = (Vec::new(), Vec::new());
    for (number, line) in numbered(text) {
        match parse(line) {
            // What was cut off may have been a limit.
            Ok(Some(_)) if !line.ends_with('\n') => broken.push((number, LineError::Unfinished)),
            Ok(Some(read)) => lines.push((number, read)),
            Ok(None) => {}
            Err(why) => broken.push((number, why)),
        }
    }
    let (mut last, mut contradicted) = (HashMap::new(), BTreeMap::new());
    for (number, line) in &lines {
        // Which of the two was meant nobody can tell.
        if let Some(other) = last.insert(about(line), *number) {
            contradicted.extend([(other, *number), (*number, other)]);
        }
    }
    lines.retain(|(number, _)| !contradicted.contains_key(number));
    let also_in = |(number, other)| (number, LineError::AlsoIn(other));
    broken.extend(contradicted.into_iter().map(also_in));
    broken.sort_by_key(|(number, _)| *number);
    let holding = lines.into_iter().map(|(_, line)| line).collect();
    (holding, broken)
}

/// A text without the lines that `taken` takes, and those. Also lines that contradict each
/// other can be taken, and one that is unfinished.
pub(super) fn without<T>(text: &str, taken: impl Fn(&str) -> Option<T>) -> (String, Vec<T>) {
    let (mut rest, mut gone) = (String::new(), Vec::new());
    for line in text.split_inclusive('\n') {
        match taken(line) {
            Some(one) => gone.push(one),
            None => rest.push_str(line),
        }
    }
    (rest, gone)
}
