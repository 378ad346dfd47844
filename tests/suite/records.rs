//! The checksum that a published file carries.

use std::fs;
use std::io;

use haul::client::{Effect, JobOptions};
use haul::content::Checksum;
use haul::entry::Touched;
use haul::fault::{Call, Fault};
use haul::server::Config;

use crate::rig::{Rig, get, put, remote};
use crate::rot::{age, flip};

/// Linux's EOPNOTSUPP: what a file system without attributes says.
const NOT_SUPPORTED: i32 = 95;

fn recorded(rig: &Rig, name: &str) -> Option<Checksum> {
    let listing = rig.client(1).list(Some(&remote(name)), Some(0)).unwrap();
    listing.entries[0].checksum?.believed()
}

#[test]
fn a_listing_tells_the_checksum_until_the_file_is_touched() {
    let rig = Rig::new();
    for len in [0, 5, 3 << 20] {
        let source = rig.file("source", len);
        let name = format!("file-{len}");
        put(&rig.client(1), &[(&source, &name)], &JobOptions::default()).is_fine();
        let sum = *blake3::hash(&fs::read(&source).unwrap()).as_bytes();
        assert_eq!(recorded(&rig, &name), Some(Checksum::Blake3(sum)));

        fs::write(rig.root().join(&name), "edited").unwrap();
        assert_eq!(recorded(&rig, &name), None);
    }
}

#[test]
fn where_there_are_no_attributes_a_file_is_stored_without_a_record() {
    let refuse = Fault::watched(|call| match call {
        Call::SetAttribute | Call::GetAttribute => Err(io::Error::from_raw_os_error(NOT_SUPPORTED)),
        _ => Ok(()),
    });
    let rig = Rig::with(Config::default(), refuse);
    let source = rig.file("source", 3 << 20);
    put(
        &rig.client(2),
        &[(&source, "there")],
        &JobOptions::default(),
    )
    .is_fine();
    assert_eq!(recorded(&rig, "there"), None);
    let into = rig.dir.path().join("into");
    get(
        &rig.client(2),
        &[("there", "here")],
        &into,
        &JobOptions::default(),
    )
    .is_fine();
    assert_eq!(
        fs::read(source).unwrap(),
        fs::read(into.join("here")).unwrap()
    );
}

#[test]
fn a_file_that_is_not_what_its_record_says_is_not_fetched() {
    let rig = Rig::new();
    let source = rig.file("source", 3 << 20);
    put(
        &rig.client(1),
        &[(&source, "there")],
        &JobOptions::default(),
    )
    .is_fine();
    // Decay: other bytes, with the size and the time that were recorded.
    let there = rig.root().join("there");
    let before = fs::metadata(&there).unwrap().modified().unwrap();
    let mut bytes = fs::read(&there).unwrap();
    bytes[1 << 20] ^= 1;
    fs::write(&there, bytes).unwrap();
    let file = fs::File::options().write(true).open(&there).unwrap();
    file.set_modified(before).unwrap();
    assert!(recorded(&rig, "there").is_some());

    let into = rig.dir.path().join("into");
    let outcome = get(
        &rig.client(2),
        &[("there", "here")],
        &into,
        &JobOptions::default(),
    );
    assert_eq!(outcome.code(), 7, "{outcome:?}");
    assert!(!into.join("here").exists());
}

#[test]
fn a_record_of_a_file_that_was_touched_stands_for_no_bytes() {
    let rig = Rig::new();
    let source = rig.file("source", 3 << 20);
    let client = rig.client(2);
    put(&client, &[(&source, "there")], &JobOptions::default()).is_fine();
    let there = rig.root().join("there");
    age(&there);
    assert_eq!(recorded(&rig, "there"), None);
    let listing = client.list(Some(&remote("there")), Some(0)).unwrap();
    let on_record = listing.entries[0].checksum.unwrap();
    assert_eq!(on_record.touched, Touched::Since);
    let into = rig.dir.path().join("into");
    let gets = |effect, code| {
        fs::create_dir_all(&into).unwrap();
        // The bytes of before, with a time of their own.
        fs::copy(&source, into.join("there")).unwrap();
        let options = JobOptions {
            effect,
            ..JobOptions::default()
        };
        let got = get(&client, &[("there", "there")], &into, &options);
        assert_eq!(got.code(), code, "{got:?}");
    };
    gets(Effect::Real, 0);
    flip(&there, &[5]);
    gets(Effect::Dry, 6);
    gets(Effect::Real, 6);
}

#[test]
fn permission_bits_travel_and_no_others() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new();
    // Without the owner's right to read or write, what is staged could not be opened
    // again; only root can read such a source in the first place.
    let modes = [0o000, 0o200, 0o400, 0o444, 0o644, 0o777, 0o4755];
    let is_root = rustix::process::geteuid().is_root();
    for mode in modes
        .into_iter()
        .filter(|mode| is_root || mode & 0o400 != 0)
    {
        let source = rig.file("source", 7);
        fs::set_permissions(&source, fs::Permissions::from_mode(mode)).unwrap();
        let name = format!("file-{mode:o}");
        put(&rig.client(1), &[(&source, &name)], &JobOptions::default()).is_fine();
        let came = fs::metadata(rig.root().join(&name)).unwrap();
        assert_eq!(came.permissions().mode() & 0o7777, mode & 0o777, "{mode:o}");
        fs::remove_file(source).unwrap();
    }
}
