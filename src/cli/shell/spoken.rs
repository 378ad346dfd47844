//! What is typed in a shell: the commands of the command line, and a few of its own.
//!
//! The declarations are the very ones of the command line, so a flag means the same in
//! both. What differs is said here: a place is a path, and may be left out more often.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Args as ClapArgs, Command, CommandFactory, FromArgMatches};
use clap::{Parser, Subcommand};

use crate::cli::answer;
use crate::cli::args::{Errand, Everywhere};
use crate::cli::environment;
use crate::cli::escape;
use crate::cli::failure::usage;
use crate::cli::links::Secrets;

#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_subcommand = true)]
pub(super) struct Line {
    #[command(flatten)]
    pub(super) everywhere: Everywhere,
    #[command(subcommand)]
    pub(super) command: Spoken,
}

#[derive(Debug, Subcommand)]
pub(super) enum Spoken {
    #[command(flatten)]
    Errand(Errand),
    /// Go to a remote directory; without one, to the root
    Cd(CdArgs),
    /// Print the remote directory
    Pwd,
    /// List a local directory
    Lls(LlsArgs),
    /// Go to a local directory
    Lcd(LcdArgs),
    /// Print the local directory
    Lpwd,
    /// Print this list, or how one command is used
    Help(HelpArgs),
    /// Leave
    #[command(visible_alias = "quit")]
    Exit,
}

#[derive(Debug, ClapArgs)]
pub(super) struct CdArgs {
    /// Where to go
    #[arg(value_name = "REMOTE", default_value = "/")]
    pub(super) remote: OsString,
}

#[derive(Debug, ClapArgs)]
pub(super) struct LlsArgs {
    /// The directory to list
    #[arg(value_name = "PATH", default_value = ".")]
    pub(super) path: PathBuf,
    /// Show mode, size and UTC time too
    #[arg(short)]
    pub(super) long: bool,
    /// List everything beneath
    #[arg(short = 'R')]
    pub(super) recursive: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct LcdArgs {
    /// Where to go
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct HelpArgs {
    /// One command
    #[arg(value_name = "COMMAND")]
    pub(super) command: Option<String>,
}

/// A line that was read.
#[derive(Debug)]
pub(super) enum Read {
    /// There is nothing in it to do.
    Nothing,
    /// A command, as clap has it.
    Command(Box<Line>, ArgMatches),
    /// A question about a command, and its answer.
    Help(String),
}

const PUT_PLACES: &str = "What to upload; the last of several is remote: DIR/ is into a \
                          directory, NAME exactly that name";
const GET_PLACES: &str = "What to download; the last of several is local: DIR/ is into a \
                          directory, NAME exactly that name";
const MV_TO: &str = "Its new name: DIR/ is into a directory, NAME exactly that name";

/// What there is to type.
pub(super) fn command() -> Command {
    let command = Line::command().mut_subcommands(of_one_server);
    let command = command.mut_subcommands(|command| match command.get_name() {
        "ls" => command.mut_arg("remote", |remote| remote.required(false)),
        "put" => command
            .override_usage("put [OPTIONS] PATH... [REMOTE]")
            .mut_arg("places", |places| places.help(PUT_PLACES)),
        "get" => command
            .override_usage("get [OPTIONS] REMOTE... [DIR]")
            .mut_arg("places", |places| places.help(GET_PLACES)),
        "mv" => command.mut_arg("to", |to| to.help(MV_TO)),
        _ => command,
    });
    environment::without_empty(command)
}

/// A command without what says of a server which one it is: here that is known.
fn of_one_server(command: Command) -> Command {
    command.mut_args(|arg| {
        if ["server_key", "link_file"].contains(&arg.get_id().as_str()) {
            arg.env(Resettable::Reset).hide(true)
        } else {
            arg
        }
    })
}

/// Splits a line into words as a POSIX shell does: quotes, backslashes, and what follows a
/// `#` is for people.
pub(super) fn words(line: &[u8]) -> anyhow::Result<Vec<OsString>> {
    let words = shlex::bytes::split(line)
        .ok_or_else(|| usage("a quote is not closed, or nothing follows a backslash"))?;
    // A link is of no use here, and what is said of the line is not to show it.
    let mut secrets = Secrets::default();
    let words = words.into_iter().map(OsString::from_vec);
    Ok(words.map(|word| secrets.take_from(&word)).collect())
}

/// Reads the words of a line.
pub(super) fn read(words: &[OsString]) -> anyhow::Result<Read> {
    if words.is_empty() {
        return Ok(Read::Nothing);
    }
    let parsed = command()
        .try_get_matches_from(words)
        .and_then(|matches| Ok((Line::from_arg_matches(&matches)?, matches)));
    match parsed {
        Ok((line, matches)) => Ok(Read::Command(Box::new(line), matches)),
        Err(told) if !told.use_stderr() => Ok(Read::Help(told.to_string())),
        Err(told) if told.kind() == ErrorKind::InvalidSubcommand => Err(unknown(&told)),
        Err(told) => Err(usage(answer::in_one_line(&told))),
    }
}

/// Every command, a line each.
pub(super) fn list() -> String {
    let command = command();
    let width = command.get_subcommands().map(|c| c.get_name().len()).max();
    let mut text = String::new();
    for command in command.get_subcommands() {
        let about = command.get_about().map(ToString::to_string);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:width$}  {}",
            command.get_name(),
            about.unwrap_or_default(),
            width = width.unwrap_or(0)
        );
    }
    text
}

/// How one command is used.
pub(super) fn usage_of(name: &str) -> anyhow::Result<String> {
    match read(&[OsString::from(name), OsString::from("-h")])? {
        Read::Help(text) => Ok(text),
        Read::Nothing | Read::Command(..) => Ok(String::new()),
    }
}

/// Says that there is no such command, and which one is nearest.
fn unknown(told: &clap::Error) -> anyhow::Error {
    let text = |kind| match told.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(all)) => all.last().cloned(),
        _ => None,
    };
    let typed = text(ContextKind::InvalidSubcommand).unwrap_or_default();
    let near = text(ContextKind::SuggestedSubcommand).or_else(|| one_slip_from(&typed));
    let typed = escape::name(&typed);
    match near {
        Some(near) => usage(format!("{typed} is no command: perhaps {near} was meant")),
        None => usage(format!("{typed} is no command: help has them all")),
    }
}

/// The command that one slip of the fingers made this of. clap's measure of likeness finds
/// nothing in two letters that changed places, as in `sl`.
fn one_slip_from(typed: &str) -> Option<String> {
    let command = command();
    let mut names = command.get_subcommands().map(Command::get_name);
    names
        .find(|name| strsim::osa_distance(typed, name) == 1)
        .map(str::to_owned)
}
