//! `haul get REMOTE... [DIR]`
//!
//! The last of several arguments is local, always: what is there does not decide it.

use std::ffi::OsStr;

use crate::client::{Cancel, Client, Download, Event, GetOptions, Options};
use crate::code::Code;
use crate::path::{PathError, RemotePath};

use super::destination::{LocalPlace, Place};
use super::escape;
use super::failure::failure;
use super::report::Report;
use super::settings::Get;
use super::signals;
use super::summary::{Job, sentence};
use super::watched_job::{self, Outcome};

pub(super) fn run(get: Get, report: &mut Report) -> anyhow::Result<Option<Code>> {
    refuse_directory(&get.to)?;
    let cancel = Cancel::default();
    let _signals = signals::cancelling(cancel.clone())?;
    let client = Client::new(
        &get.address.to_string(),
        Options {
            connections: get.connections,
            cancel,
            ..Options::default()
        },
    );
    let outcome = fetch(&client, get.sources, &get.to, &get.options, report, |_| ())?;
    let job = Job::Get(escape::path(&get.to.base).into_owned());
    let on_existing = get.options.on_existing;
    report.notice(&sentence(
        &job,
        &outcome.summary,
        outcome.elapsed,
        on_existing,
    ));
    Ok(outcome.summary.code())
}

/// Fetches files under the names that `to` gives them.
pub(super) fn fetch(
    client: &Client,
    sources: Vec<RemotePath>,
    to: &LocalPlace,
    options: &GetOptions,
    report: &mut Report,
    hear: impl FnMut(&Event),
) -> anyhow::Result<Outcome> {
    let names: Vec<&OsStr> = sources
        .iter()
        .map(|source| source.name().as_ref())
        .collect();
    let targets = to.place.targets(&names)?;
    let downloads = sources
        .into_iter()
        .zip(targets)
        .map(|(from, to)| to.map(|to| Download { from, to }))
        .collect::<Result<Vec<Download>, PathError>>()?;
    watched_job::run(report, hear, |monitor| {
        client.get(downloads, &to.base, options, monitor)
    })
}

/// Refuses to give a file the name of a directory, and says what was perhaps meant.
fn refuse_directory(to: &LocalPlace) -> anyhow::Result<()> {
    if let Place::Exactly(name) = &to.place
        && to.base.join(name.as_path()).is_dir()
    {
        let shown = escape::name(name.as_str());
        let text = format!("{shown} is a directory here: {shown}/ is into it");
        return Err(failure(Code::Exists, text));
    }
    Ok(())
}
