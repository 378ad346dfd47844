//! A peer that says what it likes: bytes, frames or messages, as either side.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use haul::code::Code;
use haul::content::{BlockSize, Checksum, Geometry, node_of};
use haul::entry::{Entry, Kind, Mode, Mtime};
use haul::fault::Fault;
use haul::net::{Phase, Stream, Transport};
use haul::offer::{Compare, EntryId, OnExisting, TransferId};
use haul::wire::message::Welcome;
use haul::wire::message::{Block, Commit, Committed, Encoded, Fail, Hello, List, Offer, Offered};
use haul::wire::{Error, Frames, Incoming, Message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use crate::rig::{Rig, remote};
use crate::secrecy::{Keys, Secrecy};

/// How long a raw peer waits for what must come at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The deadline of a test that is about it.
pub const SOON: Duration = Duration::from_millis(300);

/// A transfer that no other test has.
pub fn transfer() -> TransferId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    TransferId(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_be_bytes())
}

/// A file of these bytes as it is offered or listed: in blocks of 1 KiB.
pub fn entry(path: &str, bytes: &[u8]) -> Entry {
    Entry {
        path: remote(path),
        kind: Kind::File(cut(bytes)),
        mode: Mode::masked(0o644),
        mtime: Mtime::new(1, 0).unwrap(),
        version: None,
        checksum: None,
    }
}

pub fn offered(number: EntryId, path: &str, bytes: &[u8]) -> Offered {
    Offered {
        entry: number,
        what: entry(path, bytes),
        base: 0,
    }
}

/// An offer that replaces nothing, as request 1.
pub fn offer(transfer: TransferId, entries: Vec<Offered>) -> Offer {
    Offer {
        request: 1,
        transfer,
        on: OnExisting::Refuse,
        dry: false,
        compare: Compare::Quick,
        entries,
    }
}

pub fn committed(entry: EntryId, checksum: Option<Checksum>) -> Committed {
    Committed {
        entry,
        checksum,
        second: None,
    }
}

/// A commit, as request 2.
pub fn commit(transfer: TransferId, entries: Vec<Committed>) -> Commit {
    Commit {
        request: 2,
        transfer,
        entries,
    }
}

/// What `b3sum` prints of these bytes.
pub fn sum(bytes: &[u8]) -> Checksum {
    Checksum::Blake3(*blake3::hash(bytes).as_bytes())
}

pub fn cut(bytes: &[u8]) -> Geometry {
    Geometry::new(bytes.len() as u64, BlockSize::new(1024).unwrap()).unwrap()
}

/// Block `index` of a file of these bytes, as an honest sender says it.
pub fn block(transfer: TransferId, entry: EntryId, bytes: &[u8], index: u64) -> (Block, Vec<u8>) {
    let number = cut(bytes).index(index).unwrap();
    let start = cut(bytes).offset(number) as usize;
    let body = &bytes[start..start + cut(bytes).len(number)];
    let header = Block {
        transfer,
        entry,
        index,
        node: node_of(cut(bytes), number, body),
        ticket: None,
        path: None,
        size: None,
    };
    (header, body.to_vec())
}

/// What a peer does.
pub type Act = fn(&mut Raw);

/// One end of a connection, without manners.
pub struct Raw {
    frames: Frames<Stream>,
    /// What carries it, to be looked at or broken.
    socket: TcpStream,
    /// Whether a handshake comes first, which is made by whoever reads.
    is_expecting: bool,
}

/// What came.
#[derive(Debug)]
pub enum Heard {
    Message(Message),
    Block(Block, Vec<u8>),
    End,
    /// An end that the other side did not say, where it could be anybody's doing.
    Lost,
}

impl Raw {
    /// The server's end of a connection that was just made.
    pub fn accepted(socket: TcpStream, keys: &Keys) -> Self {
        let spare = socket.try_clone().unwrap();
        Self {
            frames: frames(keys.server_end(socket)),
            socket: spare,
            is_expecting: keys.encrypt(),
        }
    }

    /// Connects, and says nothing.
    pub fn connect(rig: &Rig) -> Self {
        Self::connect_holding(&rig.keys, rig)
    }

    /// Connects, and will say nothing that is encrypted.
    pub fn connect_in_clear(rig: &Rig) -> Self {
        Self::connect_holding(&Keys::of(Secrecy::Plain), rig)
    }

    fn connect_holding(keys: &Keys, rig: &Rig) -> Self {
        Self::over(TcpStream::connect(&rig.address).unwrap(), keys)
    }

    /// The client's end of a connection that was made.
    pub fn over(socket: TcpStream, keys: &Keys) -> Self {
        let spare = socket.try_clone().unwrap();
        Self {
            frames: frames(keys.client_end(socket)),
            socket: spare,
            is_expecting: false,
        }
    }

    /// Connects, and says hello.
    #[track_caller]
    pub fn open(rig: &Rig) -> Self {
        Self::try_open(rig).expect("a welcome")
    }

    /// The same; `None` where there is no place.
    pub fn try_open(rig: &Rig) -> Option<Self> {
        Some(Self::welcomed(rig)?.0)
    }

    /// The same, with what the server says of itself.
    pub fn welcomed(rig: &Rig) -> Option<(Self, Welcome)> {
        Self::connect(rig).greeted()
    }

    /// Says hello on a connection that was made; `None` where there is no place.
    pub fn begin(self) -> Option<Self> {
        Some(self.greeted()?.0)
    }

    fn greeted(mut self) -> Option<(Self, Welcome)> {
        self.frames.queue_preface(1);
        self.say(&hello());
        // Whoever has no place to give says so in clear, which is no preface then.
        self.patient().read_preface().ok()?;
        match self.hear() {
            Heard::Message(Message::Welcome(welcome)) => Some((self, welcome)),
            _ => None,
        }
    }

    /// Reads the other side's preface.
    #[track_caller]
    pub fn is_greeted(&mut self) {
        self.is_expecting = false;
        assert_eq!(self.patient().read_preface().unwrap(), 1);
    }

    /// Before it is heard, an encrypted server can say nothing.
    fn hears_first(&mut self) {
        if self.is_expecting {
            self.is_greeted();
        }
    }

    /// Sends these bytes, as far as the other side takes them.
    pub fn send(&mut self, bytes: &[u8]) {
        self.hears_first();
        let _ = self.patient().io().write_all(bytes);
    }

    pub fn say<M: Encoded>(&mut self, message: &M) {
        self.hears_first();
        self.patient().queue(message);
        let _ = self.frames.flush();
    }

    /// The connection, each use of which may take its time.
    fn patient(&mut self) -> &mut Frames<Stream> {
        let io = self.frames.io();
        io.expect(Phase::Answer, PATIENCE);
        io.allow_write(PATIENCE, PATIENCE);
        &mut self.frames
    }

    /// Says the same again and again, until the other side is gone.
    pub fn say_for_ever<M: Encoded>(&mut self, message: &M) {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.patient().queue(message);
            if self.frames.flush().is_err() {
                return;
            }
        }
        panic!("the other side listens for ever");
    }

    pub fn send_block(&mut self, header: &Block, body: &[u8]) {
        let _ = self.patient().send_block(header, body);
        let _ = self.frames.flush();
    }

    /// Waits for what the other side says next.
    #[track_caller]
    pub fn hear(&mut self) -> Heard {
        match self.try_hear() {
            Ok(heard) => heard,
            Err(Error::Io(e)) if e.kind() == ErrorKind::ConnectionReset => Heard::End,
            Err(Error::Io(e)) if e.kind() == ErrorKind::UnexpectedEof => Heard::Lost,
            Err(error) => panic!("nothing that can be understood came: {error}"),
        }
    }

    fn try_hear(&mut self) -> Result<Heard, Error> {
        let Some(prefix) = self.patient().prefix()? else {
            return Ok(Heard::End);
        };
        Ok(match self.frames.message(prefix)? {
            Incoming::Message(message) => Heard::Message(message),
            Incoming::Unknown(number, _) => panic!("a message of kind {number}"),
            Incoming::Block(header, len) => {
                let mut body = vec![0; len];
                self.frames.body(&mut body)?;
                Heard::Block(header, body)
            }
        })
    }

    /// Expects a failure next.
    #[track_caller]
    pub fn hear_fail(&mut self, case: &str) -> Fail {
        match self.hear() {
            Heard::Message(Message::Fail(fail)) => fail,
            other => panic!("{case}: no failure but {other:?}"),
        }
    }

    /// The other side says why it ends the connection, and ends it.
    #[track_caller]
    pub fn is_ended(&mut self, code: Code, why: &str, case: &str) {
        let fail = self.hear_fail(case);
        assert_eq!((fail.request, fail.entry), (None, None), "{case}: {fail:?}");
        assert_eq!(fail.code, code, "{case}: {fail:?}");
        assert!(fail.text.contains(why), "{case}: {fail:?}");
        assert!(matches!(self.hear(), Heard::End), "{case}: it goes on");
    }

    /// The connection still answers.
    #[track_caller]
    pub fn is_answered(&mut self, case: &str) {
        self.say(&list(9999));
        match self.hear() {
            Heard::Message(Message::Entries(page)) if page.request == 9999 => {}
            other => panic!("{case}: no answer but {other:?}"),
        }
    }

    /// All that the other side says from here on.
    pub fn everything(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.patient().io().read_to_end(&mut all).unwrap();
        all
    }

    /// Sends a byte whenever a moment has passed in silence, until the other side
    /// speaks or `bytes` are used up.
    pub fn drip(&mut self, bytes: &[u8]) {
        let moment = Timespec {
            tv_sec: 0,
            tv_nsec: 20_000_000,
        };
        for byte in bytes {
            let is_taken = self.patient().io().write_all(&[*byte]).is_ok();
            let mut heard = [PollFd::new(&self.socket, PollFlags::IN)];
            if !is_taken || poll(&mut heard, Some(&moment)).unwrap() > 0 {
                break;
            }
        }
    }

    /// Whether the other side says something before so much time has passed.
    pub fn hears_within(&self, time: Duration) -> bool {
        let mut heard = [PollFd::new(&self.socket, PollFlags::IN)];
        let time = Timespec::try_from(time).unwrap();
        poll(&mut heard, Some(&time)).unwrap() > 0
    }

    /// Ends the connection with a reset instead of an end.
    pub fn reset(self) {
        let socket = SockRef::from(&self.socket);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Says no more, and waits until the other side has nothing to say either.
    pub fn finish(self) {
        self.frames.into_io().close(PATIENCE, u64::MAX);
    }

    /// Waits in silence until the other side has gone, or patience is at its end.
    pub fn outlast(&mut self) {
        let (mut sink, io) = ([0; 8192], self.patient().io());
        while io.read(&mut sink).is_ok_and(|n| n > 0) {}
    }
}

fn frames(end: Box<dyn Transport>) -> Frames<Stream> {
    Frames::new(Stream::new(end, Fault::default(), PATIENCE))
}

pub fn hello() -> Hello {
    Hello {
        request: 0,
        agent: "raw".to_owned(),
        token: None,
    }
}

pub fn list(request: u64) -> List {
    List {
        request,
        path: None,
        depth: Some(1),
        after: None,
        itself: false,
    }
}
