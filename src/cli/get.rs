//! `haul get REMOTE... [DIR]`
//!
//! The last of several arguments is local, always: what is there does not decide it.

use std::ffi::OsStr;

use crate::client::{Client, Download, Event, JobOptions};
use crate::code::Code;
use crate::path::PathError;

use super::descriptors;
use super::destination::{LocalPlace, Place};
use super::errand::Errands;
use super::escape;
use super::put::says_taken;
use super::report::Report;
use super::settings::{Get, Source};
use super::summary::{Job, sentence};
use super::watched_job::{self, Outcome};

pub(super) fn run(
    get: Get,
    errands: &Errands,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    // Many small files arrive at once, and each is open until it has its name.
    descriptors::raise();
    report.set_effect(get.options.effect);
    let asked: Vec<_> = get
        .sources
        .iter()
        .filter_map(|it| it.path.clone())
        .collect();
    let mut is_taken = false;
    let outcome = fetch(
        || errands.client_for(&get.peer, &get.reach),
        get.sources,
        &get.to,
        &get.options,
        report,
        |event| is_taken |= asked.iter().any(|name| says_taken(event, name)),
    )?;
    if let Place::Exactly(name) = &get.to.place
        && is_taken
        && get.to.base.join(name.as_path()).is_dir()
    {
        let shown = escape::name(name.as_str());
        report.notice(&format!("{shown} is a directory here: {shown}/ is into it"));
    }
    // What would be done is to be read before what that comes to.
    report.flush();
    let job = Job::Get(escape::path(&get.to.base).into_owned());
    report.notice(&sentence(
        &job,
        &outcome.summary,
        outcome.elapsed,
        &get.options,
    ));
    Ok(outcome.summary.code())
}

/// Fetches files and trees under the names that `to` gives them. The client is asked for
/// once the names are known to be right: it may have to meet the server first.
pub(super) fn fetch(
    client: impl FnOnce() -> anyhow::Result<Client>,
    sources: Vec<Source>,
    to: &LocalPlace,
    options: &JobOptions,
    report: &mut Report,
    hear: impl FnMut(&Event),
) -> anyhow::Result<Outcome> {
    let names: Vec<Option<&OsStr>> = sources.iter().map(name_of).collect();
    let targets = to.place.targets(&names)?;
    let downloads = sources
        .into_iter()
        .zip(targets)
        .map(|(source, to)| {
            let from = source.path;
            to.map(|to| Download { from, to })
        })
        .collect::<Result<Vec<Download>, PathError>>()?;
    let client = client()?;
    watched_job::run(report, hear, |monitor| {
        client.get(downloads, &to.base, options, monitor)
    })
}

fn name_of(source: &Source) -> Option<&OsStr> {
    let path = source.path.as_ref().filter(|_| source.is_named)?;
    Some(path.name().as_ref())
}
