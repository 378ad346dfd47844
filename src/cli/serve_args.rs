//! How `haul serve` is spelled.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args as ClapArgs, ValueEnum};

use crate::trust;
use crate::wire::message::Rights;

use super::limits::Limits;
use super::quantity;

#[derive(Debug, ClapArgs)]
pub(super) struct ServeArgs {
    /// The directory to serve
    #[arg(default_value = ".")]
    pub(super) dir: PathBuf,
    // Not as documentation, which would take the brackets for a link.
    #[arg(
        long,
        help = "Where to listen, repeatable; port 0 picks a free one. [::] takes IPv4 too, unless \
                an address of IPv4 with the same port stands beside it. Without it \
                127.0.0.1:4285, or the sockets that a service manager hands over",
        env = "HAUL_LISTEN",
        value_name = "ADDR[:PORT]",
        value_delimiter = ','
    )]
    pub(super) listen: Vec<String>,
    /// Let nobody write, whatever they are authorized for
    #[arg(long, env = "HAUL_READ_ONLY", value_parser = BoolishValueParser::new())]
    pub(super) read_only: bool,
    /// What "stored" means: flushed to disk, or merely written
    #[arg(long, env = "HAUL_DURABILITY", value_enum, default_value_t)]
    pub(super) durability: DurabilityArg,
    /// Serve without encryption on addresses that others can reach
    #[arg(long, env = "HAUL_TRUST_NETWORK", value_parser = BoolishValueParser::new())]
    pub(super) trust_network: bool,
    /// What strangers may do, who have no key that was authorized
    #[arg(long, env = "HAUL_ANONYMOUS", value_enum, value_name = "RIGHT")]
    pub(super) anonymous: Option<AnonymousArg>,
    /// Invite whoever gets the link that is printed, for a day, to do this: words of
    /// read,write,replace,delete. The link leads to the first address of --listen that others
    /// can reach; where that is any address, to this machine's name
    #[arg(long, env = "HAUL_INVITE", value_name = "RIGHTS", value_parser = rights)]
    pub(super) invite: Option<Rights>,
    /// Serve as root on addresses that others can reach
    #[arg(long, env = "HAUL_ALLOW_ROOT", value_parser = BoolishValueParser::new())]
    pub(super) allow_root: bool,
    #[command(flatten)]
    pub(super) limits: Limits,
    /// How long running transfers may go on after a stop, as 30, 30s or 5m
    #[arg(
        long,
        env = "HAUL_DRAIN",
        value_name = "TIME",
        default_value = "30s",
        value_parser = quantity::parse_time
    )]
    pub(super) drain: Duration,
    /// The system's congestion control for what is sent, as bbr
    #[arg(long, env = "HAUL_CONGESTION", value_name = "NAME")]
    pub(super) congestion: Option<String>,
    /// Record every request in a file, a line of JSON each; SIGHUP has it opened anew
    #[arg(long, env = "HAUL_AUDIT", value_name = "FILE")]
    pub(super) audit: Option<PathBuf>,
    /// How long to keep uploads that were broken off, as 12h or 7d; 0 keeps none
    #[arg(
        long,
        env = "HAUL_KEEP_PARTIALS",
        value_name = "TIME",
        default_value = "7d",
        value_parser = quantity::parse_long_time
    )]
    pub(super) keep_partials: Duration,
    /// The form of the log on standard error
    #[arg(long, env = "HAUL_LOG", value_enum, default_value_t)]
    pub(super) log: LogArg,
}

fn rights(text: &str) -> Result<Rights, &'static str> {
    trust::parse_rights(text).ok_or("rights are words of read,write,replace,delete")
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum AnonymousArg {
    /// List and fetch
    Read,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum DurabilityArg {
    /// Flushed, many files at a time
    #[default]
    Batch,
    /// Not flushed: a power cut may lose what was stored
    None,
}

/// The form of a server's log.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum LogArg {
    #[default]
    Text,
    Json,
}
