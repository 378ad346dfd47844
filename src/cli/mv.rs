//! `haul mv FROM TO`

use std::slice;

use crate::code::Code;

use super::destination::Place;
use super::errand::{Errands, Unanswered, each};
use super::escape;
use super::failure::about;
use super::report::Report;
use super::tree_settings::Mv;

pub(super) fn run(mv: &Mv, errands: &Errands, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let code = each(slice::from_ref(mv), report, |mv, report| {
        let client = errands.client(&mv.peer, 1)?;
        let ask = |_: &mut Report| client.rename(&mv.from, &mv.to).map_err(Unanswered::once);
        let asked = errands.ask(&client, report, ask);
        asked.map_err(|error| about(&mv.from, error))?;
        let [from, to] = [&mv.from, &mv.to].map(|path| escape::name(path.as_str()));
        report.detail(&format!("renamed {from} to {to}"));
        Ok(None)
    })?;
    if let (Some(Code::Exists), Place::Exactly(path)) = (code, &mv.place) {
        let shown = escape::name(path.as_str());
        report.notice(&format!(
            "if {shown} is a directory there, {shown}/ is into it"
        ));
    }
    Ok(code)
}
