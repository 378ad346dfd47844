//! `haul serve [DIR]`
//!
//! Standard output carries one line for each address, once clients may come, and nothing
//! else: that is what a script waits for. People and logs are told on standard error.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;

use crate::code::Code;
use crate::fault::Fault;
use crate::server::{Config, Server};
use crate::store::{Durability, LocalStore};
use crate::wire::message::Rights;

use super::address::Address;
use super::door::{self, Door};
use super::escape;
use super::failure::usage;
use super::json::Line;
use super::output::{Output, say};
use super::serve_args::LogArg;
use super::settings::{Format, Loudness, Manner, Serve};
use super::signals;

pub(super) fn run(serve: &Serve, manner: Manner) -> anyhow::Result<Option<Code>> {
    let door = door::of(serve, manner.secrecy)?;
    start_log(serve.log, manner.loudness);
    let store = LocalStore::serve(&serve.root, serve.durability, Fault::default())?;
    store.keep_partials(serve.keep_partials);
    let listen: Vec<String> = serve.listen.iter().map(Address::to_string).collect();
    let config = Config {
        admit: Arc::clone(&door.admit),
        encryption: door.encryption.clone(),
        ..serve.server.clone()
    };
    let server = Server::bind(store, &listen, config).map_err(|error| usage(error.to_string()))?;
    let addresses = server.addresses()?;
    let handle = server.start()?;
    let _signals = signals::stopping(handle.stopper())?;
    if manner.loudness != Loudness::Quiet {
        introduce(serve, &door, &addresses);
    }
    announce(&addresses, &door, manner.format)?;
    handle.wait();
    Ok(None)
}

fn start_log(form: LogArg, loudness: Loudness) {
    let log = tracing_subscriber::fmt()
        .with_max_level(match loudness {
            Loudness::Quiet => LevelFilter::WARN,
            Loudness::Usual => LevelFilter::INFO,
            Loudness::Verbose => LevelFilter::DEBUG,
        })
        .with_target(false)
        .with_ansi(false)
        .with_writer(io::stderr)
        // It would panic where standard error is gone.
        .log_internal_errors(false);
    // Another log can only have been set by whoever calls the library: it stays.
    let _ = match form {
        LogArg::Text => log.try_init(),
        LogArg::Json => log.json().flatten_event(true).try_init(),
    };
}

/// Tells the person who started it what is served, to whom, and how to reach it.
fn introduce(serve: &Serve, door: &Door, addresses: &[SocketAddr]) {
    // Whoever reads a log of JSON reads nothing else there.
    let say = |text: &str| match serve.log {
        LogArg::Text => say(text),
        LogArg::Json => tracing::info!("{text}"),
    };
    let root = serve.root.canonicalize();
    let root = root.unwrap_or_else(|_| serve.root.clone());
    say(&format!("serving {}", escape::path(&root)));
    door.said.iter().for_each(|line| say(line));
    if serve.durability == Durability::None {
        say("nothing is flushed: a power cut may lose what was called stored");
    }
    for &address in addresses {
        let address = reachable(address);
        say(&if serve.rights.include(Rights::ALL) {
            format!("to put something there: haul put FILE {address}")
        } else {
            format!("to get something from there: haul get {address}/NAME .")
        });
    }
}

/// The address as others type it: for "any", the name of this machine.
fn reachable(address: SocketAddr) -> Address {
    let host = if address.ip().is_unspecified() {
        let system = rustix::system::uname();
        system.nodename().to_string_lossy().into_owned()
    } else {
        address.ip().to_string()
    };
    Address {
        host,
        port: address.port(),
    }
}

/// Says on standard output that the server is ready: whoever started it waits for that.
fn announce(addresses: &[SocketAddr], door: &Door, format: Format) -> anyhow::Result<()> {
    let mut output = Output::stdout();
    let print = door.fingerprint().map(|print| print.to_string());
    for address in addresses {
        output.line(&match format {
            Format::Human => format!("listening on haul://{address}"),
            Format::Json => Line::event("listening")
                .text("address", address.to_string().as_str())
                .text("fingerprint", print.as_deref())
                .end(),
        });
    }
    output.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_others_is_one_that_they_can_type() {
        let typed = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(typed("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(typed("[::1]:80"), "[::1]:80");
        assert!(!typed("0.0.0.0:80").starts_with("0.0.0.0"));
    }
}
