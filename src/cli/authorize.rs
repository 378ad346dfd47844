//! `haul authorize KEY [FLAGS]`

use crate::code::Code;
use crate::trust::{AccessFile, Account, Admission, UsageFile};
use crate::utc::Utc;

use super::admission::{State, sentence, tell};
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
    let old = AccessFile::new(&places).authorize(&admission)?;
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
