//! Why a server ends a connection is heard, also by who learns of it from a write that fails.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use haul::client::{Client, JobOptions, Options};
use haul::code::Code;
use haul::entry::Entry;
use haul::fault::{Call, Fault};
use haul::net::Transport;
use haul::net::plain::Plain;
use haul::server::Config;
use haul::wire::message::Fail;
use haul::wire::{Message, preface};

use crate::evil::{file, page, welcome};
use crate::raw::{Heard, PATIENCE, Raw};
use crate::rig::{get, put, remote};
use crate::secrecy::{Keys, Secrecy};
use crate::unharmed::{patient, served};

/// From when this is true on, whoever writes learns that the other side has gone.
fn unwritable(is_gone: &Arc<AtomicBool>) -> Fault {
    let is_gone = Arc::clone(is_gone);
    Fault::watched(move |call| match call {
        Call::SocketWrite if is_gone.load(Ordering::SeqCst) => {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        _ => Ok(()),
    })
}

#[test]
fn a_server_that_is_full_says_so_to_who_cannot_say_hello() {
    let config = Config {
        max_connections: 1,
        deadlines: patient(),
        ..Config::default()
    };
    let rig = served(Secrecy::Plain, config);
    let _only = Raw::open(&rig);
    let options = Options {
        fault: unwritable(&Arc::new(AtomicBool::new(true))),
        ..Options::default()
    };
    let client = Client::new(&rig.address, options);
    let source = rig.file("source", 10);
    let into = rig.dir.path().join("into");
    let job = JobOptions::default();
    for outcome in [
        put(&client, &[(&source, "x")], &job),
        get(&client, &[("old", "old")], &into, &job),
    ] {
        let why = format!("{:?}", outcome.result);
        assert!(why.contains("the server is full"), "{why}");
    }
}

/// Welcomes the next client.
fn welcomes(listener: &TcpListener) -> Raw {
    let keys = Keys::of(Secrecy::Plain);
    let mut raw = Raw::accepted(listener.accept().unwrap().0, &keys);
    raw.is_greeted();
    assert!(matches!(raw.hear(), Heard::Message(Message::Hello(_))));
    raw.send(&preface::encode(1));
    raw.say(&welcome());
    raw
}

#[test]
fn a_get_is_told_why_also_over_a_connection_that_has_nothing_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&is_gone);
    let (all_is_asked, asked) = mpsc::channel();
    let server = thread::Builder::new().spawn(move || {
        let mut busy = welcomes(&listener);
        for name in ["f", "g"] {
            let Message::List(list) = busy.hear_message() else {
                panic!("{name} is not asked for");
            };
            let path = remote(name);
            busy.say(&page(list.request, vec![Entry { path, ..file() }]));
        }
        for _ in ["f", "g"] {
            assert!(matches!(busy.hear_message(), Message::Fetch(_)));
        }
        all_is_asked.send(()).unwrap();
        let mut idle = welcomes(&listener);
        idle.say(&Fail::connection(Code::NotAuthorised, "not any more"));
        gone.store(true, Ordering::SeqCst);
        idle.outlast();
    });
    let (asked, is_first) = (Mutex::new(asked), AtomicBool::new(true));
    let connect = move || -> io::Result<Box<dyn Transport>> {
        if is_first.swap(false, Ordering::SeqCst) {
            // Far away, each of two small files is worth a connection.
            thread::sleep(Duration::from_millis(20));
        } else {
            // All that there is to do is under way over the first one.
            asked.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        Ok(Box::new(Plain::new(TcpStream::connect(address)?)?))
    };
    let options = Options {
        connections: 2,
        deadlines: patient(),
        fault: unwritable(&is_gone),
        ..Options::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let outcome = get(
        &Client::over(connect, options),
        &[("f", "f"), ("g", "g")],
        dir.path(),
        &JobOptions::default(),
    );
    server.unwrap().join().expect("the script ends well");
    assert_eq!(outcome.code(), 4, "{outcome:?}");
    assert!(format!("{:?}", outcome.result).contains("not any more"));
}
