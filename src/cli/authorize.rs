//! `haul authorize KEY [FLAGS]`

use crate::code::Code;
use crate::trust::{AccessFile, Account, Admission, Grant, LatestTime, UsageFile};
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
    let expires = authorize.expires.map(|expiry| expiry.after(now));
    if let Some(end) = expires {
        // What a server would not grant is not to look granted.
        let mut latest = LatestTime::new(&places);
        let seen = latest.see(now)?;
        if end <= now {
            return Err(usage(format!("{end} is past")));
        }
        if end <= seen {
            let file = latest.path();
            return Err(usage(format!(
                "{end} is past: the clock was at {seen} once, and by that it is judged what \
                 has expired; if the clock was wrong then, remove {}",
                escape::path(&file)
            )));
        }
    }
    let admission = Admission {
        who: authorize.who,
        root: authorize.root,
        grant: Grant {
            name: authorize.name,
            rights: authorize.rights,
            under: authorize.under,
            max_bytes: authorize.max_bytes,
            max_files: authorize.max_files,
            expires,
        },
    };
    let old = AccessFile::new(&places).authorize(&admission)?;
    // Whoever is admitted anew begins anew. Until then they are held to what they had.
    let account = Account::Key(admission.who.fingerprint());
    UsageFile::new(&places).forget(&[(account, admission.root.clone())])?;
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
