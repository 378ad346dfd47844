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

/// Whom an address of IPv6 that stands for all of this machine's serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Families {
    /// Clients of IPv4 too.
    Both,
    /// Those of IPv6 alone, as another listener has that port of IPv4.
    Own,
}

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
        Self::bind_for(address, Families::Both)
    }

    /// Binds each of `addresses`, in their order. `[::]` takes clients of IPv4 too, unless
    /// one of the others is an address of IPv4 with the same port.
    ///
    /// # Errors
    ///
    /// What the first of them that could not be bound failed with, and which that is.
    pub fn bind_all(addresses: &[String]) -> io::Result<Vec<Self>> {
        let bind = |address: &String| {
            Self::bind_for(address.as_str(), families(address, addresses)).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })
        };
        addresses.iter().map(bind).collect()
    }

    fn bind_for(address: &(impl ToSocketAddrs + ?Sized), families: Families) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for candidate in address.to_socket_addrs()? {
            match bind_one(candidate, families) {
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
                    return Ok(Accepted::Client(socket, canonical(address)));
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

/// Whom `address` is to serve, where all of these are bound.
fn families(address: &str, all: &[String]) -> Families {
    let parse = |address: &str| address.parse::<SocketAddr>().ok();
    let is_beside = |port| {
        let mut all = all.iter().filter_map(|one| parse(one));
        all.any(|one| one.is_ipv4() && one.port() == port)
    };
    match parse(address) {
        // Port 0 is another one for each.
        Some(address) if address.port() != 0 && is_beside(address.port()) => Families::Own,
        _ => Families::Both,
    }
}

/// An address as people write it: one of IPv4 that came in by a socket of IPv6 is one of IPv4.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn bind_one(address: SocketAddr, families: Families) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && families == Families::Own {
        socket.set_only_v6(true)?;
    }
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
    fn all_of_ipv6_takes_ipv4_too_unless_that_port_is_another_s() {
        let strings = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        for (all, expected) in [
            (&["[::]:80"][..], Families::Both),
            (&["[::]:80", "0.0.0.0:80"], Families::Own),
            (&["[::]:80", "127.0.0.1:80"], Families::Own),
            (&["[::]:80", "0.0.0.0:81"], Families::Both),
            (&["[::]:0", "0.0.0.0:0"], Families::Both),
            (&["[::]:80", "[::1]:80"], Families::Both),
        ] {
            let all: Vec<String> = strings(all);
            assert_eq!(families(&all[0], &all), expected, "{all:?}");
        }
        let taken = bind_one("0.0.0.0:0".parse().unwrap(), Families::Both).unwrap();
        let port = taken.local_addr().unwrap().port();
        let beside = SocketAddr::from(([0_u16; 8], port));
        let both = bind_one(beside, Families::Both).unwrap_err();
        // Any other error is that there is no IPv6 here, and nothing to be tried.
        if both.kind() == io::ErrorKind::AddrInUse {
            bind_one(beside, Families::Own).unwrap();
        }
    }

    #[test]
    fn a_client_of_ipv4_is_one_whatever_it_came_in_by() {
        for (came, shown) in [
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ] {
            assert_eq!(canonical(came.parse().unwrap()).to_string(), shown);
        }
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
