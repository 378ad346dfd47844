//! Requests that find out what is here of an upload: from an earlier try that was broken off,
//! or in the file that it replaces.

use std::ops::ControlFlow;
use std::time::Instant;

use tracing::info;

use super::session::{Session, hear, seconds};
use crate::code::Code;
use crate::content::Geometry;
use crate::offer::{EntryId, TransferId};
use crate::store::{self, Staged, Store};
use crate::transfer::Error;
use crate::transfer::heartbeat::{patiently, say_working};
use crate::transfer::reception::Slot;
use crate::wire::Message;
use crate::wire::message::{NODES_MAX, Nodes, NodesAre, Request};

/// Bytes of a file that one page tells of: they may have to be read or copied, and who asked
/// begins with them while the next ones are.
const PAGE_BYTES: u64 = 64 << 20;

/// Tells which blocks of a file are here.
pub(super) fn nodes<S: Store>(session: &mut Session<'_, S>, nodes: &Nodes) -> Result<(), Error> {
    let (Some(transfer), Some(entry)) = (nodes.transfer, nodes.entry) else {
        let why = "nodes of published files are not given out here";
        session.refuse(nodes.request, Code::Usage, why);
        return Ok(());
    };
    match recover(session, nodes, (transfer, entry))? {
        Ok(()) => Ok(()),
        Err((code, why)) => {
            session.refuse(nodes.request, code, why);
            Ok(())
        }
    }
}

/// Why there is no answer.
type Refusal = (Code, String);

fn recover<S: Store>(
    session: &mut Session<'_, S>,
    nodes: &Nodes,
    (transfer, entry): (TransferId, EntryId),
) -> Result<Result<(), Refusal>, Error> {
    let began = Instant::now();
    let refusal = |error: &store::Error| (error.code(), error.to_string());
    let staged = match session.reception(transfer)?.slot(entry) {
        Some(Slot::Staged(staged)) => staged,
        Some(Slot::Failed(code, why)) => return Ok(Err((code, why))),
        None => return Ok(Err(refusal(&store::Error::NoStaging))),
    };
    let (access, ..) = session.sending();
    if let Err(error) = access.go_on(&*staged) {
        return Ok(Err(refusal(&error)));
    }
    let geometry = staged.entry().geometry();
    let end = nodes.first.checked_add(nodes.count);
    let end = end.filter(|end| *end <= geometry.map_or(0, Geometry::blocks));
    let (Some(geometry), Some(end)) = (geometry, end) else {
        let why = "blocks beyond the file's end".to_owned();
        return Ok(Err((Code::Protocol, why)));
    };
    let step = (PAGE_BYTES / geometry.block().bytes()).clamp(1, NODES_MAX as u64);
    let (mut first, mut here) = (nodes.first, 0);
    loop {
        let next = first.saturating_add(step).min(end);
        let (access, link, _, queue) = session.sending();
        if let Err(error) = access.still_goes_on(&*staged) {
            return Ok(Err(refusal(&error)));
        }
        let recovered = patiently("recover", || staged.recover(first..next), &mut || {
            say_working(link)
        })?;
        let recovered = match recovered {
            Ok(recovered) => recovered,
            Err(error) => return Ok(Err(refusal(&error))),
        };
        here += recovered.iter().flatten().count();
        let mut stopped = false;
        while !stopped && link.is_readable()? {
            let flow = hear(link, queue, |message| is_stop(message, nodes.request))?;
            stopped = flow == ControlFlow::Break(());
        }
        let more = next < end && !stopped;
        link.say(&NodesAre {
            request: nodes.request,
            first,
            more,
            nodes: recovered,
        });
        link.flush()?;
        if !more {
            break;
        }
        first = next;
    }
    info!(
        peer = session.peer,
        entry = entry.0,
        path = staged.entry().path.as_str(),
        here,
        seconds = seconds(began),
        "nodes"
    );
    Ok(Ok(()))
}

fn is_stop(message: &Message, request: Request) -> bool {
    matches!(message, Message::Stop(stop) if stop.request == request)
}
