//! Whether what is on a server is still what was stored there. It is read there: nothing but
//! names and findings moves.

use std::ops::Range;

use super::{Client, Error, Listing};
use crate::content::{BlockSize, Checksum};
use crate::entry::Entry;
use crate::path::RemotePath;
use crate::transfer;
use crate::wire::Message;
use crate::wire::message::{Finding, RUNS_MAX, Request, State, Verify};

/// What became of a file since it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Soundness {
    /// Its bytes are those that were stored.
    Sound(Checksum),
    /// They are others, and nobody has touched it since.
    Decayed {
        /// What was stored.
        recorded: Checksum,
        /// Which blocks are others, where the server has kept their nodes.
        blocks: Option<DecayedBlocks>,
    },
    /// They are others, and it was touched since: somebody may have meant that.
    Edited(Checksum),
    /// It did not come here by haul, or nothing could be recorded of it.
    Unrecorded,
}

/// The blocks of a file that have decayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecayedBlocks {
    /// Bytes of a block.
    pub size: u64,
    /// How many blocks the file has.
    pub all: u64,
    /// How many of them have decayed.
    pub decayed: u64,
    /// The first runs of these, in order; there may be more.
    pub runs: Vec<Range<u64>>,
}

impl Client {
    /// Has the server read the file at `path`, or every file beneath it, or all there are, and
    /// hold it against what was recorded when it was stored; tells `hear` of each, in the
    /// order of a listing: its entry, and what became of it or why that is not known.
    ///
    /// Returns what was listed and is no file: directories, links, and how much could not be
    /// listed.
    ///
    /// ```
    /// # use haul::{fault::Fault, server::{Config, Server}, store::{Durability, LocalStore}};
    /// # let served = tempfile::tempdir()?;
    /// # let store = LocalStore::serve(served.path(), Durability::Batch, Fault::default())?;
    /// # let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
    /// # let address = server.addresses()?[0].to_string();
    /// # let _running = server.start()?;
    /// # std::fs::write(served.path().join("notes"), "sea")?;
    /// use haul::client::{Client, Options, Soundness};
    ///
    /// let client = Client::new(&address, Options::default());
    /// let mut found = Vec::new();
    /// client.verify(None, |entry, what| found.push((entry.path, what.ok())))?;
    /// let (path, what) = found.remove(0);
    /// assert_eq!(path.as_str(), "notes");
    /// assert_eq!(what, Some(Soundness::Unrecorded), "it was not put there by haul");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What ended the whole job: that there is no such path or no file, or the connection's
    /// end. A file that failed alone is told to `hear`.
    pub fn verify(
        &self,
        path: Option<&RemotePath>,
        hear: impl FnMut(Entry, Result<Soundness, Error>),
    ) -> Result<Listing, Error> {
        let ask = |request, path, version| Verify {
            request,
            path,
            version,
        };
        self.ask_of_each(path, ask, soundness, hear)
    }
}

/// What a finding says of a file, if it makes sense.
fn soundness(entry: &Entry, message: Message) -> Result<(Request, Soundness), transfer::Error> {
    let Message::Finding(found) = message else {
        return Err(transfer::Error::OutOfOrder(message.kind()));
    };
    let soundness = match (found.state, found.checksum) {
        (State::Decayed, Some(recorded)) => {
            let blocks = if is_placed(&found) {
                Some(blocks(&found, entry.size()).ok_or(BROKEN)?)
            } else {
                None
            };
            Soundness::Decayed { recorded, blocks }
        }
        _ if is_placed(&found) => return Err(BROKEN),
        (State::Sound, Some(checksum)) => Soundness::Sound(checksum),
        (State::Edited, Some(checksum)) => Soundness::Edited(checksum),
        (State::Unrecorded, None) => Soundness::Unrecorded,
        _ => return Err(BROKEN),
    };
    Ok((found.request, soundness))
}

const BROKEN: transfer::Error = transfer::Error::Broken("a finding that cannot be");

/// Whether a finding says anything of blocks.
fn is_placed(found: &Finding) -> bool {
    found.block.is_some() || found.decayed.is_some() || !found.runs.is_empty()
}

/// Which blocks of a file of this size a finding names, if they can be.
fn blocks(found: &Finding, size: u64) -> Option<DecayedBlocks> {
    let decayed = found.decayed?;
    let block = BlockSize::new(found.block?).ok()?.bytes();
    let all = size.div_ceil(block);
    let (mut end, mut named) = (0, 0);
    for run in &found.runs {
        let is_next = run.count > 0 && (run.first > end || end == 0);
        end = run.first.checked_add(run.count).filter(|_| is_next)?;
        named += run.count;
    }
    let is_all = found.runs.len() < RUNS_MAX && named == decayed;
    let is_cut = found.runs.len() == RUNS_MAX && named <= decayed;
    let can_be = end <= all && decayed <= all && named > 0 && (is_all || is_cut);
    let runs = found.runs.iter();
    can_be.then(|| DecayedBlocks {
        size: block,
        all,
        decayed,
        runs: runs.map(|run| run.first..run.first + run.count).collect(),
    })
}
