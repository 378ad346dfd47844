//! The queue that `listen(n)` sets, and what happens when it is full.
//!
//!     cargo run --example backlog
//!
//! The system finishes connections by itself and queues them; accept only takes the
//! first one out. So clients are connected, and may send, before the server's program
//! knows of them.
//!
//! What std cannot show: a queue of another length. `TcpListener::bind` calls
//! `listen(128)`, and takes no number. Linux lets one more in than was asked for, and never
//! more than `/proc/sys/net/core/somaxconn` says. The crate socket2 makes the calls one
//! by one; haul uses it to ask for 1024: `bind_one` in src/net/listen.rs.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a client tries to get into a full queue. The system would try for minutes.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a client may take where there is room: far more than it needs.
const GENEROUS: Duration = Duration::from_secs(30);
/// Most clients to try with, below the usual limit of 1024 open files.
const MOST: usize = 500;

fn main() -> ExitCode {
    match before_anyone_accepts().and_then(|()| full()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backlog: {error}");
            ExitCode::FAILURE
        }
    }
}

fn before_anyone_accepts() -> io::Result<()> {
    println!("1. three clients come before the server accepts any");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut clients = Vec::new();
    for name in ["first", "second", "third"] {
        let mut client = TcpStream::connect(address)?;
        client.write_all(name.as_bytes())?;
        println!("   the {name} is connected and has sent its name");
        clients.push(client);
    }
    for client in clients {
        // In the order in which they came; what each sent has waited in its buffer.
        let (mut accepted, peer) = listener.accept()?;
        let is_it = peer == client.local_addr()?;
        drop(client);
        let mut name = String::new();
        accepted.read_to_string(&mut name)?;
        println!("   accept returns the {name}, from its own address: {is_it}");
    }
    Ok(())
}

fn full() -> io::Result<()> {
    println!("2. clients come until the queue is full");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut clients = Vec::new();
    let refusal = loop {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(client) => clients.push(client),
            Err(error) => break error,
        }
        if clients.len() == MOST {
            println!("   {MOST} clients are in, and there is room for more: not shown here");
            return Ok(());
        }
    };
    if refusal.kind() != ErrorKind::TimedOut {
        return Err(refusal);
    }
    let count = clients.len();
    println!("   the queue took {count} clients");
    // It is not told "no": the system does not answer at all, so that the client's system
    // asks again a second later, then less and less often. Hence a time limit on connect.
    let limit = PATIENCE.as_millis();
    println!("   the next one gave up after {limit} ms without an answer: {refusal}");

    println!("3. the server accepts");
    let mut accepted = Vec::new();
    for _ in &clients {
        accepted.push(listener.accept()?);
    }
    println!("   {count} clients are accepted, so the queue is empty");
    came_at_once(address)
}

/// A new client gets in without being sent away once.
fn came_at_once(address: SocketAddr) -> io::Result<()> {
    let began = Instant::now();
    TcpStream::connect_timeout(&address, GENEROUS)?;
    let took = began.elapsed().as_millis();
    println!("   the next client is connected after {took} ms");
    Ok(())
}
