//! The way to a server, and the connections that are opened on it.

use std::fmt;
use std::io;

use crate::net::plain::Plain;
use crate::net::{Stream, Transport, connect};
use crate::transfer::{Error, Link};

use super::monitor::Hold;
use super::session::Session;
use super::{Options, error};

/// How a server is reached.
pub(super) enum Route {
    /// By TCP, at `HOST:PORT`.
    Tcp(String),
    /// By what a caller provides.
    Custom(Box<dyn Fn() -> io::Result<Box<dyn Transport>> + Send + Sync>),
}

impl Route {
    /// Connects.
    pub(super) fn open(&self, options: &Options) -> Result<Session, error::Error> {
        if options.cancel.is_cancelled() {
            return Err(error::Error::Interrupted);
        }
        let opening = options.deadlines.opening;
        let (transport, hold) =
            self.transport(options)
                .map_err(|source| error::Error::Connect {
                    address: self.to_string(),
                    source,
                })?;
        let stream = Stream::new(transport, options.fault.clone(), opening);
        let link = Link::new(stream, options.deadlines);
        Ok(Session::begin(link, hold))
    }

    fn transport(&self, options: &Options) -> io::Result<(Box<dyn Transport>, Option<Hold>)> {
        match self {
            Self::Tcp(address) => {
                let socket = connect::connect(address.as_str(), options.deadlines.opening)?;
                let hold = options.cancel.watch(socket.try_clone()?);
                Ok((Box::new(Plain::new(socket)?), Some(hold)))
            }
            Self::Custom(connect) => Ok((connect()?, None)),
        }
    }

    /// A connection's end as the end of a job on this route.
    pub(super) fn explain(&self, source: Error, options: &Options) -> error::Error {
        if options.cancel.is_cancelled() || matches!(source, Error::Interrupted) {
            return error::Error::Interrupted;
        }
        match source {
            Error::Refused { code, text } => error::Error::Refused { code, text },
            source => error::Error::Exchange {
                address: self.to_string(),
                source,
            },
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Custom(_) => f.write_str("server"),
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
