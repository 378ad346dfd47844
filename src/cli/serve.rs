//! `haul serve [DIR]`
//!
//! Standard output carries one line for each address, once clients may come, and nothing
//! else: that is what a script waits for. People and logs are told on standard error.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::level_filters::LevelFilter;

use crate::code::Code;
use crate::fault::Fault;
use crate::net::Listener;
use crate::server::{Audit, AuditFile, Config, Server};
use crate::store::{Durability, LocalStore};
use crate::trust::Bearer;
use crate::wire::message::Rights;

use super::address::Address;
use super::confinement::{Needs, Use};
use super::descriptors;
use super::door::{self, Door};
use super::escape;
use super::failure::usage;
use super::invite::{self, Made};
use super::json::Line;
use super::links::SCHEME;
use super::output::{Output, say};
use super::places;
use super::serve_args::LogArg;
use super::service::{self, Handed};
use super::settings::{Format, Loudness, Manner, Serve};
use super::signals;
use super::trust_settings::Terms;

pub(super) fn run(serve: &Serve, manner: Manner) -> anyhow::Result<Option<Code>> {
    let handed = service::handed_over()?;
    let said = match (serve.listen.as_slice(), handed.as_slice()) {
        ([], []) => &[Address::usual()],
        (said, _) => said,
    };
    let listen: Vec<Address> = handed.iter().map(|it| it.address.clone()).collect();
    let mut door = door::of(serve, &[&listen, said].concat(), manner.secrecy)?;
    start_log(serve.log, manner.loudness);
    let hidden = door.own.hidden();
    let store = LocalStore::serve_without(&serve.root, hidden, serve.durability, Fault::default())?;
    store.keep_partials(serve.keep_partials);
    store.limit(serve.limits);
    let audit = match &serve.audit {
        Some(path) => Some(Arc::new(AuditFile::open(path)?)),
        None => None,
    };
    let room = descriptors::room_for(serve.server.max_connections);
    door.said.extend(room.notice);
    let config = Config {
        admit: Arc::clone(&door.admit),
        encryption: door.encryption.clone(),
        audit: audit.clone().map(|audit| audit as Arc<dyn Audit>),
        max_connections: room.connections,
        ..serve.server.clone()
    };
    let server = Server::on(store, listeners(handed, said)?, config)?;
    let addresses = server.addresses()?;
    let made = invite(serve, &door, &addresses)?;
    // All that takes more than this is done, and no thread is there yet.
    let confined = needs(serve, &door)?.confine();
    let handle = server.start()?;
    let drain = serve.server.drain;
    let tell = move || service::is_stopping(drain);
    let _signals = signals::stopping(handle.stopper(), audit, tell)?;
    if manner.loudness != Loudness::Quiet {
        introduce(serve, &door, &addresses, (&confined, made.as_ref()));
    }
    announce(&addresses, &door, made.as_ref(), manner.format)?;
    service::is_ready();
    service::wait(handle);
    Ok(None)
}

/// What was handed over, and what was said.
fn listeners(handed: Vec<Handed>, said: &[Address]) -> anyhow::Result<Vec<Listener>> {
    let bind = |address: &Address| {
        let bound = Listener::bind(address.to_string().as_str());
        bound.map_err(|error| usage(format!("cannot listen on {address}: {error}")))
    };
    let handed = handed.into_iter().map(|it| Ok(it.listener));
    handed.chain(said.iter().map(bind)).collect()
}

/// Makes the invitation that was asked for, to the first address that others can reach.
fn invite(serve: &Serve, door: &Door, addresses: &[SocketAddr]) -> anyhow::Result<Option<Made>> {
    let (Some(rights), Some(server)) = (serve.invite, door.fingerprint()) else {
        return Ok(None);
    };
    let is_public = |address: &&SocketAddr| !address.ip().is_loopback();
    let address = addresses.iter().find(is_public).or(addresses.first());
    let address = address.map(|address| reachable(*address));
    let address = address.ok_or_else(|| usage("nothing is listened on"))?;
    let terms = Terms::plain(real_root(serve), rights);
    let made = invite::make(&places::of_user()?, (server, address), terms, Bearer::Any)?;
    Ok(Some(made))
}

/// The served directory, as others hold for it.
fn real_root(serve: &Serve) -> PathBuf {
    let root = serve.root.canonicalize();
    root.unwrap_or_else(|_| serve.root.clone())
}

/// What a server needs once it has begun.
fn needs(serve: &Serve, door: &Door) -> anyhow::Result<Needs> {
    let root = if serve.rights.include(Rights::ALL) {
        Use::Change
    } else {
        Use::Read
    };
    let mut needs = Needs::of(&serve.root, root);
    if door.encryption.is_some() {
        let places = places::of_user()?;
        needs = needs
            .and(places.config(), Use::Read)
            .and(places.state(), Use::Change);
    }
    if let Some(directory) = serve.audit.as_deref().map(directory_of) {
        needs = needs.and(directory, Use::Write);
    }
    Ok(needs)
}

/// The directory that a file is in.
fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
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
fn introduce(
    serve: &Serve,
    door: &Door,
    addresses: &[SocketAddr],
    (confined, made): (&[String], Option<&Made>),
) {
    // Whoever reads a log of JSON reads nothing else there.
    let say = |text: &str| match serve.log {
        LogArg::Text => say(text),
        LogArg::Json => tracing::info!("{text}"),
    };
    say(&format!("serving {}", escape::path(&real_root(serve))));
    door.said.iter().chain(confined).for_each(|line| say(line));
    if serve.durability == Durability::None {
        say("nothing is flushed: a power cut may lose what was called stored");
    }
    if let Some(made) = made {
        made.told().iter().for_each(|line| say(line));
        say(&format!("the link leads to {}", made.address));
    }
    let rights = hinted(serve);
    // Where only guests are let in, their link is what others type.
    let is_for_guests = made.is_some() && serve.strangers.is_none();
    let is_hinted = |address: &&SocketAddr| !is_for_guests || address.ip().is_loopback();
    for &address in addresses.iter().filter(is_hinted) {
        let address = spelled(address, door);
        say(&if rights.include(Rights::WRITE) {
            format!("to put something there: haul put FILE {address}")
        } else {
            format!("to get something from there: haul get {address}/NAME .")
        });
    }
}

/// What the shown command may do: no more than those whom the server was opened for.
fn hinted(serve: &Serve) -> Rights {
    match (serve.strangers, serve.invite) {
        (None, None) => serve.rights,
        (strangers, invited) => {
            let bits = [strangers, invited].map(|rights| rights.map_or(0, |rights| rights.0));
            Rights(bits[0] | bits[1])
        }
    }
}

/// The address as others type it who do not know this server: with its key, unless they are
/// on this machine, where it is known or is to be asked for.
fn spelled(address: SocketAddr, door: &Door) -> String {
    let typed = reachable(address);
    match door.fingerprint() {
        Some(print) if !address.ip().is_loopback() => {
            format!("{SCHEME}{}@{}", print.in_address(), typed.in_link())
        }
        _ => typed.to_string(),
    }
}

/// The address as others type it: for "any", the name of this machine.
fn reachable(address: SocketAddr) -> Address {
    let host = if address.ip().is_unspecified() {
        Address::this_machine()
    } else {
        address.ip().to_string()
    };
    Address {
        host,
        port: address.port(),
    }
}

/// Says on standard output that the server is ready, for which whoever started it waits, and
/// then what a guest is to type.
fn announce(
    addresses: &[SocketAddr],
    door: &Door,
    made: Option<&Made>,
    format: Format,
) -> anyhow::Result<()> {
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
    if let Some(made) = made {
        output.line(&match format {
            Format::Human => made.command(),
            Format::Json => made.event().end(),
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
