//! Where a server is: `HOST[:PORT]`, and what can be wrong with an address.

use std::fmt;
use std::net::Ipv6Addr;

use crate::code::Code;
use crate::path::PathError;
use crate::trust::IntroductionError;

/// The port where none is said.
pub(super) const PORT: u16 = 4285;

/// A host and a port, as [`Client::new`](crate::client::Client::new) takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// A name or an IP address; that of IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    #[error("an address cannot hold bytes that are not UTF-8")]
    NotUtf8,
    #[error("{0:?} names no host: an address is [haul://]HOST[:PORT][/PATH]")]
    NoHost(String),
    #[error("{0:?} is no host name: an address is [haul://]HOST[:PORT][/PATH]")]
    BadHost(String),
    #[error("{0:?} is no port")]
    BadPort(String),
    #[error("port 0 is none that anybody listens on: {0:?}")]
    NoPort(String),
    #[error("{port:?} is no port: if it is a path, write {place}")]
    PathForPort { port: String, place: String },
    #[error("{0:?} may end in a port or not: write [ADDRESS] or [ADDRESS]:PORT")]
    Ambiguous(String),
    #[error("{what}: for {text:?} write {place}")]
    Lookalike {
        what: &'static str,
        text: String,
        place: String,
    },
    #[error("haul knows no {scheme}://: for {text:?} write {place}")]
    OtherScheme {
        scheme: String,
        text: String,
        place: String,
    },
    #[error("{0:?} is on this machine, and an address, HOST[:PORT][/PATH], is wanted")]
    LikeLocal(String),
    #[error("{0:?} looks like a path on Windows, not like an address: HOST[:PORT][/PATH]")]
    LikeDrive(String),
    #[error(transparent)]
    Introduction(#[from] IntroductionError),
    #[error(
        "{0:?} is a path on the default remote, and HAUL_REMOTE is not set, nor a --link-file given"
    )]
    NoDefault(String),
    #[error("{by}: {error}")]
    Default {
        by: String,
        error: Box<AddressError>,
    },
    #[error("{0:?} is not percent-encoded: a percent sign is %25, and a slash always itself")]
    BadEscape(String),
    #[error("{path:?}: {why}")]
    Path { path: String, why: PathError },
}

impl AddressError {
    /// The exit code: an unusable name has its own.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Default { error, .. } => error.code(),
            // It was a link, and lets nobody in: that it cannot even be read is no news.
            Self::Introduction(IntroductionError::Damaged) => Code::NotAuthorised,
            Self::NotUtf8 | Self::Path { .. } => Code::Protocol,
            _ => Code::Usage,
        }
    }
}

impl Address {
    /// Where a server listens that was not told where.
    pub(super) fn usual() -> Self {
        Self::new("127.0.0.1", PORT)
    }

    /// Reads `HOST[:PORT]`.
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(rest) = text.strip_prefix('[') {
            let bad = || AddressError::BadHost(text.to_owned());
            let (host, port) = rest.split_once(']').ok_or_else(bad)?;
            host.parse::<Ipv6Addr>().map_err(|_| bad())?;
            return match port.strip_prefix(':') {
                Some(port) => Ok(Self::new(host, parse_port(port)?)),
                None if port.is_empty() => Ok(Self::new(host, PORT)),
                None => Err(bad()),
            };
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            let with_port = text.rsplit_once(':').is_some_and(|(host, port)| {
                host.parse::<Ipv6Addr>().is_ok() && parse_port(port).is_ok()
            });
            return if with_port {
                Err(AddressError::Ambiguous(text.to_owned()))
            } else {
                Ok(Self::new(text, PORT))
            };
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let is_plain = |c: char| c.is_alphanumeric() || "-._".contains(c);
        if host.is_empty() || host.chars().all(|c| c == '.') {
            Err(AddressError::NoHost(text.to_owned()))
        } else if host.chars().all(is_plain) {
            Ok(Self::new(host, port.map_or(Ok(PORT), parse_port)?))
        } else {
            Err(AddressError::BadHost(text.to_owned()))
        }
    }

    /// As short as it can be typed.
    pub(super) fn short(&self) -> String {
        let whole = self.to_string();
        let usual = format!(":{PORT}");
        whole.strip_suffix(&usual).unwrap_or(&whole).to_owned()
    }

    /// As it stands in a link, where no shell finds anything in it: an address of IPv6 has
    /// its brackets encoded.
    pub(super) fn in_link(&self) -> String {
        self.to_string().replace('[', "%5B").replace(']', "%5D")
    }

    /// The name that this machine has for itself.
    pub(super) fn this_machine() -> String {
        let system = rustix::system::uname();
        system.nodename().to_string_lossy().into_owned()
    }

    fn new(host: &str, port: u16) -> Self {
        let host = host.to_owned();
        Self { host, port }
    }
}

/// As a person types it, and as sockets take it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    // The standard library would take `+80` as well.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| AddressError::BadPort(text.to_owned()))
}
