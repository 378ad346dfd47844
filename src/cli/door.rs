//! Who may come in to what is served, as the flags and the files of this user have it.
//!
//! On this machine the user who serves comes in with every right, and nobody else. An
//! address that others can reach is only served where somebody of them is admitted: a
//! server that nobody could use is more likely a mistake, and one that admitted all would
//! be a worse one.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::net::keys::Fingerprint;
use crate::net::tls::ServerSide;
use crate::server::{Admit, Keyed};
use crate::trust::{Grants, Ledger};
use crate::utc::Utc;
use crate::wire::message::Rights;

use super::address::Address;
use super::escape;
use super::failure::usage;
use super::own_files::{OwnFiles, OwnerAlone};
use super::places;
use super::settings::{Reach, Secrecy, Serve};

/// How a served directory is guarded.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) admit: Arc<dyn Admit>,
    pub(super) encryption: Option<ServerSide>,
    /// What of haul's own nobody may see.
    pub(super) own: OwnFiles,
    /// What a person is told of it.
    pub(super) said: Vec<String>,
}

impl Door {
    /// The fingerprint of the key that the server shows.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        let side = self.encryption.as_ref()?;
        Some(side.public().fingerprint())
    }
}

/// Finds out how `serve` is guarded, which listens there.
///
/// # Errors
///
/// Where it would be open to those who should not come in, or shut to all who could.
pub(super) fn of(serve: &Serve, listen: &[Address], secrecy: Secrecy) -> anyhow::Result<Door> {
    let mut door = match secrecy {
        Secrecy::Plain => open(serve, listen),
        Secrecy::Encrypted => keyed(serve, listen),
    }?;
    door.said.extend(door.own.said());
    Ok(door)
}

/// Whoever reaches the port comes in.
fn open(serve: &Serve, listen: &[Address]) -> anyhow::Result<Door> {
    if serve.invite.is_some() {
        return Err(usage(
            "whoever is on the way would hear the secret of an invitation: --invite goes \
             without --plaintext",
        ));
    }
    if let Some(strangers) = serve.strangers
        && !strangers.include(serve.rights)
    {
        return Err(usage(format!(
            "without encryption everyone is a stranger and may {}: --anonymous read goes without \
             --plaintext; --plaintext --read-only has everyone read and nobody write",
            words(serve.rights)
        )));
    }
    let own = OwnFiles::beneath(&real(&serve.root), serve.audit.as_deref())?;
    for address in listen {
        if !is_public(address)? {
            continue;
        }
        if serve.reach == Reach::Loopback {
            return Err(usage(format!(
                "{address} is not a loopback address, and without encryption whoever can reach \
                 it could read, replace and delete every file: if the network between is to be \
                 trusted, say --trust-network"
            )));
        }
        refuse_as_root(serve, address)?;
    }
    // On loopback these are all who have an account on this machine.
    own.refuse_others()?;
    Ok(Door {
        admit: Arc::new(serve.rights),
        encryption: None,
        own,
        said: vec![
            format!("everyone who reaches the port may {}", words(serve.rights)),
            "there is no encryption: whoever is on the way can read and change what is sent"
                .to_owned(),
        ],
    })
}

/// Only those come in who hold an admitted key.
fn keyed(serve: &Serve, listen: &[Address]) -> anyhow::Result<Door> {
    let places = places::of_user()?;
    let server = places.server_key().load_or_make()?;
    let owner = places.identity().load_or_make()?.public();
    // A confined server could not make it, nor hide what is not there. Where it cannot be
    // made at all, what would be noted there is missed when it is to be written.
    let _ = places.make_state();
    let root = real(&serve.root);
    let own = OwnFiles::beneath(&root, serve.audit.as_deref())?;
    let grants = Grants::new(&places);
    let strangers = serve.strangers;
    let admits_others =
        strangers.is_some() || serve.invite.is_some() || grants.admits_anybody(&root, Utc::now());
    for address in listen {
        if is_public(address)? {
            refuse_in_vain(address, &root, admits_others)?;
            refuse_as_root(serve, address)?;
        }
    }
    if admits_others {
        own.refuse_others()?;
    }
    let mut said = vec![format!(
        "you may {} from this machine",
        words(Rights(Rights::ALL.0 & serve.rights.0))
    )];
    said.push(match (admits_others, strangers) {
        (_, Some(rights)) => format!("everyone may {}", words(Rights(rights.0 & serve.rights.0))),
        (true, None) => "haul access says who else may do what".to_owned(),
        (false, None) => "nobody else is admitted: haul authorize admits others".to_owned(),
    });
    let encryption = ServerSide::new(&server)?;
    said.push(format!(
        "the server's key is {}",
        encryption.public().fingerprint()
    ));
    let keyed = Keyed {
        owner,
        ledger: Arc::new(Ledger::new(&places, root.clone())),
        root,
        grants,
        strangers,
        most: serve.rights,
    };
    // Somebody may be authorized while it runs.
    let admit: Arc<dyn Admit> = match own.objection() {
        None => Arc::new(keyed),
        Some(why) => Arc::new(OwnerAlone {
            inner: keyed,
            owner,
            why,
        }),
    };
    Ok(Door {
        admit,
        encryption: Some(encryption),
        own,
        said,
    })
}

/// A path without links. What cannot be found is refused when it is opened to be served.
fn real(root: &Path) -> PathBuf {
    root.canonicalize().unwrap_or_else(|_| root.to_owned())
}

/// Refuses an address that others can reach where none of them could do anything.
fn refuse_in_vain(address: &Address, root: &Path, admits_others: bool) -> anyhow::Result<()> {
    if !admits_others {
        let shown = escape::path(root);
        return Err(usage(format!(
            "{address} can be reached by others, and none of them is admitted: \
             haul authorize KEY --root {shown} --read --write admits somebody, \
             --invite read prints a link for whoever is to, --anonymous read lets everyone read"
        )));
    }
    Ok(())
}

/// Refuses an address that others can reach where the system's own user would be at stake.
fn refuse_as_root(serve: &Serve, address: &Address) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() && !serve.may_be_root {
        return Err(usage(format!(
            "{address} can be reached by others, and this is root: serve as another user, or say \
             --allow-root"
        )));
    }
    Ok(())
}

/// Whether others can reach an address.
fn is_public(address: &Address) -> anyhow::Result<bool> {
    let mut found = (address.host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(|error| usage(format!("cannot listen on {address}: {error}")))?;
    Ok(!found.all(|address| address.ip().to_canonical().is_loopback()))
}

fn words(rights: Rights) -> String {
    let words = crate::trust::rights_words(rights);
    match words.as_slice() {
        [] => "do nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, public: bool) {
        let address = Address::parse(address).unwrap();
        assert_eq!(is_public(&address).unwrap(), public, "{address}");
    }

    #[test]
    fn only_loopback_is_out_of_others_reach() {
        check("127.0.0.1:0", false);
        check("127.8.0.1", false);
        check("[::1]", false);
        check("0.0.0.0:4285", true);
        check("[::]:0", true);
        check("192.0.2.1", true);
    }

    #[test]
    fn rights_are_said_in_words() {
        assert_eq!(words(Rights::ALL), "read, write, replace and delete");
        assert_eq!(words(Rights::READ), "read");
        assert_eq!(words(Rights(0)), "do nothing");
    }
}
