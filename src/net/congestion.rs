//! Which congestion control a connection is sent under.

use std::io;
use std::net::TcpStream;

use rustix::net::sockopt::set_tcp_congestion;
use rustix::net::{AddressFamily, SocketType, socket};

/// One that the system lets this process choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Congestion(Box<str>);

impl Congestion {
    /// The one of this name, `bbr` for example.
    ///
    /// # Errors
    ///
    /// Where the system has no such one, or not for this process:
    /// `/proc/sys/net/ipv4/tcp_allowed_congestion_control` names those that it has.
    pub fn named(name: &str) -> io::Result<Self> {
        let tried = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        set_tcp_congestion(tried, name)?;
        Ok(Self(name.into()))
    }

    /// Has what is sent over a socket from now on go by it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn apply(&self, socket: &TcpStream) -> io::Result<()> {
        Ok(set_tcp_congestion(socket, &self.0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::tcp_congestion;
    use std::net::TcpListener;

    #[test]
    fn what_the_system_has_is_applied_and_what_it_has_not_is_refused() {
        // Every Linux has this one.
        let reno = Congestion::named("reno").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        reno.apply(&socket).unwrap();
        assert_eq!(tcp_congestion(&socket).unwrap(), "reno");
        for name in ["", "no-such", &"x".repeat(1000)] {
            assert!(Congestion::named(name).is_err(), "{name}");
        }
    }
}
