//! Which server is the right one, and what to do about one that is not known.
//!
//! On this machine the right one is this user's own, whose key is in a file beside the
//! user's; anywhere else, one that was met before. The first meeting is a person's affair:
//! whoever cannot be asked is told how to say beforehand whom they expect.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::IpAddr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::client::{self, Cancel, Client, Error, Options};
use crate::code::Code;
use crate::net::keys::{Keypair, PublicKey};
use crate::net::tls::{ClientSide, Expected};
use crate::trust::{KnownHosts, Places, Standing, Who};
use crate::utc::Utc;

use super::failure::{failure, usage};
use super::output;
use super::peer::Peer;
use super::places;
use super::settings::Secrecy;

/// Between two looks at whether a question is still wanted.
const TICK: Duration = Duration::from_millis(50);

/// A client for a server.
///
/// # Errors
///
/// Where nobody knows whose server that is to be.
pub(super) fn client(peer: &Peer, secrecy: Secrecy, options: Options) -> anyhow::Result<Client> {
    let encryption = match secrecy {
        Secrecy::Encrypted => Some(encryption(peer, &options)?),
        Secrecy::Plain if peer.key.is_some() => {
            return Err(usage(format!(
                "{peer} is to have a certain key, and without encryption nobody proves theirs: \
                 --plaintext goes without a key or a link"
            )));
        }
        Secrecy::Plain => None,
    };
    let options = Options {
        encryption,
        token: peer.token,
        ..options
    };
    Ok(Client::new(&peer.to_string(), options))
}

/// How to encrypt for a server, and whom to expect there.
///
/// # Errors
///
/// Where nobody knows who that is, or the files that say so are not in order.
fn encryption(peer: &Peer, options: &Options) -> anyhow::Result<ClientSide> {
    let address = &peer.to_string();
    let places = places::of_user()?;
    let identity = places.identity().load_or_make()?;
    let known = KnownHosts::new(&places);
    let standing = known.look_up(address)?;
    if let Some(key) = peer.key {
        check(address, &key, standing)?;
        return Ok(ClientSide::new(&identity, expected(key))?);
    }
    let (key, since) = match standing {
        Standing::Known { key, since } => (Who::Key(key), since),
        Standing::Fingerprint { fingerprint, since } => (Who::Fingerprint(fingerprint), since),
        Standing::Unknown if is_here(address) => {
            let side = ClientSide::new(&identity, of_this_user(&places)?)?;
            return Ok(side.of_this_user());
        }
        Standing::Unknown => {
            let key = meet(address, &identity, &known, options)?;
            (Who::Key(key), None)
        }
    };
    let side = ClientSide::new(&identity, expected(key))?.of_known();
    Ok(match since {
        Some(day) => side.known_since(&day.date()),
        None => side,
    })
}

/// Checks that a key that was said for a server is not another than the known one: one of
/// the two is wrong, and which a person has to find out.
fn check(address: &str, key: &Who, standing: Standing) -> anyhow::Result<()> {
    let (known, since) = match standing {
        Standing::Known { key, since } => (key.fingerprint(), since),
        Standing::Fingerprint { fingerprint, since } => (fingerprint, since),
        Standing::Unknown => return Ok(()),
    };
    let said = key.fingerprint();
    if said == known {
        return Ok(());
    }
    let since = since.map_or_else(String::new, |day| format!(", since {}", day.date()));
    let text = format!(
        "the server at {address} was said to have the key {said}, and is known by {known}{since}: \
         where it has another one on purpose, haul forget {address} and haul trust {address} {said}"
    );
    Err(failure(Code::NotAuthorised, text))
}

fn expected(key: Who) -> Expected {
    match key {
        Who::Key(key) => Expected::Key(key),
        Who::Fingerprint(print) => Expected::Fingerprint(print),
    }
}

/// The key of this user's own servers. Without one there is none, and whoever answers is
/// somebody else.
fn of_this_user(places: &Places) -> anyhow::Result<Expected> {
    let own = places.server_key().load()?;
    Ok(own.map_or(Expected::Nobody, |own| Expected::Key(own.public())))
}

/// Whether an address is one of this machine's own. Names are not looked up: what they
/// lead to is another's word.
pub(super) fn is_here(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip: Option<IpAddr> = host.parse().ok();
    host.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.to_canonical().is_loopback())
}

/// Meets a server for the first time: asks a person whether it is the right one, and
/// writes down that it is.
fn meet(
    address: &str,
    identity: &Keypair,
    known: &KnownHosts,
    options: &Options,
) -> anyhow::Result<PublicKey> {
    let key = client::meet(address, identity, options)?;
    let print = key.fingerprint();
    let elsewhere = known.elsewhere(&key, address)?;
    let seen = match elsewhere.as_slice() {
        [] => String::new(),
        hosts => format!(" The same key is known of {}.", hosts.join(", ")),
    };
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let text = format!(
            "the server at {address} is not known here: it shows {print}.{seen} If that is the \
             right one: haul trust {address} {print}, or for one command --server-key {print}, \
             or haul://{}@{address}/ in place of the address",
            print.in_address()
        );
        return Err(failure(Code::NotAuthorised, text));
    }
    let mut screen = io::stderr();
    write!(
        screen,
        "The server at {address} is not known here. It shows the key\n  {print}\n{}Is that the \
         right one, from now on? [y/N] ",
        seen.trim_start().to_owned() + if seen.is_empty() { "" } else { "\n" },
    )?;
    screen.flush()?;
    let answer = answered(&options.cancel)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        let text = format!("the server at {address} is not known, and was not to be");
        return Err(failure(Code::NotAuthorised, text));
    }
    known.learn(address, Who::Key(key), Utc::now())?;
    Ok(key)
}

/// Waits for a line that is typed.
fn answered(cancel: &Cancel) -> anyhow::Result<String> {
    let input = io::stdin();
    let tick = Timespec::try_from(TICK)?;
    // A read would go on after a signal.
    while matches!(
        poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&tick)),
        Ok(0) | Err(Errno::INTR)
    ) {
        if cancel.is_cancelled() {
            // What is said next is not to stand behind the question.
            output::say("");
            return Err(Error::Interrupted.into());
        }
    }
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_spelled_so_is_this_machine() {
        for (address, here) in [
            ("127.0.0.1:4285", true),
            ("127.9.9.9:1", true),
            ("[::1]:4285", true),
            ("localhost:4285", true),
            ("nas:4285", false),
            ("localhost.example:4285", false),
            ("192.0.2.1:4285", false),
        ] {
            assert_eq!(is_here(address), here, "{address}");
        }
    }
}
