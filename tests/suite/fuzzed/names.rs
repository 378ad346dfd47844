//! Names and addresses, from bytes that anybody may have sent or typed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use haul::entry::{Cursor, LinkTarget};
use haul::path::{PATH_MAX, PathError, RemotePath};

/// A name, and beneath it a link: what is taken keeps every rule, what keeps every rule is
/// taken, and neither leads out of the tree that it is in.
pub fn path(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let name = parts.next().unwrap_or_default();
    let parsed = RemotePath::from_local(OsStr::from_bytes(name));
    assert_eq!(parsed.is_ok(), is_good(name), "{parsed:?}");
    let Ok(text) = std::str::from_utf8(name) else {
        assert_eq!(parsed, Err(PathError::NotUtf8));
        return;
    };
    assert_eq!(RemotePath::parse(text), parsed);
    let as_directory = text.strip_suffix('/').unwrap_or(text);
    let cursor = Cursor::parse(text);
    assert_eq!(cursor.is_ok(), is_good(as_directory.as_bytes()));
    let Ok(path) = parsed else {
        return;
    };
    assert_eq!((path.as_str(), path.to_string().as_str()), (text, text));
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    assert!(path.as_path().components().all(is_plain));
    assert!(path.components().eq(text.split('/')));
    let again = RemotePath::beneath(path.parent().as_ref(), path.name());
    assert_eq!(again, Ok(path.clone()));
    let shown = format!("{path:?}");
    assert!(!shown.contains(char::is_control), "{shown}");
    if let Some(Ok(target)) = parts.next().map(std::str::from_utf8) {
        link(&path, target);
    }
}

/// Holds a name against the rules of `docs/protocol.md`, spelled another way.
fn is_good(name: &[u8]) -> bool {
    let is_good_part = |part: &[u8]| {
        let is_taken = [&b""[..], b".", b"..", b".haul"].contains(&part);
        !is_taken && part.len() <= 255 && !part.contains(&0)
    };
    std::str::from_utf8(name).is_ok()
        && name.len() <= PATH_MAX
        && name.split(|byte| *byte == b'/').all(is_good_part)
}

/// A link that stays within its tree leads nowhere else, as far as its text can tell.
fn link(path: &RemotePath, text: &str) {
    let Some(target) = LinkTarget::new(text) else {
        assert!(text.is_empty() || text.len() > PATH_MAX || text.contains('\0'));
        return;
    };
    let depth = path.components().count() - 1;
    if !target.stays_within(depth) {
        return;
    }
    let mut level = depth;
    for part in Path::new(text).components() {
        level = match part {
            Component::CurDir => level,
            Component::Normal(_) => level + 1,
            Component::ParentDir => level.checked_sub(1).expect("a place in the tree"),
            Component::RootDir | Component::Prefix(_) => panic!("{text:?} is not relative"),
        };
    }
}

/// An address as it is typed: what is taken names a host that no shell, screen or resolver
/// could take for something else, and said in full it leads to the same place.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let home = Some("home:1/base");
    for home in [None, home] {
        let Some((server, path)) = haul::cli::place(text, home) else {
            continue;
        };
        let (host, port) = server.rsplit_once(':').expect("HOST:PORT");
        port.parse::<u16>().expect("a port");
        let is_plain = |c: char| c.is_alphanumeric() || "-._".contains(c);
        let in_brackets = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        match in_brackets {
            Some(host) => drop(host.parse::<std::net::Ipv6Addr>().expect("an IPv6 address")),
            None => assert!(!host.is_empty() && host.chars().all(is_plain), "{host}"),
        }
        assert_eq!(
            haul::cli::place(&server, None),
            Some((server.clone(), None))
        );
        let Some(path) = path else { continue };
        let whole = format!("{server}/{path}");
        assert_eq!(haul::cli::place(&whole, None), Some((server, Some(path))));
    }
}
