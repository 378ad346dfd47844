//! Reaching a server.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Connects to the first of `address`'s addresses that answers, `within` so long in all: each
/// has an equal share of what is left, so that one that leads nowhere leaves time for the next.
///
/// # Errors
///
/// What the last address that was tried failed with; `NotFound` where the name has none.
pub fn connect(address: &(impl ToSocketAddrs + ?Sized), within: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + within;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let candidates: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    for (candidate, remaining) in candidates.iter().zip((1..=candidates.len() as u32).rev()) {
        let left = until.saturating_duration_since(Instant::now());
        // No time at all would be an error of its own.
        let share = (left / remaining).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(candidate, share) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::net::TcpListener;

    /// An address that answers nobody: its queue is full.
    fn silent() -> (Socket, Vec<TcpStream>, SocketAddr) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let one = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let held = std::iter::from_fn(one).take(100).collect();
        (listener, held, address)
    }

    #[test]
    fn all_addresses_together_have_the_time_and_each_a_share_of_it() {
        let (_silent, _held, nowhere) = silent();
        let there = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = there.local_addr().unwrap();
        let within = Duration::from_millis(1500);
        let began = Instant::now();
        let error = connect(&&[nowhere; 4][..], within).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((within..2 * within).contains(&began.elapsed()));
        let began = Instant::now();
        let reached = connect(&&[nowhere, nowhere, there][..], within).unwrap();
        assert_eq!(reached.peer_addr().unwrap(), there);
        assert!(began.elapsed() < within);
    }
}
