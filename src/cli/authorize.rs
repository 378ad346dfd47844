//! `haul authorize KEY [FLAGS]`

use crate::code::Code;
use crate::trust::{AccessFile, Admission};
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
    tell(report, &admission, State::Holds);
    report.notice(&sentence(&admission, State::Holds));
    if let Some(old) = old.filter(|old| old.grant != admission.grant) {
        let before = sentence(&old, State::Holds);
        report.notice(&format!("this takes the place of: {before}"));
    }
    Ok(None)
}
