//! What is known of servers before one is named: the default remote, and the key that is
//! expected.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args as ClapArgs};
use rustix::process::geteuid;

use crate::code::Code;
use crate::trust::Who;

use super::environment::spelling;
use super::escape;
use super::failure::{failure, usage};
use super::links::{self, SCHEME, Secrets};
use super::output::say;
use super::settings::Manner;

/// How a server is recognised, and where the link to it is.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(super) struct BearingsArgs {
    /// The key that the server must have, or its fingerprint: another one is not spoken to
    #[arg(long, env = "HAUL_SERVER_KEY", value_name = "FINGERPRINT|KEY")]
    pub(super) server_key: Option<String>,
    /// A file with the link of an invitation, whose server :PATH is on then
    #[arg(long, env = "HAUL_LINK_FILE", value_name = "FILE")]
    pub(super) link_file: Option<PathBuf>,
}

impl BearingsArgs {
    /// Whether they say anything.
    pub(super) fn is_said(&self) -> bool {
        self.server_key.is_some() || self.link_file.is_some()
    }
}

/// What addresses are read by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bearings {
    pub(super) secrets: Secrets,
    pub(super) home: Option<Home>,
    /// Whose key every server is to have.
    pub(super) key: Option<Who>,
}

/// The default remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// What says which it is: `HAUL_REMOTE`, `--link-file` or its variable.
    pub(super) by: String,
    /// Its address, without a secret.
    pub(super) text: String,
    /// Whether it was typed for the very command that is to use it.
    pub(super) is_typed: bool,
}

/// Most bytes of a file that holds a link, and perhaps what was said with it.
const FILE_MAX: u64 = 64 << 10;

/// The permissions of others to read something.
const OTHERS_READ: u32 = 0o044;

impl Bearings {
    /// What the flags of a command and the environment say.
    ///
    /// # Errors
    ///
    /// Where they say something that is none.
    pub(super) fn of(
        args: &BearingsArgs,
        matches: &ArgMatches,
        mut secrets: Secrets,
        manner: Manner,
    ) -> anyhow::Result<Self> {
        let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
        let home = match &args.link_file {
            Some(path) => {
                let by = spelling(matches, "link_file");
                let text = in_file(path, manner)?;
                Some(Home {
                    is_typed: by.starts_with('-'),
                    text: kept(&mut secrets, &text),
                    by,
                })
            }
            None => from_variable(&mut secrets)?,
        };
        let key = args.server_key.as_deref().map(Who::parse).transpose();
        let key = key.map_err(|_| {
            let flag = spelling(matches, "server_key");
            usage(format!(
                "{flag} takes the fingerprint of a key, SHA256:..., or the key, ssh-ed25519 AAAA..."
            ))
        })?;
        Ok(Self { secrets, home, key })
    }

    /// What the environment says, for a command without flags about it.
    ///
    /// # Errors
    ///
    /// Where it says something that is none.
    pub(super) fn of_environment(mut secrets: Secrets) -> anyhow::Result<Self> {
        Ok(Self {
            home: from_variable(&mut secrets)?,
            secrets,
            key: None,
        })
    }
}

fn from_variable(secrets: &mut Secrets) -> anyhow::Result<Option<Home>> {
    let Some(text) = env::var_os("HAUL_REMOTE").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = text
        .into_string()
        .map_err(|_| usage("HAUL_REMOTE is not UTF-8"))?;
    Ok(Some(Home {
        by: "HAUL_REMOTE".to_owned(),
        text: kept(secrets, &text),
        is_typed: false,
    }))
}

/// An address without its secret, which is kept.
fn kept(secrets: &mut Secrets, text: &str) -> String {
    let left = secrets.take_from(text.as_ref());
    left.to_string_lossy().into_owned()
}

/// The link that is in a file: the one word of it that is an address. So what `haul invite`
/// printed can be the file, or what somebody wrote around it.
fn in_file(path: &Path, manner: Manner) -> anyhow::Result<String> {
    // A link that was given in place of its file is no more shown than anywhere else.
    let shown = links::without_secrets(&escape::path(path));
    let failed = |error: io::Error| failure(Code::File, format!("{shown}: {error}"));
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let is = file.metadata().map_err(failed)?;
    let read = file.take(FILE_MAX).read_to_string(&mut text);
    read.map_err(failed)?;
    // What root has put there for a program is root's to close, and a pipe nobody opens.
    let is_ours = is.is_file() && is.uid() == geteuid().as_raw();
    if is_ours && is.mode() & OTHERS_READ != 0 && manner.hears_notices() {
        say(&format!(
            "others on this machine may read {shown}, and use the link in it: chmod 600 {shown}"
        ));
    }
    let mut links = text
        .split_whitespace()
        .filter(|word| word.starts_with(SCHEME));
    match (links.next(), links.next()) {
        (Some(link), None) => Ok(link.to_owned()),
        (None, _) => Err(usage(format!("{shown} holds no link, {SCHEME}..."))),
        (Some(_), Some(_)) => Err(usage(format!("{shown} holds several links"))),
    }
}
