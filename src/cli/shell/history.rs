//! Lines that were typed, for the next time.
//!
//! They are kept where the XDG base directory specification has state, for their owner
//! only. Where that cannot be, a shell is one without a past: it is no reason to fail.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::cli::places;

/// Lines that are kept. A file of twice as many is cut.
const LINES_MAX: usize = 1000;

/// Bytes of a history that are read: what is beyond was not written here.
const BYTES_MAX: u64 = 16 << 20;

/// A file of lines.
#[derive(Debug)]
pub(super) struct History(File);

impl History {
    /// The person's own, and the lines in it, the oldest first.
    pub(super) fn open() -> Option<(Self, Vec<String>)> {
        let places = places::of_user().ok()?;
        Self::at(&places.state().join("history")).ok()
    }

    fn at(path: &Path) -> io::Result<(Self, Vec<String>)> {
        if let Some(directory) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
        }
        let mut file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            // A FIFO there must not block, nor a link lead elsewhere.
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        file.set_permissions(Permissions::from_mode(0o600))?;
        // Another shell may be cutting it.
        flock(&file, FlockOperation::LockExclusive)?;
        let mut bytes = Vec::new();
        (&mut file).take(BYTES_MAX).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        let kept = &all[all.len().saturating_sub(LINES_MAX)..];
        if all.len() >= 2 * LINES_MAX {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all((kept.join("\n") + "\n").as_bytes())?;
        }
        let kept = kept.iter().map(|line| (*line).to_owned()).collect();
        flock(&file, FlockOperation::Unlock)?;
        Ok((Self(file), kept))
    }

    /// Adds a line.
    pub(super) fn add(&mut self, line: &str) {
        // One without a past goes on without one.
        let _ = self.0.write_all(format!("{line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_and_nobody_else_can_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/history");
        let (mut history, lines) = History::at(&path).unwrap();
        assert_eq!(lines, [""; 0]);
        history.add("ls");
        history.add("cd grüße");
        drop(history);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (_, lines) = History::at(&path).unwrap();
        assert_eq!(lines, ["ls", "cd grüße"]);
    }

    #[test]
    fn a_long_history_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        let (mut history, _) = History::at(&path).unwrap();
        (0..2 * LINES_MAX).for_each(|n| history.add(&n.to_string()));
        for _ in 0..2 {
            let (_, lines) = History::at(&path).unwrap();
            assert_eq!((lines.len(), &*lines[0]), (LINES_MAX, "1000"));
        }
        assert!(path.metadata().unwrap().len() < 6 * LINES_MAX as u64);
    }

    #[test]
    fn what_is_no_file_is_no_history() {
        let dir = tempfile::tempdir().unwrap();
        assert!(History::at(dir.path()).is_err());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("elsewhere", &link).unwrap();
        assert!(History::at(&link).is_err());
    }
}
