//! What a command line means, decided in one place.
//!
//! Below this room nothing asks "did the person say": a flag beats the environment,
//! the environment beats the default, and what contradicts itself was refused.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::ArgMatches;

use crate::client::{Effect, JobOptions, Links};
use crate::content::Algorithm;
use crate::net::Congestion;
use crate::offer::{Compare, OnExisting};
use crate::path::RemotePath;
use crate::server;
use crate::store::{self, Durability};
use crate::wire::message::Rights;

use super::address::{Address, AddressError};
use super::args::{ChecksumArg, CompareArg, Everywhere, GetArgs, LinksArg, Moving, PutArgs};
use super::destination::{LocalPlace, Place};
use super::environment;
use super::escape;
use super::exclusive_flags::{Which, one_of};
use super::failure::usage;
use super::peer::Peer;
use super::remote::{Ending, Remote};
use super::serve_args::{AnonymousArg, DurabilityArg, LogArg, ServeArgs};
use super::terminal;
use super::tree_args::LsArgs;
use super::trust_settings::check_rights;
use super::vantage::Vantage;

/// The longest between two sweeps of a server, however long it keeps things.
const SWEEP_MAX: Duration = Duration::from_secs(3600);

/// How to talk: the same for every command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) loudness: Loudness,
    pub(super) format: Format,
    pub(super) color: bool,
    pub(super) secrecy: Secrecy,
    /// How often to connect again when a connection is lost.
    pub(super) retries: u32,
}

/// Whether anybody on the way can listen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Nobody can, and each side knows the other by its key.
    Encrypted,
    /// Everybody can.
    Plain,
}

impl Manner {
    /// How to talk of a line that could not be understood.
    pub(super) fn before_parsing(format: Format) -> Self {
        Self {
            loudness: Loudness::Usual,
            format,
            color: false,
            secrecy: Secrecy::Encrypted,
            retries: 0,
        }
    }

    /// Whether what is no error is told in words.
    pub(super) fn hears_notices(self) -> bool {
        self.loudness != Loudness::Quiet && self.format == Format::Human
    }
}

/// How much to say on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loudness {
    /// Errors.
    Quiet,
    /// Errors, notices, progress and the summary.
    Usual,
    /// A line for each file, too.
    Verbose,
}

/// Who is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A person.
    Human,
    /// A program that reads JSON.
    Json,
}

/// A server to run.
#[derive(Debug)]
pub(super) struct Serve {
    pub(super) root: PathBuf,
    /// Where to listen, as far as that was said.
    pub(super) listen: Vec<Address>,
    pub(super) reach: Reach,
    pub(super) durability: Durability,
    /// What nobody may go beyond.
    pub(super) rights: Rights,
    /// What those may do whom nobody knows.
    pub(super) strangers: Option<Rights>,
    /// What guests may do, for whom a link is to be printed.
    pub(super) invite: Option<Rights>,
    /// Whether root may serve others.
    pub(super) may_be_root: bool,
    /// Where every request is recorded.
    pub(super) audit: Option<PathBuf>,
    /// How long what was broken off is kept.
    pub(super) keep_partials: Duration,
    /// What may be stored.
    pub(super) limits: store::Limits,
    pub(super) server: server::Config,
    pub(super) log: LogArg,
}

/// Who may reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// This machine.
    Loopback,
    /// Whoever the network lets through: a person has vouched for it.
    Network,
}

/// The connections of a job.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    /// The most that there may be, if anybody has said.
    pub(super) most: Option<usize>,
    pub(super) congestion: Option<Congestion>,
}

/// Files and trees to put.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) sources: Vec<PathBuf>,
    pub(super) peer: Peer,
    pub(super) place: Place,
    pub(super) reach: Connections,
    pub(super) options: JobOptions,
}

/// Files and trees to fetch.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) peer: Peer,
    pub(super) sources: Vec<Source>,
    pub(super) to: LocalPlace,
    pub(super) reach: Connections,
    pub(super) options: JobOptions,
}

/// A place on a server that is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// `None` is the root.
    pub(super) path: Option<RemotePath>,
    /// Whether it keeps its name; without one, what is in it goes.
    pub(super) is_named: bool,
}

/// A directory to list.
#[derive(Debug)]
pub(super) struct Ls {
    pub(super) remote: Remote,
    pub(super) detail: Detail,
    pub(super) depth: Depth,
}

/// What a listing says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Name,
    Long,
}

/// How far down a listing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    One,
    Whole,
}

pub(super) fn manner(args: Everywhere, matches: &ArgMatches) -> anyhow::Result<Manner> {
    let loudness = match one_of(matches, "quiet", "verbose")? {
        None => Loudness::Usual,
        Some(Which::First) => Loudness::Quiet,
        Some(Which::Second) => Loudness::Verbose,
    };
    let format = if args.json {
        Format::Json
    } else {
        Format::Human
    };
    Ok(Manner {
        loudness,
        format,
        color: terminal::has_color(args.color),
        secrecy: if args.plaintext {
            Secrecy::Plain
        } else {
            Secrecy::Encrypted
        },
        retries: args.retries,
    })
}

pub(super) fn serve(args: ServeArgs, matches: &ArgMatches) -> anyhow::Result<Serve> {
    let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
    let listen: Result<_, AddressError> = args.listen.iter().map(|a| Address::parse(a)).collect();
    let listen = listen.with_context(|| environment::spelling(matches, "listen"));
    let reach = if args.trust_network {
        Reach::Network
    } else {
        Reach::Loopback
    };
    let rights = if args.read_only {
        Rights::READ
    } else {
        Rights::ALL
    };
    if let Some(invited) = args.invite {
        check_rights(invited)?;
        if !rights.include(invited) {
            return Err(usage("with --read-only nobody can be invited but to read"));
        }
    }
    let durability = match args.durability {
        DurabilityArg::Batch => Durability::Batch,
        DurabilityArg::None => Durability::None,
    };
    Ok(Serve {
        root: args.dir,
        listen: listen?,
        reach,
        durability,
        rights,
        invite: args.invite,
        strangers: args.anonymous.map(|AnonymousArg::Read| Rights::READ),
        may_be_root: args.allow_root,
        audit: args.audit,
        keep_partials: args.keep_partials,
        limits: args.limits.of_store(),
        server: args.limits.of_server(server::Config {
            congestion: args.congestion.as_deref().map(congestion).transpose()?,
            drain: args.drain,
            sweep: args.keep_partials.clamp(Duration::from_secs(1), SWEEP_MAX),
            ..server::Config::default()
        }),
        log: args.log,
    })
}

pub(super) fn put(args: PutArgs, matches: &ArgMatches, from: &Vantage) -> anyhow::Result<Put> {
    let mut sources = args.places;
    let last = match sources.len() {
        1 => from.here().map(OsStr::to_owned),
        _ => sources.pop(),
    };
    let last = last.ok_or_else(|| usage("a put takes PATH... REMOTE: what, and where to"))?;
    from.refuse_local(
        &last,
        "put uploads to an address, HOST[:PORT][/PATH], its last argument: to download, use get",
    )?;
    if sources.iter().any(|source| source.is_empty()) {
        return Err(usage("a source is empty: what is here is ."));
    }
    let remote = from.place(&last)?;
    Ok(Put {
        sources: sources.into_iter().map(PathBuf::from).collect(),
        place: Place::remote(&remote),
        peer: remote.peer,
        reach: connections(&args.moving)?,
        options: job_options(&args.moving, matches)?,
    })
}

fn connections(moving: &Moving) -> anyhow::Result<Connections> {
    Ok(Connections {
        most: moving.connections.map(usize::from),
        congestion: moving.congestion.as_deref().map(congestion).transpose()?,
    })
}

fn congestion(name: &str) -> anyhow::Result<Congestion> {
    Congestion::named(name).map_err(|error| {
        let name = escape::name(name);
        usage(format!(
            "the system does not offer the congestion control {name}: {error}"
        ))
    })
}

pub(super) fn get(args: &GetArgs, matches: &ArgMatches, from: &Vantage) -> anyhow::Result<Get> {
    let (sources, last) = match args.places.as_slice() {
        [sources @ .., last] if !sources.is_empty() => (sources, last.as_os_str()),
        only => (only, OsStr::new(".")),
    };
    for source in sources {
        from.refuse_local(
            source,
            "get downloads from an address, HOST[:PORT][/PATH]: to upload, use put",
        )?;
    }
    if last.is_empty() {
        return Err(usage("the place to get into is empty: here is ."));
    }
    let to = LocalPlace::parse(Path::new(last))
        .with_context(|| escape::path(Path::new(last)).into_owned())?;
    let peer = from.place(&sources[0])?.peer;
    let sources: anyhow::Result<_> = sources
        .iter()
        .map(|argument| source(from.place(argument)?, &peer))
        .collect();
    Ok(Get {
        sources: sources?,
        peer,
        to,
        reach: connections(&args.moving)?,
        options: job_options(&args.moving, matches)?,
    })
}

pub(super) fn ls(args: &LsArgs, from: &Vantage) -> anyhow::Result<Ls> {
    let remote = args.remote.as_deref().or_else(|| from.here());
    let remote = remote.ok_or_else(|| usage("an ls takes REMOTE: what to list"))?;
    Ok(Ls {
        remote: from.place(remote)?,
        detail: if args.long {
            Detail::Long
        } else {
            Detail::Name
        },
        depth: if args.recursive {
            Depth::Whole
        } else {
            Depth::One
        },
    })
}

/// Takes a place for what is to be fetched from a server.
fn source(source: Remote, peer: &Peer) -> anyhow::Result<Source> {
    peer.check_same(&source.peer, ": a get has one")?;
    Ok(Source {
        is_named: source.path.is_some() && source.ending != Ending::Dot,
        path: source.path,
    })
}

fn job_options(args: &Moving, matches: &ArgMatches) -> anyhow::Result<JobOptions> {
    Ok(JobOptions {
        on_existing: on_existing(matches)?,
        compare: match (args.by_content, args.compare) {
            (false, CompareArg::Quick) => Compare::Quick,
            _ => Compare::Content,
        },
        links: match args.links {
            LinksArg::Keep => Links::Keep,
            LinksArg::Follow => Links::Follow,
            LinksArg::Skip => Links::Skip,
        },
        checksum: algorithm(args.checksum),
        effect: if args.dry_run {
            Effect::Dry
        } else {
            Effect::Real
        },
    })
}

fn on_existing(matches: &ArgMatches) -> anyhow::Result<OnExisting> {
    let which = one_of(matches, "overwrite", "update")?;
    Ok(match which {
        None => OnExisting::Refuse,
        Some(Which::First) => OnExisting::Replace,
        Some(Which::Second) => OnExisting::IfNewer,
    })
}

pub(super) fn algorithm(checksum: ChecksumArg) -> Algorithm {
    match checksum {
        ChecksumArg::Blake3 => Algorithm::Blake3,
        ChecksumArg::Sha256 => Algorithm::Sha256,
    }
}
