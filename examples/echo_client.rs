//! Sends each line of standard input to an echo server and prints what comes back.
//!
//!     cargo run --example echo_client 127.0.0.1:PORT
//!
//! A client makes these system calls, in this order:
//!
//! | system call | what it does | in std |
//! |---|---|---|
//! | socket | makes a socket, of the server's type: a stream | `TcpStream::connect` |
//! | connect | reaches the server; the system picks a port for this side | the same |
//! | send, recv | gives and takes bytes | `Write::write`, `Read::read` |
//! | close | ends the connection | nothing to call: the socket goes out of scope |

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

/// Most bytes to send before they must have come back.
const PIECE: usize = 1024;

fn main() -> ExitCode {
    let Some(address) = env::args().nth(1) else {
        eprintln!("echo_client: which server? Give the address that echo_server prints");
        return ExitCode::from(2);
    };
    let server = match TcpStream::connect(&address) {
        Ok(server) => server,
        Err(error) => {
            let why = explain(&error);
            eprintln!("echo_client: cannot reach {address}: {why}");
            return ExitCode::FAILURE;
        }
    };
    match converse(server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_client: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Says in words what a person can change; what is left is the system's own text.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "nobody listens there; is echo_server running?".to_owned(),
        ErrorKind::InvalidInput => "an address is HOST:PORT".to_owned(),
        ErrorKind::InvalidData => "the input is not text in UTF-8".to_owned(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "the server has left".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Sends and receives again and again, until the input ends: exercise 3.
fn converse(mut server: TcpStream) -> io::Result<()> {
    println!("connected to {}", server.peer_addr()?);
    for line in io::stdin().lines() {
        // Text is for people: a socket carries bytes, so it is encoded.
        let line = line?;
        let mut echo = Vec::new();
        // A piece at a time: were both sides only to send, the buffers between them would
        // fill, and both would wait for ever.
        for piece in line.as_bytes().chunks(PIECE) {
            server.write_all(piece)?;
            let due = echo.len() + piece.len();
            // How much comes back is known here, but not in how many parts: so recv is
            // called until all of it is here.
            while echo.len() < due {
                let mut buffer = [0; PIECE];
                match server.read(&mut buffer)? {
                    0 => return Err(ErrorKind::UnexpectedEof.into()),
                    came => echo.extend_from_slice(&buffer[..came]),
                }
            }
        }
        let (chars, bytes) = (line.chars().count(), echo.len());
        // Bytes become text again, which can fail: not all bytes are UTF-8.
        let text = String::from_utf8(echo).map_err(|_| ErrorKind::InvalidData)?;
        println!("sent {chars} characters as {bytes} bytes, got back: {text}");
    }
    println!("no more input: closing");
    // Here `server` goes out of scope: close. The server's recv returns nothing.
    Ok(())
}
