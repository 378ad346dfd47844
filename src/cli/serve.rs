//! `haul serve [DIR]`
//!
//! Standard output carries one line for each address, once clients may come, and nothing
//! else: that is what a script waits for. People and logs are told on standard error.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use tracing::level_filters::LevelFilter;

use crate::code::Code;
use crate::fault::Fault;
use crate::server::Server;
use crate::store::{Durability, LocalStore};
use crate::wire::message::Rights;

use super::address::Address;
use super::args::LogArg;
use super::escape;
use super::failure::usage;
use super::json::Line;
use super::output::{Output, say};
use super::settings::{Format, Loudness, Manner, Reach, Serve};
use super::signals;

pub(super) fn run(serve: &Serve, manner: Manner) -> anyhow::Result<Option<Code>> {
    if serve.reach == Reach::Loopback {
        serve.listen.iter().try_for_each(refuse_open)?;
    }
    start_log(serve.log, manner.loudness);
    let store = LocalStore::serve(&serve.root, serve.durability, Fault::default())?;
    let rights = serve.rights;
    let listen: Vec<String> = serve.listen.iter().map(Address::to_string).collect();
    let server = Server::bind(store, &listen, serve.server.clone())
        .map_err(|error| usage(error.to_string()))?;
    let addresses = server.addresses()?;
    let handle = server.start()?;
    let _signals = signals::stopping(handle.stopper())?;
    if manner.loudness != Loudness::Quiet {
        introduce(serve, rights, &addresses);
    }
    announce(&addresses, manner.format)?;
    handle.wait();
    Ok(None)
}

/// Refuses an address that others could reach, as nothing there would be encrypted and
/// nobody asked who they are.
fn refuse_open(address: &Address) -> anyhow::Result<()> {
    let found = (address.host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(|error| usage(format!("cannot listen on {address}: {error}")))?;
    if found.map(|address| address.ip()).all(|ip| ip.is_loopback()) {
        return Ok(());
    }
    Err(usage(format!(
        "{address} is not a loopback address, and without encryption whoever can reach it \
         could read, replace and delete every file: if the network between is to be trusted, say \
         --trust-network"
    )))
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
fn introduce(serve: &Serve, rights: Rights, addresses: &[SocketAddr]) {
    // Whoever reads a log of JSON reads nothing else there.
    let say = |text: &str| match serve.log {
        LogArg::Text => say(text),
        LogArg::Json => tracing::info!("{text}"),
    };
    let root = serve.root.canonicalize();
    let root = root.unwrap_or_else(|_| serve.root.clone());
    say(&format!("serving {}", escape::path(&root)));
    let is_read_only = !rights.include(Rights::ALL);
    let allowed = if is_read_only {
        "read"
    } else {
        "read, write, replace and delete"
    };
    say(&format!("everyone who reaches the port may {allowed}"));
    if serve.durability == Durability::None {
        say("nothing is flushed: a power cut may lose what was called stored");
    }
    say("there is no encryption: whoever is on the way can read and change what is sent");
    for &address in addresses {
        let address = reachable(address);
        say(&if is_read_only {
            format!("others type: haul get {address}/NAME .")
        } else {
            format!("others type: haul put FILE {address}")
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
fn announce(addresses: &[SocketAddr], format: Format) -> anyhow::Result<()> {
    let mut output = Output::stdout();
    for address in addresses {
        output.line(&match format {
            Format::Human => format!("listening on haul://{address}"),
            Format::Json => Line::event("listening")
                .text("address", address.to_string().as_str())
                .text("fingerprint", None)
                .end(),
        });
    }
    output.finish()
}

#[cfg(test)]
mod tests {
    use super::super::failure::code_of;
    use super::*;

    #[track_caller]
    fn is_open(address: &str) -> bool {
        match refuse_open(&Address::parse(address).unwrap()) {
            Ok(()) => false,
            Err(error) => {
                assert_eq!(code_of(&error), Code::Usage);
                assert!(error.to_string().contains("--trust-network"));
                true
            }
        }
    }

    #[test]
    fn only_loopback_is_served_without_trust() {
        assert!(!is_open("127.0.0.1:0"));
        assert!(!is_open("127.8.0.1"));
        assert!(!is_open("[::1]"));
        assert!(is_open("0.0.0.0:4285"));
        assert!(is_open("[::]:0"));
        assert!(is_open("192.0.2.1"));
    }

    #[test]
    fn an_address_for_others_is_one_that_they_can_type() {
        let typed = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(typed("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(typed("[::1]:80"), "[::1]:80");
        assert!(!typed("0.0.0.0:80").starts_with("0.0.0.0"));
    }
}
