//! The checksum that a published file carries.
//!
//! It is one extended attribute, `user.haul`, of text that a person can read:
//!
//! ```text
//! blake3:HEX SIZE SECONDS.NANOS
//! sha256:HEX SIZE SECONDS.NANOS      (a second line, where that was asked for)
//! ```
//!
//! It holds as long as size and modification time are the recorded ones. Where a
//! file system has no such attributes nothing is recorded, the file is as valid
//! as any, and whoever wants its checksum has it computed; reading commands never
//! write one.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::sys::Sys;
use crate::content::Checksum;
use crate::entry::Mtime;

const NAME: &CStr = c"user.haul";
/// Room for two lines, each of 7 + 64 + 20 + 20 + 10 bytes at most.
const VALUE_MAX: usize = 256;

/// Records what a file was proved to be.
///
/// # Errors
///
/// Whatever the system reports, but for a file system without attributes.
pub(super) fn record(
    sys: &Sys,
    file: &OwnedFd,
    (size, mtime): (u64, Mtime),
    checksums: &[Checksum],
) -> Result<(), Errno> {
    let mut value = String::new();
    for checksum in checksums {
        value.push_str(&line(*checksum, size, mtime));
    }
    match sys.set_attribute(file, NAME, value.as_bytes()) {
        Err(Errno::OPNOTSUPP) => Ok(()),
        other => other,
    }
}

/// The recorded BLAKE3 checksum of a file of this size and time, if there is one.
pub(super) fn recorded(sys: &Sys, file: &OwnedFd, size: u64, mtime: Mtime) -> Option<Checksum> {
    let mut value = [0; VALUE_MAX];
    let len = sys.attribute(file, NAME, &mut value).ok()?;
    let text = std::str::from_utf8(value.get(..len)?).ok()?;
    let first = text.lines().next()?;
    let checksum = Checksum::parse(first.split(' ').next()?)?;
    let holds = line(checksum, size, mtime).trim_end() == first;
    (holds && matches!(checksum, Checksum::Blake3(_))).then_some(checksum)
}

fn line(checksum: Checksum, size: u64, mtime: Mtime) -> String {
    format!(
        "{checksum} {size} {}.{:09}\n",
        mtime.seconds(),
        mtime.nanos()
    )
}
