//! `haul authorize KEY [FLAGS]`

use crate::code::Code;
use crate::trust::{AccessFile, Account, Admission, UsageFile};
use crate::utc::Utc;

use super::admission::{State, sentence, tell};
use super::escape;
use super::failure::usage;
use super::places;
use super::report::Report;
use super::trust_settings::Authorize;

pub(super) fn run(authorize: Authorize, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let places = places::of_user()?;
    let now = Utc::now();
    let Authorize { who, terms } = authorize;
    let expires = terms.expires.map(|expiry| expiry.end(&places, now));
    let (root, grant) = terms.grant(expires.transpose()?);
    let admission = Admission { who, root, grant };
    let file = AccessFile::new(&places);
    check_name(&admission, &file)?;
    let old = file.authorize(&admission)?;
    // Whoever is admitted anew begins anew. Until then they are held to what they had.
    let about = (Account::from(&admission), admission.root.clone());
    UsageFile::new(&places).forget(&[about])?;
    tell(report, &admission, State::Holds, None);
    report.notice(&sentence(&admission, State::Holds, None));
    if let Some(old) = old.filter(|old| old.grant != admission.grant) {
        let before = sentence(&old, State::Holds, None);
        report.notice(&format!("this takes the place of: {before}"));
    }
    if admission.grant.rights != admission.grant.rights.in_force() {
        report.notice(
            "without --read they are to learn nothing of what is there, so they can neither \
             replace nor remove it",
        );
    }
    Ok(None)
}

/// Refuses a name that another key has: whoever revoked one of them by it would revoke both.
fn check_name(admission: &Admission, file: &AccessFile) -> anyhow::Result<()> {
    let Some(name) = &admission.grant.name else {
        return Ok(());
    };
    let print = admission.who.fingerprint();
    let holding = file.read()?.holding;
    let is_other =
        |one: &&Admission| one.grant.name.as_ref() == Some(name) && one.who.fingerprint() != print;
    match holding.iter().find(is_other) {
        None => Ok(()),
        Some(other) => Err(usage(format!(
            "{} is {} already: --name says another name for {print}",
            escape::name(name),
            other.who.fingerprint()
        ))),
    }
}
