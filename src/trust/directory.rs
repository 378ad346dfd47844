//! A directory of this user's, and changes in it that are whole or not there.
//!
//! Two commands at once must lose neither's change, and one that is killed half-way, or
//! whose disk is full, must leave what was there. So a change is made under a lock, in a
//! file beside the one that it replaces, and gets its name when it is on disk.

use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{self, AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::error::{Action, Error, Flaw};
use super::private_file::{self, Found, Holds, OTHERS_WRITE, is_relied_on, system, untrusted};

/// What a new file can be read and written by.
const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

/// The file whose lock is that of the directory. A lock on the directory itself is not to
/// be had on every network file system, where homes are.
const LOCK: &str = ".lock";

/// A directory in which nobody else can change anything.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// Keeps others from changing a directory until it goes.
#[derive(Debug)]
pub(super) struct Locked<'d> {
    directory: &'d Directory,
    _lock: OwnedFd,
}

impl Directory {
    /// Opens it, or nothing where it is not there.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let Some(directory) = Self::open_any(path)? else {
            return Ok(None);
        };
        let stat = fs::fstat(&directory.fd).map_err(|errno| system(Action::Open, path, errno))?;
        let mode = stat.st_mode & 0o7777;
        if !is_relied_on(stat.st_uid) {
            Err(untrusted(path, Flaw::Owner(stat.st_uid)))
        } else if mode & OTHERS_WRITE != 0 {
            Err(untrusted(path, Flaw::Writable(mode)))
        } else {
            Ok(Some(directory))
        }
    }

    /// Opens it, and makes it, private, where it is not there.
    pub(super) fn make(path: &Path) -> Result<Self, Error> {
        if let Some(directory) = Self::open(path)? {
            return Ok(directory);
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            system(Action::MakeDir, path, errno)
        })?;
        Self::open(path)?.ok_or_else(|| system(Action::Open, path, Errno::NOENT))
    }

    /// Opens the directory of a file that a person named, whoever may write in it.
    pub(super) fn open_any(path: &Path) -> Result<Option<Self>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match fs::openat(CWD, path, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: path.to_owned(),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR) => Err(untrusted(path, Flaw::NotADirectory)),
            Err(errno) => Err(system(Action::Open, path, errno)),
        }
    }

    /// Reads a file of it, or nothing where that is not there.
    pub(super) fn read(&self, name: &Path, holds: Holds) -> Result<Option<Found>, Error> {
        private_file::read(&self.fd, name, &self.path.join(name), holds)
    }

    /// Makes a file with this text, which is under its name whole or not at all; says
    /// whether it was made, or something has the name.
    pub(super) fn create(&self, name: &Path, text: &str) -> Result<bool, Error> {
        let mut random = [0; 8];
        getrandom(&mut random, GetRandomFlags::empty())
            .map_err(|errno| self.failed(Action::Write, name, errno))?;
        let temporary = format!(".haul-key-{:016x}", u64::from_be_bytes(random));
        let temporary = Path::new(&temporary);
        self.write(temporary, text, OWNER_ONLY)?;
        let named = match self.rename_new(temporary, name) {
            Ok(()) => self.flush(name).map(|()| true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(self.failed(Action::Write, name, errno)),
        };
        if !matches!(named, Ok(true)) {
            self.remove(temporary);
        }
        named
    }

    /// Waits, so long at most, until no other command changes the directory.
    pub(super) fn lock(&self, patience: Duration) -> Result<Locked<'_>, Error> {
        let failed = |errno| self.failed(Action::Lock, Path::new(LOCK), errno);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = fs::openat(&self.fd, LOCK, flags, OWNER_ONLY).map_err(failed)?;
        let lock = match fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => lock,
            Err(Errno::WOULDBLOCK) if patience.is_zero() => return Err(self.busy()),
            Err(Errno::WOULDBLOCK) => self.wait_for(lock, patience)?,
            Err(errno) => return Err(failed(errno)),
        };
        Ok(Locked {
            directory: self,
            _lock: lock,
        })
    }

    /// Waits for a lock on a thread of its own: the call has no deadline, and whoever
    /// holds the lock may have been stopped.
    fn wait_for(&self, lock: OwnedFd, patience: Duration) -> Result<OwnedFd, Error> {
        let (to, taken) = mpsc::channel();
        let wait = move || {
            let result = loop {
                match fs::flock(&lock, FlockOperation::LockExclusive) {
                    Err(Errno::INTR) => {}
                    other => break other,
                }
            };
            // Nobody may be waiting any more: the lock goes with its descriptor.
            let _ = to.send(result.map(|()| lock));
        };
        let failed = |errno| self.failed(Action::Lock, Path::new(LOCK), errno);
        thread::Builder::new()
            .name("lock".to_owned())
            .spawn(wait)
            .map_err(|_| failed(Errno::AGAIN))?;
        match taken.recv_timeout(patience) {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(self.busy()),
        }
    }

    fn busy(&self) -> Error {
        Error::Busy(self.path.clone())
    }

    /// Writes a new file, and has it on disk.
    fn write(&self, name: &Path, text: &str, mode: Mode) -> Result<(), Error> {
        let failed = |errno| self.failed(Action::Write, name, errno);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.fd, name, flags, OWNER_ONLY).map_err(failed)?;
        let written = (|| {
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                match rustix::io::write(&file, rest) {
                    Ok(0) => return Err(Errno::IO),
                    Ok(n) => rest = &rest[n..],
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            fs::fchmod(&file, mode)?;
            fs::fsync(&file)
        })();
        written.map_err(|errno| {
            self.remove(name);
            failed(errno)
        })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<(), Errno> {
        match fs::renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            // A file system without the flag: a link refuses just as atomically.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::linkat(&self.fd, from, &self.fd, to, AtFlags::empty())?;
                fs::unlinkat(&self.fd, from, AtFlags::empty())
            }
            other => other,
        }
    }

    fn flush(&self, name: &Path) -> Result<(), Error> {
        fs::fsync(&self.fd).map_err(|errno| self.failed(Action::Flush, name, errno))
    }

    /// Removes what is of no more use. Where that fails, it is still in nobody's way.
    fn remove(&self, name: &Path) {
        let _ = fs::unlinkat(&self.fd, name, AtFlags::empty());
    }

    fn failed(&self, action: Action, name: &Path, errno: Errno) -> Error {
        system(action, &self.path.join(name), errno)
    }
}

impl Locked<'_> {
    /// Gives `name` this text in place of what it had, keeping the permissions that it
    /// had.
    pub(super) fn replace(
        &self,
        name: &Path,
        text: &str,
        old: Option<&Found>,
    ) -> Result<(), Error> {
        let directory = self.directory;
        if text.len() as u64 > Holds::Lines.max() {
            let path = directory.path.join(name);
            let max = Holds::Lines.max();
            return Err(Error::TooLong { path, max });
        }
        // Nobody else writes it now: what is there was left by a command that was killed.
        let temporary = name.with_extension("new");
        directory.remove(&temporary);
        directory.write(&temporary, text, old.map_or(OWNER_ONLY, |old| old.mode))?;
        fs::renameat(&directory.fd, &temporary, &directory.fd, name).map_err(|errno| {
            directory.remove(&temporary);
            directory.failed(Action::Write, name, errno)
        })?;
        directory.flush(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    const NAME: &str = "access";

    const PATIENCE: Duration = Duration::from_secs(120);

    fn mode_of(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(|e| name(e).into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn replace(directory: &Directory, text: &str) -> Result<(), Error> {
        let locked = directory.lock(PATIENCE)?;
        let old = directory.read(Path::new(NAME), Holds::Lines)?;
        locked.replace(Path::new(NAME), text, old.as_ref())
    }

    #[test]
    fn a_directory_that_is_made_is_private_and_so_are_those_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert!(Directory::open(&path).unwrap().is_none());
        Directory::make(&path).unwrap();
        assert_eq!(mode_of(&path), 0o700);
        assert_eq!(mode_of(path.parent().unwrap()), 0o700);
        Directory::make(&path).unwrap();
    }

    #[test]
    fn a_directory_in_which_others_can_change_names_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o770, 0o702, 0o1777] {
            set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            let path = dir.path().to_owned();
            let flaw = Flaw::Writable(mode);
            let error = Directory::make(&path).unwrap_err();
            assert_eq!(error, Error::Untrusted { path, flaw });
        }
        set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        Directory::make(dir.path()).unwrap();
        let file = dir.path().join("file");
        std::fs::File::create_new(&file).unwrap();
        let flaw = Flaw::NotADirectory;
        let error = Directory::make(&file).unwrap_err();
        assert_eq!(error, Error::Untrusted { path: file, flaw });
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::make(dir.path()).unwrap();
        let path = dir.path().join(NAME);
        replace(&directory, "one").unwrap();
        assert_eq!(mode_of(&path), 0o600);
        set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let before = std::fs::File::open(&path).unwrap();
        // Left by a command that was killed, and perhaps laid by nobody we know.
        symlink("elsewhere", dir.path().join("access.new")).unwrap();
        replace(&directory, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(mode_of(&path), 0o644);
        assert_eq!(names(dir.path()), [".lock", NAME]);
        let mut old = String::new();
        std::io::Read::read_to_string(&mut &before, &mut old).unwrap();
        assert_eq!(old, "one");
        let long = " ".repeat(Holds::Lines.max() as usize + 1);
        assert!(matches!(
            replace(&directory, &long),
            Err(Error::TooLong { .. })
        ));
    }

    #[test]
    fn what_is_created_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::make(dir.path()).unwrap();
        let name = Path::new(NAME);
        assert!(directory.create(name, "one").unwrap());
        assert!(!directory.create(name, "two").unwrap());
        let found = directory.read(name, Holds::Key).unwrap().unwrap();
        assert_eq!(found.text, "one");
        assert_eq!(names(dir.path()), [NAME]);
    }

    #[test]
    fn who_waits_in_vain_is_told_and_who_does_not_wait_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::make(dir.path()).unwrap();
        let held = directory.lock(PATIENCE).unwrap();
        let busy = Error::Busy(dir.path().to_owned());
        for patience in [Duration::ZERO, Duration::from_millis(10)] {
            assert_eq!(directory.lock(patience).unwrap_err(), busy);
        }
        drop(held);
        directory.lock(PATIENCE).unwrap();
    }

    #[test]
    fn changes_at_once_are_made_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let name = Path::new(NAME);
        let add_lines = |_| {
            for _ in 0..25 {
                let directory = Directory::make(dir.path()).unwrap();
                let locked = directory.lock(PATIENCE).unwrap();
                let old = directory.read(name, Holds::Lines).unwrap();
                let text = old.as_ref().map_or("", |old| &old.text);
                locked
                    .replace(name, &format!("{text}+"), old.as_ref())
                    .unwrap();
            }
        };
        thread::scope(|scope| {
            for n in 0..4 {
                let named = thread::Builder::new().name(format!("change-{n}"));
                named.spawn_scoped(scope, move || add_lines(n)).unwrap();
            }
        });
        assert_eq!(
            std::fs::read_to_string(dir.path().join(name))
                .unwrap()
                .len(),
            100
        );
    }
}
