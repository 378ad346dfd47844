//! Flags that come from the environment.
//!
//! Clap reads the variables; two things it leaves to its caller. A variable that is set
//! and empty (`HAUL_QUIET= haul ...`) is how a shell takes one back for one command, so it
//! counts as not set. And where a value is wrong, a person looks for it on the line that
//! they typed: the error must name the variable that it came from.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// A command that does not look at variables that hold nothing.
pub(super) fn without_empty(command: Command) -> Command {
    let is_empty = |arg: &Arg| value_of(arg).is_some_and(|value| value.is_empty());
    forget(command, &is_empty)
}

/// Names, in an error about a value, the variable that the value came from.
pub(super) fn blame(error: clap::Error, command: &Command, line: &[OsString]) -> clap::Error {
    if !matches!(
        error.kind(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8
    ) {
        return error;
    }
    // Clap does not say where a value came from; it says something else, or nothing, once
    // the variable at fault is not looked at.
    let said = error.to_string();
    let is_at_fault = |variable: &str| {
        let others = forget(command.clone(), &|arg| variable_of(arg) == Some(variable));
        let again = others.try_get_matches_from(line);
        again.map_or_else(|other| other.to_string() != said, |_| true)
    };
    match variables(command).into_iter().find(|v| is_at_fault(v)) {
        None => error,
        Some(variable) => named(error, command, variable),
    }
}

/// The name that a flag has where its value comes from: `HAUL_LISTEN`, or `--listen`.
pub(super) fn spelling(matches: &ArgMatches, flag: &str) -> String {
    if matches.value_source(flag) == Some(ValueSource::EnvVariable) {
        let name = flag.to_ascii_uppercase().replace('-', "_");
        format!("HAUL_{name}")
    } else {
        format!("--{}", flag.replace('_', "-"))
    }
}

fn named(mut error: clap::Error, command: &Command, variable: String) -> clap::Error {
    if error.kind() == ErrorKind::InvalidUtf8 {
        let text = format!("{variable} is not UTF-8\n");
        return clap::Error::raw(ErrorKind::InvalidUtf8, text).with_cmd(command);
    }
    error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    error
}

/// A command that does not look at the variables of some flags.
fn forget(command: Command, which: &dyn Fn(&Arg) -> bool) -> Command {
    let forget_in = |command: Command| {
        command.mut_args(|arg| {
            if which(&arg) {
                arg.env(Resettable::Reset)
            } else {
                arg
            }
        })
    };
    forget_in(command).mut_subcommands(forget_in)
}

/// The variables that flags of a command can come from, and that are set.
fn variables(command: &Command) -> Vec<String> {
    let below = command.get_subcommands().flat_map(Command::get_arguments);
    command
        .get_arguments()
        .chain(below)
        .filter(|arg| value_of(arg).is_some())
        .filter_map(|arg| variable_of(arg).map(str::to_owned))
        .collect()
}

fn variable_of(arg: &Arg) -> Option<&str> {
    arg.get_env()?.to_str()
}

fn value_of(arg: &Arg) -> Option<OsString> {
    std::env::var_os(arg.get_env()?)
}
