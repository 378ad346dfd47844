//! The command line as it is spelled: clap's declarations, and nothing decided yet.
//!
//! Every flag can come from the environment, as `HAUL_` and its long name in capitals; what
//! is empty there counts as not set.
//! What the values mean together is [`settings`](super::settings)'s affair.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgMatches, Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap::{ValueEnum, value_parser};
use clap_complete::Shell;

use super::bearings::BearingsArgs;
use super::environment;
use super::first_look;
use super::serve_args::ServeArgs;
use super::shell::ShellArgs;
use super::terminal;
use super::tree_args::{LsArgs, MkdirArgs, MvArgs, RmArgs, StatArgs, SumArgs, VerifyArgs};
use super::trust_args::TrustVerb;

/// Moves files between machines and proves that every byte arrived.
#[derive(Debug, Parser)]
#[command(name = "haul", version)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) everywhere: Everywhere,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve a directory until stopped
    Serve(ServeArgs),
    #[command(flatten)]
    Verb(Verb),
}

/// What ends by itself.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Errand(Errand),
    /// Talk to a server over one connection, until you leave
    ///
    /// Its commands are put, get, ls, stat, mkdir, mv, rm, sum and verify, with the flags that they
    /// have here and paths in place of addresses; cd and pwd; lls, lcd and lpwd for what is
    /// on this machine; help and exit. At a terminal Ctrl-C stops the command that runs, and
    /// Ctrl-D leaves. From a pipe lines are run until the first error, which is the exit
    /// status.
    Shell(ShellArgs),
    #[command(flatten)]
    Trust(TrustVerb),
    /// Serve on loopback, put, get back and compare
    Demo(DemoArgs),
    /// Print what a shell needs to complete commands and flags
    Completions(CompletionsArgs),
    /// Print the manual, or that of one command, as a roff page
    Man(ManArgs),
}

/// What is done with a server.
#[derive(Debug, Subcommand)]
pub(super) enum Errand {
    /// Upload files and directories
    Put(PutArgs),
    /// Download files and directories
    Get(GetArgs),
    /// List a remote directory
    Ls(LsArgs),
    /// Say what there is to know of remote files and directories
    Stat(StatArgs),
    /// Make remote directories
    Mkdir(MkdirArgs),
    /// Rename a remote file or directory
    Mv(MvArgs),
    /// Remove remote files and directories
    Rm(RmArgs),
    /// Print checksums of remote files, read on the server
    Sum(SumArgs),
    /// Find remote files that have decayed, and repair them from good copies
    Verify(VerifyArgs),
}

impl Errand {
    /// What is said of the server beside its address.
    pub(super) fn bearings(&self) -> &BearingsArgs {
        match self {
            Self::Put(args) => &args.bearings,
            Self::Get(args) => &args.bearings,
            Self::Ls(args) => &args.bearings,
            Self::Stat(args) => &args.bearings,
            Self::Mkdir(args) => &args.bearings,
            Self::Mv(args) => &args.bearings,
            Self::Rm(args) => &args.bearings,
            Self::Sum(args) => &args.bearings,
            Self::Verify(args) => &args.bearings,
        }
    }

    /// Whether the same command, given again, goes on where it was broken off.
    pub(super) fn goes_on(&self) -> bool {
        match self {
            Self::Put(_) | Self::Get(_) => true,
            // What is repaired stays so.
            Self::Verify(args) => args.repair_from.is_some(),
            _ => false,
        }
    }
}

/// The flags of every command.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "Everywhere")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "as they are typed; what they mean together is an enum in settings"
)]
pub(super) struct Everywhere {
    /// Say nothing but errors
    #[arg(short, long, global = true, env = "HAUL_QUIET", value_parser = BoolishValueParser::new())]
    pub(super) quiet: bool,
    /// Say a line for each file
    #[arg(short, long, global = true, env = "HAUL_VERBOSE", value_parser = BoolishValueParser::new())]
    pub(super) verbose: bool,
    /// Print one JSON object a line on standard output
    #[arg(long, global = true, env = "HAUL_JSON", value_parser = BoolishValueParser::new())]
    pub(super) json: bool,
    /// Do without encryption: whoever is on the way can read and change everything
    #[arg(long, global = true, env = "HAUL_PLAINTEXT", value_parser = BoolishValueParser::new())]
    pub(super) plaintext: bool,
    /// How often to connect again, after growing pauses, when the connection is lost
    #[arg(
        long,
        global = true,
        env = "HAUL_RETRIES",
        value_name = "N",
        default_value = "5"
    )]
    pub(super) retries: u32,
    /// When to use colors
    #[arg(
        long,
        global = true,
        env = "HAUL_COLOR",
        value_enum,
        default_value_t,
        value_name = "WHEN"
    )]
    pub(super) color: ColorArg,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorArg {
    #[value(help = "On a terminal, unless NO_COLOR is set or TERM is dumb")]
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, ClapArgs)]
#[command(override_usage = "haul put [OPTIONS] PATH... REMOTE")]
pub(super) struct PutArgs {
    /// What to upload, then where to: HOST/DIR/ is into a directory, HOST/NAME
    /// exactly that name
    #[arg(required = true, value_name = "PATH... REMOTE")]
    pub(super) places: Vec<OsString>,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
    #[command(flatten)]
    pub(super) moving: Moving,
}

#[derive(Debug, ClapArgs)]
#[command(override_usage = "haul get [OPTIONS] REMOTE... [DIR]")]
pub(super) struct GetArgs {
    /// What to download; the last of several is local: DIR/ is into a directory,
    /// NAME exactly that name
    #[arg(required = true, value_name = "REMOTE")]
    pub(super) places: Vec<OsString>,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
    #[command(flatten)]
    pub(super) moving: Moving,
}

/// The flags of put and get.
#[derive(Clone, Debug, ClapArgs)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "as they are typed; what they mean together is decided in settings"
)]
pub(super) struct Moving {
    /// Replace files that exist with other content
    #[arg(long, env = "HAUL_OVERWRITE", value_parser = BoolishValueParser::new())]
    pub(super) overwrite: bool,
    /// Replace files that exist with other content and are older
    #[arg(long, env = "HAUL_UPDATE", value_parser = BoolishValueParser::new())]
    pub(super) update: bool,
    /// When a file that exists is the same: with equal size and time, or with equal
    /// checksums
    #[arg(
        long,
        env = "HAUL_COMPARE",
        value_enum,
        default_value_t,
        value_name = "HOW"
    )]
    pub(super) compare: CompareArg,
    /// The same as --compare content
    #[arg(short = 'c')]
    pub(super) by_content: bool,
    /// Only say what would be done
    #[arg(short = 'n', long, env = "HAUL_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub(super) dry_run: bool,
    /// What becomes of symbolic links
    #[arg(long, env = "HAUL_LINKS", value_enum, default_value_t)]
    pub(super) links: LinksArg,
    /// Most connections to use, 1 to 64 [default: 4 on this machine, of which a large file alone
    /// takes as many as there are processors, without encryption half as many; 16 to others]
    #[arg(
        long,
        env = "HAUL_CONNECTIONS",
        value_name = "N",
        value_parser = value_parser!(u8).range(1..=64)
    )]
    pub(super) connections: Option<u8>,
    /// The system's congestion control for what is sent, as bbr
    #[arg(long, env = "HAUL_CONGESTION", value_name = "NAME")]
    pub(super) congestion: Option<String>,
    /// The checksum that proves a file
    #[arg(long, env = "HAUL_CHECKSUM", value_enum, default_value_t)]
    pub(super) checksum: ChecksumArg,
    /// Accepted for habit: directories need no flag
    #[arg(short, hide = true)]
    pub(super) recursive: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareArg {
    /// With equal size and time, or equal content where only the time differs
    #[default]
    Quick,
    /// With equal content, whatever the time
    Content,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum LinksArg {
    /// Links that stay in the tree are kept, others are left out
    #[default]
    Keep,
    /// What they lead to is moved in their place
    Follow,
    /// They are left out
    Skip,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum ChecksumArg {
    /// What b3sum prints
    #[default]
    Blake3,
    /// What sha256sum prints, besides
    Sha256,
}

#[derive(Debug, ClapArgs)]
pub(super) struct DemoArgs {
    /// Files and directories to move; without any, samples are made
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ClapArgs)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ManArgs {
    /// One command; without it, all of haul
    pub(super) command: Option<String>,
}

/// What there is to type.
pub(super) fn command() -> clap::Command {
    Args::command()
}

/// Reads a command line. Also an answer to `--help` comes as an error.
pub(super) fn parse(
    line: impl IntoIterator<Item = OsString>,
) -> Result<(Args, ArgMatches), clap::Error> {
    let line: Vec<OsString> = line.into_iter().collect();
    let color = terminal::color_choice(first_look::color(&line));
    let command = environment::without_empty(command()).color(color);
    let matches = command
        .clone()
        .try_get_matches_from(&line)
        .map_err(|error| environment::blame(error, &command, &line))?;
    let args = Args::from_arg_matches(&matches)?;
    Ok((args, matches))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault_in_the_declarations() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_with_a_long_name_has_its_variable() {
        let top = Args::command();
        // Who may do what is only ever typed.
        let typed = ["authorize", "invite", "revoke", "access"];
        let others = top
            .get_subcommands()
            .filter(|c| !typed.contains(&c.get_name()));
        for command in [&top].into_iter().chain(others) {
            for arg in command.get_arguments() {
                let long = arg.get_long().filter(|long| *long != "version");
                let variable = long.map(|long| long.to_uppercase().replace('-', "_"));
                let variable = variable.map(|name| OsString::from(format!("HAUL_{name}")));
                assert_eq!(arg.get_env(), variable.as_deref(), "{}", arg.get_id());
            }
        }
    }

    #[track_caller]
    fn refused(line: &str) {
        let error = parse(line.split(' ').map(OsString::from)).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }

    #[test]
    fn lines_that_are_not_used_as_they_should_be_are_refused() {
        refused("haul");
        refused("haul fetch");
        refused("haul put");
        refused("haul get");
        refused("haul put a nas --connections 0");
        refused("haul put a nas --connections 65");
        refused("haul put a nas --checksum md5");
        refused("haul serve --max-connections 0");
        refused("haul serve --color blue");
    }
}
