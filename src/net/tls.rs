//! A transport that encrypts: TLS 1.3 over a TCP socket, with a raw key on each side.
//!
//! There are no certificates, dates or authorities: each side proves that it holds a key
//! (RFC 7250), and that is all that is verified here. A client says beforehand which key
//! its server must have, and says nothing to any other. Who of the clients may come in
//! is decided above, where it can be answered with a reason.
//!
//! No session is resumed and nothing is sent early: a conversation is long, and each of
//! these would be a second way in.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use super::keys::{Fingerprint, Keypair, PublicKey};
use super::plain::Plain;
use super::stream::Transport;
use super::tls_config::{self, Verifier};

/// Plaintext and records that wait to be sent, in bytes: what one system call takes.
const OUTGOING: usize = 256 << 10;

/// Bytes that are read at once.
const INCOMING: usize = 256 << 10;

/// The type of a TLS record that begins a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a server encrypts.
#[derive(Clone)]
pub struct ServerSide {
    config: Arc<rustls::ServerConfig>,
    public: PublicKey,
}

/// How a client encrypts. Clones know the same.
#[derive(Clone)]
pub struct ClientSide {
    config: Arc<rustls::ClientConfig>,
    met: Met,
}

/// The key that a server has shown.
pub(super) type Met = Arc<Mutex<Option<PublicKey>>>;

/// Which server a client speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The one that holds this key.
    Key(PublicKey),
    /// The one whose key has this fingerprint.
    Fingerprint(Fingerprint),
    /// None: the connection is only made to learn whose it is.
    Nobody,
}

/// One encrypted connection.
pub struct Encrypted {
    socket: Plain,
    state: State,
    incoming: Incoming,
    /// Bytes of a write that are taken and not yet sent.
    taken: usize,
}

enum State {
    /// A client has connected, and has not said a byte.
    Expecting(ServerSide),
    /// Records go to and fro.
    Records(Box<Connection>),
    /// The client does not encrypt: it can still be told that it has to.
    Clear,
}

/// What was read from the socket and not yet decrypted.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    at: usize,
    end: usize,
}

impl ServerSide {
    /// Shows and proves `key` to every client.
    ///
    /// # Errors
    ///
    /// When the system cannot encrypt as haul does.
    pub fn new(key: &Keypair) -> io::Result<Self> {
        let config = tls_config::server(key).map_err(io::Error::other)?;
        Ok(Self {
            config: Arc::new(config),
            public: key.public(),
        })
    }

    /// The key that clients see.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl ClientSide {
    /// Shows and proves `key`, and speaks to the server that is expected.
    ///
    /// # Errors
    ///
    /// When the system cannot encrypt as haul does.
    pub fn new(key: &Keypair, expected: Expected) -> io::Result<Self> {
        let met = Met::default();
        let verifier = Verifier::of_server(expected, Arc::clone(&met));
        let config = tls_config::client(key, verifier).map_err(io::Error::other)?;
        Ok(Self {
            config: Arc::new(config),
            met,
        })
    }

    /// The key that the last server had, whether it was the expected one or not.
    #[must_use]
    pub fn met(&self) -> Option<PublicKey> {
        *self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected {
    pub(super) fn is(self, key: &PublicKey) -> bool {
        match self {
            Self::Key(expected) => expected == *key,
            Self::Fingerprint(expected) => expected == key.fingerprint(),
            Self::Nobody => false,
        }
    }
}

impl Encrypted {
    /// Begins as a client. What is written first leaves once the handshake is made,
    /// which the first read sees to, within its time.
    ///
    /// # Errors
    ///
    /// When the connection cannot be set up.
    pub fn connect(socket: Plain, side: &ClientSide) -> io::Result<Self> {
        // It names nobody: names are not sent, and say nothing here.
        let name = ServerName::try_from("haul").map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(&side.config), name);
        let mut session = Connection::Client(session.map_err(io::Error::other)?);
        session.set_buffer_limit(Some(OUTGOING));
        Ok(Self::with(socket, State::Records(Box::new(session))))
    }

    /// Begins as a server, which reads first: that makes the handshake, within its time.
    #[must_use]
    pub fn accept(socket: Plain, side: &ServerSide) -> Self {
        Self::with(socket, State::Expecting(side.clone()))
    }

    fn with(socket: Plain, state: State) -> Self {
        Self {
            socket,
            state,
            incoming: Incoming::default(),
            taken: 0,
        }
    }

    /// Sees whether the client encrypts, by the first byte that it says.
    fn decide(&mut self, side: &ServerSide, wait: Duration) -> io::Result<()> {
        self.incoming.fill(&mut self.socket, wait)?;
        self.state = if self.incoming.first() == Some(HANDSHAKE) {
            let session = ServerConnection::new(Arc::clone(&side.config));
            let mut session = Connection::Server(session.map_err(io::Error::other)?);
            session.set_buffer_limit(Some(OUTGOING));
            State::Records(Box::new(session))
        } else {
            State::Clear
        };
        Ok(())
    }

    /// Sends what waits to be sent.
    fn flush(&mut self, wait: Duration) -> io::Result<()> {
        let State::Records(session) = &mut self.state else {
            return Ok(());
        };
        let mut out = Outgoing {
            socket: &mut self.socket,
            wait,
        };
        while session.wants_write() {
            session.write_tls(&mut out)?;
        }
        Ok(())
    }

    /// Decrypts more, after waiting for it if there is none.
    fn pull(&mut self, wait: Duration) -> io::Result<()> {
        let State::Records(session) = &mut self.state else {
            return Ok(());
        };
        if self.incoming.is_empty() {
            self.incoming.fill(&mut self.socket, wait)?;
        }
        session.read_tls(&mut self.incoming)?;
        if let Err(error) = session.process_new_packets() {
            // The peer is told by an alert, if it still listens.
            let _ = self.flush(wait);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(())
    }
}

impl Transport for Encrypted {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        loop {
            match &mut self.state {
                State::Clear if !self.incoming.is_empty() => return self.incoming.read(into),
                State::Clear => return self.socket.read(into, wait),
                State::Expecting(side) => {
                    let side = side.clone();
                    self.decide(&side, wait)?;
                }
                State::Records(session) => match session.reader().read(into) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.flush(wait)?;
                        self.pull(wait)?;
                    }
                    other => return other,
                },
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize> {
        loop {
            match &mut self.state {
                State::Clear => return self.socket.write(slices, wait),
                State::Expecting(side) => {
                    let side = side.clone();
                    self.decide(&side, wait)?;
                }
                State::Records(session) => {
                    // After a wait that ran out the same bytes are given again.
                    if self.taken == 0 {
                        self.taken = session.writer().write_vectored(slices)?;
                    }
                    self.flush(wait)?;
                    if self.taken > 0 {
                        return Ok(std::mem::take(&mut self.taken));
                    }
                    // Nothing more is taken before the handshake is made.
                    self.pull(wait)?;
                }
            }
        }
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        loop {
            let State::Records(session) = &mut self.state else {
                return Ok(!self.incoming.is_empty() || self.socket.is_readable()?);
            };
            match session.reader().fill_buf() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Bytes, the end, or what a read would report.
                Ok(_) | Err(_) => return Ok(true),
            }
            if self.incoming.is_empty() && !self.socket.is_readable()? {
                return Ok(false);
            }
            // What has come may be no more than a part of a record.
            self.pull(Duration::from_millis(1))?;
        }
    }

    fn has_left(&mut self) -> io::Result<bool> {
        self.socket.has_left()
    }

    fn finish(&mut self) -> io::Result<()> {
        if let State::Records(session) = &mut self.state
            && !session.is_handshaking()
        {
            session.send_close_notify();
            self.flush(FAREWELL)?;
        }
        self.socket.finish()
    }

    fn peer(&self) -> String {
        self.socket.peer()
    }

    fn peer_key(&self) -> Option<PublicKey> {
        let State::Records(session) = &self.state else {
            return None;
        };
        let shown = session.peer_certificates()?.first()?;
        PublicKey::from_spki(shown).filter(|_| !session.is_handshaking())
    }
}

impl Incoming {
    fn is_empty(&self) -> bool {
        self.at == self.end
    }

    fn first(&self) -> Option<u8> {
        (!self.is_empty()).then(|| self.bytes[self.at])
    }

    /// Waits for bytes; none are the end.
    fn fill(&mut self, socket: &mut Plain, wait: Duration) -> io::Result<()> {
        (self.at, self.end) = (0, 0);
        if self.bytes.is_empty() {
            self.bytes = vec![0; INCOMING];
        }
        match socket.read(&mut self.bytes, wait) {
            Ok(read) => {
                self.end = read;
                Ok(())
            }
            Err(error) => {
                // Most connections are idle most of the time, and should cost little.
                self.bytes = Vec::new();
                Err(error)
            }
        }
    }
}

/// What was read from the socket, as the session takes it.
impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = &self.bytes[self.at..self.end];
        let len = left.len().min(into.len());
        into[..len].copy_from_slice(&left[..len]);
        self.at += len;
        Ok(len)
    }
}

/// The socket, as the session writes to it.
struct Outgoing<'s> {
    socket: &'s mut Plain,
    wait: Duration,
}

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write(slices, self.wait)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerSide({:?})", self.public)
    }
}

impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientSide(met {:?})", self.met())
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encrypted({})", self.peer())
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test that gets no thread has failed"
)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::net::stream::Stream;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

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
    fn pair(
        server: &Keypair,
        client: &Keypair,
        expected: Expected,
    ) -> (Stream, Stream, ClientSide) {
        let (near, far) = sockets();
        let near = Encrypted::accept(near, &ServerSide::new(server).unwrap());
        let side = ClientSide::new(client, expected).unwrap();
        let far = Encrypted::connect(Plain::new(far).unwrap(), &side).unwrap();
        (stream(near), stream(far), side)
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
        assert_eq!(heard.join().unwrap(), Err(ErrorKind::InvalidData));
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

    #[test]
    fn a_part_of_a_record_is_not_readable_yet_and_a_cut_is_no_end() {
        let server = key();
        let (mut near, mut far, _) = pair(&server, &key(), Expected::Key(server.public()));
        let opened = thread::spawn(move || {
            near.read_exact(&mut [0; 1]).unwrap();
            near.write_all(b"y").unwrap();
            near
        });
        far.write_all(b"x").unwrap();
        far.read_exact(&mut [0; 1]).unwrap();
        let mut near = opened.join().unwrap();
        assert!(!far.is_readable().unwrap());
        near.write_all(b"more").unwrap();
        let mut came = [0; 4];
        far.read_exact(&mut came).unwrap();
        assert!(!far.is_readable().unwrap());
        drop(near);
        let error = far.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
