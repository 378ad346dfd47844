//! The real thing: a byte changes on a disk, beneath the file system that has it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use haul::client::{Client, JobOptions, Options, Soundness};
use haul::fault::Fault;
use haul::server::{Config, Handle, Server};
use haul::store::{Durability, LocalStore};

use crate::disk::Disk;
use crate::rig::{get, noise, outcome, put, remote};

const LARGE: usize = (5 << 20) + 1;

/// Flips a bit where these bytes are on a disk that is not mounted.
fn flip(disk: &Disk, bytes: &[u8]) {
    let all = fs::read(&disk.image).unwrap();
    let mut found = all.windows(bytes.len()).enumerate();
    let (at, _) = found.find(|(_, window)| *window == bytes).expect("there");
    let image = File::options().write(true).open(&disk.image).unwrap();
    image.write_all_at(&[bytes[0] ^ 1], at as u64).unwrap();
}

fn serving(root: &Path) -> (Handle, Client) {
    let store = LocalStore::serve(root, Durability::Batch, Fault::default()).unwrap();
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default()).unwrap();
    let address = server.addresses().unwrap()[0].to_string();
    let client = Client::new(&address, Options::default());
    (server.start().unwrap(), client)
}

/// A disk that is mounted beneath a directory, and what is to be served on it; none where that
/// cannot be had.
fn mounted(beneath: &Path) -> Option<(Disk, PathBuf)> {
    let at = beneath.join("mount");
    let served = at.join("served");
    fs::create_dir(&at).unwrap();
    let disk = Disk::at(beneath.join("image"), &at, 64)?;
    fs::create_dir(&served).unwrap();
    Some((disk, served))
}

#[test]
fn a_byte_that_changes_beneath_the_file_system_is_found_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let Some((disk, served)) = mounted(dir.path()) else {
        return;
    };
    let files = [("small", 5000), ("large", LARGE)];
    let good = files.map(|(name, len)| {
        let path = dir.path().join(name);
        fs::write(&path, noise(len)).unwrap();
        path
    });
    {
        let (_serving, client) = serving(&served);
        let all = [(&*good[0], "small"), (&*good[1], "large")];
        put(&client, &all, &JobOptions::default()).is_fine();
    }
    disk.take_out();
    // The beginning of its third block, and of the only one.
    flip(&disk, &noise(LARGE)[2 << 20..][..64]);
    flip(&disk, &noise(5000)[..64]);
    disk.mount();
    {
        let (_serving, client) = serving(&served);
        let mut decayed: Vec<(_, _, Option<Vec<u64>>)> = Vec::new();
        client
            .verify(None, |entry, found| match found.unwrap() {
                Soundness::Decayed { recorded, blocks } => {
                    let runs = blocks.map(|blocks| blocks.runs.into_iter().flatten().collect());
                    decayed.push((entry, recorded, runs));
                }
                other => panic!("{entry:?}: {other:?}"),
            })
            .unwrap();
        let placed: Vec<_> = decayed.iter().map(|(.., blocks)| blocks.clone()).collect();
        assert_eq!(placed, [Some(vec![2]), None]);
        for (entry, recorded, _) in &decayed {
            let name = entry.path.as_str();
            let into = dir.path().join("into");
            let got = get(&client, &[(name, name)], &into, &JobOptions::default());
            assert_eq!(got.code(), 7, "{got:?}");
            assert!(!into.join(name).exists());
            let good = dir.path().join(name);
            outcome(|monitor| client.repair(entry, *recorded, &good, monitor)).is_fine();
        }
        let mut sound = 0;
        let large = remote("large");
        for path in [None, Some(&large)] {
            let count = |_, found| {
                let found: Result<Soundness, _> = found;
                sound += usize::from(matches!(found, Ok(Soundness::Sound(_))));
            };
            client.verify(path, count).unwrap();
        }
        assert_eq!(sound, 3);
    }
}

#[test]
fn a_byte_that_changes_beneath_a_file_in_memory_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let Some((disk, served)) = mounted(dir.path()) else {
        return;
    };
    let good = dir.path().join("large");
    fs::write(&good, noise(LARGE)).unwrap();
    let (running, client) = serving(&served);
    put(&client, &[(&*good, "large")], &JobOptions::default()).is_fine();
    flip(&disk, &noise(LARGE)[2 << 20..][..64]);
    let in_memory = fs::read(served.join("large")).unwrap();
    assert!(in_memory == noise(LARGE), "the disk alone has decayed");
    let mut found = Vec::new();
    client
        .verify(None, |_, it| found.push(it.unwrap()))
        .unwrap();
    let [Soundness::Decayed { blocks, .. }] = &found[..] else {
        panic!("{found:?}");
    };
    let blocks = blocks.as_ref().unwrap();
    assert_eq!((blocks.decayed, blocks.runs[0].start), (1, 2));
    // The directory is held for as long as it is served.
    drop((running, client));
    drop(disk);
}
