//! Places on a server, as a person types them: `[haul://]HOST[:PORT][/PATH]`.
//!
//! Three spellings of one address look alike to a person and must not be mixed up:
//! the plain one takes every character of its path as it is, `haul://` decodes `%20`,
//! and `:PATH` means a path on the default remote. What other programs would take for
//! an address is [`lookalike`]'s affair.

use std::net::Ipv6Addr;

use crate::path::RemotePath;
use crate::trust::{IntroductionError, Who};

use super::address::{Address, AddressError};
use super::bearings::Home;
use super::links::{self, SCHEME, Secrets, at_sign};
use super::lookalike;
use super::peer::Peer;

/// A place on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) peer: Peer,
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
    /// Reads an address, of which the secret was taken; `home` is where `:PATH` leads.
    pub(super) fn parse(
        text: &str,
        home: Option<&Home>,
        secrets: &Secrets,
    ) -> Result<Self, AddressError> {
        if let Some(path) = beneath_home(text) {
            let home = home.ok_or_else(|| AddressError::NoDefault(text.to_owned()))?;
            let root = Self::parse(&home.text, None, secrets);
            let root = root.map_err(|error| AddressError::Default {
                by: home.by.clone(),
                error: error.into(),
            });
            return root?.join(path.strip_prefix('/').unwrap_or(path));
        }
        if let Some(rest) = text.strip_prefix(SCHEME) {
            return Self::with_scheme(rest, secrets);
        }
        lookalike::refuse(text)?;
        let (authority, path) = text.split_once('/').unwrap_or((text, ""));
        Self::root_of(Peer::at(host(authority, text)?)).join(path)
    }

    fn with_scheme(rest: &str, secrets: &Secrets) -> Result<Self, AddressError> {
        let (introduced, rest) = match at_sign(rest.as_bytes()) {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut peer = Peer::at(host(&decode(authority)?, rest)?);
        if let Some(introduced) = introduced {
            let introduction = secrets.introduced(introduced)?;
            peer.key = Some(Who::Fingerprint(introduction.server));
            peer.token = introduction.token;
        }
        Self::root_of(peer).join(&decode(path)?)
    }

    fn root_of(peer: Peer) -> Self {
        Self {
            peer,
            path: None,
            ending: Ending::Slash,
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

/// What follows the colon of a path on the default remote.
pub(super) fn beneath_home(text: &str) -> Option<&str> {
    let before_path = text.split('/').next().unwrap_or(text);
    // An address of IPv6 may begin with a colon too: `::1`.
    let is_ip = before_path.parse::<Ipv6Addr>().is_ok();
    text.strip_prefix(':').filter(|_| !is_ip)
}

/// Reads what stands before the path of an address, which begins so.
fn host(authority: &str, whole: &str) -> Result<Address, AddressError> {
    // One that lost its end: it is no name, and nobody is to be asked for it.
    if links::has_rest(authority.as_ref()) {
        return Err(IntroductionError::Damaged.into());
    }
    let address = Address::parse(authority).map_err(|error| match error {
        AddressError::BadPort(port) => AddressError::PathForPort {
            port,
            place: lookalike::of_colon(whole),
        },
        error => error,
    })?;
    if address.port == 0 {
        return Err(AddressError::NoPort(authority.to_owned()));
    }
    Ok(address)
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

    fn parse(text: &str, home: &str) -> Result<Remote, AddressError> {
        let home = Home {
            by: "HAUL_REMOTE".to_owned(),
            text: home.to_owned(),
            is_typed: false,
        };
        Remote::parse(text, Some(&home), &Secrets::default())
    }

    #[track_caller]
    fn leads(text: &str, address: &str, path: &str, ending: Ending) {
        let remote = parse(text, "home:1/base").unwrap();
        assert_eq!(remote.peer.to_string(), address, "{text}");
        assert_eq!(remote.path.as_ref().map_or("", |p| p.as_str()), path);
        assert_eq!(remote.ending, ending, "{text}");
    }

    #[track_caller]
    fn refused(text: &str, code: Code, hint: &str) {
        let error = Remote::parse(text, None, &Secrets::default()).unwrap_err();
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
    }

    #[test]
    fn a_key_before_the_host_is_read_in_either_alphabet() {
        let print = "SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";
        let in_address = print[7..].replace('/', "_");
        let whole = format!("SHA256:{in_address}");
        for spelled in [print, &in_address, &whole] {
            let text = format!("haul://{spelled}@nas:80/a@b/");
            leads(&text, "nas:80", "a@b", Ending::Slash);
            let remote = parse(&text, "home").unwrap();
            let key = remote.peer.key.unwrap();
            assert_eq!(key.fingerprint().to_string(), print, "{text}");
            assert_eq!(remote.peer.token, None);
        }
        leads("haul://SHA256:4285/a@b", "SHA256:4285", "a@b", Ending::Name);
        refused("haul://SHA256:x@nas/", Code::Usage, "no key's fingerprint");
        refused("haul://me@nas/", Code::Usage, "no key's fingerprint");
        refused("haul://me@home@nas/", Code::Usage, "no key's fingerprint");
        refused(&format!("haul://{print}@"), Code::Usage, "names no host");
        for spelled in [print, &in_address] {
            let hint = format!("write haul://{spelled}@nas/x");
            refused(&format!("{spelled}@nas/x"), Code::Usage, &hint);
        }
    }

    #[test]
    fn a_link_is_a_place_by_what_was_taken_from_it_and_nothing_without() {
        let print = "HoY_RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";
        let link = format!("{print}.0123abcd.AAECAwQFBgcICQoLDA0ODw");
        let mut secrets = Secrets::default();
        let text = format!("haul://{link}@%5Bfe80::1%5D:80/a%20b");
        let left = secrets.take_from(text.as_ref()).into_string().unwrap();
        let remote = Remote::parse(&left, None, &secrets).unwrap();
        let token = remote.peer.token.unwrap();
        assert_eq!(token.reveal(), link[print.len() + 1..]);
        assert_eq!(remote.peer.to_string(), "[fe80::1]:80");
        assert_eq!(remote.path.unwrap().as_str(), "a b");
        let written = format!("haul://{link}@{}/", remote.peer.address.in_link());
        assert_eq!(written, text.replace("a%20b", ""));
        refused(&left, Code::NotAuthorised, "the link is damaged");
        refused("haul://damaged.link@nas", Code::NotAuthorised, "damaged");
        for cut in ["", "/x", "@", "@nas"] {
            let code = if cut == "@" {
                Code::Usage
            } else {
                Code::NotAuthorised
            };
            refused(&format!("haul://{print}.0123abcd{cut}"), code, "");
            refused(
                &format!("{print}.0123abcd{cut}"),
                Code::NotAuthorised,
                "damaged",
            );
        }
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
