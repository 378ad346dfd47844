//! Puts a tree and gets it back with the library alone, server included, tells what happens
//! meanwhile, and ends a job in the middle.
//!
//!     cargo run --example library

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::thread;

use haul::client::{self, Cancel, Client, Download, Event, JobOptions, Monitor, Options, Upload};
use haul::fault::Fault;
use haul::path::RemotePath;
use haul::server::{Config, Server};
use haul::store::{Durability, LocalStore};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("served");
    fs::create_dir(&root)?;

    // Port 0 picks a free port; the server says which.
    let store = LocalStore::serve(&root, Durability::Batch, Fault::default())?;
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
    let address = server.addresses()?[0].to_string();
    let running = server.start()?;
    println!("serving {} on {address}", root.display());

    up_and_back(&address, dir.path())?;
    broken_off(&address, dir.path())?;

    running.stopper().stop();
    running.wait();
    Ok(())
}

/// Moves the samples to the server and back, and prints every event.
fn up_and_back(address: &str, dir: &Path) -> Result<(), Box<dyn Error>> {
    let client = Client::new(address, Options::default());
    let name = RemotePath::parse("samples")?;
    let (monitor, events) = Monitor::new();

    let upload = Upload::local("sample_files".as_ref(), Some(name.clone()));
    let put = client.put(vec![upload], &JobOptions::default(), &monitor)?;
    println!("put: {} stored, links: {}", put.moved, put.links);

    let download = Download {
        from: Some(name),
        to: Some(RemotePath::parse("copy")?),
    };
    let get = client.get(vec![download], dir, &JobOptions::default(), &monitor)?;
    println!("get: {} fetched, links: {}", get.moved, get.links);

    // A file that fails is an event and a count, and ends nothing.
    assert_eq!((put.code(), get.code()), (None, None));

    // The channel ends when the monitor and its clones are gone.
    drop(monitor);
    for event in events {
        match event {
            Event::Finished { path, status, .. } => println!("  {status:?} {path:?}"),
            Event::Placed { path, kind, .. } => println!("  in place: {path:?}, {kind:?}"),
            Event::Skipped { path, why } => println!("  left out: {path:?}, {why}"),
            Event::Failed { path, text, .. } => println!("  failed: {path:?}, {text}"),
            Event::Started { .. } | Event::Lost(_) => {}
        }
    }
    let same = fs::read("sample_files/data.bin")? == fs::read(dir.join("copy/data.bin"))?;
    println!("same: {same}");
    Ok(())
}

/// Ends a put from another thread as soon as its file has begun.
fn broken_off(address: &str, dir: &Path) -> Result<(), Box<dyn Error>> {
    // It has a size and next to no bytes on the disk.
    let large = dir.join("large");
    File::create_new(&large)?.set_len(8 << 30)?;

    let cancel = Cancel::default();
    let options = Options {
        cancel: cancel.clone(),
        ..Options::default()
    };
    let (monitor, events) = Monitor::new();
    let listener = thread::Builder::new().spawn(move || {
        for event in events {
            if matches!(event, Event::Started { .. }) {
                cancel.cancel();
            }
        }
    })?;
    let client = Client::new(address, options);
    let name = RemotePath::parse("large")?;
    let upload = Upload::local(&large, Some(name.clone()));
    let ended = client.put(vec![upload], &JobOptions::default(), &monitor);
    drop(monitor);
    listener.join().expect("it only reads events");
    assert!(matches!(ended, Err(client::Error::Interrupted)));

    // Nothing of it is visible: a file gets its name only once it is whole.
    let found = Client::new(address, Options::default()).stat(Some(&name));
    println!("broken off, and there is no file: {}", found.is_err());
    Ok(())
}
