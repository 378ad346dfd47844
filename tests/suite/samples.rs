//! The samples in `sample_files/`: what their lists say of them is so.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What lists the samples, and is itself in no list.
pub const LISTS: [&str; 2] = ["B3SUMS", "SHA256SUMS"];

/// A sample has to be small: it is in every clone.
const LARGEST: u64 = 100 << 10;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_files")
}

/// Every regular file among the samples but the lists, in byte order.
pub fn files() -> Vec<String> {
    let (mut files, mut folders) = (Vec::new(), vec![samples()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let item = item.unwrap();
            let kind = item.file_type().unwrap();
            if kind.is_dir() {
                folders.push(item.path());
            } else if kind.is_file() {
                let path = item.path();
                let name = path.strip_prefix(samples()).unwrap().to_str().unwrap();
                files.push(name.to_owned());
            }
        }
    }
    files.retain(|name| !LISTS.contains(&&**name));
    files.sort();
    files
}

/// Holds a list against the files, with a sum of their bytes in hexadecimal.
#[track_caller]
fn is_true(list: &str, sum: impl Fn(&[u8]) -> String) {
    let line = |name: &String| {
        let bytes = fs::read(samples().join(name)).unwrap();
        format!("{}  {name}\n", sum(&bytes))
    };
    let expected: String = files().iter().map(line).collect();
    assert_eq!(fs::read_to_string(samples().join(list)).unwrap(), expected);
}

#[test]
fn both_lists_have_every_file_and_every_sum() {
    is_true("B3SUMS", |bytes| blake3::hash(bytes).to_hex().to_string());
    is_true("SHA256SUMS", |bytes| {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        // Thirty-two bytes in hexadecimal, whoever writes them.
        blake3::Hash::from_bytes(digest).to_hex().to_string()
    });
}

#[test]
fn the_samples_are_small_and_are_what_they_are_here_for() {
    for name in files() {
        let len = fs::metadata(samples().join(&name)).unwrap().len();
        assert!(len <= LARGEST, "{name} has {len} bytes");
    }
    let read = |name: &str| fs::read(samples().join(name)).unwrap();
    let every: Vec<u8> = (0..=u8::MAX).collect();
    assert_eq!(read("nested/every-byte.bin"), every);
    assert_ne!(read("nested/CASE.txt"), read("nested/case.txt"));
    let link = samples().join("nested/link-to-hello.txt");
    assert_eq!(fs::read_link(link).unwrap(), Path::new("../hello.txt"));
    assert_eq!(read("nested/link-to-hello.txt"), read("hello.txt"));
}
