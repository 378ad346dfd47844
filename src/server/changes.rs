//! Requests that change the tree without moving content.
//!
//! Each runs beside the connection: flushes take their time, and a large tree takes
//! minutes to remove, in which the client hears that it is being worked on. What has
//! begun is done to its end, whether the client is still there or not.

use std::time::Instant;

use tracing::info;

use super::access::Access;
use super::session::{Session, seconds};
use crate::store::{self, Changes, Parents, Removal, Store};
use crate::transfer::Error;
use crate::transfer::heartbeat::{patiently, say_working};
use crate::wire::message::{Done, MakeDir, Remove, Rename, Request};

/// Makes a directory.
pub(super) fn make_dir<S: Store>(
    session: &mut Session<'_, S>,
    asked: &MakeDir,
) -> Result<(), Error> {
    let parents = if asked.parents {
        Parents::Make
    } else {
        Parents::Expect
    };
    let (peer, began) = (session.peer, Instant::now());
    change(
        session,
        asked.request,
        |access| access.make_dir(&asked.path, parents),
        |aside| {
            let (path, seconds) = (asked.path.as_str(), seconds(began));
            let stored = aside.as_ref().map(|aside| aside.stored.as_str());
            info!(
                peer,
                path,
                stored,
                parents = asked.parents,
                seconds,
                "mkdir"
            );
        },
    )
}

/// Gives something another name.
pub(super) fn rename<S: Store>(session: &mut Session<'_, S>, asked: &Rename) -> Result<(), Error> {
    let (peer, began) = (session.peer, Instant::now());
    change(
        session,
        asked.request,
        |access| access.rename(&asked.from, &asked.to),
        |()| {
            let (from, to) = (asked.from.as_str(), asked.to.as_str());
            info!(peer, from, to, seconds = seconds(began), "rename");
        },
    )
}

/// Removes something.
pub(super) fn remove<S: Store>(session: &mut Session<'_, S>, asked: &Remove) -> Result<(), Error> {
    let removal = if asked.tree {
        Removal::Whole
    } else {
        Removal::Single
    };
    let (peer, began) = (session.peer, Instant::now());
    change(
        session,
        asked.request,
        |access| access.remove(&asked.path, removal),
        |()| {
            let (path, seconds) = (asked.path.as_str(), seconds(began));
            info!(peer, path, tree = asked.tree, seconds, "remove");
        },
    )
}

/// Does what was asked, logs it once it is done, and answers.
fn change<S: Store, T: Send>(
    session: &mut Session<'_, S>,
    request: Request,
    what: impl FnOnce(&Access<S>) -> Result<T, store::Error> + Send,
    log: impl FnOnce(T),
) -> Result<(), Error> {
    let (access, link, _, _) = session.sending();
    match patiently("change", || what(access), &mut || say_working(link))? {
        Ok(done) => {
            log(done);
            session.link.say(&Done { request });
        }
        Err(error) => session.refuse(request, error.code(), error.to_string()),
    }
    Ok(())
}
