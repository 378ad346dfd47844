//! How many files the system lets a process open, and so how many connections a server keep.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many connections a server keeps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) connections: usize,
    /// What a person is told where these are fewer than were wanted.
    pub(super) notice: Option<String>,
}

/// Raises this process's limit as far as it may, and finds room for so many connections.
pub(super) fn room_for(wanted: usize) -> Room {
    raise();
    room(wanted, getrlimit(Resource::Nofile).current)
}

/// Raises this process's limit as far as it may.
///
/// The limit that a shell or a service starts with is meant for programs that pass a
/// descriptor above 1,023 to `select`, which nothing here does.
pub(super) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        // Where the system refuses, the limit is what it was, and is read anew.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// A quarter of the descriptors is left for files that are being sent and received.
fn room(wanted: usize, limit: Option<u64>) -> Room {
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let connections = wanted.min((limit - limit / 4).max(1));
    let notice = (connections < wanted).then(|| {
        format!(
            "the system lets this process open {limit} files, so it keeps {connections} connections \
             at once, not {wanted}"
        )
    });
    Room {
        connections,
        notice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: usize, limit: Option<u64>, kept: usize) {
        let Room {
            connections,
            notice,
        } = room(wanted, limit);
        assert_eq!(connections, kept, "{wanted} of {limit:?}");
        assert_eq!(notice.is_some(), kept < wanted, "{notice:?}");
    }

    #[test]
    fn a_server_keeps_no_more_connections_than_the_system_lets_it() {
        check(1024, None, 1024);
        check(1024, Some(1 << 20), 1024);
        check(10_000, Some(20_000), 10_000);
        check(20_000, Some(20_000), 15_000);
        check(1024, Some(1024), 768);
        check(5, Some(0), 1);
        assert_eq!(
            room(1024, Some(400)).notice.unwrap(),
            "the system lets this process open 400 files, so it keeps 300 connections at once, not \
             1024"
        );
    }
}
