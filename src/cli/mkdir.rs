//! `haul mkdir [-p] REMOTE...`

use crate::client::Parents;
use crate::code::Code;

use super::errand::{Errands, Unanswered, each};
use super::escape;
use super::failure::{about, failure};
use super::report::Report;
use super::tree_settings::Mkdir;

pub(super) fn run(
    mkdir: &Mkdir,
    errands: &Errands,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    each(&mkdir.targets, report, |target, report| {
        let client = errands.client(&target.peer, 1)?;
        match (&target.path, mkdir.parents) {
            (Some(path), parents) => {
                let unanswered = match parents {
                    Parents::Make => Unanswered::harmless,
                    Parents::Expect => Unanswered::once,
                };
                let ask = |_: &mut Report| client.make_dir(path, parents).map_err(unanswered);
                let asked = errands.ask(&client, report, ask);
                asked.map_err(|error| about(path, error))?;
                report.detail(&format!("made {}", escape::name(path.as_str())));
            }
            // Whoever answers has a root; whether anybody does is worth asking.
            (None, Parents::Make) => {
                let ask = |_: &mut Report| {
                    let answer = client.list(None, Some(0));
                    answer.map_err(Unanswered::harmless)
                };
                errands.ask(&client, report, ask)?;
            }
            (None, Parents::Expect) => {
                let text = format!("{} is served, so its root exists", target.peer);
                return Err(failure(Code::Exists, text));
            }
        }
        Ok(None)
    })
}
