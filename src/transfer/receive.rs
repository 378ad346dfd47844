//! From the wire to a store: verify, stage, commit.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{iter, ops};

use super::error::Error;
use super::heartbeat::{PULSE, patiently};
use super::link::Link;
use super::reception::{Reception, Slot, Waited};
use crate::code::Code;
use crate::content::{Checksum, Node, merge, verify};
use crate::entry::Kind;
use crate::offer::{EntryId, Offering, Reason, Terms, TransferId, Verdict};
use crate::store::{self, Aside, Claim, Published, Staged, Standing, Store};
use crate::wire::message::{Answered, Block, Committed, Exception, Fail, Offered, Range, short};

/// Bytes of explanation of one exception.
const TEXT_MAX: usize = 256;

/// Runs of missing blocks that one exception names: the rest is asked for next time.
const MISSING_MAX: usize = 32;

/// Waits until nothing is being published any more that was before a connection took part:
/// it may be offered again what it has lost the receipt of.
///
/// # Errors
///
/// What `pulse` reports.
pub fn await_commits<T>(
    reception: &Reception<T>,
    commits_before: u64,
    mut pulse: impl FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    while !reception.await_commits_before(commits_before, PULSE) {
        pulse()?;
    }
    Ok(())
}

/// Judges and stages what was offered; `refused` hears why an entry is not taken.
///
/// `pulse` is called every few seconds while this takes long: a file without a
/// recorded checksum may have to be read.
///
/// # Errors
///
/// What `pulse` reports, or [`Error::Busy`].
pub fn offer<S: Store>(
    store: &S,
    reception: &Reception<S::Staged>,
    offered: Vec<Offered>,
    terms: Terms,
    mut refused: impl FnMut(&store::Error),
    mut pulse: impl FnMut() -> Result<(), Error>,
) -> Result<Vec<Answered>, Error> {
    let (ids, batch): (Vec<EntryId>, Vec<Offering>) = offered.into_iter().map(offering).unzip();
    let staged = patiently("offer", || store.stage(&batch, terms), &mut pulse)?;
    let answer = |(entry, staged): (EntryId, Result<Arc<S::Staged>, store::Error>)| {
        let verdict = match staged {
            Ok(staged) => admit(reception, entry, staged),
            Err(error) => {
                if !matches!(error, store::Error::Newer(_)) {
                    refused(&error);
                }
                refusal(&error)
            }
        };
        Answered { entry, verdict }
    };
    Ok(ids.into_iter().zip(staged).map(answer).collect())
}

/// Says how offered entries stand, and stages nothing.
///
/// # Errors
///
/// As [`offer`].
pub fn look<S: Store>(
    store: &S,
    offered: Vec<Offered>,
    terms: Terms,
    mut pulse: impl FnMut() -> Result<(), Error>,
) -> Result<Vec<Answered>, Error> {
    let judge = |Offered { entry, what, .. }: Offered| Answered {
        entry,
        verdict: match store.judge(&what, terms) {
            Ok(Standing::Same(_)) => Verdict::Here,
            Ok(Standing::SameIf(_, checksum)) => Verdict::SameIf(checksum, None),
            Ok(Standing::Absent) => Verdict::Send(None),
            Ok(Standing::Replaces(_)) => Verdict::Replace,
            Err(error) => refusal(&error),
        },
    };
    let judged = || offered.into_iter().map(judge).collect();
    patiently("look", judged, &mut pulse)
}

fn offering(offered: Offered) -> (EntryId, Offering) {
    let Offered { entry, what, base } = offered;
    (entry, Offering { entry: what, base })
}

fn refusal(error: &store::Error) -> Verdict {
    match error {
        store::Error::Newer(_) => Verdict::Kept,
        error => Verdict::Refused(error.code(), error.reason()),
    }
}

fn admit<T: Staged>(reception: &Reception<T>, entry: EntryId, staged: Arc<T>) -> Verdict {
    let verdict = match staged.standing() {
        Standing::Same(_) => Verdict::Here,
        Standing::SameIf(_, checksum) => Verdict::SameIf(checksum, staged.ticket()),
        Standing::Absent | Standing::Replaces(_) => match staged.ticket() {
            Some(ticket) if staged.is_partly_here() => Verdict::Partly(ticket),
            ticket => Verdict::Send(ticket),
        },
    };
    match reception.insert(entry, staged) {
        Ok(()) => verdict,
        Err(code) => Verdict::Refused(code, Reason::Unsaid),
    }
}

/// Gives directories their modes and times, and returns the exceptions; `aside` hears of
/// those that have another name.
///
/// # Errors
///
/// As [`offer`]; [`Error::Broken`] where something else is among them.
pub fn settle<S: Store>(
    store: &S,
    directories: Vec<Offered>,
    mut aside: impl FnMut(Aside),
    mut pulse: impl FnMut() -> Result<(), Error>,
) -> Result<Vec<Exception>, Error> {
    if directories.iter().any(|d| d.what.kind != Kind::Dir) {
        return Err(Error::Broken("an end of something that is no directory"));
    }
    let (ids, batch): (Vec<EntryId>, Vec<_>) = directories.into_iter().map(offering).unzip();
    let settled = patiently("settle", || store.settle(&batch), &mut pulse)?;
    let failed = |(entry, result)| match result {
        Ok(other) => {
            Option::into_iter(other).for_each(&mut aside);
            None
        }
        Err(error) => Some(excepted(entry, &error)),
    };
    Ok(ids.into_iter().zip(settled).filter_map(failed).collect())
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It was verified and written: so many bytes.
    Written(usize),
    /// Its entry has failed, now or before; its bytes are forgotten.
    Forgotten,
}

/// Takes a block whose header just came: reads its body, verifies it, stages it.
///
/// Everything about it is checked before its body is given any memory. An entry
/// that cannot be taken fails alone: the sender is told at once and the
/// connection goes on.
///
/// # Errors
///
/// What the connection failed with; [`Error::Broken`] for what no honest sender sends.
pub fn block<S: Store>(
    store: &S,
    reception: &Reception<S::Staged>,
    link: &mut Link,
    (header, len): (&Block, usize),
    buffer: &mut Vec<u8>,
) -> Result<Received, Error> {
    let staged = match find(store, reception, header)? {
        Found::Staged(staged) => staged,
        Found::Over => {
            link.skip(len)?;
            return Ok(Received::Forgotten);
        }
        Found::Not(code, why) => {
            link.skip(len)?;
            link.say(&Fail::entry(header.transfer, header.entry, code, why));
            return Ok(Received::Forgotten);
        }
    };
    let (geometry, index) = staged
        .entry()
        .geometry()
        .and_then(|geometry| Some((geometry, geometry.index(header.index)?)))
        .ok_or(Error::Broken("a block that its file does not have"))?;
    if len != geometry.len(index) {
        return Err(Error::Broken("a block of another length than its file's"));
    }
    if let Err(error) = store.goes_on() {
        link.skip(len)?;
        fail(reception, link, (header.transfer, header.entry), &error);
        return Ok(Received::Forgotten);
    }
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    let bytes = &mut buffer[..len];
    link.body(bytes)?;
    let written = verify(geometry, index, header.node, bytes)
        .map_err(|_| store::Error::Mismatch(staged.entry().path.clone()))
        .and_then(|block| reception.put(&staged, block));
    match written {
        Ok(()) => Ok(Received::Written(len)),
        Err(error) => {
            fail(reception, link, (header.transfer, header.entry), &error);
            Ok(Received::Forgotten)
        }
    }
}

enum Found<T> {
    Staged(Arc<T>),
    /// Nothing more is wanted of it.
    Over,
    Not(Code, String),
}

/// The staging that a block belongs to: known to the transfer, or reopened by its ticket.
fn find<S: Store>(
    store: &S,
    reception: &Reception<S::Staged>,
    header: &Block,
) -> Result<Found<S::Staged>, Error> {
    let staged = match (reception.slot(header.entry), &header.ticket) {
        (Some(Slot::Failed(..)), _) => return Ok(Found::Over),
        (Some(Slot::Staged(staged)), None) => return Ok(Found::Staged(staged)),
        (Some(Slot::Staged(staged)), ticket) if staged.ticket() == *ticket => staged,
        (Some(Slot::Staged(_)), _) => return Err(Error::Broken("a ticket for another entry")),
        // It may have been dropped while this block was on its way.
        (None, None) => {
            let why = "a block of an entry that is not under way";
            return Ok(Found::Not(Code::Protocol, why.to_owned()));
        }
        (None, Some(ticket)) => match store.reopen(ticket) {
            // A second copy of a block, while the file is being committed.
            Ok(staged) if staged.missing().is_empty() => return Ok(Found::Over),
            Ok(staged) => match reception.insert(header.entry, Arc::clone(&staged)) {
                Ok(()) => staged,
                Err(_) => return Err(Error::Broken("too many entries under way")),
            },
            Err(error) => return Ok(Found::Not(error.code(), error.to_string())),
        },
    };
    let entry = staged.entry();
    if header.path.as_ref() == Some(&entry.path) && header.size == Some(entry.size()) {
        Ok(Found::Staged(staged))
    } else {
        Err(Error::Broken("a ticket for another file"))
    }
}

fn fail<T: Staged>(
    reception: &Reception<T>,
    link: &mut Link,
    (transfer, entry): (TransferId, EntryId),
    error: &store::Error,
) {
    let text = error.to_string();
    link.say(&Fail::entry(transfer, entry, error.code(), text.clone()));
    reception.fail(entry, error.code(), text);
}

/// Publishes entries once all their blocks are there, and returns the exceptions; `stored`
/// hears of the others.
///
/// `pulse` is called every few seconds while this takes long.
///
/// # Errors
///
/// What `pulse` reports, or [`Error::Busy`].
pub fn commit<S: Store>(
    store: &S,
    reception: &Reception<S::Staged>,
    committed: &[Committed],
    stall: Duration,
    mut stored: impl FnMut(Published),
    mut pulse: impl FnMut() -> Result<(), Error>,
) -> Result<Vec<Exception>, Error> {
    await_blocks(reception, committed, stall, &mut pulse)?;
    let mut exceptions = Vec::new();
    let (mut batch, mut ids) = (Vec::new(), Vec::new());
    for Committed {
        entry,
        checksum,
        second,
    } in committed
    {
        // What is not whole stays where it is: a block may come at this moment.
        if let Some(Slot::Staged(staged)) = reception.slot(*entry) {
            let missing = missing(&*staged, *checksum);
            if !missing.is_empty() {
                exceptions.push(incomplete(*entry, &staged, &missing));
                reception.renew(*entry);
                continue;
            }
        }
        match reception.take(*entry) {
            Some(Slot::Staged(staged)) => {
                let claim = Claim {
                    whole: *checksum,
                    second: *second,
                };
                ids.push(*entry);
                batch.push((staged, claim));
            }
            Some(Slot::Failed(code, text)) => exceptions.push(exception(*entry, code, text)),
            None => exceptions.push(excepted(*entry, &store::Error::NoStaging)),
        }
    }
    let published = if batch.is_empty() {
        Vec::new()
    } else {
        let _publishing = reception.publish();
        patiently("commit", move || store.commit(batch), &mut pulse)?
    };
    for (entry, result) in ids.into_iter().zip(published) {
        match result {
            Ok(published) => stored(published),
            Err(error) => exceptions.push(excepted(entry, &error)),
        }
    }
    Ok(exceptions)
}

/// The blocks that have not come. Where all are here and not what was said, those that were not
/// sent: what takes their place may be on its way, or lost. What may be here already, and is said
/// to be something else, was sent: if none of it came, all went down with its connection.
fn missing<T: Staged>(staged: &T, said: Option<Checksum>) -> Vec<ops::Range<u64>> {
    let missing = staged.missing();
    match (staged.standing(), staged.entry().geometry()) {
        (Standing::SameIf(_, here), Some(geometry))
            if missing.is_empty()
                && staged.held().is_empty()
                && staged.ticket().is_some()
                && said != Some(here) =>
        {
            iter::once(0..geometry.blocks()).collect()
        }
        _ if missing.is_empty() && !is_proved(staged, said) => staged.unproved(),
        _ => missing,
    }
}

/// Whether all blocks together are what the sender says.
fn is_proved<T: Staged>(staged: &T, said: Option<Checksum>) -> bool {
    let nodes = staged.held().into_iter().collect::<Option<Vec<Node>>>();
    nodes.is_none_or(|nodes| nodes.is_empty() || merge(&nodes) == said)
}

fn await_blocks<T: Staged>(
    reception: &Reception<T>,
    committed: &[Committed],
    stall: Duration,
    pulse: &mut impl FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    let entries: Vec<EntryId> = committed.iter().map(|c| c.entry).collect();
    let mut since = (0, Instant::now());
    while reception.wait(&entries, PULSE, stall, &mut since) == Waited::Still {
        pulse()?;
    }
    Ok(())
}

fn excepted(entry: EntryId, error: &store::Error) -> Exception {
    exception(entry, error.code(), error.to_string())
}

fn exception(entry: EntryId, code: Code, text: String) -> Exception {
    Exception {
        entry,
        code,
        text: short(text, TEXT_MAX),
        missing: Vec::new(),
    }
}

fn incomplete<T: Staged>(
    entry: EntryId,
    staged: &Arc<T>,
    missing: &[ops::Range<u64>],
) -> Exception {
    let error = store::Error::Incomplete(staged.entry().path.clone());
    let runs = missing.iter().take(MISSING_MAX).map(|run| Range {
        first: run.start,
        count: run.end - run.start,
    });
    Exception {
        missing: runs.collect(),
        ..excepted(entry, &error)
    }
}
