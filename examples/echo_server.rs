//! Gives back what each client sends, many clients at once, each as often as it likes.
//!
//!     cargo run --example echo_server [ADDRESS]
//!
//! A server makes these system calls, in this order. One call of std makes the first
//! four of them; its backlog, the length of the queue that `listen` sets, is 128.
//!
//! | system call | what it does | in std |
//! |---|---|---|
//! | socket | makes a socket | `TcpListener::bind` |
//! | setsockopt | allows to take a port again that was in use just now | the same |
//! | bind | gives the socket an address and a port | the same |
//! | listen | lets the system queue clients | the same |
//! | accept | takes a client from the queue | `TcpListener::accept` |
//! | recv, send | takes and gives bytes | `Read::read`, `Write::write` |
//! | close | ends the connection | nothing to call: the socket goes out of scope |

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

/// This machine only, and port 0: the system picks one that is free.
const DEFAULT: &str = "127.0.0.1:0";

fn main() -> ExitCode {
    let address = env::args().nth(1).unwrap_or_else(|| DEFAULT.to_owned());
    // socket, bind, listen: from here on clients can connect, though nobody accepts yet.
    let listener = match TcpListener::bind(&address) {
        Ok(listener) => listener,
        Err(error) => {
            let why = explain(&error);
            eprintln!("echo_server: cannot listen on {address}: {why}");
            return ExitCode::FAILURE;
        }
    };
    match accept_all(&listener) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says in words what a person can change; what is left is the system's own text.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "another program has this port".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine does not have this address".to_owned(),
        ErrorKind::PermissionDenied => "ports below 1024 are the administrator's".to_owned(),
        ErrorKind::InvalidInput => "an address is HOST:PORT, such as 127.0.0.1:0".to_owned(),
        _ => error.to_string(),
    }
}

fn accept_all(listener: &TcpListener) -> io::Result<()> {
    println!("listening on {}", listener.local_addr()?);
    loop {
        // accept waits here until there is a client. It returns two things: a new
        // socket, which is the connection to this one client, and the client's address.
        // The listening socket itself never carries a byte; it goes on listening.
        let (client, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            // A client that has left while it queued is no reason to stop.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        println!("{peer} came");
        // A thread each: while one of them waits in recv, the others go on. Without it
        // the second client would queue until the first has left.
        let serve = move || match echo(client, peer) {
            Ok(sum) => println!("{peer} left, {sum} bytes in all"),
            Err(error) => println!("{peer} is lost: {error}"),
        };
        let thread = thread::Builder::new().name(format!("echo-{peer}"));
        if let Err(error) = thread.spawn(serve) {
            // Its socket went with the closure: the client sees the end.
            println!("{peer} is sent away, no thread can be had: {error}");
        }
    }
}

/// Serves one client until it leaves; returns how many bytes it sent.
fn echo(mut client: TcpStream, peer: SocketAddr) -> io::Result<usize> {
    let mut buffer = [0; 1024];
    let mut sum = 0;
    loop {
        // recv waits until something has come, and returns how much: at most what fits
        // the buffer, perhaps less than the client sent, perhaps several of its sends.
        let came = client.read(&mut buffer)?;
        // Nothing at all means one thing only: the client has left.
        if came == 0 {
            // Here `client` goes out of scope: close.
            return Ok(sum);
        }
        println!("{peer} sent {came} bytes");
        sum += came;
        // send returns how many bytes the system took, perhaps not all. write_all calls
        // it again with the rest, as often as it takes.
        client.write_all(&buffer[..came])?;
    }
}
