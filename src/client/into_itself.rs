//! A tree must not go into itself: what is put would be found again, without end.
//!
//! Names do not tell, as one directory has many: client and server may be one machine,
//! or two that are given the same disk. So directories are known by what the system
//! knows them by, which the server's `Welcome` says of its root and all above it.

use crate::path::RemotePath;
use crate::store::Place;
use crate::wire::message::Welcome;

/// Whether what is put as `to` would land inside the tree that it comes from.
///
/// `source` is that tree's directory and all above it, innermost first.
pub(super) fn put(source: &[Place], to: Option<&RemotePath>, server: &Welcome) -> bool {
    let Some(itself) = source.first() else {
        return false;
    };
    let is_above = server.above.0.iter().any(|store| store.0 == itself.id);
    is_above || on_server(source, server).is_some_and(|source| is_inside(to, &source))
}

/// Whether what is fetched from `from` would land inside that tree.
///
/// `into` is the directory that is downloaded into and all above it, innermost first;
/// `to` the name beneath it.
pub(super) fn get(
    (into, to): (&[Place], Option<&RemotePath>),
    from: Option<&RemotePath>,
    server: &Welcome,
) -> bool {
    let Some(into) = on_server(into, server) else {
        return false;
    };
    let mut target: Vec<&str> = into.iter().map(|name| &**name).collect();
    target.extend(to.map(RemotePath::as_str));
    let target = RemotePath::parse(&target.join("/")).ok();
    let from: Vec<Box<str>> = from.into_iter().map(|from| from.as_str().into()).collect();
    is_inside(target.as_ref(), &from)
}

/// The names that lead to a directory from the server's root, if it is there.
fn on_server(place: &[Place], server: &Welcome) -> Option<Vec<Box<str>>> {
    let at = place.iter().position(|place| place.id == server.store.0)?;
    let upwards = place[..at].iter().rev();
    upwards.map(|place| place.name.clone()).collect()
}

/// Whether `path` is beneath the directory that `names` lead to; the root is beneath none.
fn is_inside(path: Option<&RemotePath>, names: &[Box<str>]) -> bool {
    let Some(path) = path else { return false };
    let tree = names.join("/");
    let rest = path.as_str().strip_prefix(&tree);
    tree.is_empty() || rest.is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Above, Rights, StoreId};

    /// A server of `/srv/data`, where each directory is known by its first letter.
    fn server() -> Welcome {
        Welcome {
            request: 0,
            agent: String::new(),
            rights: Rights::ALL,
            segment: 1,
            store: StoreId([b'd'; 16]),
            durable: true,
            above: Above(vec![StoreId([b's'; 16]), StoreId([b'/'; 16])]),
        }
    }

    fn places(path: &str) -> Vec<Place> {
        let place = |name: &str| Place {
            id: [name.bytes().next().unwrap_or(b'/'); 16],
            name: Some(name.into()),
        };
        path.rsplit('/').map(place).collect()
    }

    fn path(text: &str) -> Option<RemotePath> {
        (!text.is_empty()).then(|| RemotePath::parse(text).unwrap())
    }

    #[track_caller]
    fn putting(from: &str, to: &str, into_itself: bool) {
        let came = put(&places(from), path(to).as_ref(), &server());
        assert_eq!(came, into_itself, "{from} to {to:?}");
    }

    #[track_caller]
    fn getting(from: &str, into: &str, to: &str, into_itself: bool) {
        let to = path(to);
        let target = (&places(into)[..], to.as_ref());
        let came = get(target, path(from).as_ref(), &server());
        assert_eq!(came, into_itself, "{from:?} to {into} {to:?}");
    }

    #[test]
    fn a_tree_may_not_be_put_beneath_itself() {
        putting("/srv/data/a", "a/b", true);
        putting("/srv/data/a", "a", false);
        putting("/srv/data/a", "ab", false);
        putting("/srv/data/a/b", "a", false);
        putting("/srv/data", "a", true);
        putting("/srv/data", "", false);
        putting("/home/x", "a", false);
    }

    #[test]
    fn what_holds_the_served_root_may_not_be_put_there() {
        putting("/srv", "a", true);
        putting("", "a", true);
    }

    #[test]
    fn a_tree_may_not_be_fetched_beneath_itself() {
        getting("a", "/srv/data/a", "b", true);
        getting("a", "/srv/data", "a", false);
        getting("", "/srv/data/b", "", true);
        getting("", "/srv/data", "", false);
        getting("a", "/home", "a", false);
    }
}
