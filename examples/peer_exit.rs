//! What each side sees when the other leaves.
//!
//!     cargo run --example peer_exit
//!
//! Leaving is an event like any other: a recv that waits returns at once, with nothing.
//! A send notices later, since it only hands bytes to the system.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

fn main() -> ExitCode {
    match recv_returns_empty().and_then(send_breaks_the_pipe) {
        Ok(()) => {}
        Err(error) => return fail(&error),
    }
    match what_is_left_unread_resets() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &io::Error) -> ExitCode {
    eprintln!("peer_exit: {error}");
    ExitCode::FAILURE
}

/// Both ends of one connection.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    Ok((one, listener.accept()?.0))
}

/// A thread waits in recv while the peer leaves. Returns the end that stayed.
fn recv_returns_empty() -> io::Result<TcpStream> {
    println!("1. a recv that waits, and a peer that leaves");
    let (mut ours, peer) = pair()?;
    let (say, said) = mpsc::channel();
    let waiting = move || -> io::Result<(TcpStream, usize)> {
        let mut buffer = [0; 16];
        // The receiver lives until this thread has ended, so somebody hears it.
        let _ = say.send("we call recv: nothing has come, so it waits");
        let came = ours.read(&mut buffer)?;
        Ok((ours, came))
    };
    let waiting = thread::Builder::new().spawn(waiting)?;
    if let Ok(said) = said.recv() {
        println!("   {said}");
    }
    println!("   the peer closes its socket");
    drop(peer);
    let (ours, came) = waiting.join().map_err(|_| ErrorKind::Other)??;
    println!("   our recv returns at once, with {came} bytes: that is the end");
    Ok(ours)
}

/// Sends to a peer that has left.
fn send_breaks_the_pipe(mut ours: TcpStream) -> io::Result<()> {
    println!("2. a send to the peer that has left");
    // The end of its bytes is not yet the end of ours: it might only have said that it
    // sends no more. So the system takes the first send, and tries.
    let took = ours.write(b"hello")?;
    println!("   the first send: all {took} bytes are taken, and nobody will read them");
    // The peer's system answers "there is no such connection". From then on a send
    // fails. In C the signal SIGPIPE would end the program here; Rust and Python ignore
    // it, so that the call can return the error.
    loop {
        match ours.write(b"hello") {
            // The answer is not here yet.
            Ok(_) => thread::yield_now(),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                println!("   a later send: {error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}

/// A peer that closes with bytes unread does not leave in order: its system says so.
fn what_is_left_unread_resets() -> io::Result<()> {
    println!("3. a peer that leaves without reading what was sent");
    let (mut ours, peer) = pair()?;
    ours.write_all(b"please read this")?;
    // Returns once something has come, and leaves it where it is.
    peer.peek(&mut [0; 16])?;
    println!("   our 16 bytes are in the peer's buffer when it closes");
    drop(peer);
    match ours.read(&mut [0; 16]) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {
            println!("   our recv: {error}");
            Ok(())
        }
        Err(error) => Err(error),
        Ok(came) => Err(io::Error::other(format!("{came} bytes, and no reset"))),
    }
}
