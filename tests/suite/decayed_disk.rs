//! The real thing: a byte changes on a disk, beneath the file system that has it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use haul::client::{Client, JobOptions, Options, Soundness};
use haul::fault::Fault;
use haul::server::{Config, Handle, Server};
use haul::store::{Durability, LocalStore};

use crate::rig::{get, noise, outcome, put, remote};

const LARGE: usize = (5 << 20) + 1;

/// An image of a disk with a file system, mounted or not.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

#[track_caller]
fn runs(program: &str, arguments: &[&Path]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

impl Disk {
    fn new(within: &Path) -> Self {
        let (image, mount) = (within.join("image"), within.join("mount"));
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        fs::create_dir(&mount).unwrap();
        runs("mkfs.ext4", &["-q".as_ref(), &image]);
        Self { image, mount }
    }

    /// Does something with the directory while it is mounted.
    fn mounted<T>(&self, what: impl FnOnce(&Path) -> T) -> T {
        /// It is not left mounted, also where a check fails.
        struct Mounted<'m>(&'m Path);
        impl Drop for Mounted<'_> {
            fn drop(&mut self) {
                let _ = Command::new("umount").arg(self.0).status();
            }
        }
        runs("mount", &["-oloop".as_ref(), &self.image, &self.mount]);
        let mounted = Mounted(&self.mount);
        let served = mounted.0.join("served");
        fs::create_dir_all(&served).unwrap();
        what(&served)
    }

    /// Flips a bit where these bytes are on the disk.
    fn flip(&self, bytes: &[u8]) {
        let all = fs::read(&self.image).unwrap();
        let mut found = all.windows(bytes.len()).enumerate();
        let (at, _) = found.find(|(_, window)| *window == bytes).expect("there");
        let image = File::options().write(true).open(&self.image).unwrap();
        image.write_all_at(&[bytes[0] ^ 1], at as u64).unwrap();
    }
}

fn serving(root: &Path) -> (Handle, Client) {
    let store = LocalStore::serve(root, Durability::Batch, Fault::default()).unwrap();
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default()).unwrap();
    let address = server.addresses().unwrap()[0].to_string();
    let client = Client::new(&address, Options::default());
    (server.start().unwrap(), client)
}

/// With root, on a system that gives it loop devices:
///
///     cargo test --test suite -- --ignored a_byte_that_changes_beneath
#[test]
#[ignore = "mounts an image of a disk, for which it has to be root"]
fn a_byte_that_changes_beneath_the_file_system_is_found_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path());
    let files = [("small", 5000), ("large", LARGE)];
    let good = files.map(|(name, len)| {
        let path = dir.path().join(name);
        fs::write(&path, noise(len)).unwrap();
        path
    });
    disk.mounted(|root| {
        let (_serving, client) = serving(root);
        let all = [(&*good[0], "small"), (&*good[1], "large")];
        put(&client, &all, &JobOptions::default()).is_fine();
    });
    // The beginning of its third block, and of the only one.
    disk.flip(&noise(LARGE)[2 << 20..][..64]);
    disk.flip(&noise(5000)[..64]);
    disk.mounted(|root| {
        let (_serving, client) = serving(root);
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
    });
}
