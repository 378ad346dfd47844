//! Which directory a directory is, so that a tree is not put into itself.
//!
//! Two paths may lead to one directory, on one machine or through two programs on it.
//! Device and inode tell that, but mean nothing on another machine, where they may be
//! the same by chance: so they are hashed together with the running system's own id.

use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::tree::Held;
use crate::path::RemotePath;
use crate::store::Place;

/// A random number that the kernel draws when it starts (random(4)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Directories above each other that are told of: deeper ones are not protected.
const MOST: usize = 64;

/// The directory `under`, or the root, and those above it, innermost first.
pub(super) fn of(tree: &Held, under: Option<&RemotePath>) -> Vec<Place> {
    let Ok(boot) = std::fs::read(BOOT) else {
        return Vec::new();
    };
    let path = under.map_or_else(|| tree.path.clone(), |path| tree.path.join(path.as_path()));
    let Ok(path) = path.canonicalize() else {
        return Vec::new();
    };
    let place = |path: &Path| {
        tree.sys.look_at(path).ok().map(|stat| Place {
            id: id(&boot, &stat),
            name: path
                .file_name()
                .and_then(|name| name.to_str())
                .map(Into::into),
        })
    };
    let ancestors: Vec<PathBuf> = path.ancestors().take(MOST).map(Into::into).collect();
    ancestors.iter().map_while(|path| place(path)).collect()
}

fn id(boot: &[u8], stat: &Stat) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(boot);
    hasher.update(&stat.st_dev.to_le_bytes());
    hasher.update(&stat.st_ino.to_le_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    id
}
