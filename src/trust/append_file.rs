//! A file at whose end lines are written, and that nobody else could have changed.
//!
//! A line is whole or not there: what could not be written is kept and goes first the next
//! time, from where it broke off. The file is known by the directory that it was found in
//! and its name there, so that whoever takes it away to keep it elsewhere, as log rotation
//! does, gets a new one by [`reopen`](AppendFile::reopen).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{self, CWD, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::error::{Action, Error, Flaw};
use super::private_file::{Holds, Meant, flaw, system, untrusted};

/// Most bytes that wait to be written: far beyond what a server's connections have under
/// way at the moment when a disk is full.
const OWED_MAX: usize = 16 << 20;

/// Such a file.
#[derive(Debug)]
pub struct AppendFile {
    directory: OwnedFd,
    name: PathBuf,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: OwnedFd,
    /// Whole lines, the last of which are not in the file yet.
    owed: Vec<u8>,
    /// How much of them is.
    written: usize,
}

impl AppendFile {
    /// Opens the file at `path`, and makes it, private, where it is not there.
    ///
    /// # Errors
    ///
    /// Where it is a link or no file, belongs to another user, has another name, or others
    /// may write to it; and what the system refuses.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.file_name();
        let name = name.ok_or_else(|| untrusted(path, Flaw::NotAFile))?;
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = fs::openat(CWD, parent, flags, Mode::empty());
        let directory = directory.map_err(|errno| system(Action::Open, parent, errno))?;
        let (file, stat) = open_in(&directory, Path::new(name), path)?;
        let owed = if ends_whole(&directory, Path::new(name), &stat) {
            Vec::new()
        } else {
            // What was cut off by a crash stays a line of its own.
            vec![b'\n']
        };
        Ok(Self {
            name: name.into(),
            path: path.to_owned(),
            directory,
            state: Mutex::new(State {
                file,
                owed,
                written: 0,
            }),
        })
    }

    /// Writes whole lines at the end, after those that could not be written before.
    ///
    /// # Errors
    ///
    /// Where they are not all written. They are kept then, and written by a later call, unless
    /// too many are kept already: then none of these is.
    pub fn append(&self, lines: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        if state.owed.len() + lines.len() > OWED_MAX {
            return Err(system(Action::Write, &self.path, Errno::NOBUFS));
        }
        state.owed.extend_from_slice(lines);
        self.settle(&mut state)
    }

    /// Writes what could not be written before.
    ///
    /// # Errors
    ///
    /// Where it still cannot.
    pub fn catch_up(&self) -> Result<(), Error> {
        self.settle(&mut self.state())
    }

    /// Opens what has the name now, and writes there from now on.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); then the old one stays in use.
    pub fn reopen(&self) -> Result<(), Error> {
        let mut state = self.state();
        // What is owed belongs to the file that was there then; or, where that takes no more,
        // to the new one.
        let _ = self.settle(&mut state);
        self.switch(&mut state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, state: &mut State) -> Result<(), Error> {
        let failed = |errno| system(Action::Write, &self.path, errno);
        if state.owed.is_empty() {
            return Ok(());
        }
        // Whoever removed it would have lines be written to nowhere.
        if fs::fstat(&state.file).map_err(failed)?.st_nlink == 0 {
            self.switch(state)?;
        }
        while state.written < state.owed.len() {
            match rustix::io::write(&state.file, &state.owed[state.written..]) {
                Ok(0) => return Err(failed(Errno::IO)),
                Ok(n) => state.written += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        state.owed.clear();
        state.written = 0;
        Ok(())
    }

    fn switch(&self, state: &mut State) -> Result<(), Error> {
        let (file, new) = open_in(&self.directory, &self.name, &self.path)?;
        let old = fs::fstat(&state.file);
        if old.is_ok_and(|old| (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino)) {
            return Ok(());
        }
        // A line that broke off in the old one is whole in the new one.
        let written = &state.owed[..state.written];
        let whole = written.iter().rposition(|byte| *byte == b'\n');
        state.owed.drain(..whole.map_or(0, |last| last + 1));
        state.written = 0;
        if !ends_whole(&self.directory, &self.name, &new) {
            state.owed.insert(0, b'\n');
        }
        state.file = file;
        Ok(())
    }
}

fn open_in(directory: &OwnedFd, name: &Path, path: &Path) -> Result<(OwnedFd, Stat), Error> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let file = match fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(Errno::LOOP) => return Err(untrusted(path, Flaw::Link)),
        // A directory, and a FIFO that nobody reads.
        Err(Errno::ISDIR | Errno::NXIO) => return Err(untrusted(path, Flaw::NotAFile)),
        Err(errno) => return Err(system(Action::Open, path, errno)),
    };
    let stat = fs::fstat(&file).map_err(|errno| system(Action::Open, path, errno))?;
    match flaw(&stat, Holds::Lines, Meant::ByPerson) {
        Some(flaw) => Err(untrusted(path, flaw)),
        None if stat.st_nlink > 1 => Err(untrusted(path, Flaw::OtherName)),
        None => Ok((file, stat)),
    }
}

/// Whether a file ends with a whole line. That of one that cannot be read is not known.
fn ends_whole(directory: &OwnedFd, name: &Path, stat: &Stat) -> bool {
    let Some(last) = u64::try_from(stat.st_size)
        .ok()
        .and_then(|size| size.checked_sub(1))
    else {
        return true;
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut byte = [0];
    fs::openat(directory, name, flags, Mode::empty())
        .and_then(|file| rustix::io::pread(file, &mut byte, last))
        .is_ok_and(|read| read == 1 && byte == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, read_to_string, set_permissions};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = std::fs::File::create_new(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn lines_are_added_to_what_is_there_or_to_a_new_private_file() {
        let (_dir, path) = file("old\n", 0o640);
        AppendFile::open(&path).unwrap().append(b"new\n").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "old\nnew\n");
        assert_eq!(mode(&path), 0o640);
        std::fs::remove_file(&path).unwrap();
        AppendFile::open(&path).unwrap().append(b"a\nb\n").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "a\nb\n");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_line_that_was_cut_off_stays_one_of_its_own() {
        let (_dir, path) = file("whole\ncut o", 0o600);
        let log = AppendFile::open(&path).unwrap();
        log.append(b"new\n").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "whole\ncut o\nnew\n");
    }

    #[test]
    fn what_is_renamed_away_or_removed_gets_a_successor() {
        let (dir, path) = file("", 0o600);
        let kept = dir.path().join("log.1");
        let log = AppendFile::open(&path).unwrap();
        fs::rename(&path, &kept).unwrap();
        log.append(b"a\n").unwrap();
        log.reopen().unwrap();
        log.append(b"b\n").unwrap();
        assert_eq!(read_to_string(&kept).unwrap(), "a\n");
        assert_eq!(read_to_string(&path).unwrap(), "b\n");
        log.reopen().unwrap();
        std::fs::remove_file(&path).unwrap();
        log.append(b"c\n").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "c\n");
    }

    #[test]
    fn a_successor_that_others_could_write_is_not_taken() {
        let (dir, path) = file("", 0o600);
        let log = AppendFile::open(&path).unwrap();
        fs::rename(&path, dir.path().join("kept")).unwrap();
        symlink("kept", &path).unwrap();
        assert!(matches!(log.reopen(), Err(Error::Untrusted { .. })));
        log.append(b"a\n").unwrap();
        assert_eq!(read_to_string(dir.path().join("kept")).unwrap(), "a\n");
    }

    #[test]
    fn what_is_owed_is_written_first_and_from_where_it_broke_off() {
        let (_dir, path) = file("one\ntw", 0o600);
        let log = AppendFile::open(&path).unwrap();
        {
            let mut state = log.state();
            state.owed = b"one\ntwo\n".to_vec();
            state.written = 6;
        }
        log.append(b"three\n").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        log.catch_up().unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_line_that_broke_off_in_the_old_file_is_whole_in_the_new_one() {
        let (dir, path) = file("", 0o600);
        let log = AppendFile::open(&path).unwrap();
        fs::rename(&path, dir.path().join("kept")).unwrap();
        let mut state = log.state();
        state.owed = b"one\ntwo\n".to_vec();
        state.written = 6;
        log.switch(&mut state).unwrap();
        log.settle(&mut state).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn no_more_is_owed_than_there_is_memory_for() {
        let (_dir, path) = file("", 0o600);
        let log = AppendFile::open(&path).unwrap();
        let refused = log.append(&vec![b' '; OWED_MAX + 1]);
        assert_eq!(refused, Err(system(Action::Write, &path, Errno::NOBUFS)));
        assert_eq!(log.append(b"a\n"), Ok(()));
    }

    #[track_caller]
    fn is_refused(path: &Path, flaw: Flaw) {
        let error = AppendFile::open(path).unwrap_err();
        let path = path.to_owned();
        assert_eq!(error, Error::Untrusted { path, flaw });
    }

    #[test]
    fn what_others_could_change_or_is_elsewhere_too_is_refused() {
        for mode in [0o660, 0o602] {
            let (_dir, path) = file("", mode);
            is_refused(&path, Flaw::Writable(mode));
        }
        let (dir, path) = file("", 0o600);
        let at = |name: &str| dir.path().join(name);
        symlink("log", at("link")).unwrap();
        is_refused(&at("link"), Flaw::Link);
        fs::mknodat(
            CWD,
            at("fifo"),
            fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        is_refused(&at("fifo"), Flaw::NotAFile);
        is_refused(dir.path(), Flaw::NotAFile);
        is_refused(Path::new("/dev/full"), Flaw::NotAFile);
        std::fs::hard_link(&path, at("other")).unwrap();
        is_refused(&path, Flaw::OtherName);
        assert!(matches!(
            AppendFile::open(&at("none/log")),
            Err(Error::System { .. })
        ));
    }
}
