//! Requests that have a file read here: what its checksum is, and whether it is still what
//! was stored. Nothing but the answer moves.

use std::ops::Range as Blocks;
use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use super::access::Access;
use super::audit::Asked;
use super::guard::Guarded;
use super::session::{Session, seconds};
use crate::content::block::BLOCKS_MAX;
use crate::content::{Algorithm, BlockSize, Checksum, Geometry, Hands, Node, merge};
use crate::entry::{Touched, Version};
use crate::path::RemotePath;
use crate::store::{self, KeptNodes, OnRecord, ReadAt, Source, Store};
use crate::transfer::Error;
use crate::transfer::heartbeat::{patiently, say_working};
use crate::transfer::send::{Unreadable, in_order, nodes_by};
use crate::wire::message::{Finding, RUNS_MAX, Range, Request, State, Sum, SumIs, Verify};

/// A file that is to be read here.
struct Wanted<'m> {
    asked: Asked,
    request: Request,
    path: &'m RemotePath,
    version: &'m Version,
}

/// What was found of a file.
struct Examined {
    state: State,
    recorded: Option<Checksum>,
    /// What its bytes are, where all of them could be read.
    is_now: Option<Checksum>,
    decayed: Option<Decayed>,
}

/// Which blocks have decayed.
struct Decayed {
    block: u64,
    runs: Vec<Blocks<u64>>,
}

/// Reads a file and says what its checksum is.
pub(super) fn sum<S: Store>(session: &mut Session<'_, S>, sum: &Sum) -> Result<(), Error> {
    let wanted = Wanted {
        asked: Asked::Sum,
        request: sum.request,
        path: &sum.path,
        version: &sum.version,
    };
    let read = |_: &Access<S>, reader: &Guarded<S::Reader>| {
        let checksum = in_order(reader, sum.algorithm)?;
        Ok((checksum, Some(checksum)))
    };
    if let Some(checksum) = read_here(session, &wanted, read)? {
        session.link.say(&SumIs {
            request: sum.request,
            checksum,
        });
    }
    Ok(())
}

/// Reads a file and says whether it is still what was stored.
pub(super) fn verify<S: Store>(session: &mut Session<'_, S>, asked: &Verify) -> Result<(), Error> {
    let wanted = Wanted {
        asked: Asked::Verify,
        request: asked.request,
        path: &asked.path,
        version: &asked.version,
    };
    let turns = Arc::clone(&session.shared.verifying);
    let read = |access: &Access<S>, reader: &Guarded<S::Reader>| {
        let turn = turns.take();
        let hands = turn.as_ref().map_or(Hands::One, |_| Hands::Many);
        let examined = examine(reader, hands, |checksum| access.kept_nodes(checksum))?;
        let is_now = examined.is_now;
        Ok((examined, is_now))
    };
    if let Some(examined) = read_here(session, &wanted, read)? {
        session.link.say(&examined.finding(asked.request));
    }
    Ok(())
}

/// Reads a file while whoever asked is kept patient, and records that. `None` where it was
/// refused, which they are told.
fn read_here<S: Store, T: Send>(
    session: &mut Session<'_, S>,
    wanted: &Wanted<'_>,
    read: impl FnOnce(&Access<S>, &Guarded<S::Reader>) -> Result<(T, Option<Checksum>), store::Error>
    + Send,
) -> Result<Option<T>, Error> {
    let began = Instant::now();
    let peer = session.peer;
    let (access, link, _, _) = session.sending();
    let mut act = access.begin(wanted.asked, Some(wanted.path));
    let reader = match access.open(wanted.path, Some(wanted.version)) {
        Ok(reader) => reader,
        Err(error) => {
            // That it was refused is the answer, recorded or not.
            let _ = act.end(Some(error.code()));
            session.refuse(wanted.request, error.code(), error.to_string());
            return Ok(None);
        }
    };
    let word = wanted.asked.word();
    // Nobody hears what is found for whoever has left.
    let mut say = || say_working(link).inspect_err(|_| reader.abandon());
    let result = patiently(word, || read(access, &reader), &mut say)?;
    info!(
        peer,
        path = wanted.path.as_str(),
        bytes = reader.bytes_read(),
        seconds = seconds(began),
        "{word}"
    );
    act.read(reader.bytes_read());
    if let Ok((_, Some(checksum))) = &result {
        act.proved(*checksum);
    }
    match act.with(result) {
        Ok((found, _)) => Ok(Some(found)),
        Err(error) => {
            session.refuse(wanted.request, error.code(), error.to_string());
            Ok(None)
        }
    }
}

/// Holds a file against its record.
fn examine<R: ReadAt>(
    reader: &R,
    hands: Hands,
    kept: impl FnOnce(Checksum) -> Option<KeptNodes>,
) -> Result<Examined, store::Error> {
    let Some(record) = reader.on_record()? else {
        return Ok(Examined::without_reading(State::Unrecorded, None));
    };
    if record.size != reader.size() {
        let state = match record.touched {
            Touched::Never => State::Decayed,
            Touched::Since => State::Edited,
        };
        return Ok(Examined::without_reading(state, Some(record.checksum)));
    }
    reader.read_anew();
    let cut = |kept: &KeptNodes| {
        let cut = Geometry::new(record.size, kept.block).ok();
        cut.filter(|cut| cut.blocks() == kept.nodes.len() as u64)
    };
    let kept = kept(record.checksum).and_then(|kept| Some((cut(&kept)?, kept.nodes)));
    let usual = || Geometry::new(record.size, BlockSize::for_size(record.size)).ok();
    let geometry = kept.as_ref().map(|(cut, _)| *cut).or_else(usual);
    let nodes = match geometry.filter(|cut| cut.blocks() <= BLOCKS_MAX) {
        Some(cut) => nodes_now(reader, hands, &record, cut)?,
        None => Vec::new(),
    };
    let all: Option<Vec<Node>> = nodes.iter().copied().collect();
    let is_now = match all {
        // More blocks than anybody keeps the nodes of.
        Some(all) if all.is_empty() => Some(in_order(reader, Algorithm::Blake3)?),
        Some(all) => merge(&all),
        None => None,
    };
    let state = match record.touched {
        _ if is_now == Some(record.checksum) => State::Sound,
        Touched::Never => State::Decayed,
        Touched::Since => State::Edited,
    };
    let decayed = kept.filter(|_| state == State::Decayed);
    Ok(Examined {
        state,
        recorded: Some(record.checksum),
        is_now,
        decayed: decayed.map(|(cut, kept)| Decayed {
            block: cut.block().bytes(),
            runs: differing(&nodes, &kept),
        }),
    })
}

/// What the blocks of a file are now; none for one that the disk does not give any more, which
/// is how many file systems tell of decay. In a file that was touched that is a failure.
fn nodes_now<R: ReadAt>(
    reader: &R,
    hands: Hands,
    record: &OnRecord,
    cut: Geometry,
) -> Result<Vec<Option<Node>>, store::Error> {
    let unreadable = match record.touched {
        Touched::Never => Unreadable::Missing,
        Touched::Since => Unreadable::Failure,
    };
    nodes_by(reader, cut, (hands, unreadable))
}

/// The runs of blocks that are not what they were.
fn differing(now: &[Option<Node>], kept: &[Node]) -> Vec<Blocks<u64>> {
    let mut runs: Vec<Blocks<u64>> = Vec::new();
    for (number, (now, kept)) in (0..).zip(now.iter().zip(kept)) {
        if *now == Some(*kept) {
            continue;
        }
        match runs.last_mut().filter(|last| last.end == number) {
            Some(last) => last.end += 1,
            None => runs.push(number..number + 1),
        }
    }
    runs
}

impl Examined {
    fn without_reading(state: State, recorded: Option<Checksum>) -> Self {
        Self {
            state,
            recorded,
            is_now: None,
            decayed: None,
        }
    }

    fn finding(self, request: Request) -> Finding {
        let runs = |decayed: &Decayed| -> Vec<Range> {
            let runs = decayed.runs.iter().take(RUNS_MAX);
            runs.map(|run| Range {
                first: run.start,
                count: run.end - run.start,
            })
            .collect()
        };
        let count = |decayed: &Decayed| decayed.runs.iter().map(|run| run.end - run.start).sum();
        Finding {
            request,
            state: self.state,
            checksum: self.recorded,
            block: self.decayed.as_ref().map(|decayed| decayed.block),
            decayed: self.decayed.as_ref().map(count),
            runs: self.decayed.as_ref().map(runs).unwrap_or_default(),
        }
    }
}
