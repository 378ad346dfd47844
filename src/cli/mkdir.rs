//! `haul mkdir [-p] REMOTE...`

use crate::client::Parents;
use crate::code::Code;

use super::errand::{Errands, each};
use super::escape;
use super::failure::failure;
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
                client.make_dir(path, parents)?;
                report.detail(&format!("made {}", escape::name(path.as_str())));
            }
            // Whoever answers has a root; whether anybody does is worth asking.
            (None, Parents::Make) => {
                client.list(None, Some(0))?;
            }
            (None, Parents::Expect) => {
                let text = format!("{} is served, so its root exists", target.peer);
                return Err(failure(Code::Exists, text));
            }
        }
        Ok(None)
    })
}
