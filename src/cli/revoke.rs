//! `haul revoke KEY|NAME [--root DIR]`

use crate::code::Code;
use crate::trust::{AccessFile, Account, Admission, UsageFile, Whom};

use super::admission::{State, sentence, tell};
use super::escape;
use super::failure::failure;
use super::places;
use super::report::Report;
use super::trust_settings::Revoke;

pub(super) fn run(revoke: &Revoke, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let places = places::of_user()?;
    let gone = AccessFile::new(&places).revoke(&revoke.whom, revoke.root.as_deref())?;
    for admission in &gone {
        tell(report, admission, State::Revoked, None);
        report.notice(&sentence(admission, State::Revoked, None));
    }
    let account = |one: &Admission| (Account::Key(one.who.fingerprint()), one.root.clone());
    UsageFile::new(&places).forget(&gone.iter().map(account).collect::<Vec<_>>())?;
    if !gone.is_empty() {
        return Ok(None);
    }
    let whom = match &revoke.whom {
        Whom::Key(who) => who.fingerprint().to_string(),
        Whom::Name(name) => escape::name(name).into_owned(),
    };
    let place = revoke
        .root
        .as_deref()
        .map_or(String::new(), |root| format!(" in {}", escape::path(root)));
    let text = format!("{whom} is authorized for nothing{place}: haul access lists who is");
    Err(failure(Code::NotFound, text))
}
