//! Waiting for clients, and being told to stop waiting.

use std::io;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 1024;

/// A bound address that accepts connections until it is woken.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    woken: UnixStream,
    waker: UnixStream,
}

/// Ends a [`Listener`]'s waits, from any thread and for good.
#[derive(Debug)]
pub struct Waker(UnixStream);

/// What a wait ended with.
#[derive(Debug)]
pub enum Accepted {
    /// A client.
    Client(TcpStream, SocketAddr),
    /// The waker was used.
    Woken,
}

impl Listener {
    /// Binds the first of `address`'s addresses that can be; port 0 picks one.
    ///
    /// # Errors
    ///
    /// What the last address that was tried failed with.
    pub fn bind(address: &(impl ToSocketAddrs + ?Sized)) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for candidate in address.to_socket_addrs()? {
            match bind_one(candidate) {
                Ok(socket) => return Self::handed_over(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Takes a socket that listens already.
    ///
    /// # Errors
    ///
    /// When no descriptor can be had.
    pub fn handed_over(socket: TcpListener) -> io::Result<Self> {
        // Whoever connected may have left again before it is accepted.
        socket.set_nonblocking(true)?;
        let (waker, woken) = UnixStream::pair()?;
        Ok(Self {
            socket,
            woken,
            waker,
        })
    }

    /// The address that was bound, with its real port.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What ends this listener's waits.
    ///
    /// # Errors
    ///
    /// When no descriptor can be had.
    pub fn waker(&self) -> io::Result<Waker> {
        self.waker.try_clone().map(Waker)
    }

    /// Waits for a client or the waker.
    ///
    /// # Errors
    ///
    /// What `accept` failed with: the listener itself lives on.
    pub fn accept(&self) -> io::Result<Accepted> {
        loop {
            if self.wait(true, None)? {
                return Ok(Accepted::Woken);
            }
            match self.socket.accept() {
                Ok((socket, address)) => {
                    socket.set_nonblocking(false)?;
                    return Ok(Accepted::Client(socket, address));
                }
                // The client left between the wait and the call.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Waits for the waker alone: the pause after a failed accept. Returns whether it was used.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    pub fn pause(&self, wait: Duration) -> io::Result<bool> {
        self.wait(false, Some(wait))
    }

    fn wait(&self, clients: bool, wait: Option<Duration>) -> io::Result<bool> {
        let timeout = wait.map(|wait| Timespec {
            tv_sec: wait.as_secs().cast_signed(),
            tv_nsec: wait.subsec_nanos().into(),
        });
        let mut wanted = [
            PollFd::new(&self.woken, PollFlags::IN),
            PollFd::new(&self.socket, PollFlags::IN),
        ];
        let count = if clients { 2 } else { 1 };
        match poll(&mut wanted[..count], timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
            Ok(_) => Ok(!wanted[0].revents().is_empty()),
        }
    }
}

impl Waker {
    /// Ends the wait that is on and every later one.
    pub fn wake(&self) {
        // A byte that nobody reads keeps the other end readable; if it cannot be
        // written, one is there already or the listener is gone.
        let _ = (&self.0).write(&[0]);
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_ends_the_wait_for_good() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        listener.waker().unwrap().wake();
        for _ in 0..2 {
            assert!(matches!(listener.accept().unwrap(), Accepted::Woken));
        }
        assert!(listener.pause(Duration::from_secs(30)).unwrap());
    }

    #[test]
    fn a_client_is_accepted_on_the_port_that_was_picked() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let address = listener.address().unwrap();
        let client = TcpStream::connect(address).unwrap();
        match listener.accept().unwrap() {
            Accepted::Client(_, from) => assert_eq!(from, client.local_addr().unwrap()),
            Accepted::Woken => panic!("nobody woke it"),
        }
    }
}
