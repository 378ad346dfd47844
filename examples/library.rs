//! Puts a file and gets it back with the library alone, server included.
//!
//!     cargo run --example library

use haul::client::{Client, Download, JobOptions, Monitor, Options, Upload};
use haul::fault::Fault;
use haul::path::RemotePath;
use haul::server::{Config, Server};
use haul::store::{Durability, LocalStore};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("served");
    std::fs::create_dir(&root)?;

    // Port 0 picks a free port; the server says which.
    let store = LocalStore::serve(&root, Durability::Batch, Fault::default())?;
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
    let address = server.addresses()?[0].to_string();
    let running = server.start()?;
    println!("serving {} on {address}", root.display());

    // What happens is told on a channel, once a file.
    let (monitor, events) = Monitor::new();
    let client = Client::new(&address, Options::default());
    let name = RemotePath::parse("manifest")?;
    let upload = Upload::local("Cargo.toml".as_ref(), Some(name.clone()));
    client.put(vec![upload], &JobOptions::default(), &monitor)?;

    let download = Download {
        from: Some(name),
        to: Some(RemotePath::parse("copy")?),
    };
    let into = dir.path().join("fetched");
    client.get(vec![download], &into, &JobOptions::default(), &monitor)?;

    drop(monitor);
    for event in events {
        println!("{event:?}");
    }
    let same = std::fs::read("Cargo.toml")? == std::fs::read(into.join("copy"))?;
    println!("same: {same}");

    running.stopper().stop();
    running.wait();
    Ok(())
}
