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
mod completions;
mod demo;
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
mod job_report;
mod json;
mod key;
mod lookalike;
mod ls;
mod man;
mod manual;
mod mkdir;
mod mv;
mod output;
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
mod watched_job;

use std::ffi::OsString;

use clap::ArgMatches;

pub use failure::{code_of, explain};

use crate::client::Retry;
use crate::code::Code;

use args::{Command, Errand, Verb};
use errand::Errands;
use failure::usage;
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
    let line: Vec<OsString> = line.into_iter().collect();
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
                report.resume_with(quoting::command(&line));
            }
            let result = run_verb(verb, &matches, &mut report);
            report.close(result)
        }
    }
}

fn run_verb(verb: Verb, matches: &ArgMatches, report: &mut Report) -> anyhow::Result<Option<Code>> {
    match verb {
        Verb::Errand(errand) => {
            let Manner {
                secrecy, retries, ..
            } = report.manner();
            let errands = Errands::begin(secrecy, Retry::times(retries))?;
            run_errand(errand, matches, &Vantage::Anywhere, &errands, report)
        }
        Verb::Shell(args) => shell::run(&shell::settings(&args)?, report),
        Verb::Trust(verb) => run_trust_verb(verb, report),
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
    }
}

/// Does what concerns this user's own files.
fn run_trust_verb(verb: TrustVerb, report: &mut Report) -> anyhow::Result<Option<Code>> {
    match verb {
        TrustVerb::Key => key::run(report),
        TrustVerb::Authorize(args) => authorize::run(trust_settings::authorize(args)?, report),
        TrustVerb::Revoke(args) => revoke::run(&trust_settings::revoke(&args)?, report),
        TrustVerb::Access(args) => {
            let root = args.root.as_deref().map(trust_settings::perhaps_gone);
            access::run(root.transpose()?.as_deref(), report)
        }
        TrustVerb::Trust(args) => {
            let (who, _) = trust_settings::told(&args.fingerprint.join(" "))?;
            trust::run(&trust_settings::host(&args.host)?, who, report)
        }
        TrustVerb::Forget(args) => forget::run(&trust_settings::host(&args.host)?, report),
    }
}
