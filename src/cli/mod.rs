//! What a person types and sees.
//!
//! A command line passes three stations: `args` knows how it is spelled, `settings`
//! what it means, and the file that is named for the command does it. Before them all,
//! `first_look` finds out how to say that one of them refused. Whatever is said
//! meanwhile goes through `report`, so that a person and a program (`--json`) hear
//! of the same things. The exit codes are the numbers of [`Code`].

mod access;
mod address;
mod admission;
mod answer;
mod args;
mod authorize;
mod bearings;
mod completions;
mod confinement;
mod demo;
mod descriptors;
mod destination;
mod door;
mod environment;
mod errand;
mod escape;
mod exclusive_flags;
mod expiry;
mod failure;
mod first_look;
mod forget;
mod get;
mod invite;
mod job_report;
mod key;
mod limits;
mod links;
mod lookalike;
mod ls;
mod man;
mod manual;
mod mkdir;
mod mv;
mod output;
mod own_files;
mod peer;
mod places;
mod progress;
mod put;
mod quantity;
mod quoting;
mod remote;
mod report;
mod revoke;
mod rm;
mod scratch;
mod serve;
mod serve_args;
mod servers;
mod service;
mod settings;
mod shell;
mod signals;
mod stat;
mod sum;
mod summary;
mod terminal;
mod tree_args;
mod tree_settings;
mod trust;
mod trust_args;
mod trust_settings;
mod vantage;
mod verified;
mod verify;
mod watched_job;

use std::ffi::OsString;

use clap::ArgMatches;

pub use failure::{code_of, explain};
pub use links::hide_links;

use crate::client::Retry;
use crate::code::Code;
use crate::json;
use crate::path::RemotePath;

use args::{Command, Errand, Verb};
use bearings::{Bearings, BearingsArgs, Home};
use errand::Errands;
use failure::usage;
use links::Secrets;
use quoting::Resume;
use report::Report;
use settings::{Format, Manner};
use trust_args::TrustVerb;
use vantage::Vantage;

/// Does what a command line says, the program's name first.
///
/// Returns the exit code of what is not all done, or `None` for success.
///
/// # Errors
///
/// What kept the command from being done at all. [`code_of`] has its exit code,
/// [`explain`] the words.
pub fn run(line: impl IntoIterator<Item = OsString>) -> anyhow::Result<Option<Code>> {
    let mut secrets = Secrets::handed_on();
    let line = line.into_iter().map(|word| secrets.take_from(&word));
    let line: Vec<OsString> = line.collect();
    let format = first_look::format(&line);
    let refused = |error| Report::new(Manner::before_parsing(format)).close(Err(error));
    let (args, matches) = match args::parse(line.iter().cloned()) {
        Ok(parsed) => parsed,
        Err(told) if format == Format::Json && told.use_stderr() => {
            return refused(usage(answer::in_one_line(&told)));
        }
        Err(told) => return answer::print(&told),
    };
    let manner = match settings::manner(args.everywhere, &matches) {
        Ok(manner) => manner,
        Err(error) => return refused(error),
    };
    match args.command {
        Command::Serve(serve) => settings::serve(serve, &matches)
            .and_then(|serve| serve::run(&serve, manner))
            .or_else(|error| Report::new(manner).close(Err(error))),
        Command::Verb(verb) => {
            let mut report = Report::new(manner);
            if matches!(&verb, Verb::Errand(errand) if errand.goes_on()) {
                report.resume_with(Resume::of(&line));
            }
            let result = run_verb(verb, &matches, secrets, &mut report);
            report.close(result)
        }
    }
}

/// Reads an address as it is typed, and says it in full: `HOST:PORT`, and the path on it;
/// `:PATH` leads there from `home`. Nothing where it is none.
///
/// For fuzzers, which assert of it what no list of cases would.
#[doc(hidden)]
#[must_use]
pub fn place(text: &str, home: Option<&str>) -> Option<(String, Option<RemotePath>)> {
    let home = home.map(|text| Home {
        by: "HAUL_REMOTE".to_owned(),
        text: text.to_owned(),
        is_typed: false,
    });
    let place = remote::Remote::parse(text, home.as_ref(), &Secrets::default()).ok()?;
    Some((place.peer.address.to_string(), place.path))
}

fn run_verb(
    verb: Verb,
    matches: &ArgMatches,
    secrets: Secrets,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    let manner = report.manner();
    let from = |said: &BearingsArgs| {
        let bearings = Bearings::of(said, matches, secrets.clone(), manner);
        bearings.map(Vantage::Anywhere)
    };
    match verb {
        Verb::Errand(errand) => {
            let errands = Errands::begin(manner.secrecy, Retry::times(manner.retries))?;
            let from = from(errand.bearings())?;
            run_errand(errand, matches, &from, &errands, report)
        }
        Verb::Shell(args) => shell::run(&shell::settings(&args, &from(&args.bearings)?)?, report),
        Verb::Trust(verb) => run_trust_verb(verb, secrets, report),
        Verb::Demo(args) => demo::run(args.paths, report),
        Verb::Completions(args) => completions::run(args.shell, report),
        Verb::Man(args) => man::run(args.command.as_deref(), report),
    }
}

/// Does what is to be done with a server, which is named as it is seen `from` somewhere.
fn run_errand(
    errand: Errand,
    matches: &ArgMatches,
    from: &Vantage,
    errands: &Errands,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    match errand {
        Errand::Put(args) => put::run(&settings::put(args, matches, from)?, errands, report),
        Errand::Get(args) => get::run(settings::get(&args, matches, from)?, errands, report),
        Errand::Ls(args) => ls::run(&settings::ls(&args, from)?, errands, report),
        Errand::Mkdir(args) => mkdir::run(&tree_settings::mkdir(&args, from)?, errands, report),
        Errand::Mv(args) => mv::run(&tree_settings::mv(&args, from)?, errands, report),
        Errand::Rm(args) => rm::run(&tree_settings::rm(&args, from)?, errands, report),
        Errand::Stat(args) => stat::run(&tree_settings::stat(&args, from)?, errands, report),
        Errand::Sum(args) => sum::run(&tree_settings::sum(&args, from)?, errands, report),
        Errand::Verify(args) => verify::run(&tree_settings::verify(args, from)?, errands, report),
    }
}

/// Does what concerns this user's own files.
fn run_trust_verb(
    verb: TrustVerb,
    secrets: Secrets,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    let from = |secrets| Bearings::of_environment(secrets).map(Vantage::Anywhere);
    match verb {
        TrustVerb::Key => key::run(report),
        TrustVerb::Authorize(args) => authorize::run(trust_settings::authorize(args)?, report),
        TrustVerb::Invite(args) => {
            let invite = trust_settings::invite(args, &from(secrets)?)?;
            invite::run(invite, report)
        }
        TrustVerb::Revoke(args) => revoke::run(&trust_settings::revoke(&args)?, report),
        TrustVerb::Access(args) => {
            let root = args.root.as_deref().map(trust_settings::perhaps_gone);
            access::run(root.transpose()?.as_deref(), report)
        }
        TrustVerb::Trust(args) => {
            let (who, _) = trust_settings::told(&args.fingerprint.join(" "))?;
            let host = trust_settings::host(&args.host, &from(secrets)?)?;
            trust::run(&host, who, report)
        }
        TrustVerb::Forget(args) => {
            let host = trust_settings::host(&args.host, &from(secrets)?)?;
            forget::run(&host, report)
        }
    }
}
