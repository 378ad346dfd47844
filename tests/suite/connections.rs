//! Several connections carry one file.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use haul::client::{Client, Download, JobOptions, Options, Upload};
use haul::fault::Fault;
use haul::net::Transport;
use haul::net::plain::Plain;
use haul::server::{Config, Server};
use haul::store::{Durability, LocalStore, Tree};

use crate::landscape::{are_the_same, get_tree};
use crate::place::Place;
use crate::rig::{Rig, get, noise, outcome, put, remote};
use crate::unharmed::eventually;
use crate::wrapped::{Deaf, Listener, Wrapped};

const CONNECTIONS: usize = 4;
const MIB: usize = 1 << 20;
/// A deadline that only a broken meeting reaches.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets nobody read until so many threads want to.
struct Meeting {
    needed: usize,
    met: Mutex<BTreeSet<String>>,
    changed: Condvar,
}

impl Meeting {
    fn of(needed: usize) -> Self {
        Self {
            needed,
            met: Mutex::default(),
            changed: Condvar::new(),
        }
    }
}

impl Listener for Meeting {
    fn reading(&self) {
        let mut met = self.met.lock().unwrap();
        met.insert(name());
        self.changed.notify_all();
        let missing = |met: &mut BTreeSet<String>| met.len() < self.needed;
        drop(
            self.changed
                .wait_timeout_while(met, PATIENCE, missing)
                .unwrap(),
        );
    }
}

/// Notes which threads staged verified blocks.
#[derive(Default)]
struct Staging(Mutex<BTreeSet<String>>);

impl Listener for Staging {
    fn staging(&self) {
        self.0.lock().unwrap().insert(name());
    }
}

fn name() -> String {
    thread::current().name().unwrap_or("unnamed").to_owned()
}

fn options() -> Options {
    Options {
        connections: CONNECTIONS,
        ..Options::default()
    }
}

#[test]
fn each_of_four_connections_carries_verified_blocks_of_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(dir.path().join("source"), noise(40 * MIB)).unwrap();
    let store = LocalStore::serve(&root, Durability::Batch, Fault::default()).unwrap();
    let store = Wrapped::new(store, MIB as u64, Staging::default());
    let staging = Arc::clone(&store.listener);
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default()).unwrap();
    let address = server.addresses().unwrap()[0].to_string();
    let _handle = server.start().unwrap();

    let tree = Tree::open(dir.path(), Fault::default()).unwrap();
    let source = Arc::new(Wrapped::new(tree, MIB as u64, Meeting::of(CONNECTIONS)));
    let upload = Upload {
        from: Ok((source, Some(remote("source")))),
        to: Some(remote("there")),
    };
    let client = Client::new(&address, options());
    outcome(|monitor| client.put(vec![upload], &JobOptions::default(), monitor)).is_fine();

    let threads = staging.0.lock().unwrap();
    let connections = threads.iter().filter(|name| name.starts_with("conn-"));
    assert_eq!(connections.count(), CONNECTIONS, "{threads:?}");
    assert_eq!(fs::read(root.join("there")).unwrap(), noise(40 * MIB));
}

#[test]
fn each_of_four_connections_sends_blocks_of_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("there"), noise(40 * MIB)).unwrap();
    let store = LocalStore::serve(&root, Durability::Batch, Fault::default()).unwrap();
    let store = Wrapped::new(store, MIB as u64, Meeting::of(CONNECTIONS));
    let meeting = Arc::clone(&store.listener);
    // Each worker asks for two segments ahead, so there are enough for all.
    let config = Config {
        segment: 2 * MIB as u64,
        ..Config::default()
    };
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], config).unwrap();
    let address = server.addresses().unwrap()[0].to_string();
    let _handle = server.start().unwrap();

    let client = Client::new(&address, options());
    let download = Download {
        from: Some(remote("there")),
        to: Some(remote("here")),
    };
    let into = dir.path().join("into");
    outcome(|monitor| client.get(vec![download], &into, &JobOptions::default(), monitor)).is_fine();
    assert_eq!(meeting.met.lock().unwrap().len(), CONNECTIONS);
    assert_eq!(fs::read(into.join("here")).unwrap(), noise(40 * MIB));
}

#[test]
fn a_small_job_opens_one_connection() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(dir.path().join("source"), noise(7)).unwrap();
    let store = LocalStore::serve(&root, Durability::Batch, Fault::default()).unwrap();
    let store = Wrapped::new(store, MIB as u64, Deaf);
    // A server with one place would refuse a second connection, and the job fail.
    let config = Config {
        max_connections: 1,
        ..Config::default()
    };
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], config).unwrap();
    let address = server.addresses().unwrap()[0].to_string();
    let _handle = server.start().unwrap();
    let client = Client::new(&address, options());
    let upload = Upload::local(&dir.path().join("source"), Some(remote("there")));
    outcome(|monitor| client.put(vec![upload], &JobOptions::default(), monitor)).is_fine();
}

/// A rig, and how many connections were opened to it for a get of one small file, each of
/// which took so long.
fn opened(config: Config, distance: Duration) -> Arc<AtomicUsize> {
    let rig = Rig::with(config, Fault::default());
    fs::write(rig.root().join("there"), noise(7)).unwrap();
    let opened = Arc::<AtomicUsize>::default();
    let (count, address) = (Arc::clone(&opened), rig.address.clone());
    let connect = move || -> std::io::Result<Box<dyn Transport>> {
        count.fetch_add(1, Ordering::SeqCst);
        // It stands for the way there and back.
        thread::sleep(distance);
        Ok(Box::new(Plain::new(TcpStream::connect(&address)?)?))
    };
    let client = Client::over(connect, options());
    let into = rig.dir.path().join("into");
    get(&client, &[("there", "here")], &into, &JobOptions::default()).is_fine();
    assert_eq!(fs::read(into.join("here")).unwrap(), noise(7));
    opened
}

#[test]
fn far_away_a_get_opens_its_connections_before_it_knows_what_there_is() {
    let far = Duration::from_millis(20);
    let all = |opened: Arc<AtomicUsize>| {
        eventually("all are opened", || {
            opened.load(Ordering::SeqCst) == CONNECTIONS
        });
    };
    all(opened(Config::default(), far));
    // A server with one place refuses the others, and the job is done over that one.
    let narrow = Config {
        max_connections: 1,
        ..Config::default()
    };
    all(opened(narrow, far));
}

#[test]
fn far_away_few_small_files_come_over_several_connections() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("t")).unwrap();
    // Fewer than one fetch may name, and no more than one connection is worth nearby.
    for n in 0..40 {
        fs::write(root.join(format!("t/{n}")), noise(n)).unwrap();
    }
    let store = LocalStore::serve(&root, Durability::Batch, Fault::default()).unwrap();
    // Each connection asks for two fetches ahead, so some may have nothing left to ask for.
    let store = Wrapped::new(store, MIB as u64, Meeting::of(2));
    let meeting = Arc::clone(&store.listener);
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default()).unwrap();
    let address = server.addresses().unwrap()[0].to_string();
    let _handle = server.start().unwrap();

    let connect = move || -> std::io::Result<Box<dyn Transport>> {
        thread::sleep(Duration::from_millis(20));
        Ok(Box::new(Plain::new(TcpStream::connect(&address)?)?))
    };
    let client = Client::over(connect, options());
    let into = dir.path().join("into");
    get_tree(
        &client,
        (Some("t"), Some("t")),
        &into,
        &JobOptions::default(),
    )
    .is_fine();
    assert!(meeting.met.lock().unwrap().len() >= 2);
    are_the_same(&root.join("t"), &into.join("t"));
}

#[test]
fn a_get_that_is_done_does_not_wait_for_connections_that_still_open() {
    let rig = Rig::with(Config::default(), Fault::default());
    fs::write(rig.root().join("there"), noise(7)).unwrap();
    let (first, address) = (AtomicBool::new(true), rig.address.clone());
    let (until_the_end, held) = crossbeam_channel::bounded::<()>(0);
    let connect = move || -> std::io::Result<Box<dyn Transport>> {
        if !first.swap(false, Ordering::SeqCst) {
            // Nobody answers there.
            let _ = held.recv();
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(20));
        Ok(Box::new(Plain::new(TcpStream::connect(&address)?)?))
    };
    let client = Client::over(connect, options());
    let into = rig.dir.path().join("into");
    get(&client, &[("there", "here")], &into, &JobOptions::default()).is_fine();
    drop(until_the_end);
}

#[test]
fn a_congestion_control_is_one_that_the_system_has() {
    let place = Place::serving("--congestion reno");
    fs::write(place.here().join("x"), noise(7)).unwrap();
    place.says("put --congestion reno x [ADDRESS]", 0, "", "*");
    place.says("get --congestion reno [ADDRESS]/x back", 0, "", "*");
    let said = "*congestion control no-such*";
    place.says("put --congestion no-such x [ADDRESS]", 2, "", said);
    place.says("serve --congestion no-such .", 2, "", said);
}

#[test]
fn a_large_file_alone_opens_no_more_connections_than_it_is_worth() {
    for (for_large, most) in [(1, 1), (2, 2), (usize::MAX, CONNECTIONS)] {
        let rig = Rig::with(Config::default(), Fault::default());
        let source = rig.file("source", 40 * MIB);
        let opened = Arc::<AtomicUsize>::default();
        let (count, address) = (Arc::clone(&opened), rig.address.clone());
        let connect = move || -> std::io::Result<Box<dyn Transport>> {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(Plain::new(TcpStream::connect(&address)?)?))
        };
        let client = Client::over(connect, options()).with_for_large(for_large);
        put(&client, &[(&source, "there")], &JobOptions::default()).is_fine();
        assert_eq!(opened.load(Ordering::SeqCst), most);
        opened.store(0, Ordering::SeqCst);
        let into = rig.dir.path().join("into");
        get(&client, &[("there", "here")], &into, &JobOptions::default()).is_fine();
        assert_eq!(opened.load(Ordering::SeqCst), most);
    }
}
