//! The commands on the remote tree, as they are spelled.
//!
//! `-r` and `-p` have no long names, and so no place in the environment: a variable that
//! was set somewhere must not make a removal take more than was typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};

use super::args::ChecksumArg;
use super::bearings::BearingsArgs;

#[derive(Debug, ClapArgs)]
pub(super) struct LsArgs {
    /// The directory to list
    #[arg(value_name = "REMOTE", required = true)]
    pub(super) remote: Option<OsString>,
    /// Show mode, size and UTC time too
    #[arg(short)]
    pub(super) long: bool,
    /// List everything beneath, as whole paths
    #[arg(short = 'R')]
    pub(super) recursive: bool,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct RmArgs {
    /// What to remove; a link itself, never what it leads to
    #[arg(required = true, value_name = "REMOTE")]
    pub(super) remotes: Vec<OsString>,
    /// Remove directories with everything beneath them
    #[arg(short = 'r')]
    pub(super) recursive: bool,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct MvArgs {
    /// What to rename
    #[arg(value_name = "FROM")]
    pub(super) from: OsString,
    /// Its new name on the same server: HOST/DIR/ is into a directory, HOST/NAME exactly
    /// that name
    #[arg(value_name = "TO")]
    pub(super) to: OsString,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct MkdirArgs {
    /// The directories to make
    #[arg(required = true, value_name = "REMOTE")]
    pub(super) remotes: Vec<OsString>,
    /// Make missing directories above them too, and take one that is there as made
    #[arg(short = 'p')]
    pub(super) parents: bool,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct StatArgs {
    /// What to look at; a link itself, never what it leads to
    #[arg(required = true, value_name = "REMOTE")]
    pub(super) remotes: Vec<OsString>,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct SumArgs {
    /// Files, and directories with every file beneath them
    #[arg(required = true, value_name = "REMOTE")]
    pub(super) remotes: Vec<OsString>,
    /// The checksum to print
    #[arg(long, env = "HAUL_CHECKSUM", value_enum, default_value_t)]
    pub(super) checksum: ChecksumArg,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct VerifyArgs {
    /// Files, and directories with every file beneath them
    #[arg(required = true, value_name = "REMOTE")]
    pub(super) remotes: Vec<OsString>,
    /// Put good copies from this directory, under the same names, in place of what has decayed
    #[arg(long, value_name = "DIR", env = "HAUL_REPAIR_FROM", value_hint = ValueHint::AnyPath)]
    pub(super) repair_from: Option<PathBuf>,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
}
