//! What a server puts up with, each limit with its flag.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::net::plain::Liveness;
use crate::server;
use crate::store;
use crate::transfer::Deadlines;
use crate::trust;

use super::quantity;

/// More seconds than this the system does not count between two looks at a connection.
const TCP_MAX: Duration = Duration::from_secs(32_767);

#[derive(Debug, ClapArgs)]
pub(super) struct Limits {
    /// Connections at once; one more is told that the server is full
    #[arg(
        long,
        env = "HAUL_MAX_CONNECTIONS",
        value_name = "N",
        default_value = "1024"
    )]
    max_connections: NonZeroUsize,
    /// Connections at once from one address, or from one IPv6 network of 64 bits; as many as in
    /// all where it is not said
    #[arg(long, env = "HAUL_MAX_PER_SOURCE", value_name = "N")]
    max_per_source: Option<NonZeroUsize>,
    /// How long a connection may take to say who it is, in all, as 30, 30s or 5m
    #[arg(
        long,
        env = "HAUL_OPENING_TIMEOUT",
        value_name = "TIME",
        default_value = "10s",
        value_parser = quantity::parse_some_time
    )]
    opening_timeout: Duration,
    /// How long a connection may ask for nothing, as 30, 30s or 5m
    #[arg(
        long,
        env = "HAUL_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value = "5m",
        value_parser = quantity::parse_some_time
    )]
    idle_timeout: Duration,
    /// How long a connection may be silent in the middle of something, as 30, 30s or 5m
    #[arg(
        long,
        env = "HAUL_STALL_TIMEOUT",
        value_name = "TIME",
        default_value = "60s",
        value_parser = quantity::parse_some_time
    )]
    stall_timeout: Duration,
    /// Bytes a second below which a connection is let go of that is in the middle of something:
    /// each message has the stall timeout besides
    #[arg(
        long,
        env = "HAUL_MIN_RATE",
        value_name = "BYTES",
        default_value = "1KiB",
        value_parser = size
    )]
    min_rate: u64,
    /// Most bytes in one file, as 1000, 10KiB or 3GiB; any number where it is not said
    #[arg(long, env = "HAUL_MAX_FILE_BYTES", value_name = "BYTES", value_parser = size)]
    max_file_bytes: Option<u64>,
    /// Bytes of the file system that stay free whatever is uploaded, as 1000, 10KiB or 3GiB;
    /// before they are touched, the oldest uploads that were broken off are removed
    #[arg(
        long,
        env = "HAUL_MIN_FREE",
        value_name = "BYTES",
        default_value = "0",
        value_parser = size_or_none
    )]
    min_free: u64,
    /// Silence after which the system asks whether a client is still there, as 30, 30s or 5m
    #[arg(
        long,
        env = "HAUL_TCP_KEEPALIVE",
        value_name = "TIME",
        default_value = "60s",
        value_parser = tcp_time
    )]
    tcp_keepalive: Duration,
    /// How long the system waits for a word from a client's that something has come, as 30, 30s
    /// or 5m
    #[arg(
        long,
        env = "HAUL_TCP_USER_TIMEOUT",
        value_name = "TIME",
        default_value = "90s",
        value_parser = tcp_time
    )]
    tcp_user_timeout: Duration,
}

impl Limits {
    /// Those of what is stored.
    pub(super) fn of_store(&self) -> store::Limits {
        store::Limits {
            max_file: self.max_file_bytes,
            min_free: self.min_free,
        }
    }

    /// The same server, with those of its connections.
    pub(super) fn of_server(&self, server: server::Config) -> server::Config {
        server::Config {
            max_connections: self.max_connections.get(),
            max_per_source: self.max_per_source.map_or(usize::MAX, NonZeroUsize::get),
            deadlines: Deadlines {
                opening: self.opening_timeout,
                idle: self.idle_timeout,
                stall: self.stall_timeout,
                floor: self.min_rate,
                ..Deadlines::default()
            },
            liveness: Liveness {
                keepalive: self.tcp_keepalive,
                user_timeout: self.tcp_user_timeout,
            },
            ..server
        }
    }
}

fn size(text: &str) -> Result<u64, &'static str> {
    trust::parse_size(text).ok_or("bytes are written as 1000, 10KiB or 3GiB, and are not 0")
}

fn size_or_none(text: &str) -> Result<u64, &'static str> {
    if text == "0" {
        return Ok(0);
    }
    trust::parse_size(text).ok_or("bytes are written as 0, 1000, 10KiB or 3GiB")
}

fn tcp_time(text: &str) -> Result<Duration, &'static str> {
    match quantity::parse_time(text)? {
        Duration::ZERO => Err("the system takes no time at all for no limit: say at least 1s"),
        time if time > TCP_MAX => Err("the system counts at most 32767 seconds here"),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{FromArgMatches, Parser};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        limits: Limits,
    }

    fn read(words: &str) -> Result<Limits, String> {
        let words = ["serve"].into_iter().chain(words.split_whitespace());
        // What tests run in says nothing here.
        let command = <Line as clap::CommandFactory>::command();
        let command = command.mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
        let matches = command.try_get_matches_from(words);
        let line = matches.and_then(|matches| Line::from_arg_matches(&matches));
        line.map(|line| line.limits).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_not_said_is_what_the_library_takes_for_usual() {
        let limits = read("").unwrap();
        let config = limits.of_server(server::Config::default());
        let usual = server::Config::default();
        assert_eq!(format!("{config:?}"), format!("{usual:?}"));
        assert_eq!(limits.of_store(), store::Limits::default());
    }

    #[test]
    fn each_limit_is_set_by_its_flag() {
        let limits = read(
            "--max-connections 7 --max-per-source 3 --opening-timeout 2 --idle-timeout 3m \
             --stall-timeout 4s --min-rate 10KiB --max-file-bytes 3GiB --min-free 1MiB \
             --tcp-keepalive 5 --tcp-user-timeout 6",
        );
        let limits = limits.unwrap();
        let config = limits.of_server(server::Config::default());
        assert_eq!((config.max_connections, config.max_per_source), (7, 3));
        let seconds = Duration::from_secs;
        let Deadlines {
            opening,
            idle,
            stall,
            floor,
            ..
        } = config.deadlines;
        let deadlines = (opening, idle, stall, floor);
        let expected = (seconds(2), seconds(180), seconds(4), 10 << 10);
        assert_eq!(deadlines, expected);
        let Liveness {
            keepalive,
            user_timeout,
        } = config.liveness;
        assert_eq!((keepalive, user_timeout), (seconds(5), seconds(6)));
        let expected = store::Limits {
            max_file: Some(3 << 30),
            min_free: 1 << 20,
        };
        assert_eq!(limits.of_store(), expected);
    }

    #[test]
    fn what_is_no_limit_is_refused_with_how_it_is_written() {
        for (words, why) in [
            ("--max-connections 0", "--max-connections"),
            ("--opening-timeout 0", "with no time at all"),
            ("--stall-timeout 1.5", "a time is written as"),
            ("--min-rate 0", "are not 0"),
            ("--min-rate -1", "-1"),
            ("--max-file-bytes 0", "are not 0"),
            ("--max-file-bytes 1GB", "bytes are written as"),
            ("--min-free lots", "bytes are written as 0"),
            ("--tcp-keepalive 0", "say at least 1s"),
            ("--tcp-user-timeout 600m", "at most 32767"),
        ] {
            let error = read(words).unwrap_err();
            assert!(error.contains(why), "{words}: {error}");
        }
    }
}
