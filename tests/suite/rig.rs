//! What the tests share: a served directory, files of any size, and a job's outcome.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use haul::client::{Client, Download, Error, Event, JobOptions, Monitor, Options};
use haul::client::{Summary, Upload};
use haul::code::Code;
use haul::fault::Fault;
use haul::path::RemotePath;
use haul::server::{Config, Handle, Server, Stop};
use haul::store::{Durability, LocalStore};
use tempfile::TempDir;

use crate::secrecy::{Keys, Secrecy};

/// A server in this process, on a directory and a port of its own.
pub struct Rig {
    pub dir: TempDir,
    pub address: String,
    /// What whoever connects has to hold.
    pub keys: Keys,
    /// Stops the server when it is dropped.
    handle: Option<Handle>,
}

/// What a job came to, and what it told.
#[derive(Debug)]
pub struct Outcome {
    pub result: Result<Summary, Error>,
    pub events: Vec<Event>,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(Config::default(), Fault::default())
    }

    pub fn with(config: Config, fault: Fault) -> Self {
        Self::guarded(Secrecy::Plain, config, fault)
    }

    /// The same, or one that encrypts and admits its own clients only.
    pub fn guarded(secrecy: Secrecy, config: Config, fault: Fault) -> Self {
        let keys = Keys::of(secrecy);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let mut rig = Self {
            dir,
            address: String::new(),
            keys,
            handle: None,
        };
        rig.serve(config, fault);
        rig
    }

    /// Serves the directory, at an address of its own.
    fn serve(&mut self, config: Config, fault: Fault) {
        let config = self.keys.guard(config);
        let store = LocalStore::serve(&self.root(), Durability::Batch, fault).unwrap();
        let server = Server::bind(store, &["127.0.0.1:0".to_owned()], config).unwrap();
        self.address = server.addresses().unwrap()[0].to_string();
        self.handle = Some(server.start().unwrap());
    }

    /// Stops the server, whatever is under way.
    pub fn stop(&mut self) {
        self.handle = None;
    }

    /// What tells the server to stop.
    pub fn stopper(&self) -> Stop {
        self.handle.as_ref().expect("it runs").stopper()
    }

    /// Waits until the server has ended that was told to stop, and says how long that took.
    pub fn ends(&mut self) -> Duration {
        let began = Instant::now();
        self.handle.take().expect("it runs").wait();
        began.elapsed()
    }

    /// Stops the server, and serves the same directory at another address: what the one
    /// before held in memory is gone.
    pub fn restart(&mut self, config: Config) {
        self.stop();
        self.serve(config, Fault::default());
    }

    /// The served directory.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub fn client(&self, connections: usize) -> Client {
        let options = Options {
            connections,
            encryption: self.keys.client(),
            ..Options::default()
        };
        Client::new(&self.address, options)
    }

    /// Makes a local file of `len` bytes of noise, beside the served directory.
    pub fn file(&self, name: &str, len: usize) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, noise(len)).unwrap();
        path
    }

    /// Everything that is visible under the root.
    pub fn visible(&self) -> Vec<String> {
        visible(&self.root())
    }
}

/// The names in a directory, but for haul's own.
pub fn visible(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != ".haul")
        .collect();
    names.sort();
    names
}

/// Removes what is kept in a directory of what was broken off.
pub fn forget_partials(directory: &Path) {
    let kept = fs::read_dir(directory.join(".haul/partial"));
    for file in kept.into_iter().flatten() {
        // Whoever keeps it may remove it at the same time.
        let _ = fs::remove_file(file.unwrap().path());
    }
}

/// Bytes that no compression or accident makes equal.
pub fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&len.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

pub fn remote(path: &str) -> RemotePath {
    RemotePath::parse(path).unwrap()
}

pub fn put(client: &Client, files: &[(&Path, &str)], options: &JobOptions) -> Outcome {
    let uploads: Vec<_> = files
        .iter()
        .map(|(from, to)| Upload::local(from, Some(remote(to))))
        .collect();
    outcome(|monitor| client.put(uploads, options, monitor))
}

pub fn get(client: &Client, files: &[(&str, &str)], into: &Path, options: &JobOptions) -> Outcome {
    let downloads = files
        .iter()
        .map(|(from, to)| Download {
            from: Some(remote(from)),
            to: Some(remote(to)),
        })
        .collect();
    outcome(|monitor| client.get(downloads, into, options, monitor))
}

pub fn outcome(job: impl FnOnce(&Monitor) -> Result<Summary, Error>) -> Outcome {
    let (monitor, events) = Monitor::new();
    let result = job(&monitor);
    drop(monitor);
    Outcome {
        result,
        events: events.iter().collect(),
    }
}

impl Outcome {
    /// The exit code that the program would have.
    pub fn code(&self) -> u8 {
        match &self.result {
            Ok(summary) => summary.code().map_or(0, Code::number),
            Err(error) => error.code().number(),
        }
    }

    #[track_caller]
    pub fn is_fine(&self) -> &Self {
        assert_eq!(self.code(), 0, "{self:?}");
        self
    }
}

impl Outcome {
    /// What was done with each file that is done.
    pub fn statuses(&self) -> Vec<haul::client::Status> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Finished { status, .. } => Some(*status),
                _ => None,
            })
            .collect()
    }
}
