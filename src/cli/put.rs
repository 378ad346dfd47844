//! `haul put PATH... REMOTE`
//!
//! What can be said about the sources before a connection is opened is said here: a
//! wrong line costs nobody's time. What only the transfer finds out is in its summary.

use std::path::PathBuf;

use crate::client::{Client, Event, JobOptions, LocalFiles};
use crate::code::Code;
use crate::path::RemotePath;

use super::destination::{Place, name_of};
use super::errand::Errands;
use super::escape;
use super::output;
use super::report::Report;
use super::settings::Put;
use super::summary::{Job, sentence};
use super::watched_job::{self, Outcome};

pub(super) fn run(
    put: &Put,
    errands: &Errands,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    report.set_effect(put.options.effect);
    let mut is_taken = false;
    let outcome = send(
        || errands.client_for(&put.peer, &put.reach),
        &put.sources,
        &put.place,
        &put.options,
        report,
        |event| {
            is_taken |= matches!(&put.place, Place::Exactly(path) if says_taken(event, path));
        },
    )?;
    let summary = &outcome.summary;
    if let Place::Exactly(path) = &put.place
        && is_taken
    {
        let shown = escape::name(path.as_str());
        report.notice(&format!(
            "if {shown} is a directory there, {shown}/ is into it"
        ));
    }
    // What would be done is to be read before what that comes to.
    report.flush();
    let job = Job::Put(put.peer.to_string());
    report.notice(&sentence(&job, summary, outcome.elapsed, &put.options));
    Ok(summary.code())
}

/// Whether this very name is said to be taken, and not one beneath it.
pub(super) fn says_taken(event: &Event, name: &RemotePath) -> bool {
    matches!(event, Event::Failed { path, code: Code::Exists, .. } if path == name)
}

/// Puts files and trees under the names that `place` gives them.
///
/// What no name can be given fails alone. The client is asked for once the names are
/// known to be right: it may have to meet the server first.
pub(super) fn send(
    client: impl FnOnce() -> anyhow::Result<Client>,
    sources: &[PathBuf],
    place: &Place,
    options: &JobOptions,
    report: &mut Report,
    hear: impl FnMut(&Event),
) -> anyhow::Result<Outcome> {
    let names: Vec<_> = sources.iter().map(|source| name_of(source)).collect();
    let targets = place.targets(&names)?;
    let (mut uploads, mut unusable) = (Vec::new(), 0);
    for (source, target) in sources.iter().zip(targets) {
        match target {
            Ok(target) => uploads.push((source, target)),
            Err(why) => {
                unusable += 1;
                let name = source.to_string_lossy();
                if let Some(line) = report.failed(&name, Code::Protocol, &why.to_string()) {
                    output::say(&line);
                }
            }
        }
    }
    let mut outcome = if uploads.is_empty() {
        Outcome::default()
    } else {
        let client = client()?;
        watched_job::run(report, hear, |monitor| {
            let mut files = LocalFiles::default();
            let uploads = uploads
                .into_iter()
                .map(|(source, target)| files.upload(source, target));
            client.put(uploads, options, monitor)
        })?
    };
    if unusable > 0 {
        *outcome.summary.failed.entry(Code::Protocol).or_default() += unusable;
    }
    Ok(outcome)
}
