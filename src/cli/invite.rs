//! `haul invite [FLAGS]`, and what `haul serve --invite` makes of it.
//!
//! The secret of an invitation is printed here once, in the command that a guest is to type,
//! and can be told by nobody again.

use crate::code::Code;
use crate::net::keys::Fingerprint;
use crate::token::Token;
use crate::trust::{Bearer, Introduction, Invitation, InvitationFile, Places};
use crate::utc::Utc;
use crate::wire::message::Rights;

use super::address::{Address, PORT};
use super::admission::{State, invitation_event, invitation_sentence};
use super::escape;
use super::expiry::Expiry;
use super::failure::usage;
use super::json::Line;
use super::links::SCHEME;
use super::places;
use super::report::Report;
use super::settings::Format;
use super::trust_settings::{Invite, Terms};

/// When an invitation ends of which nobody said when: a day is enough for most, and a link
/// that is forgotten in a chat is of no use for long.
const USUAL: Expiry = Expiry::In(86_400);

/// An invitation that was just made.
#[derive(Debug)]
pub(super) struct Made {
    invitation: Invitation,
    link: String,
    /// Where the link leads.
    pub(super) address: Address,
}

pub(super) fn run(invite: Invite, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let places = places::of_user()?;
    let server = places.server_key().load_or_make()?.public().fingerprint();
    let is_guess = invite.address.is_none();
    let address = invite.address.unwrap_or_else(|| Address {
        host: Address::this_machine(),
        port: PORT,
    });
    let made = make(&places, (server, address), invite.terms, invite.bearer)?;
    match report.manner().format {
        Format::Json => report.print(made.event()),
        Format::Human => report.data(&made.command()),
    }
    // What a guest is to type is to be read before what is to be known of it.
    report.flush();
    for line in made.told() {
        report.notice(&line);
    }
    if is_guess {
        let address = &made.address;
        report.notice(&format!(
            "the link leads to {address}, which is this machine's name and haul's port: \
             --address HOST[:PORT] says another place"
        ));
    }
    Ok(None)
}

/// Makes an invitation to a server, which has this key and is at this address.
///
/// # Errors
///
/// Where it would have ended already, cannot be written down, or nobody could come by it.
pub(super) fn make(
    places: &Places,
    (server, address): (Fingerprint, Address),
    terms: Terms,
    bearer: Bearer,
) -> anyhow::Result<Made> {
    // This machine may have a name that no address can have.
    if Address::parse(&address.to_string()).as_ref() != Ok(&address) {
        let shown = escape::name(&address.host);
        return Err(usage(format!(
            "{shown} is no host that guests could type, and no link is made of it"
        )));
    }
    let now = Utc::now();
    let end = terms.expires.unwrap_or(USUAL).end(places, now)?;
    let (root, grant) = terms.grant(Some(end));
    let made = InvitationFile::new(places).invite(&root, &grant, bearer, now);
    let (invitation, token) = made?;
    Ok(Made {
        link: link(server, token, &address),
        invitation,
        address,
    })
}

impl Made {
    /// What a person is told of it, who has not asked for the secret.
    pub(super) fn told(&self) -> [String; 2] {
        let id = self.invitation.id;
        [
            invitation_sentence(&self.invitation, State::Holds, None),
            format!("haul revoke {id} ends that before"),
        ]
    }

    /// The whole command of a guest. The link does for every other command too.
    pub(super) fn command(&self) -> String {
        let (rights, link) = (self.invitation.grant.rights, &self.link);
        if rights.include(Rights(2)) {
            format!("haul put FILE {link}")
        } else if rights.include(Rights::READ) {
            format!("haul get {link} .")
        } else {
            format!("haul rm {link}NAME")
        }
    }

    /// The same for a program.
    pub(super) fn event(&self) -> Line {
        invitation_event(&self.invitation, State::Holds, None)
            .text("link", self.link.as_str())
            .text("command", self.command().as_str())
    }
}

fn link(server: Fingerprint, token: Token, address: &Address) -> String {
    let introduction = Introduction {
        server,
        token: Some(token),
    };
    format!("{SCHEME}{}@{}/", introduction.reveal(), address.in_link())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::keys::Keypair;

    #[test]
    fn a_link_has_no_character_that_a_shell_takes_for_its_own() {
        let server = Keypair::generate().unwrap().0.public().fingerprint();
        for host in [
            "nas",
            "nas:80",
            "192.0.2.1:4285",
            "[fe80::1]:4285",
            "a_b-c.d",
        ] {
            let address = Address::parse(host).unwrap();
            let link = link(server, Token::generate().unwrap(), &address);
            let touched = "~#?&!$*[](){};'\"`\\<>|^ \t\n=";
            assert!(!link.contains(|c| touched.contains(c)), "{link}");
            assert!(link.ends_with('/'), "{link}");
        }
    }
}
