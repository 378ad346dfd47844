//! TCP carries bytes, not messages: several sends may arrive as one, and one in pieces.
//!
//!     cargo run --example sticky_packets
//!
//! The first is what people call sticky packets. Three cures follow, for the same messages.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// The second has a line end inside, as any data may.
const SENT: [&str; 3] = ["one", "two\nlines", "three"];

fn main() -> ExitCode {
    if let Err(error) = [stick, mark, delay, header].iter().try_for_each(|it| it()) {
        eprintln!("sticky_packets: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Starts a thread that makes one send of each and pauses after it; returns the reader's end.
/// With `nodelay` each travels at once: it is not the sender that makes them stick.
#[expect(clippy::disallowed_methods, reason = "the second cure is a pause")]
fn send(sends: Vec<Vec<u8>>, pause: Duration) -> io::Result<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    near.set_nodelay(true)?;
    let send_all = move || {
        for bytes in sends {
            near.write_all(&bytes)?;
            thread::sleep(pause);
        }
        io::Result::Ok(())
    };
    thread::Builder::new().spawn(send_all)?;
    Ok(listener.accept()?.0)
}

/// The same for a reader that is busy elsewhere until all has come.
fn send_to_busy(sends: Vec<Vec<u8>>, pause: Duration) -> io::Result<TcpStream> {
    let mut all = sends.concat();
    let far = send(sends, pause)?;
    // peek says what recv would return, and leaves it there; nothing means the end.
    loop {
        match far.peek(&mut all)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            came if came == all.len() => return Ok(far),
            _ => thread::yield_now(),
        }
    }
}

/// What one recv after another returns, of at most `most` bytes each, until the end.
fn recv_all(mut far: TcpStream, most: usize) -> io::Result<Vec<String>> {
    let (mut buffer, mut received) = (vec![0; most], Vec::new());
    while let came @ 1.. = far.read(&mut buffer)? {
        received.push(String::from_utf8_lossy(&buffer[..came]).into_owned());
    }
    Ok(received)
}

fn stick() -> io::Result<()> {
    println!("1. three sends that arrive as one: {SENT:?}");
    let far = send_to_busy(SENT.map(Vec::from).to_vec(), Duration::ZERO)?;
    println!("   received: {:?}", recv_all(far, 1024)?);
    println!("2. one send that arrives in pieces, as recv asks for 4 bytes at most");
    let far = send_to_busy(vec!["hello world".into()], Duration::ZERO)?;
    println!("   received: {:?}", recv_all(far, 4)?);
    Ok(())
}

fn mark() -> io::Result<()> {
    println!("3. first cure: a mark at the end of each message, here a line end");
    let lines = |messages: [String; 3]| -> io::Result<Vec<String>> {
        let marked = messages.map(|message| format!("{message}\n").into());
        let far = send_to_busy(marked.to_vec(), Duration::ZERO)?;
        BufReader::new(far).lines().collect()
    };
    println!("   received: {:?}", lines(SENT.map(str::to_owned))?);
    // The data must not hold the mark: it is escaped there, and so is the escape itself.
    let escape = |text: &str| text.replace('%', "%25").replace('\n', "%0A");
    let unescape = |text: &String| text.replace("%0A", "\n").replace("%25", "%");
    let read: Vec<String> = lines(SENT.map(escape))?.iter().map(unescape).collect();
    println!("   received with the mark escaped in the data: {read:?}");
    Ok(())
}

fn delay() -> io::Result<()> {
    println!("4. second cure: a delay after each send, doubled until it is long enough");
    let sends = SENT.map(Vec::from).to_vec();
    let mut pause = Duration::from_millis(10);
    while recv_all(send(sends.clone(), pause)?, 1024)? != SENT {
        pause *= 2;
    }
    println!("   {pause:?}, and a reader that waits: {SENT:?}");
    let received = recv_all(send_to_busy(sends, pause)?, 1024)?;
    println!("   {pause:?}, and a reader that is busy meanwhile: {received:?}");
    Ok(())
}

fn header() -> io::Result<()> {
    println!("5. third cure: a header of 2 bytes with the length, then the body");
    let framed = SENT.map(|s| [&(s.len() as u16).to_be_bytes(), s.as_bytes()].concat());
    let mut far = send_to_busy(framed.to_vec(), Duration::ZERO)?;
    let mut received = Vec::new();
    for _ in SENT {
        // read_exact calls recv until it has so many bytes, no less and no more.
        let mut header = [0; 2];
        far.read_exact(&mut header)?;
        let mut body = vec![0; u16::from_be_bytes(header).into()];
        far.read_exact(&mut body)?;
        received.push(String::from_utf8_lossy(&body).into_owned());
    }
    println!("   received: {received:?}");
    Ok(())
}
