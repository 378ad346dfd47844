//! Addresses of other programs, and how their places are written here.
//!
//! Fingers remember `rsync nas:dir`, `scp me@nas:dir`, `\\nas\share` and `https://nas`. None
//! of them is an address here, and "no host name" would help nobody: each is answered with
//! the spelling that was probably meant.

use std::net::Ipv6Addr;
use std::path::Path;

use crate::net::keys::Fingerprint;
use crate::trust::IntroductionError;

use super::address::AddressError;
use super::links::{SCHEME, at_sign, has_rest};

/// What a number after a host's colon is.
#[derive(Clone, Copy)]
enum Number {
    /// A port that may well be haul's.
    Port,
    /// The port of the protocol that was named: not ours.
    OtherPort,
}

/// Refuses what is an address elsewhere, and says how it is written here.
pub(super) fn refuse(text: &str) -> Result<(), AddressError> {
    let like = |what: &'static str, place: String| {
        let text = text.to_owned();
        Err(AddressError::Lookalike { what, text, place })
    };
    if let Some((scheme, rest)) = text.split_once("://")
        && is_scheme(scheme)
    {
        if scheme.eq_ignore_ascii_case("file") {
            return Err(AddressError::LikeLocal(text.to_owned()));
        }
        return Err(AddressError::OtherScheme {
            scheme: scheme.to_owned(),
            text: text.to_owned(),
            place: written_here(without_user(rest).unwrap_or(rest), Number::OtherPort),
        });
    }
    if let Some(share) = text.strip_prefix(r"\\") {
        let place = share.replace('\\', "/");
        return like("haul knows no Windows shares", place);
    }
    if let [drive, b':', b'\\' | b'/', ..] = text.as_bytes()
        && drive.is_ascii_alphabetic()
    {
        return Err(AddressError::LikeDrive(text.to_owned()));
    }
    let introduced = at_sign(text.as_bytes()).map(|at| &text[..at]);
    if introduced.is_some_and(|key| has_rest(key.as_ref())) {
        return Err(IntroductionError::Damaged.into());
    }
    if introduced.is_some_and(|key| Fingerprint::parse_in_address(key).is_ok()) {
        return like(
            "a key is named behind haul:// alone",
            format!("{SCHEME}{text}"),
        );
    }
    if let Some(place) = without_user(text) {
        return like("haul knows no users", written_here(place, Number::Port));
    }
    let before_path = text.split('/').next().unwrap_or(text);
    if before_path.contains("::")
        && !before_path.starts_with([':', '['])
        && before_path.parse::<Ipv6Addr>().is_err()
    {
        let place = written_here(text, Number::Port);
        return like("haul knows no modules", place);
    }
    Ok(())
}

/// The place of `HOST:PATH`, as scp and rsync have it, in haul's spelling.
pub(super) fn of_colon(text: &str) -> String {
    written_here(text, Number::Port)
}

/// Whether an argument is spelled as only paths of this machine are.
pub(super) fn is_local(argument: &Path) -> bool {
    let text = argument.to_string_lossy();
    let first = text.split('/').next().unwrap_or_default();
    matches!(first, "." | "..") || text.starts_with(['/', '~'])
}

/// The scheme of RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// What follows the `@` of an address that has one before its path.
fn without_user(text: &str) -> Option<&str> {
    let before_path = text.split('/').next().unwrap_or(text);
    let at = before_path.rfind('@')?;
    Some(&text[at + 1..])
}

/// Writes `HOST[:PORT or PATH][/PATH]` as `HOST[:PORT]/PATH`.
fn written_here(place: &str, number: Number) -> String {
    let end = match place.find(']') {
        Some(bracket) if place.starts_with('[') => bracket + 1,
        _ => place.find([':', '/']).unwrap_or(place.len()),
    };
    let (host, rest) = place.split_at(end);
    let after = rest.trim_start_matches(':');
    let (digits, path) = after.split_once('/').unwrap_or((after, ""));
    let is_number = after.len() < rest.len() && digits.parse::<u16>().is_ok();
    match number {
        Number::Port if is_number => format!("{host}:{digits}/{path}"),
        Number::OtherPort if is_number => format!("{host}/{path}"),
        // The home directory, and the root, of elsewhere: here there is one place to begin.
        _ => {
            let path = after.strip_prefix("~/").unwrap_or(after);
            format!("{host}/{}", path.trim_start_matches('/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn passes(text: &str) {
        assert_eq!(refuse(text), Ok(()), "{text}");
    }

    #[track_caller]
    fn refused(text: &str, hint: &str) {
        let said = refuse(text).unwrap_err().to_string();
        assert!(said.contains(hint), "{text}: {said}");
        assert!(said.contains(&format!("{text:?}")), "{text}: {said}");
    }

    #[test]
    fn addresses_pass() {
        for text in [
            "nas",
            "nas:4285/x",
            "nas/a@b",
            "nas/a::b",
            "nas/x://y",
            "[::1]:80/a",
            "::1/a",
            "fe80::a",
            "cafe::ada/x",
            "x/",
        ] {
            passes(text);
        }
    }

    #[test]
    fn a_user_goes_and_a_port_that_may_be_ours_stays() {
        refused("me@nas:backup/x", "no users: for");
        refused("me@nas:backup/x", "write nas/backup/x");
        refused("me@nas:/srv", "write nas/srv");
        refused("me@nas:~/x", "write nas/x");
        refused("me@nas", "write nas/");
        refused("me@nas/x", "write nas/x");
        refused("me@nas:4285/x", "write nas:4285/x");
        refused("me@nas::mod/x", "write nas/mod/x");
        refused("me@[::1]:dir", "write [::1]/dir");
        refused("me@home@nas:x", "write nas/x");
    }

    #[test]
    fn a_scheme_goes_with_its_user_and_its_port() {
        refused("rsync://nas/mod/x", "no rsync://: for");
        refused("rsync://nas/mod/x", "write nas/mod/x");
        refused("ssh://me@nas:22/srv", "write nas/srv");
        refused("scp://nas/x", "write nas/x");
        refused("sftp://me@[::1]:22/x", "write [::1]/x");
        refused("http://nas:8080", "write nas/");
        refused("HTTPS://nas/a", "write nas/a");
        refused("ftp://nas/~/a", "write nas/~/a");
        refused("gopher+x://nas", "no gopher+x://");
        refused("HAUL://nas/x", "write nas/x");
        refused("file:///srv/x", "on this machine");
    }

    #[test]
    fn what_rsync_and_windows_write_is_rewritten() {
        refused("nas::mod/x", "no modules: for");
        refused("nas::mod/x", "write nas/mod/x");
        refused(r"\\nas\share\x", "no Windows shares: for");
        refused(r"\\nas\share\x", "write nas/share/x");
        refused(r"C:\x", "path on Windows");
        refused("c:/x", "path on Windows");
    }

    #[test]
    fn a_path_after_a_colon_follows_a_slash_here() {
        assert_eq!(of_colon("nas:dir/x"), "nas/dir/x");
        assert_eq!(of_colon("nas:/srv/x"), "nas/srv/x");
        assert_eq!(of_colon("nas:~/x"), "nas/x");
        assert_eq!(of_colon("nas:"), "nas/");
        assert_eq!(of_colon("nas:99999"), "nas/99999");
        assert_eq!(of_colon("[::1]:dir"), "[::1]/dir");
    }

    #[test]
    fn only_what_no_host_begins_with_is_local() {
        for path in [".", "..", "./x", "../x", "/x", "/", "~", "~/x", "~me/x"] {
            assert!(is_local(path.as_ref()), "{path}");
        }
        for place in ["nas", "nas/./x", ".x", "..x/y", "", "[::1]", ":x", "x~"] {
            assert!(!is_local(place.as_ref()), "{place}");
        }
    }
}
