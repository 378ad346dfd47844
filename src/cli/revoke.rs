//! `haul revoke KEY|NAME|ID [--root DIR]`

use crate::code::Code;
use crate::trust::{AccessFile, Account, InvitationFile, UsageFile, Whom};

use super::admission::{State, invitation_sentence, sentence, tell, tell_invitation};
use super::escape;
use super::failure::failure;
use super::places;
use super::report::Report;
use super::trust_settings::Revoke;

pub(super) fn run(revoke: &Revoke, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let (places, root) = (places::of_user()?, revoke.root.as_deref());
    let gone = AccessFile::new(&places).revoke(&revoke.whom, root)?;
    for admission in &gone {
        tell(report, admission, State::Revoked, None);
        report.notice(&sentence(admission, State::Revoked, None));
    }
    let ended = InvitationFile::new(&places).revoke(&revoke.whom, root)?;
    for invitation in &ended {
        tell_invitation(report, invitation, State::Revoked, None);
        report.notice(&invitation_sentence(invitation, State::Revoked, None));
    }
    let authorized = gone
        .iter()
        .map(|one| (Account::from(one), one.root.clone()));
    let invited = ended
        .iter()
        .map(|one| (Account::from(one), one.root.clone()));
    UsageFile::new(&places).forget(&authorized.chain(invited).collect::<Vec<_>>())?;
    if !(gone.is_empty() && ended.is_empty()) {
        return Ok(None);
    }
    let place = root.map_or(String::new(), |root| format!(" in {}", escape::path(root)));
    let text = match &revoke.whom {
        Whom::Key(who) => {
            let print = who.fingerprint();
            format!("{print} is authorized for nothing{place}: haul access lists who is")
        }
        Whom::Name(name) => format!(
            "no key is called {} here, and no invitation has that name or id{place}: haul access \
             lists them",
            escape::name(name)
        ),
    };
    Err(failure(Code::NotFound, text))
}
