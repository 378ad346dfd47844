//! The checksum that a published file carries.
//!
//! It is one extended attribute, `user.haul`, of text that a person can read:
//!
//! ```text
//! blake3:HEX SIZE SECONDS.NANOS SECONDS.NANOS
//! sha256:HEX SIZE SECONDS.NANOS SECONDS.NANOS      (a second line, where that was asked for)
//! ```
//!
//! The first time is the file's modification time, the second is when this was written: just
//! before the file got its name. It holds as long as size and modification time are the
//! recorded ones. Whoever writes to a file in place can set that time back, and never the
//! change time: so where that is later than the record, the file was touched since, and bytes
//! that are not the recorded ones need not be decay. An early build wrote no second time: its
//! record is compared as any, and never says of other bytes that they have decayed. Where a file
//! system has no such attributes nothing is recorded, the file is as valid as any, and whoever
//! wants its checksum has it computed; reading commands never write one.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;
use rustix::io::Errno;

use super::sys::Sys;
use super::tree::{mtime_of, size_of};
use crate::content::Checksum;
use crate::entry::{Mode, Mtime, Touched};

const NAME: &CStr = c"user.haul";
/// Room for two lines, each of 7 + 64 + 20 + 30 + 30 + 4 bytes at most.
const VALUE_MAX: usize = 320;

/// In nanoseconds, what what follows a record may take before it is written again.
const LATE: i128 = 10_000_000;

/// In nanoseconds, how much later than its record a file's change time may be: the calls that
/// follow a record take up to [`LATE`], and the system's clock for files ticks every 1 to 10
/// milliseconds. Who writes to a file as soon as that after it got its name, and puts its time
/// back, is not told from a disk.
const AFTER_MAX: i128 = LATE + 10_000_000;

/// How much earlier: some file systems keep whole seconds. A change time well before the
/// record is one too, made while the clock was wrong.
const BEFORE_MAX: i128 = 1_000_000_000 + AFTER_MAX;

/// How often a record is written that what followed it has left behind.
const ATTEMPTS: usize = 8;

/// What is on record of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) checksum: Checksum,
    pub(super) second: Option<Checksum>,
    pub(super) size: u64,
    mtime: Mtime,
    /// Nanoseconds since 1970. An early build of haul did not say.
    written: Option<i128>,
}

/// What is to be put on record of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recording<'f> {
    pub(super) file: &'f OwnedFd,
    pub(super) size: u64,
    pub(super) mtime: Mtime,
    /// The mode that the file has.
    pub(super) mode: Mode,
    pub(super) checksum: Checksum,
    pub(super) second: Option<Checksum>,
}

impl Record {
    /// What a file has on record, whether it holds or not; nothing where that cannot be read.
    pub(super) fn of(sys: &Sys, file: &OwnedFd) -> Option<Self> {
        Self::read(sys, file).ok().flatten()
    }

    /// The same, for whom it makes a difference that it cannot be read now.
    ///
    /// # Errors
    ///
    /// Whatever the system reports, but that there is none.
    pub(super) fn read(sys: &Sys, file: &OwnedFd) -> Result<Option<Self>, Errno> {
        let mut value = [0; VALUE_MAX];
        match sys.attribute(file, NAME, &mut value) {
            Ok(len) => Ok(value.get(..len).and_then(Self::parse)),
            // There is none; nothing can have one here; no record of ours is as long.
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut lines = text.lines();
        let mut fields = lines.next()?.split(' ');
        let checksum = Checksum::parse(fields.next()?)?;
        let second = lines.next().and_then(|line| line.split(' ').next());
        let record = Self {
            checksum,
            second: second.and_then(Checksum::parse),
            size: fields.next()?.parse().ok()?,
            mtime: time(fields.next()?)?,
            written: match fields.next() {
                Some(written) => Some(nanos(time(written)?)),
                None => None,
            },
        };
        let is_one = matches!(checksum, Checksum::Blake3(_)) && fields.next().is_none();
        is_one.then_some(record)
    }

    /// The same of this file, to be recorded anew.
    pub(super) fn again(self, file: &OwnedFd, mode: Mode) -> Recording<'_> {
        Recording {
            file,
            size: self.size,
            mtime: self.mtime,
            mode,
            checksum: self.checksum,
            second: self.second,
        }
    }

    /// Whether the file still has size and time that it was recorded with.
    pub(super) fn holds(&self, stat: &Stat) -> bool {
        size_of(stat) == self.size && mtime_of(stat) == self.mtime
    }

    /// Whether nobody has touched the file since, and all that can be seen of it is as it was.
    pub(super) fn is_untouched(&self, stat: &Stat) -> bool {
        self.holds(stat) && self.touched(stat) == Touched::Never
    }

    /// Whether somebody has touched the file since. Its size does not tell: whoever writes
    /// moves the times with it, and what is cut off without that was lost. Where it is not
    /// known when the record was written, somebody may have.
    pub(super) fn touched(&self, stat: &Stat) -> Touched {
        let changed = i128::from(stat.st_ctime) * SECOND + i128::from(stat.st_ctime_nsec);
        let is_as_written = self
            .written
            .is_some_and(|written| (-BEFORE_MAX..=AFTER_MAX).contains(&(changed - written)));
        if is_as_written && mtime_of(stat) == self.mtime {
            Touched::Never
        } else {
            Touched::Since
        }
    }
}

impl Recording<'_> {
    /// Records this, and does what moves the change time once more before the file is left
    /// alone, which is to be no later than the record.
    ///
    /// # Errors
    ///
    /// Whatever the system reports of the record, but for a file system without attributes,
    /// and what `change` ends in.
    pub(super) fn before<E>(
        self,
        sys: &Sys,
        failed: impl FnOnce(Errno) -> E,
        change: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut written = now();
        match self.write(sys, written) {
            Err(Errno::OPNOTSUPP) => return change(),
            recorded => recorded.map_err(failed)?,
        }
        change()?;
        // By the wall clock, as the change time is: so it is told when that is set, too.
        for _ in 1..ATTEMPTS {
            let again = now();
            if (0..=LATE).contains(&(again - written)) || !self.is_as_recorded(sys) {
                break;
            }
            // It is in place. Left as it is, its record is as valid, and says less.
            if self.write(sys, again).is_err() {
                break;
            }
            written = again;
        }
        Ok(())
    }

    /// Records this of a file that is left alone now.
    ///
    /// # Errors
    ///
    /// As [`Recording::before`].
    pub(super) fn keep(self, sys: &Sys) -> Result<(), Errno> {
        self.before(sys, |errno| errno, || Ok(()))
    }

    /// A record must never vouch for what somebody wrote after it.
    fn is_as_recorded(&self, sys: &Sys) -> bool {
        sys.stat(self.file)
            .is_ok_and(|stat| size_of(&stat) == self.size && mtime_of(&stat) == self.mtime)
    }

    fn write(&self, sys: &Sys, at: i128) -> Result<(), Errno> {
        let mut value = line(self.checksum, self.size, self.mtime, at);
        if let Some(second) = self.second {
            value.push_str(&line(second, self.size, self.mtime, at));
        }
        let record = || sys.set_attribute(self.file, NAME, value.as_bytes());
        match record() {
            // An attribute is refused to a file that its owner may not write.
            Err(Errno::ACCESS) => {
                let open = Mode::masked(self.mode.bits() | Mode::OWNER_ONLY.bits());
                sys.set_mode(self.file, open)?;
                let recorded = record();
                sys.set_mode(self.file, self.mode)?;
                recorded
            }
            other => other,
        }
    }
}

const SECOND: i128 = 1_000_000_000;

fn now() -> i128 {
    // Times before 1970 are no times to publish anything.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos().cast_signed())
}

fn nanos(time: Mtime) -> i128 {
    i128::from(time.seconds()) * SECOND + i128::from(time.nanos())
}

fn time(text: &str) -> Option<Mtime> {
    let (seconds, nanos) = text.split_once('.')?;
    let is_whole = nanos.len() == 9 && nanos.bytes().all(|digit| digit.is_ascii_digit());
    let nanos = is_whole.then(|| nanos.parse().ok())??;
    Mtime::new(seconds.parse().ok()?, nanos)
}

fn line(checksum: Checksum, size: u64, mtime: Mtime, at: i128) -> String {
    format!(
        "{checksum} {size} {}.{:09} {}.{:09}\n",
        mtime.seconds(),
        mtime.nanos(),
        at / SECOND,
        at % SECOND
    )
}
