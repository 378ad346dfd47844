//! A disk of one's own: an image with ext4 on it, behind a loop device.
//!
//! It takes root, a loop device and `mkfs.ext4`. Where they are not to be had that is said, and
//! nothing is tried.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A disk, mounted or not. It is unmounted when this goes.
pub struct Disk {
    pub image: PathBuf,
    pub at: PathBuf,
}

impl Disk {
    /// Mounts a new one of so many MiB in an empty directory. None, and said so, where that
    /// cannot be had.
    pub fn at(image: PathBuf, at: &Path, mib: u64) -> Option<Self> {
        let file = File::create(&image).unwrap();
        file.set_len(mib << 20).unwrap();
        let at = at.to_owned();
        let disk = Self { image, at };
        let made = succeeds(Command::new("mkfs.ext4").arg("-q").arg(&disk.image));
        if made && disk.is_mounted() {
            return Some(disk);
        }
        eprintln!("not tried, as there is no loop device or no mkfs.ext4");
        None
    }

    fn is_mounted(&self) -> bool {
        let mut mount = Command::new("mount");
        succeeds(mount.args(["-o", "loop"]).arg(&self.image).arg(&self.at))
    }

    #[track_caller]
    pub fn mount(&self) {
        assert!(self.is_mounted(), "the disk cannot be mounted");
    }

    /// Unmounts it and puts a copy of the image in its place: a mount namespace that somebody
    /// made meanwhile has the first one mounted for as long as it lasts.
    #[track_caller]
    pub fn take_out(&self) {
        // One whose power is gone has nothing to write any more.
        let _ = succeeds(Command::new("sync").arg("--file-system").arg(&self.at));
        let unmounted = succeeds(Command::new("umount").arg(&self.at));
        assert!(unmounted, "the disk is in use");
        let fresh = self.image.with_extension("copy");
        let mut copy = Command::new("cp");
        copy.arg("--sparse=always").arg(&self.image).arg(&fresh);
        assert!(succeeds(&mut copy), "the image cannot be copied");
        fs::rename(&fresh, &self.image).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        succeeds(Command::new("umount").arg("--lazy").arg(&self.at));
    }
}

/// Whether a program can be run and ends well; what it says nobody reads.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
