//! `haul rm [-r] REMOTE...`

use crate::client::Removal;
use crate::code::Code;

use super::errand::{Errands, Unanswered, each};
use super::escape;
use super::failure::{about, code_of, failure};
use super::report::Report;
use super::tree_settings::Rm;

/// What a person who interrupts a removal has to know.
const GOES_ON: &str = "interrupted: a directory that the server has begun to remove, it removes";

pub(super) fn run(rm: &Rm, errands: &Errands, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let result = each(&rm.targets, report, |target, report| {
        let client = errands.client(&target.peer, 1)?;
        let ask = |_: &mut Report| {
            let removed = client.remove(&target.path, rm.removal);
            removed.map_err(Unanswered::once)
        };
        let asked = errands.ask(&client, report, ask);
        asked.map_err(|error| about(&target.path, error))?;
        let shown = escape::name(target.path.as_str());
        report.detail(&format!("removed {shown}"));
        Ok(None)
    });
    result.map_err(|error| match (code_of(&error), rm.removal) {
        (Code::Interrupted, Removal::Whole) => failure(Code::Interrupted, GOES_ON),
        _ => error,
    })
}
