//! Places on a server, as a person types them: `[haul://]HOST[:PORT][/PATH]`.
//!
//! Three spellings of one address look alike to a person and must not be mixed up:
//! the plain one takes every character of its path as it is, `haul://` decodes `%20`,
//! and `:PATH` means a path on the default remote. What other programs would take for
//! an address is [`lookalike`]'s affair.

use std::net::Ipv6Addr;

use crate::path::RemotePath;

use super::address::{Address, AddressError};
use super::lookalike;

const SCHEME: &str = "haul://";

/// A place on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) address: Address,
    /// `None` is the root.
    pub(super) path: Option<RemotePath>,
    pub(super) ending: Ending,
}

/// How a path ends: the spelling that decides where things go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a name: exactly that.
    Name,
    /// With a slash, or with nothing at all: into it.
    Slash,
    /// With a dot: into it; as a source, what is in it.
    Dot,
}

impl Remote {
    /// Reads an address; `home` is where `:PATH` leads.
    pub(super) fn parse(text: &str, home: Option<&str>) -> Result<Self, AddressError> {
        let before_path = text.split('/').next().unwrap_or(text);
        // An address of IPv6 may begin with a colon too: `::1`.
        if before_path.parse::<Ipv6Addr>().is_err()
            && let Some(path) = text.strip_prefix(':')
        {
            let home = home.ok_or_else(|| AddressError::NoDefault(text.to_owned()))?;
            let home = Self::parse(home, None).map_err(|error| AddressError::Default(error.into()));
            return home?.join(path.strip_prefix('/').unwrap_or(path));
        }
        let encoded = text.strip_prefix(SCHEME);
        let rest = encoded.unwrap_or(text);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if encoded.is_none() {
            lookalike::refuse(text)?;
        } else if authority.contains('@') {
            return Err(AddressError::Key(text.to_owned()));
        }
        let root = Self {
            address: Address::parse(authority).map_err(|error| match error {
                AddressError::BadPort(port) => AddressError::PathForPort {
                    port,
                    place: lookalike::of_colon(rest),
                },
                error => error,
            })?,
            path: None,
            ending: Ending::Slash,
        };
        match encoded {
            Some(_) => root.join(&decode(path)?),
            None => root.join(path),
        }
    }

    /// The place that is spelled `rest`, seen from here.
    fn join(self, rest: &str) -> Result<Self, AddressError> {
        let (path, ending) = if let Some(path) = rest.strip_suffix("/.") {
            (path, Ending::Dot)
        } else if let Some(path) = rest.strip_suffix('/') {
            (path, Ending::Slash)
        } else {
            match rest {
                "" => ("", Ending::Slash),
                "." => ("", Ending::Dot),
                _ => (rest, Ending::Name),
            }
        };
        let unusable = |why| AddressError::Path {
            path: rest.to_owned(),
            why,
        };
        let path = match path {
            "" if matches!(rest, "" | ".") => self.path,
            // Checked before it is joined: a leading slash is no empty component.
            _ => RemotePath::parse(path)
                .and_then(|path| RemotePath::beneath(self.path.as_ref(), path.as_str()))
                .map(Some)
                .map_err(unusable)?,
        };
        Ok(Self {
            path,
            ending,
            ..self
        })
    }
}

/// Decodes `%20` and the like (RFC 3986, section 2.1).
fn decode(text: &str) -> Result<String, AddressError> {
    let bad = || AddressError::BadEscape(text.to_owned());
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or_else(bad)?;
        let byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
        // A slash inside a name would become one between two.
        if byte == b'/' || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        decoded.push(byte);
        decoded.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(decoded).map_err(|_| AddressError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    #[track_caller]
    fn leads(text: &str, address: &str, path: &str, ending: Ending) {
        let remote = Remote::parse(text, Some("home:1/base")).unwrap();
        assert_eq!(remote.address.to_string(), address, "{text}");
        assert_eq!(remote.path.as_ref().map_or("", |p| p.as_str()), path);
        assert_eq!(remote.ending, ending, "{text}");
    }

    #[track_caller]
    fn refused(text: &str, code: Code, hint: &str) {
        let error = Remote::parse(text, None).unwrap_err();
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(error.to_string().contains(hint), "{text}: {error}");
    }

    #[test]
    fn the_spelling_of_the_end_is_kept() {
        leads("nas", "nas:4285", "", Ending::Slash);
        leads("nas/", "nas:4285", "", Ending::Slash);
        leads("nas/.", "nas:4285", "", Ending::Dot);
        leads("nas:80/a/b", "nas:80", "a/b", Ending::Name);
        leads("haul://nas/a/", "nas:4285", "a", Ending::Slash);
        leads("nas/a/.", "nas:4285", "a", Ending::Dot);
    }

    #[test]
    fn ipv6_is_bare_only_where_it_cannot_be_misread() {
        leads("[fe80::1]:80/a", "[fe80::1]:80", "a", Ending::Name);
        leads("[::1]", "[::1]:4285", "", Ending::Slash);
        leads("::1/a", "[::1]:4285", "a", Ending::Name);
        leads("fe80::a", "[fe80::a]:4285", "", Ending::Slash);
        refused("fe80::1:4285", Code::Usage, "[ADDRESS]:PORT");
        refused("[nas]:80", Code::Usage, "no host name");
        refused("[::1]80", Code::Usage, "no host name");
    }

    #[test]
    fn a_colon_leads_to_the_default_remote() {
        leads(":a", "home:1", "base/a", Ending::Name);
        leads(":/a/", "home:1", "base/a", Ending::Slash);
        leads(":", "home:1", "base", Ending::Slash);
        leads(":.", "home:1", "base", Ending::Dot);
        refused(":a", Code::Usage, "HAUL_REMOTE");
    }

    #[test]
    fn only_the_scheme_decodes() {
        leads("nas/a%20b", "nas:4285", "a%20b", Ending::Name);
        leads("haul://nas/a%20b", "nas:4285", "a b", Ending::Name);
        leads("haul://nas/%e4%b8%96", "nas:4285", "\u{4e16}", Ending::Name);
        refused("haul://nas/100%", Code::Usage, "%25");
        refused("haul://nas/%+1", Code::Usage, "%25");
        refused("haul://nas/a%2Fb", Code::Usage, "slash");
        refused("haul://nas/%FF", Code::Protocol, "UTF-8");
    }

    #[test]
    fn what_other_programs_take_gets_a_hint() {
        refused("me@nas:backup/x", Code::Usage, "write nas/backup/x");
        refused("nas:backup/x", Code::Usage, "write nas/backup/x");
        refused("nas:/srv/x", Code::Usage, "write nas/srv/x");
        refused("haul://nas:srv/x", Code::Usage, "write nas/srv/x");
        refused("nas:+80", Code::Usage, "no port");
        refused("C:\\x", Code::Usage, "Windows");
        refused("haul://SHA256:x@nas/", Code::Usage, "encryption");
    }

    #[test]
    fn local_paths_name_no_host() {
        for path in ["./a", "../a", "/a", ""] {
            refused(path, Code::Usage, "names no host");
        }
        refused("a b", Code::Usage, "no host name");
    }

    #[test]
    fn names_that_could_leave_the_root_are_unusable() {
        for text in [
            "nas/../x",
            "nas//x",
            "nas/a//b",
            "nas/a//",
            "nas/..",
            "haul://nas/%2E%2E/x",
        ] {
            refused(text, Code::Protocol, "the name");
        }
        refused("nas/.haul", Code::Protocol, "haul's own");
    }

    #[test]
    fn an_at_sign_after_the_host_is_a_name() {
        leads("nas/a@b:c", "nas:4285", "a@b:c", Ending::Name);
    }
}
