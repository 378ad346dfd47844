//! Requests that put files into the store.

use std::mem;
use std::time::Instant;

use tracing::info;

use super::session::{Session, seconds};
use crate::offer::{Terms, TransferId};
use crate::path::RemotePath;
use crate::store::{self, Aside, Published, Replaced, Staged, Store};
use crate::transfer::Error;
use crate::transfer::heartbeat::{patiently, say_working};
use crate::transfer::link::Link;
use crate::transfer::receive::{self, Received};
use crate::transfer::reception::Slot;
use crate::wire::message::{
    Block, COMMIT_MAX, Commit, Drop, End, Exception, OFFER_MAX, Offer, Receipt, Want,
};

/// Bytes of explanation in one receipt, which has to fit idle socket buffers.
const TEXTS_MAX: usize = 12 << 10;

/// Judges what is offered, and makes room for it.
pub(super) fn offer<S: Store>(session: &mut Session<'_, S>, offer: Offer) -> Result<(), Error> {
    let began = Instant::now();
    if offer.entries.len() > OFFER_MAX {
        return Err(Error::Broken("more than 256 entries in an offer"));
    }
    let entries = offer.entries.len();
    let first = offer.entries.first().map(|o| o.what.path.clone());
    let (mut refused, mut why) = (0_u64, None);
    let terms = Terms {
        on: offer.on,
        compare: offer.compare,
    };
    let verdicts = if offer.dry {
        let (access, link, ..) = session.sending();
        receive::look(access, offer.entries, terms, || say_working(link))?
    } else {
        let reception = session.reception(offer.transfer)?;
        let before = session.commits_before(offer.transfer);
        let (access, link, ..) = session.sending();
        receive::await_commits(&reception, before, || say_working(link))?;
        let refuse = |error: &store::Error| {
            refused += 1;
            why.get_or_insert_with(|| error.to_string());
        };
        let pulse = || say_working(link);
        receive::offer(access, &reception, offer.entries, terms, refuse, pulse)?
    };
    info!(
        peer = session.peer,
        transfer = %offer.transfer,
        entries,
        first = first.as_ref().map(RemotePath::as_str),
        refused,
        why,
        seconds = seconds(began),
        "offer"
    );
    session.link.say(&Want {
        request: offer.request,
        verdicts,
    });
    Ok(())
}

/// Takes a block.
pub(super) fn block<S: Store>(
    session: &mut Session<'_, S>,
    header: &Block,
    len: usize,
) -> Result<(), Error> {
    let reception = session.reception(header.transfer)?;
    let (access, link, buffer, _) = session.sending();
    match receive::block(access, &reception, link, (header, len), buffer)? {
        Received::Written(len) => {
            session.received.blocks += 1;
            session.received.bytes += len as u64;
        }
        Received::Forgotten => info!(
            peer = session.peer,
            entry = header.entry.0,
            block = header.index,
            "forgotten"
        ),
    }
    Ok(())
}

/// Forgets an entry whose source failed.
pub(super) fn drop<S: Store>(session: &mut Session<'_, S>, drop: &Drop) -> Result<(), Error> {
    let dropped = session.reception(drop.transfer)?.take(drop.entry);
    if let Some(Slot::Staged(staged)) = dropped {
        staged.discard();
    }
    info!(peer = session.peer, entry = drop.entry.0, "drop");
    Ok(())
}

/// Publishes what has arrived.
pub(super) fn commit<S: Store>(session: &mut Session<'_, S>, commit: &Commit) -> Result<(), Error> {
    let began = Instant::now();
    if commit.entries.len() > COMMIT_MAX {
        return Err(Error::Broken("more than 512 entries in a commit"));
    }
    let reception = session.reception(commit.transfer)?;
    let first = commit.entries.first().and_then(|c| reception.slot(c.entry));
    let first = match first {
        Some(Slot::Staged(staged)) => Some(staged.entry().path.clone()),
        Some(Slot::Failed(..)) | None => None,
    };
    let stall = session.link.deadlines().stall;
    let mut aside = tell_aside(session.peer, commit.transfer);
    let mut replaced = Vec::new();
    let stored = |published: Published| {
        published.aside.into_iter().for_each(&mut aside);
        replaced.extend(published.replaced);
    };
    let (access, link, _, _) = session.sending();
    let exceptions = receive::commit(access, &reception, &commit.entries, stall, stored, || {
        say_working(link)
    })?;
    let (entries, failed) = (commit.entries.len(), exceptions.len());
    let seconds = seconds(began);
    let why = exceptions.first().map(|e| e.text.as_str());
    info!(
        peer = session.peer,
        transfer = %commit.transfer,
        entries,
        first = first.as_ref().map(RemotePath::as_str),
        failed,
        why,
        seconds,
        "commit"
    );
    session.link.say(&Receipt {
        request: commit.request,
        exceptions: shortened(exceptions),
    });
    session.link.flush()?;
    let_go(session.link, replaced);
    Ok(())
}

/// Lets go of the files that were replaced: those that nobody else has open give their space
/// back, and a large one takes a while for it.
fn let_go(link: &mut Link, replaced: Vec<Replaced>) {
    if replaced.is_empty() {
        return;
    }
    // The receipt is out, and what goes wrong behind it is no reason to end the connection: where
    // no thread can be had they are let go of right here, and who has left is missed by the next
    // read.
    let _ = patiently("let-go", || mem::drop(replaced), &mut || say_working(link));
}

/// Gives directories their modes and times.
pub(super) fn end<S: Store>(session: &mut Session<'_, S>, end: End) -> Result<(), Error> {
    let began = Instant::now();
    if end.directories.len() > OFFER_MAX {
        return Err(Error::Broken("more than 256 directories in an end"));
    }
    let directories = end.directories.len();
    let aside = tell_aside(session.peer, end.transfer);
    let (access, link, ..) = session.sending();
    let exceptions = receive::settle(access, end.directories, aside, || say_working(link))?;
    info!(
        peer = session.peer,
        transfer = %end.transfer,
        directories,
        failed = exceptions.len(),
        why = exceptions.first().map(|e| e.text.as_str()),
        seconds = seconds(began),
        "end"
    );
    session.link.say(&Receipt {
        request: end.request,
        exceptions: shortened(exceptions),
    });
    session.link.flush()
}

/// Tells the server's user what has another name than whoever sent it will ever know.
fn tell_aside(peer: &str, transfer: TransferId) -> impl FnMut(Aside) {
    move |Aside { asked, stored }| {
        let (asked, stored) = (asked.as_str(), stored.as_str());
        info!(peer, %transfer, asked, stored, "under another name");
    }
}

/// Leaves out explanations where there are too many to fit. The codes stay, and of
/// what is missing enough to go on with.
fn shortened(mut exceptions: Vec<Exception>) -> Vec<Exception> {
    let mut left = TEXTS_MAX;
    for exception in &mut exceptions {
        let spent = exception.text.len() + exception.missing.len() * 24;
        if spent > left {
            exception.text.clear();
            exception.missing.truncate(1);
        }
        left = left.saturating_sub(spent);
    }
    exceptions
}
