//! Two ends of one socket, encrypted.

use super::*;
use crate::fault::Fault;
use crate::net::plain::Plain;
use crate::net::stream::{Phase, Stream};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::iter;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const GENEROUS: Duration = Duration::from_secs(30);

fn key() -> Keypair {
    Keypair::generate().unwrap().0
}

fn sockets() -> (Plain, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Plain::new(listener.accept().unwrap().0).unwrap(), far)
}

fn stream(transport: Encrypted) -> Stream {
    Stream::new(transport, Fault::default(), GENEROUS)
}

/// A server with its key, and a client that expects one.
fn pair(server: &Keypair, client: &Keypair, expected: Expected) -> (Stream, Stream, ClientSide) {
    let (near, far) = sockets();
    let near = Encrypted::accept(near, &ServerSide::new(server).unwrap());
    let side = ClientSide::new(client, expected).unwrap();
    let far = Encrypted::connect(Plain::new(far).unwrap(), &side).unwrap();
    (stream(near), stream(far), side)
}

/// The same two once each has heard the other.
fn opened(mut near: Stream, mut far: Stream) -> (Stream, Stream) {
    let opening = thread::spawn(move || {
        near.read_exact(&mut [0; 1]).unwrap();
        near.write_all(b"y").unwrap();
        near
    });
    far.write_all(b"x").unwrap();
    far.read_exact(&mut [0; 1]).unwrap();
    (opening.join().unwrap(), far)
}

fn noise(len: usize) -> Vec<u8> {
    let mut noise = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise
}

#[test]
fn bytes_go_both_ways_and_each_side_knows_the_other_s_key() {
    let (one, other) = (key(), key());
    let (mut near, mut far, side) = pair(&one, &other, Expected::Key(one.public()));
    let sent = noise(3 << 20);
    let answer = thread::spawn(move || {
        let mut came = vec![0; 3 << 20];
        near.read_exact(&mut came).unwrap();
        near.write_all(&came).unwrap();
        let key = near.peer_key();
        near.close(Duration::ZERO, 0);
        key
    });
    far.write_all(&sent).unwrap();
    let mut back = Vec::new();
    far.read_to_end(&mut back).unwrap();
    assert!(back == sent);
    assert_eq!(answer.join().unwrap(), Some(other.public()));
    assert_eq!(far.peer_key(), Some(one.public()));
    assert_eq!(side.met(), Some(one.public()));
}

#[track_caller]
fn is_refused(expected: impl Fn(&Keypair) -> Expected) {
    let server = key();
    let (mut near, mut far, side) = pair(&server, &key(), expected(&server));
    let heard = thread::spawn(move || near.read(&mut [0; 64]).map_err(|e| e.kind()));
    let _ = far.write_all(b"a secret");
    let error = far.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    drop(far);
    assert_eq!(heard.join().unwrap(), Err(ErrorKind::ConnectionAborted));
    assert_eq!(side.met(), Some(server.public()));
}

#[test]
fn nothing_is_said_to_a_server_that_is_not_the_expected_one() {
    is_refused(|_| Expected::Key(key().public()));
    is_refused(|_| Expected::Fingerprint(key().public().fingerprint()));
    is_refused(|_| Expected::Nobody);
}

#[test]
fn a_fingerprint_is_as_good_as_a_key() {
    let server = key();
    let expected = Expected::Fingerprint(server.public().fingerprint());
    let (mut near, mut far, _) = pair(&server, &key(), expected);
    let heard = thread::spawn(move || {
        near.read_exact(&mut [0; 5]).unwrap();
        near.write_all(b"hello").unwrap();
        near
    });
    far.write_all(b"hello").unwrap();
    far.read_exact(&mut [0; 5]).unwrap();
    far.close(Duration::ZERO, 0);
    // It said goodbye before it left.
    assert_eq!(heard.join().unwrap().read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_client_that_does_not_encrypt_is_heard_so_that_it_can_be_told() {
    let (near, mut far) = sockets();
    let mut near = stream(Encrypted::accept(near, &ServerSide::new(&key()).unwrap()));
    far.write_all(b"GET / HTTP/1.1").unwrap();
    let mut came = [0; 14];
    near.read_exact(&mut came).unwrap();
    assert_eq!(&came, b"GET / HTTP/1.1");
    assert_eq!(near.peer_key(), None);
    near.write_all(b"no").unwrap();
    near.close(Duration::ZERO, 0);
    let mut answer = String::new();
    far.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "no");
}

/// Passes on what comes from one socket to another, a byte at a time.
fn drip(mut from: TcpStream, mut to: TcpStream) {
    let mut byte = [0];
    while from.read(&mut byte).is_ok_and(|read| read > 0) && to.write_all(&byte).is_ok() {}
    let _ = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn a_record_that_comes_byte_by_byte_is_awaited_to_its_end() {
    let (server, client) = (key(), key());
    let ((near, one), (far, other)) = (sockets(), sockets());
    for [from, to] in [[&one, &other], [&other, &one]] {
        let [from, to] = [from, to].map(|socket| socket.try_clone().unwrap());
        thread::spawn(move || drip(from, to));
    }
    let mut near = stream(Encrypted::accept(near, &ServerSide::new(&server).unwrap()));
    let side = ClientSide::new(&client, Expected::Key(server.public())).unwrap();
    let mut far = stream(Encrypted::connect(far, &side).unwrap());
    let opened = thread::spawn(move || {
        near.read_exact(&mut [0; 1]).unwrap();
        near.write_all(&noise(20_000)).unwrap();
        near
    });
    far.write_all(b"x").unwrap();
    far.rest().unwrap();
    assert!(far.is_readable().unwrap(), "a record is there, and whole");
    let mut came = vec![0; 20_000];
    far.read_exact(&mut came).unwrap();
    assert!(came == noise(20_000));
    assert!(!far.await_input(Duration::from_millis(50)).unwrap());
    drop(opened.join().unwrap());
    far.rest().unwrap();
    let error = far.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

/// A connection of which little is on its way at a time, and a server that has opened it.
fn narrow() -> (Stream, Stream) {
    let server = key();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = listener.accept().unwrap().0;
    SockRef::from(&near).set_send_buffer_size(4 << 10).unwrap();
    SockRef::from(&far).set_recv_buffer_size(4 << 10).unwrap();
    let near = Plain::new(near).unwrap();
    let near = Encrypted::accept(near, &ServerSide::new(&server).unwrap());
    let side = ClientSide::new(&key(), Expected::Key(server.public())).unwrap();
    let far = Encrypted::connect(Plain::new(far).unwrap(), &side).unwrap();
    opened(stream(near), stream(far))
}

/// Reads a little whenever a moment has passed, until the other side is gone.
fn sip(mut far: Stream) {
    let (_never, moment) = mpsc::channel::<()>();
    let moment = || moment.recv_timeout(Duration::from_millis(20));
    while moment().is_err() && far.read(&mut [0; 1 << 12]).is_ok_and(|read| read > 0) {}
}

#[test]
fn a_peer_that_reads_a_little_at_a_time_has_the_time_of_all_and_no_more() {
    let (mut near, far) = narrow();
    let far = thread::spawn(move || sip(far));
    near.allow_write(GENEROUS, Duration::from_secs(1));
    let began = Instant::now();
    let error = near.write_all(&noise(64 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let took = began.elapsed();
    assert!(took < Duration::from_millis(2500), "it took {took:?}");
    drop(near);
    far.join().unwrap();
}

#[test]
fn a_record_that_comes_byte_by_byte_has_the_time_of_all_and_no_more() {
    let (near, mut far) = sockets();
    let side = ServerSide::new(&key()).unwrap();
    let mut near = stream(Encrypted::accept(near, &side));
    near.expect(Phase::Opening, Duration::from_millis(300));
    let (ended, moment) = mpsc::channel();
    let dripping = thread::spawn(move || {
        // The head of a record of 8 KiB, and what might be in it.
        let head = [22, 3, 1, 0x20, 0];
        for byte in head.into_iter().chain(iter::repeat_n(0, 500)) {
            far.write_all(&[byte]).unwrap();
            if moment.recv_timeout(Duration::from_millis(20)).is_ok() {
                return true;
            }
        }
        false
    });
    let error = near.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    ended.send(()).unwrap();
    assert!(dripping.join().unwrap(), "it ended while bytes still came");
}

#[test]
fn a_part_of_a_record_is_not_readable_yet_and_a_cut_is_no_end() {
    let server = key();
    let (near, far, _) = pair(&server, &key(), Expected::Key(server.public()));
    let (mut near, mut far) = opened(near, far);
    assert!(!far.is_readable().unwrap());
    near.write_all(b"more").unwrap();
    let mut came = [0; 4];
    far.read_exact(&mut came).unwrap();
    assert!(!far.is_readable().unwrap());
    drop(near);
    let error = far.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_write_that_was_given_up_is_the_last_one() {
    let server = key();
    let (near, far, _) = pair(&server, &key(), Expected::Key(server.public()));
    let (mut near, mut far) = opened(near, far);
    near.allow_write(Duration::from_millis(50), GENEROUS);
    let error = near.write_all(&noise(64 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    // Now the other side listens, and would take this for what it still waits for.
    let listens = thread::spawn(move || far.read_to_end(&mut Vec::new()));
    near.allow_write(GENEROUS, GENEROUS);
    let error = near.write_all(b"another message").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    drop(near);
    assert!(listens.join().unwrap().is_err());
}
