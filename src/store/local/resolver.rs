//! Opening a name beneath a held directory, and nowhere else.
//!
//! The kernel resolves a name downwards only, through no link and on one file system,
//! where it has `openat2` (Linux 5.6). Elsewhere the name is walked, each component in a
//! directory that is held, which comes to the same. Where something beneath the root is
//! hidden it is gone through in steps too, as only so each directory on the way is seen.

use std::os::fd::OwnedFd;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::hidden::Hidden;
use super::sys::DIRECTORY;

/// What every name is resolved with: only downwards, through no link, on one file system.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// What holds a directory on the way down.
const STEP: OFlags = DIRECTORY.union(OFlags::PATH).union(OFlags::CLOEXEC);

type Result<T> = std::result::Result<T, Errno>;

/// How names are resolved here.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    // Some sandboxes have no openat2 either; asking once is enough.
    no_openat2: AtomicBool,
    /// What is never found.
    pub(super) hidden: Hidden,
}

impl Resolver {
    /// One that never finds what is hidden.
    pub(super) fn hiding(hidden: Hidden) -> Self {
        Self {
            hidden,
            ..Self::default()
        }
    }

    /// Opens what is at `path` beneath `root`.
    pub(super) fn open(&self, root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        if self.hidden.are_none() {
            self.open_whole(root, path, flags)
        } else {
            self.open_in_steps(root, path, flags)
        }
    }

    fn open_in_steps(&self, root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let mut held: Option<OwnedFd> = None;
        let mut names = path.components().peekable();
        while let Some(name) = names.next() {
            let within = held.as_ref().unwrap_or(root);
            let (last, name) = (names.peek().is_none(), Path::new(&name));
            let flags = if last { flags } else { STEP };
            let next = match self.open_whole(within, name, flags) {
                // It is no directory to the system, and on the way it is a link.
                Err(Errno::NOTDIR) if !last && is_link(within, name) => return Err(Errno::LOOP),
                other => other?,
            };
            let (above, there) = (fs::fstat(within)?, fs::fstat(&next)?);
            if self.hidden.hides(&above, name.as_os_str(), Some(&there)) {
                return Err(Errno::NOENT);
            }
            held = Some(next);
        }
        held.ok_or(Errno::INVAL)
    }

    fn open_whole(&self, root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        if !self.no_openat2.load(Ordering::Relaxed) {
            match fs::openat2(root, path, flags, Mode::empty(), BENEATH) {
                Err(Errno::NOSYS) => self.no_openat2.store(true, Ordering::Relaxed),
                // A sandbox may forbid what it does not know; and the kernel asks for
                // another try when a rename ran beside the look-up.
                Err(Errno::AGAIN | Errno::PERM) => return open_by_walking(root, path, flags),
                other => return other,
            }
        }
        open_by_walking(root, path, flags)
    }
}

/// Opens component by component, each in a directory that is held, so that no
/// link or mount can slip in between.
fn open_by_walking(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let device = fs::fstat(root)?.st_dev;
    let mut held: Option<OwnedFd> = None;
    let mut names = path.components().peekable();
    while let Some(name) = names.next() {
        let name = match name {
            Component::Normal(name) => Path::new(name),
            Component::CurDir => Path::new("."),
            _ => return Err(Errno::XDEV),
        };
        let last = names.peek().is_none();
        let within = held.as_ref().unwrap_or(root);
        let flags = if last { flags } else { STEP };
        let next = match fs::openat(within, name, flags, Mode::empty()) {
            // With O_DIRECTORY a link is reported as "not a directory".
            Err(Errno::NOTDIR) if is_link(within, name) => return Err(Errno::LOOP),
            other => other?,
        };
        if fs::fstat(&next)?.st_dev != device {
            return Err(Errno::XDEV);
        }
        held = Some(next);
    }
    held.ok_or(Errno::INVAL)
}

fn is_link(directory: &OwnedFd, name: &Path) -> bool {
    fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| fs::FileType::from_raw_mode(stat.st_mode).is_symlink())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree with a file two levels down, and links that lead in and out.
    fn tree() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::openat(
            fs::CWD,
            dir.path().join("a/b/file"),
            OFlags::CREATE | OFlags::WRONLY,
            Mode::RUSR,
        )
        .unwrap();
        symlink("/", dir.path().join("out")).unwrap();
        symlink("a", dir.path().join("in")).unwrap();
        symlink("file", dir.path().join("a/b/link")).unwrap();
        let root = held(dir.path());
        (dir, root)
    }

    fn held(path: &Path) -> OwnedFd {
        fs::openat(fs::CWD, path, DIRECTORY, Mode::empty()).unwrap()
    }

    /// All ways of opening, which must agree.
    fn ways() -> [Resolver; 3] {
        let walking = Resolver::default();
        walking.no_openat2.store(true, Ordering::Relaxed);
        let hidden = Hidden::find(&["/none of these".into()]).unwrap();
        [Resolver::default(), walking, Resolver::hiding(hidden)]
    }

    #[track_caller]
    fn opens(path: &str, expected: Result<()>) {
        let (_dir, root) = tree();
        for way in ways() {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
            let came = way.open(&root, Path::new(path), flags);
            let walking = way.no_openat2.load(Ordering::Relaxed);
            assert_eq!(came.map(drop), expected, "{path}, walking: {walking}");
        }
    }

    #[test]
    fn a_file_beneath_the_root_opens() {
        opens("a/b/file", Ok(()));
    }

    #[test]
    fn no_link_is_followed_wherever_it_stands() {
        opens("in/b/file", Err(Errno::LOOP));
        opens("out/etc", Err(Errno::LOOP));
        opens("a/b/link", Err(Errno::LOOP));
    }

    #[test]
    fn nothing_above_the_root_opens() {
        opens("../x", Err(Errno::XDEV));
    }

    #[test]
    fn another_file_system_is_refused() {
        let root = held(Path::new("/"));
        for way in ways() {
            let came = way.open(&root, Path::new("proc/version"), OFlags::RDONLY);
            assert_eq!(came.map(drop), Err(Errno::XDEV));
        }
    }
}
