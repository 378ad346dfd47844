//! Files that have decayed, as they are found: with other bytes, and a change time that is no
//! later than their record. No test can set a change time, so the record's is set after it.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{XattrFlags, getxattr, setxattr};

const NAME: &str = "user.haul";

/// What a file has on record.
pub fn record(path: &Path) -> String {
    let mut value = [0; 512];
    let len = getxattr(path, NAME, &mut value).unwrap();
    String::from_utf8(value[..len].to_vec()).unwrap()
}

fn set_record(path: &Path, value: &str) {
    setxattr(path, NAME, value.as_bytes(), XattrFlags::empty()).unwrap();
}

/// When a file's record was written.
fn recorded_at(path: &Path) -> SystemTime {
    let record = record(path);
    let time = record.lines().next().unwrap().split(' ').nth(3).unwrap();
    let (seconds, nanos) = time.split_once('.').unwrap();
    UNIX_EPOCH + Duration::new(seconds.parse().unwrap(), nanos.parse().unwrap())
}

/// When anything was last done to a file.
pub fn changed_at(path: &Path) -> SystemTime {
    let there = fs::metadata(path).unwrap();
    let nanos = u32::try_from(there.ctime_nsec()).unwrap();
    UNIX_EPOCH + Duration::new(there.ctime().cast_unsigned(), nanos)
}

/// Whether nothing was done to a file since its record was written.
pub fn is_recorded_in_time(path: &Path) -> bool {
    let apart = changed_at(path).duration_since(recorded_at(path));
    apart.unwrap_or_else(|early| early.duration()) < Duration::from_millis(20)
}

fn record_at(path: &Path, at: SystemTime) {
    let at = at.duration_since(UNIX_EPOCH).unwrap();
    let mut value = String::new();
    for line in record(path).lines() {
        let (kept, _) = line.rsplit_once(' ').unwrap();
        writeln!(value, "{kept} {}.{:09}", at.as_secs(), at.subsec_nanos()).unwrap();
    }
    set_record(path, &value);
}

/// Flips a bit at each of these offsets, and leaves size and modification time as they were.
pub fn flip(path: &Path, offsets: &[u64]) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    for offset in offsets {
        let mut byte = [0];
        file.read_exact_at(&mut byte, *offset).unwrap();
        file.write_all_at(&[byte[0] ^ 1], *offset).unwrap();
    }
    file.set_modified(modified).unwrap();
}

/// The same, as a disk does it.
pub fn decay(path: &Path, offsets: &[u64]) {
    flip(path, offsets);
    record_at(path, SystemTime::now());
    // On a machine that is busy the time may be old by the time it is set.
    while !is_recorded_in_time(path) {
        record_at(path, SystemTime::now());
    }
}

/// Has a file be as if it had been stored an hour ago, so that what is done to it now is later.
pub fn age(path: &Path) {
    record_at(path, SystemTime::now() - Duration::from_secs(3600));
}

/// Takes the last field off a record, which is then as one that was written before it was there.
pub fn without_a_time(path: &Path) {
    let record = record(path);
    let (kept, _) = record.trim_end().rsplit_once(' ').unwrap();
    set_record(path, &format!("{kept}\n"));
}

/// Cuts a file off, as a disk or whoever repairs its file system does it: with the times of before.
pub fn cut_off(path: &Path, len: u64) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(len).unwrap();
    file.set_modified(modified).unwrap();
    decay(path, &[]);
}
