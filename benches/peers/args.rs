//! What is asked on the command line, and what it means.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// haul and its peers, taking turns at the same work.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench peers --", version)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Rows to run, by name; without any, all but those of idle connections
    #[arg(value_name = "ROW")]
    pub rows: Vec<String>,

    /// Print the rows that there are, and end
    #[arg(long)]
    pub list: bool,

    /// Peers to run beside haul, as rsync,curl; without it, all that are there
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    #[arg(value_parser = ["rsync", "scp", "curl", "aria2", "cp", "iperf3"])]
    pub peers: Vec<String>,

    /// How often each takes its turn, after one that is not counted
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,

    /// Bytes in the large file; 256MiB where there is a link
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub big: Option<u64>,

    /// How many small files; 2000 where there is a link
    #[arg(long, value_name = "N")]
    pub small: Option<u64>,

    /// Connections that want nothing, in the rows load and load-encrypted
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub idle: u64,

    /// Bytes in each small file
    #[arg(long, value_name = "SIZE", default_value = "10KiB", value_parser = size)]
    pub small_size: u64,

    /// Memory that is taken once, so that a host gives it for the whole run; 0 for none
    #[arg(long, value_name = "SIZE", default_value = "8GiB", value_parser = bytes)]
    pub warm: u64,

    /// Where what is moved is made; /dev/shm if it is there
    #[arg(long, value_name = "DIR")]
    pub source_dir: Option<PathBuf>,

    /// Where it goes; /dev/shm if it is there
    #[arg(long, value_name = "DIR")]
    pub target_dir: Option<PathBuf>,

    /// Where it goes in rows that are about a disk
    #[arg(long, value_name = "DIR", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub disk_dir: PathBuf,

    /// Where all samples are written
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/peers.json"))]
    pub json: PathBuf,

    /// Words before each command of a client, as "ip netns exec lk-a"
    #[arg(long, value_name = "WORDS", requires = "address", value_parser = words)]
    pub host_a: Option<Words>,

    /// Words before each command of a server
    #[arg(long, value_name = "WORDS", requires = "address", value_parser = words)]
    pub host_b: Option<Words>,

    /// The address of host B, as host A reaches it
    #[arg(long, value_name = "IP", requires = "host_a", requires = "host_b")]
    pub address: Option<IpAddr>,

    /// The link loses packets: its rows have other targets
    #[arg(long, requires = "address")]
    pub lossy: bool,

    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    pub bench: bool,

    #[command(subcommand)]
    pub errand: Option<Errand>,
}

/// What the benchmark has itself do on another host.
#[derive(Debug, Subcommand)]
pub enum Errand {
    /// Connects to a server, as soon as it listens.
    #[command(hide = true)]
    Reach {
        address: SocketAddr,
        /// How long it may take to come up.
        seconds: u64,
    },
    /// Prints a port that nobody uses.
    #[command(hide = true)]
    Port { address: IpAddr },
    /// Holds connections to haul that want nothing.
    #[command(hide = true)]
    Hold {
        address: SocketAddr,
        connections: u64,
        /// The fingerprint of a server that encrypts.
        #[arg(long, requires = "home")]
        server_key: Option<String>,
        /// Where haul's own key is.
        #[arg(long)]
        home: Option<PathBuf>,
    },
}

/// Words of a command line.
#[derive(Clone, Debug, Default)]
pub struct Words(pub Vec<String>);

impl Args {
    /// Whether cargo, or a person, wants anything measured: `cargo test --all-targets` runs
    /// benchmarks too, without a word.
    pub fn is_meant(&self) -> bool {
        self.bench || self.errand.is_some() || std::env::args_os().len() > 1
    }
}

/// Reads the size of something that has one.
fn size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err("no size that a file can have here".to_owned()),
        size => Ok(size),
    }
}

/// Reads 0, 1000, 10KiB, 256MiB or 2GiB.
fn bytes(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        other => return Err(format!("{other} is none of KiB, MiB and GiB")),
    };
    let number: u64 = number.parse().map_err(|e| format!("{e}"))?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "no size that a file can have here".to_owned())
}

fn words(text: &str) -> Result<Words, String> {
    match shlex::split(text) {
        Some(words) => Ok(Words(words)),
        None => Err("a quote is left open".to_owned()),
    }
}
