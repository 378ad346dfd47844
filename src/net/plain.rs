//! A transport without encryption: the TCP socket itself.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};

use super::stream::Transport;

/// Between two of the system's questions whether the peer is still there.
const ASKING: Duration = Duration::from_secs(10);

/// What was lost where the system gives a connection up.
const GIVEN_UP: &str =
    "the network let nothing through for so long that the connection was given up";

/// When the system gives up a peer that is not heard. Where something is waited for the
/// deadlines are shorter; this is for what nobody waits for, and for those that went
/// without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Silence after which it is asked whether the peer is still there.
    pub keepalive: Duration,
    /// How long it may be unknown whether something has come there.
    pub user_timeout: Duration,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            keepalive: Duration::from_secs(60),
            // Beyond the stall deadline, which knows better what was waited for.
            user_timeout: Duration::from_secs(90),
        }
    }
}

/// A TCP connection.
#[derive(Debug)]
pub struct Plain {
    socket: Arc<TcpStream>,
    // Setting a timeout is a system call; nearly every wait is the same.
    read_timeout: Duration,
    write_timeout: Duration,
}

impl Plain {
    /// Takes a connected socket and sets its options. Whoever shares the socket only shuts
    /// it down.
    ///
    /// # Errors
    ///
    /// Whatever the system refuses.
    pub fn new(socket: impl Into<Arc<TcpStream>>) -> io::Result<Self> {
        Self::kept_by(socket, Liveness::default())
    }

    /// The same, for a peer that the system gives up then.
    ///
    /// # Errors
    ///
    /// Whatever the system refuses.
    pub fn kept_by(socket: impl Into<Arc<TcpStream>>, liveness: Liveness) -> io::Result<Self> {
        let socket = socket.into();
        // Messages are gathered before they are written: waiting for more only delays.
        socket.set_nodelay(true)?;
        let Liveness {
            keepalive,
            user_timeout,
        } = liveness;
        let asking = TcpKeepalive::new().with_time(keepalive);
        let asking = asking.with_interval(keepalive.min(ASKING));
        let options = SockRef::from(&*socket);
        options.set_tcp_keepalive(&asking)?;
        options.set_tcp_user_timeout(Some(user_timeout))?;
        Ok(Self {
            socket,
            read_timeout: Duration::ZERO,
            write_timeout: Duration::ZERO,
        })
    }

    /// Waits at most `wait` for one of these.
    fn poll(&self, wanted: PollFlags, wait: Duration) -> io::Result<bool> {
        let mut wanted = [PollFd::new(&*self.socket, wanted)];
        // More seconds than the system counts are as good as no end.
        let wait = Timespec::try_from(wait).ok();
        match poll(&mut wanted, wait.as_ref()) {
            Err(Errno::INTR) => Ok(false),
            polled => Ok(polled? > 0),
        }
    }
}

impl Transport for Plain {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        if self.read_timeout != wait {
            self.socket.set_read_timeout(Some(wait))?;
            self.read_timeout = wait;
        }
        (&*self.socket).read(into).map_err(given_up)
    }

    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize> {
        if self.write_timeout != wait {
            self.socket.set_write_timeout(Some(wait))?;
            self.write_timeout = wait;
        }
        (&*self.socket).write_vectored(slices).map_err(given_up)
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        self.poll(PollFlags::IN, Duration::ZERO)
    }

    fn await_input(&mut self, wait: Duration) -> io::Result<bool> {
        self.poll(PollFlags::IN, wait)
    }

    fn has_left(&mut self) -> io::Result<bool> {
        self.poll(PollFlags::RDHUP, Duration::ZERO)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn peer(&self) -> String {
        self.socket.peer_addr().map_or_else(
            |_| "gone".to_owned(),
            |address| super::listen::canonical(address).to_string(),
        )
    }
}

/// An error of the socket, told from a wait that ran out where the connection is lost.
fn given_up(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) if number == Errno::TIMEDOUT.raw_os_error() => io::Error::other(GIVEN_UP),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::net::stream::{Phase, Stream, is_wait};
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::time::Instant;

    /// Two ends of one loopback connection.
    fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let near = Plain::new(listener.accept().unwrap().0).unwrap();
        let generous = Duration::from_secs(30);
        (Stream::new(near, Fault::default(), generous), far)
    }

    #[track_caller]
    fn times_out(stream: &mut Stream, text: &str) {
        let error = stream.read_exact(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn the_system_is_told_when_to_give_up_a_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let seconds = Duration::from_secs;
        for (liveness, interval) in [
            (Liveness::default(), 10),
            (
                Liveness {
                    keepalive: seconds(2),
                    user_timeout: seconds(3),
                },
                2,
            ),
        ] {
            let _plain = Plain::kept_by(socket.try_clone().unwrap(), liveness).unwrap();
            let set = SockRef::from(&socket);
            assert!(set.keepalive().unwrap());
            assert_eq!(set.tcp_keepalive_time().unwrap(), liveness.keepalive);
            assert_eq!(set.tcp_keepalive_interval().unwrap(), seconds(interval));
            let timeout = set.tcp_user_timeout().unwrap();
            assert_eq!(timeout, Some(liveness.user_timeout));
        }
    }

    #[test]
    fn a_connection_that_is_given_up_is_no_wait_that_ran_out() {
        let number = Errno::TIMEDOUT.raw_os_error();
        let error = given_up(io::Error::from_raw_os_error(number));
        assert!(!is_wait(&error));
        assert_eq!(error.to_string(), GIVEN_UP);
        let again = given_up(ErrorKind::WouldBlock.into());
        assert!(is_wait(&again));
    }

    #[test]
    fn a_byte_that_came_does_not_move_the_deadline() {
        let (mut near, mut far) = pair();
        far.write_all(b"h").unwrap();
        near.expect(Phase::Opening, Duration::from_millis(50));
        times_out(
            &mut near,
            "the other side did not open the conversation in time",
        );
    }

    #[test]
    fn a_silent_body_is_cut_long_before_its_total() {
        let (mut near, _far) = pair();
        near.expect_body(Duration::from_millis(50), Duration::from_secs(3600));
        let began = Instant::now();
        times_out(
            &mut near,
            "the other side stalled in the middle of a message",
        );
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_peer_that_reads_nothing_is_cut() {
        let (mut near, _far) = pair();
        near.allow_write(Duration::from_millis(50), Duration::from_secs(3600));
        let error = near.write_all(&vec![0; 64 << 20]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn after_a_part_of_a_message_nothing_else_is_written() {
        let (mut near, mut far) = pair();
        near.allow_write(Duration::from_millis(50), Duration::from_secs(3600));
        near.write_all(&vec![0; 64 << 20]).unwrap_err();
        // There is room again, and the other side would take this for the rest.
        far.read_exact(&mut vec![0; 1 << 20]).unwrap();
        near.allow_write(Duration::from_secs(30), Duration::from_secs(30));
        let error = near.write_all(b"another message").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_peer_that_has_left_is_noticed_by_a_write_that_waits() {
        let (mut near, far) = pair();
        near.allow_write(Duration::from_secs(3600), Duration::from_secs(3600));
        // It says no more and reads no more, and never resets the connection.
        far.shutdown(Shutdown::Write).unwrap();
        let error = near.write_all(&vec![0; 64 << 20]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        drop(far);
    }

    #[test]
    fn a_rest_ends_with_bytes_with_the_end_or_with_the_deadline() {
        let (mut near, mut far) = pair();
        let moment = Duration::from_millis(50);
        assert!(!near.await_input(moment).unwrap());
        near.expect(Phase::Idle, moment);
        let error = near.rest().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the other side sent no request in time");
        near.expect(Phase::Idle, Duration::from_secs(30));
        far.write_all(b"x").unwrap();
        near.rest().unwrap();
        assert!(near.await_input(Duration::ZERO).unwrap());
        near.read_exact(&mut [0; 1]).unwrap();
        drop(far);
        near.rest().unwrap();
        assert_eq!(near.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn a_wait_for_input_is_no_longer_than_a_read_may_be() {
        let (mut near, _far) = pair();
        near.expect(Phase::Idle, Duration::from_millis(50));
        let began = Instant::now();
        assert!(!near.await_input(Duration::from_secs(3600)).unwrap());
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn bytes_that_came_are_seen_without_reading() {
        let (mut near, mut far) = pair();
        assert!(!near.is_readable().unwrap());
        far.write_all(b"x").unwrap();
        near.read_exact(&mut [0; 1]).unwrap();
        assert!(!near.is_readable().unwrap());
        drop(far);
        assert_eq!(near.read(&mut [0; 1]).unwrap(), 0);
        assert!(near.is_readable().unwrap());
    }
}
