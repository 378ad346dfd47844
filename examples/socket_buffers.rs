//! Send and recv speak to buffers, not to the peer.
//!
//!     cargo run --example socket_buffers
//!
//! Each socket has two buffers in the system, one for each direction. send copies into
//! ours, the network carries it to the peer's, and recv copies out of that. How much they
//! hold is up to the system, which lets them grow; so the sizes differ from run to run.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const KIB: usize = 1 << 10;
/// More than buffers are let grow to.
const MUCH: usize = 64 << 20;
/// What the slow reader takes at a time.
const SIP: usize = 256 * KIB;

fn main() -> ExitCode {
    match filled_and_emptied().and_then(|()| paced()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("socket_buffers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Both ends of one connection.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    Ok((one, listener.accept()?.0))
}

/// Sends without waiting until no buffer has room; returns how much was taken.
fn fill(sender: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sum = 0;
    loop {
        match sender.write(bytes) {
            Ok(took) => sum += took,
            // "No room": where a blocking send would wait.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(sum),
            Err(error) => return Err(error),
        }
    }
}

fn filled_and_emptied() -> io::Result<()> {
    println!("1. a send that does not wait, and a peer that reads nothing");
    let (mut sender, mut reader) = pair()?;
    sender.set_nonblocking(true)?;
    let bytes = vec![7; MUCH];
    let took = sender.write(&bytes)?;
    let given = MUCH / KIB;
    println!("   send was given {given} KiB and took {} KiB", took / KIB);
    let sum = took + fill(&mut sender, &bytes)?;
    println!("   until no room was left: {} KiB", sum / KIB);
    println!("   the peer's program has received 0 of them so far");

    println!("2. room is made by the reader alone");
    let mut sip = vec![0; SIP];
    let (mut sent, mut read) = (sum, 0);
    for _ in 0..4 {
        reader.read_exact(&mut sip)?;
        read += SIP;
        sent += fill(&mut sender, &bytes)?;
        let (ahead, sent, read) = ((sent - read) / KIB, sent / KIB, read / KIB);
        println!("   read {read} KiB, sent {sent} KiB, in the buffers {ahead} KiB");
    }

    println!("3. recv takes what is there until the buffer is empty");
    // The sender leaves, so what is on its way comes to an end.
    drop(sender);
    let rest = reader.read_to_end(&mut Vec::new())?;
    let all = if read + rest == sent {
        "all"
    } else {
        "NOT all"
    };
    println!(
        "   the rest, {} KiB: {all} that was sent has come",
        rest / KIB
    );
    Ok(())
}

/// A sender as fast as it can, and a reader that takes a sip at a time: send waits for it.
fn paced() -> io::Result<()> {
    println!("4. a blocking send waits for the slow reader");
    let (mut sender, mut reader) = pair()?;
    let sent = &AtomicUsize::new(0);
    thread::scope(|scope| {
        let pour = move || -> io::Result<()> {
            let bytes = vec![7; SIP];
            while sent.load(Ordering::SeqCst) < MUCH {
                sender.write_all(&bytes)?;
                sent.fetch_add(SIP, Ordering::SeqCst);
            }
            Ok(())
        };
        let pouring = thread::Builder::new().spawn_scoped(scope, pour)?;
        let mut sip = vec![0; SIP];
        let mut most = 0;
        for read in (SIP..=MUCH).step_by(SIP) {
            reader.read_exact(&mut sip)?;
            most = most.max(sent.load(Ordering::SeqCst).saturating_sub(read));
        }
        pouring.join().map_err(|_| ErrorKind::Other)??;
        let (all, most) = (MUCH / KIB, most / KIB);
        println!("   of {all} KiB the sender was seen at most {most} KiB ahead");
        Ok(())
    })
}
