//! One encrypted connection: records between a session and a socket.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConnection, Connection, ServerConnection};

use super::{ClientSide, InClear, ServerSide};
use crate::net::keys::PublicKey;
use crate::net::plain::Plain;
use crate::net::stream::{Transport, is_wait};

/// Plaintext and records that wait to be sent, in bytes: what one system call takes.
const OUTGOING: usize = 256 << 10;

/// Bytes that are read at once where many come.
const INCOMING: usize = 256 << 10;

/// Bytes that are read at once where few do: a handshake, a request now and then.
const INCOMING_FEW: usize = 4 << 10;

/// The type of a TLS record that begins a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The first and the last type of TLS records that there are.
const RECORDS: (u8, u8) = (20, 24);

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// One encrypted connection.
pub struct Encrypted {
    socket: Plain,
    state: State,
    incoming: Incoming,
    /// Whether the peer has said anything.
    heard: bool,
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
    /// All is said. What still comes will be thrown away, and is not looked into: a record
    /// that is damaged would ask for an alert, and no word follows the last one.
    Over,
}

/// What was read from the socket and not yet decrypted.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    at: usize,
    end: usize,
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
            heard: false,
            taken: 0,
        }
    }

    /// Sees whether the client encrypts, by the first byte that it says.
    fn decide(&mut self, side: &ServerSide, wait: Duration) -> io::Result<()> {
        self.incoming.fill(&mut self.socket, wait)?;
        self.heard = true;
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

    /// Sends some of what waits to be sent, and says whether that was all.
    fn send(&mut self, wait: Duration) -> io::Result<bool> {
        let State::Records(session) = &mut self.state else {
            return Ok(true);
        };
        if session.wants_write() {
            session.write_tls(&mut Outgoing {
                socket: &mut self.socket,
                wait,
            })?;
        }
        Ok(!session.wants_write())
    }

    /// Sends all that waits to be sent, however little of it goes at a time.
    fn flush(&mut self, wait: Duration) -> io::Result<()> {
        let until = Instant::now() + wait;
        while !self.send(wait)? {
            if Instant::now() >= until {
                return Err(ErrorKind::WouldBlock.into());
            }
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
        let is_record = |first| (RECORDS.0..=RECORDS.1).contains(&first);
        let is_first = !std::mem::replace(&mut self.heard, true);
        // Later on, what comes may begin in the middle of a record.
        if is_first && !self.incoming.first().is_none_or(is_record) {
            let said = self.incoming.rest().to_vec();
            return Err(io::Error::new(ErrorKind::InvalidData, InClear(said)));
        }
        session.read_tls(&mut self.incoming)?;
        if let Err(error) = session.process_new_packets() {
            // The peer is told by an alert, if it still listens.
            let _ = self.flush(wait);
            return Err(match error {
                // What a client says to a server whose key is not the one that it wants.
                rustls::Error::AlertReceived(AlertDescription::AccessDenied) => {
                    ErrorKind::ConnectionAborted.into()
                }
                error => io::Error::new(ErrorKind::InvalidData, error),
            });
        }
        Ok(())
    }
}

impl Transport for Encrypted {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        let mut has_waited = false;
        loop {
            match &mut self.state {
                State::Clear if !self.incoming.is_empty() => return self.incoming.read(into),
                State::Clear | State::Over => return self.socket.read(into, wait),
                State::Expecting(side) => {
                    let side = side.clone();
                    self.decide(&side, wait)?;
                }
                State::Records(session) => match session.reader().read(into) {
                    // Of a record that comes byte by byte each would be worth another wait.
                    Err(error) if error.kind() == ErrorKind::WouldBlock && !has_waited => {
                        has_waited = true;
                        self.flush(wait)?;
                        self.pull(wait)?;
                    }
                    other => return other,
                },
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize> {
        let until = Instant::now() + wait;
        loop {
            match &mut self.state {
                State::Clear => return self.socket.write(slices, wait),
                // Nothing can be told to a client of which not even that is known; to wait
                // for its first byte here would give it more time than to open has.
                State::Expecting(_) | State::Over => return Err(ErrorKind::BrokenPipe.into()),
                State::Records(session) => {
                    // After a wait that ran out, or had part of them, the same bytes are given again.
                    if self.taken == 0 {
                        self.taken = session.writer().write_vectored(slices)?;
                    }
                    if self.taken > 0 {
                        if self.send(wait)? {
                            return Ok(std::mem::take(&mut self.taken));
                        }
                        // Some has gone: the other side was not silent.
                        return Err(ErrorKind::Interrupted.into());
                    }
                    // Nothing more is taken before the handshake is made.
                    self.flush(wait)?;
                    self.pull(wait)?;
                    if Instant::now() >= until {
                        return Err(ErrorKind::WouldBlock.into());
                    }
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

    fn await_input(&mut self, wait: Duration) -> io::Result<bool> {
        let until = Instant::now() + wait;
        while !self.is_readable()? {
            let left = || until.saturating_duration_since(Instant::now());
            // What was read may have to be answered before anything else comes. A wait of no
            // time would be an error.
            match self.flush(left().max(Duration::from_millis(1))) {
                Err(error) if is_wait(&error) => return Ok(false),
                flushed => flushed?,
            }
            if !self.socket.await_input(left())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn rest(&mut self) {
        if self.incoming.is_empty() {
            self.incoming = Incoming::default();
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
        self.state = State::Over;
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
        self.rest().first().copied()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }

    /// Waits for bytes; none are the end.
    fn fill(&mut self, socket: &mut Plain, wait: Duration) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.bytes = vec![0; INCOMING_FEW];
        } else if self.end == self.bytes.len() && self.end < INCOMING {
            // It was filled the last time, so more is on its way.
            self.bytes = vec![0; INCOMING];
        }
        (self.at, self.end) = (0, 0);
        self.end = socket.read(&mut self.bytes, wait)?;
        Ok(())
    }
}

/// What was read from the socket, as the session takes it.
impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.rest();
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

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encrypted({})", self.peer())
    }
}
