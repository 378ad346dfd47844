//! The few system calls of the local store, each behind a fault point.
//!
//! Everything is relative to a held directory, and no call follows a link.

use std::ffi::CStr;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    self, Advice, AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, RenameFlags, SeekFrom, Stat,
    StatVfs, Timespec, Timestamps, UTIME_OMIT, XattrFlags,
};
use rustix::io::Errno;
use rustix::path::Arg;

use super::hidden::Hidden;
use super::resolver::Resolver;
use super::unlocking::Unlocking;
use crate::entry::{Mode as EntryMode, Mtime};
use crate::fault::{Call, Fault};

/// What opens a directory to look names up in it.
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW);

/// At most so many bytes are written by one call. The system takes memory for the whole of it in
/// pieces as large as it finds, and those that a virtual machine has free in one piece are what it
/// has given back to its host: to take them costs more than the calls that are saved.
const WRITE: usize = 256 << 10;

/// The system, as one store sees it.
#[derive(Debug, Default)]
pub(super) struct Sys {
    fault: Fault,
    resolver: Resolver,
}

type Result<T> = std::result::Result<T, Errno>;

impl Sys {
    pub(super) fn new(fault: Fault) -> Self {
        Self::hiding(fault, Hidden::default())
    }

    /// A system in which some things are as if they were not there.
    pub(super) fn hiding(fault: Fault, hidden: Hidden) -> Self {
        Self {
            fault,
            resolver: Resolver::hiding(hidden),
        }
    }

    /// The same system, for another directory.
    pub(super) fn another(&self) -> Self {
        Self::hiding(self.fault.clone(), self.hidden().clone())
    }

    fn hidden(&self) -> &Hidden {
        &self.resolver.hidden
    }

    fn ask(&self, call: Call) -> Result<()> {
        self.fault
            .ask(call)
            .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
    }

    /// Opens a directory that a person named: links in it are followed.
    pub(super) fn open_root(&self, path: &Path) -> Result<OwnedFd> {
        self.ask(Call::Open)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        fs::openat(CWD, path, flags, Mode::empty())
    }

    /// What a path leads to, links in it followed. It need not be one that may be opened: a
    /// confined process sees what is above its root, and opens nothing there.
    pub(super) fn look_at(&self, path: &Path) -> Result<Stat> {
        self.ask(Call::Stat)?;
        fs::stat(path)
    }

    /// Opens what is at `path` beneath `root`.
    pub(super) fn open_beneath(
        &self,
        root: &OwnedFd,
        path: &Path,
        flags: OFlags,
    ) -> Result<OwnedFd> {
        self.ask(Call::Open)?;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.resolver.open(root, path, flags)
    }

    /// Makes a new private file in `directory`, where nothing has the name.
    pub(super) fn create(&self, directory: &OwnedFd, name: &str) -> Result<OwnedFd> {
        self.ask(Call::Open)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// Opens a name of one component in `directory`.
    pub(super) fn open_in(
        &self,
        directory: &OwnedFd,
        name: &str,
        flags: OFlags,
    ) -> Result<OwnedFd> {
        self.ask(Call::Open)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(directory, name, flags, Mode::empty())
    }

    pub(super) fn make_dir(&self, directory: &OwnedFd, name: &str, mode: EntryMode) -> Result<()> {
        self.ask(Call::MakeDir)?;
        self.hidden().look_away(directory, &name)?;
        fs::mkdirat(directory, name, Mode::from_bits_truncate(mode.bits()))
    }

    pub(super) fn make_link(&self, target: &str, directory: &OwnedFd, name: &str) -> Result<()> {
        self.ask(Call::MakeLink)?;
        fs::symlinkat(target, directory, name)
    }

    pub(super) fn stat(&self, file: impl AsFd) -> Result<Stat> {
        self.ask(Call::Stat)?;
        fs::fstat(file)
    }

    pub(super) fn stat_in(&self, directory: &OwnedFd, name: impl Arg) -> Result<Stat> {
        self.ask(Call::Stat)?;
        self.hidden().look_away(directory, &name)?;
        fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    pub(super) fn read_link(&self, directory: &OwnedFd, name: &str) -> Result<Vec<u8>> {
        self.ask(Call::Stat)?;
        Ok(fs::readlinkat(directory, name, Vec::new())?.into_bytes())
    }

    pub(super) fn read_dir(&self, directory: &OwnedFd) -> Result<Dir> {
        self.ask(Call::ReadDir)?;
        Dir::read_from(directory)
    }

    /// Fills `into` from `offset` on, and says how much of it there was.
    pub(super) fn read_at(&self, file: &OwnedFd, into: &mut [u8], offset: u64) -> Result<usize> {
        self.ask(Call::ReadAt)?;
        let mut filled = 0;
        while filled < into.len() {
            match rustix::io::pread(file, &mut into[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(filled)
    }

    /// Has the system forget what it holds of a file in memory, where the disk has the same.
    pub(super) fn forget_cached(&self, file: &OwnedFd) -> Result<()> {
        self.ask(Call::Advise)?;
        fs::fadvise(file, 0, None, Advice::DontNeed)
    }

    /// Has the system begin to write a part of a file to the disk, and does not wait for it.
    /// What memory has to forget for that is only what the disk has already.
    pub(super) fn begin_write_back(&self, file: &OwnedFd, part: Range<u64>) -> Result<()> {
        self.ask(Call::WriteBack)?;
        let len = NonZeroU64::new(part.end - part.start);
        fs::fadvise(file, part.start, len, Advice::DontNeed)
    }

    pub(super) fn write_at(&self, file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        self.ask(Call::WriteAt)?;
        while !bytes.is_empty() {
            match rustix::io::pwrite(file, &bytes[..bytes.len().min(WRITE)], offset) {
                Ok(0) => return Err(Errno::IO),
                Ok(n) => {
                    bytes = &bytes[n..];
                    offset += n as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    pub(super) fn resize(&self, file: &OwnedFd, size: u64) -> Result<()> {
        self.ask(Call::Resize)?;
        fs::ftruncate(file, size)
    }

    /// The parts of a file of `size` bytes that are no holes. Where the system cannot tell,
    /// all of it.
    pub(super) fn extents(&self, file: &OwnedFd, size: u64) -> Result<Vec<Range<u64>>> {
        self.ask(Call::Stat)?;
        let mut extents = Vec::new();
        let mut at = 0;
        while at < size {
            let start = match fs::seek(file, SeekFrom::Data(at)) {
                Ok(start) => start,
                Err(Errno::NXIO) => break,
                Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
                Err(errno) => return Err(errno),
            };
            let end = fs::seek(file, SeekFrom::Hole(start)).unwrap_or(size);
            extents.push(start..end.min(size));
            at = end.max(start + 1);
        }
        Ok(extents)
    }

    pub(super) fn space(&self, directory: &OwnedFd) -> Result<StatVfs> {
        self.ask(Call::Space)?;
        fs::fstatvfs(directory)
    }

    pub(super) fn set_mode(&self, file: &OwnedFd, mode: EntryMode) -> Result<()> {
        self.ask(Call::SetMode)?;
        fs::fchmod(file, Mode::from_bits_truncate(mode.bits()))
    }

    /// What a directory does to what is made and removed in it, by its set-group-ID and sticky
    /// bits, is this machine's to say: those it keeps.
    pub(super) fn set_directory_mode(&self, directory: &OwnedFd, mode: EntryMode) -> Result<()> {
        self.ask(Call::SetMode)?;
        let kept = Mode::from_raw_mode(fs::fstat(directory)?.st_mode) & (Mode::SGID | Mode::SVTX);
        fs::fchmod(directory, Mode::from_bits_truncate(mode.bits()) | kept)
    }

    pub(super) fn set_mtime(&self, file: &OwnedFd, mtime: Mtime) -> Result<()> {
        self.ask(Call::SetTimes)?;
        fs::futimens(file, &times(mtime))
    }

    /// Sets the time of a link, not of what it leads to.
    pub(super) fn set_link_mtime(
        &self,
        directory: &OwnedFd,
        name: &str,
        mtime: Mtime,
    ) -> Result<()> {
        self.ask(Call::SetTimes)?;
        fs::utimensat(directory, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)
    }

    pub(super) fn set_attribute(&self, file: &OwnedFd, name: &CStr, value: &[u8]) -> Result<()> {
        self.ask(Call::SetAttribute)?;
        fs::fsetxattr(file, name, value, XattrFlags::empty())
    }

    pub(super) fn attribute(&self, file: &OwnedFd, name: &CStr, into: &mut [u8]) -> Result<usize> {
        self.ask(Call::GetAttribute)?;
        fs::fgetxattr(file, name, into)
    }

    pub(super) fn flush_data(&self, file: &OwnedFd) -> Result<()> {
        self.ask(Call::FlushData)?;
        fs::fsync(file)
    }

    /// Flushes a whole file system.
    pub(super) fn flush_all(&self, directory: &OwnedFd) -> Result<()> {
        self.ask(Call::FlushAll)?;
        fs::syncfs(directory)
    }

    pub(super) fn flush_directory(&self, directory: &OwnedFd) -> Result<()> {
        self.ask(Call::FlushDirectory)?;
        fs::fsync(directory)
    }

    /// Renames, refusing where something has the new name.
    pub(super) fn publish_new(
        &self,
        (from, name): (&OwnedFd, &str),
        (to, new): (&OwnedFd, &str),
    ) -> Result<()> {
        self.ask(Call::Rename)?;
        self.hidden().look_away(to, &new)?;
        match fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE) {
            // A file system without the flag: a link refuses just as atomically.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::linkat(from, name, to, new, AtFlags::empty())?;
                fs::unlinkat(from, name, AtFlags::empty())
            }
            other => other,
        }
    }

    /// Renames, replacing the file that has the new name.
    pub(super) fn publish_over(
        &self,
        (from, name): (&OwnedFd, &str),
        (to, new): (&OwnedFd, &str),
    ) -> Result<()> {
        self.ask(Call::Rename)?;
        self.hidden().look_away(to, &new)?;
        fs::renameat(from, name, to, new)
    }

    /// Renames anything, refusing where something has the new name. Nothing else may
    /// take that name meanwhile: where the system cannot refuse, a look decides.
    pub(super) fn rename_new(
        &self,
        (from, name): (&OwnedFd, &str),
        (to, new): (&OwnedFd, &str),
    ) -> Result<()> {
        let renamed = self
            .ask(Call::Rename)
            .and_then(|()| self.hidden().look_away(from, &name))
            .and_then(|()| self.hidden().hold_in_place(from, name))
            .and_then(|()| self.hidden().look_away(to, &new))
            .and_then(|()| fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE));
        match renamed {
            // A link, as for a file that is published, is not to be had of a directory.
            Err(Errno::INVAL | Errno::NOSYS) => match self.stat_in(to, new) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => self.publish_over((from, name), (to, new)),
                Err(errno) => Err(errno),
            },
            other => other,
        }
    }

    pub(super) fn unlink(&self, directory: &OwnedFd, name: impl Arg) -> Result<()> {
        self.ask(Call::Unlink)?;
        self.hidden().look_away(directory, &name)?;
        fs::unlinkat(directory, name, AtFlags::empty())
    }

    pub(super) fn remove_dir(&self, directory: &OwnedFd, name: impl Arg) -> Result<()> {
        self.ask(Call::Unlink)?;
        self.hidden().look_away(directory, &name)?;
        fs::unlinkat(directory, name, AtFlags::REMOVEDIR)
    }

    /// Takes the lock on a file or directory, if nobody has it.
    pub(super) fn lock(&self, file: OwnedFd) -> Result<Unlocking> {
        self.ask(Call::Lock)?;
        fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file.into())
    }
}

fn times(mtime: Mtime) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds(),
            tv_nsec: mtime.nanos().into(),
        },
    }
}
