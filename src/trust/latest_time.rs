//! The latest time that was seen here, which never goes back.
//!
//! A clock can be set back, by mistake or so that a grant comes to life again. So what
//! expires is judged by the latest time that haul has seen, and that outlives a restart:
//! it is written down once a minute, as soon as something has expired by it, and in the end.

use std::path::PathBuf;
use std::time::Duration;

use crate::utc::Utc;

use super::error::Error;
use super::line::{LineError, numbered};
use super::line_file::LineFile;
use super::places::Places;

const HEAD: &str = "\
# The latest time that haul has seen on this machine. Grants that expire are judged by it,
# so that they stay expired where the clock is set back. If the clock was ahead by mistake,
# remove this file.
";

/// How far what is written down may lag behind, in seconds: each writing is a flush.
const LAG: i64 = 60;

/// The latest time seen.
#[derive(Debug)]
pub struct LatestTime {
    file: LineFile,
    seen: Option<Utc>,
    written: Option<Utc>,
    /// When it could not be written: what is in the way will not go with the next
    /// question, and a server has to answer that.
    failed: Option<Utc>,
}

impl LatestTime {
    /// The one of the user whose files are there. Nothing is read yet.
    #[must_use]
    pub fn new(places: &Places) -> Self {
        Self {
            file: LineFile::new(places.state(), "latest_time", HEAD).waiting(Duration::ZERO),
            seen: None,
            written: None,
            failed: None,
        }
    }

    /// The file that keeps it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.file.path()
    }

    /// Takes note of what the clock shows, and returns the latest time that was ever
    /// seen.
    ///
    /// # Errors
    ///
    /// Where what was written down cannot be relied on: there is no saying then what has
    /// expired.
    pub fn see(&mut self, now: Utc) -> Result<Utc, Error> {
        if self.seen.is_none() {
            self.written = self.parse(&self.file.text()?)?;
        }
        let latest = self
            .seen
            .max(self.written)
            .map_or(now, |seen| seen.max(now));
        self.seen = Some(latest);
        Ok(latest)
    }

    /// The latest time that was seen since this was made, if any was.
    #[must_use]
    pub fn seen(&self) -> Option<Utc> {
        self.seen
    }

    /// Has the latest time written down, where what is written down is older than
    /// `moment`, or by more than a little.
    ///
    /// # Errors
    ///
    /// Where it cannot be written. What was seen stays seen.
    pub fn keep(&mut self, moment: Option<Utc>) -> Result<(), Error> {
        let Some(latest) = self.seen else {
            return Ok(());
        };
        let is_behind = |written: Utc| {
            written.plus(LAG) <= latest || moment.is_some_and(|moment| written < moment)
        };
        let is_kept = self.written.is_some_and(|written| !is_behind(written));
        if is_kept || self.failed.is_some_and(|failed| latest < failed.plus(LAG)) {
            return Ok(());
        }
        self.failed = Some(latest);
        let written = self.file.change(|text| {
            // Another haul may have seen more.
            let latest = self.parse(text)?.map_or(latest, |other| other.max(latest));
            Ok((Some(format!("{HEAD}{latest}\n")), latest))
        });
        // Whoever changes a file beside it is done before the next question.
        if matches!(written, Ok(_) | Err(Error::Busy(_))) {
            self.failed = None;
        }
        let written = written?;
        self.seen = Some(written);
        self.written = Some(written);
        Ok(())
    }

    fn parse(&self, text: &str) -> Result<Option<Utc>, Error> {
        let says = |(_, line): &(usize, &str)| !line.starts_with('#');
        let Some((number, line)) = numbered(text).find(says) else {
            return Ok(None);
        };
        let moment = Utc::parse(line.trim_end());
        let why = || LineError::Day(line.trim_end().to_owned());
        moment
            .map(Some)
            .ok_or_else(|| self.file.broken(number, why()))
    }
}
