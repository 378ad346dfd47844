//! Reading a file that only this user, or root, can have written.
//!
//! What is asked of a file is asked of the open file, so that nothing can change between
//! the look and the reading, and before a byte of it is read.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::utc::Utc;

use super::error::{Action, Error, Flaw};

/// What a file holds, and so what others may not do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// A private key: nobody else may read it.
    Key,
    /// Lines that others may read and not change.
    Lines,
}

/// How a file came to be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// It is where haul keeps it.
    ByUs,
    /// A person has named it.
    ByPerson,
}

/// What a file was when it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) stamp: Stamp,
    pub(super) mode: Mode,
}

/// What differs, as far as a system can tell, between two contents of one name. The widest
/// numbers take what any system has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: i128,
    inode: i128,
    size: i128,
    modified: (i128, i128),
    changed: (i128, i128),
}

/// Most links between a name and its file; mounted secrets have two.
const LINKS_MAX: usize = 8;

/// The permissions of others to change something.
pub(super) const OTHERS_WRITE: u32 = 0o022;

impl Holds {
    /// Most bytes of such a file.
    pub(super) fn max(self) -> u64 {
        match self {
            Self::Key => 64 << 10,
            Self::Lines => 1 << 20,
        }
    }
}

impl Stamp {
    /// The stamp of what has this name now, or none where nothing has it.
    pub(super) fn of(path: &Path) -> Result<Option<Self>, Errno> {
        match fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Self::from(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The second of its last change.
    pub(super) fn changed(&self) -> Utc {
        Utc::from_seconds(i64::try_from(self.changed.0).unwrap_or(i64::MAX))
    }
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            size: stat.st_size.into(),
            modified: (stat.st_mtime.into(), stat.st_mtime_nsec.into()),
            changed: (stat.st_ctime.into(), stat.st_ctime_nsec.into()),
        }
    }
}

/// Reads `name` in `directory`, or nothing where nothing has the name.
pub(super) fn read(
    directory: impl AsFd,
    name: &Path,
    path: &Path,
    holds: Holds,
) -> Result<Option<Found>, Error> {
    match open(directory, name) {
        Ok(file) => take(file, path, holds, Meant::ByUs).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(untrusted(path, Flaw::Link)),
        Err(errno) => Err(system(Action::Open, path, errno)),
    }
}

/// Reads the file that a person has named, or nothing where it is not there.
///
/// Its name may be a link: what is mounted for a program, as secrets are, is reached
/// through links of root's. One that another user has laid is not followed.
pub(super) fn read_named(path: &Path, holds: Holds) -> Result<Option<Found>, Error> {
    let mut place = path.to_owned();
    for _ in 0..=LINKS_MAX {
        match open(CWD, &place) {
            Ok(file) => return take(file, path, holds, Meant::ByPerson).map(Some),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => place = behind(&place, path)?,
            Err(errno) => return Err(system(Action::Open, path, errno)),
        }
    }
    Err(untrusted(path, Flaw::TooManyLinks))
}

/// The error for something that is not to be trusted.
pub(super) fn untrusted(path: &Path, flaw: Flaw) -> Error {
    let path = path.to_owned();
    Error::Untrusted { path, flaw }
}

/// The error for a refused call.
pub(super) fn system(action: Action, path: &Path, errno: Errno) -> Error {
    Error::System {
        action,
        path: path.to_owned(),
        errno,
    }
}

/// Whether this user may be relied on for what is theirs: it is this one, or root, who
/// could change everything anyway.
pub(super) fn is_relied_on(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

fn open(directory: impl AsFd, name: &Path) -> Result<OwnedFd, Errno> {
    // A FIFO would have the opening wait for a writer, a terminal become ours.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    fs::openat(directory, name, flags, Mode::empty())
}

/// Where a link leads, if its owner may be relied on.
fn behind(link: &Path, path: &Path) -> Result<PathBuf, Error> {
    let failed = |errno| system(Action::Open, path, errno);
    let stat = fs::statat(CWD, link, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
    if !is_relied_on(stat.st_uid) {
        return Err(untrusted(path, Flaw::ForeignLink(stat.st_uid)));
    }
    let target = fs::readlinkat(CWD, link, Vec::new()).map_err(failed)?;
    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
    Ok(link.parent().unwrap_or(Path::new("")).join(target))
}

/// Reads an open file, once nothing about it speaks against it.
fn take(file: OwnedFd, path: &Path, holds: Holds, meant: Meant) -> Result<Found, Error> {
    let stat = fs::fstat(&file).map_err(|errno| system(Action::Read, path, errno))?;
    if let Some(flaw) = flaw(&stat, holds, meant) {
        return Err(untrusted(path, flaw));
    }
    let too_long = || Error::TooLong {
        path: path.to_owned(),
        max: holds.max(),
    };
    if u64::try_from(stat.st_size).is_ok_and(|size| size > holds.max()) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    File::from(file)
        .take(holds.max() + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            system(Action::Read, path, errno)
        })?;
    if bytes.len() as u64 > holds.max() {
        return Err(too_long());
    }
    Ok(Found {
        text: String::from_utf8(bytes).map_err(|_| Error::NotText(path.to_owned()))?,
        stamp: Stamp::from(&stat),
        mode: Mode::from_raw_mode(stat.st_mode),
    })
}

/// What speaks against an open file.
pub(super) fn flaw(stat: &Stat, holds: Holds, meant: Meant) -> Option<Flaw> {
    let mode = stat.st_mode & 0o7777;
    // What root has put where a person points, as a secret for a program, this user could
    // not read at all unless others may: root has decided that, not we.
    let is_given = meant == Meant::ByPerson && stat.st_uid == 0 && geteuid().as_raw() != 0;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        Some(Flaw::NotAFile)
    } else if !is_relied_on(stat.st_uid) {
        Some(Flaw::Owner(stat.st_uid))
    } else if holds == Holds::Key && !is_given && mode & 0o077 != 0 {
        Some(Flaw::Readable(mode))
    } else {
        (mode & OTHERS_WRITE != 0).then_some(Flaw::Writable(mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Gid, Uid, chown};
    use std::fs::{Permissions, set_permissions};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    /// A directory with a file of this text and mode in it.
    fn file(text: &[u8], mode: u32) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        File::create_new(&path).unwrap().write_all(text).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn ours(path: &Path, holds: Holds) -> Result<Option<String>, Error> {
        Ok(read(CWD, path, path, holds)?.map(|found| found.text))
    }

    fn named(path: &Path) -> Result<Option<String>, Error> {
        Ok(read_named(path, Holds::Key)?.map(|found| found.text))
    }

    fn because<T: std::fmt::Debug>(result: Result<T, Error>) -> Flaw {
        match result {
            Err(Error::Untrusted { flaw, .. }) => flaw,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn with_mode(mode: u32, holds: Holds, flaw: Option<Flaw>) {
        let (_dir, path) = file(b"text", mode);
        let result = ours(&path, holds);
        match flaw {
            Some(flaw) => assert_eq!(because(result), flaw, "{mode:o}"),
            None => assert_eq!(result.unwrap().unwrap(), "text"),
        }
    }

    #[test]
    fn others_must_not_read_a_key_nor_write_anything() {
        with_mode(0o600, Holds::Key, None);
        with_mode(0o400, Holds::Key, None);
        for mode in [0o640, 0o604, 0o660, 0o644] {
            with_mode(mode, Holds::Key, Some(Flaw::Readable(mode)));
        }
        with_mode(0o644, Holds::Lines, None);
        for mode in [0o664, 0o646, 0o622] {
            with_mode(mode, Holds::Lines, Some(Flaw::Writable(mode)));
        }
    }

    #[test]
    fn what_is_not_a_file_is_refused_without_waiting_for_it() {
        let (dir, path) = file(b"text", 0o600);
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(because(ours(&link, Holds::Lines)), Flaw::Link);
        assert_eq!(because(ours(dir.path(), Holds::Lines)), Flaw::NotAFile);
        let fifo = dir.path().join("fifo");
        fs::mknodat(CWD, &fifo, FileType::Fifo, OWNER, 0).unwrap();
        assert_eq!(because(ours(&fifo, Holds::Key)), Flaw::NotAFile);
        assert_eq!(ours(&dir.path().join("none"), Holds::Key), Ok(None));
    }

    const OWNER: Mode = Mode::RUSR.union(Mode::WUSR);

    #[test]
    fn a_named_file_is_reached_through_links_that_end() {
        let (dir, path) = file(b"text", 0o600);
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        symlink("second", &first).unwrap();
        symlink(&path, &second).unwrap();
        assert_eq!(named(&first).unwrap().unwrap(), "text");
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(because(named(&first)), Flaw::Readable(0o640));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(named(&first), Ok(None));
        symlink("file", &path).unwrap();
        assert_eq!(because(named(&first)), Flaw::TooManyLinks);
    }

    #[test]
    fn what_belongs_to_another_user_is_not_believed() {
        if !geteuid().is_root() {
            let word = "skipped: only root can give a file away";
            writeln!(std::io::stderr(), "{word}").unwrap();
            return;
        }
        let (dir, path) = file(b"text", 0o600);
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        let give = |path: &Path, user| {
            let (user, group) = (Some(Uid::from_raw(user)), None::<Gid>);
            fs::chownat(CWD, path, user, group, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        };
        give(&link, 4_000_000);
        assert_eq!(because(named(&link)), Flaw::ForeignLink(4_000_000));
        assert!(named(&path).is_ok());
        give(&link, 0);
        chown(&path, Some(Uid::from_raw(4_000_000)), None).unwrap();
        assert_eq!(because(named(&link)), Flaw::Owner(4_000_000));
        assert_eq!(because(ours(&path, Holds::Lines)), Flaw::Owner(4_000_000));
    }

    #[test]
    fn a_file_that_no_such_file_is_as_long_as_is_not_read() {
        for holds in [Holds::Key, Holds::Lines] {
            let (_dir, path) = file(&vec![b' '; holds.max() as usize], 0o600);
            assert!(ours(&path, holds).is_ok());
            File::options()
                .append(true)
                .open(&path)
                .unwrap()
                .set_len(holds.max() + 1)
                .unwrap();
            let max = holds.max();
            assert_eq!(ours(&path, holds), Err(Error::TooLong { path, max }));
        }
        let (_dir, path) = file(b"\xff", 0o600);
        assert_eq!(ours(&path, Holds::Lines), Err(Error::NotText(path)));
    }
}
