//! Reaching a server.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Connects to the first of `address`'s addresses that answers.
///
/// # Errors
///
/// What the last address that was tried failed with; `NotFound` where the name has none.
pub fn connect(address: &(impl ToSocketAddrs + ?Sized), within: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, within) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}
