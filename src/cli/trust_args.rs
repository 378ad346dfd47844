//! The commands that say who is who and who may do what, as they are spelled.
//!
//! Their flags have no variables: who may do what is typed, and is not to follow from
//! something that was set somewhere for another command.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use crate::trust;

use super::expiry::{self, Expiry};
use super::quantity;

/// What changes or shows files of this user, and asks no server.
#[derive(Debug, Subcommand)]
pub(super) enum TrustVerb {
    /// Print this user's public key and its fingerprint; the key is made at first need
    Key,
    /// Let the holder of a key do something in a directory that is served
    Authorize(AuthorizeArgs),
    /// Let whoever gets a link do something in a directory that is served, for a time
    ///
    /// What they are to type is printed on standard output. The link in it is all that it
    /// takes: it says where the server is and which key it has, and lets its bearer in. So
    /// pass it on as you would a password. It ends after a day, unless --expires says when.
    Invite(InviteArgs),
    /// Take back what somebody was authorized for or invited to, at once
    Revoke(RevokeArgs),
    /// Say who may do what
    Access(AccessArgs),
    /// Note which key a server has, before it is met
    Trust(TrustArgs),
    /// Forget which key a server has
    Forget(ForgetArgs),
}

#[derive(Debug, ClapArgs)]
#[command(override_usage = "haul authorize [OPTIONS] KEY")]
pub(super) struct AuthorizeArgs {
    /// The key, as haul key prints it, or its fingerprint; - reads it from standard input
    #[arg(required = true, value_name = "KEY")]
    pub(super) key: Vec<String>,
    #[command(flatten)]
    pub(super) grant: GrantArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct InviteArgs {
    #[command(flatten)]
    pub(super) grant: GrantArgs,
    /// Let in only the first who comes, and nobody else from then on
    #[arg(long)]
    pub(super) once: bool,
    /// Where guests reach the server; without it, this machine's name
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(super) address: Option<String>,
}

/// What somebody may do.
#[derive(Debug, ClapArgs)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "as they are typed; what they mean together is a set of rights"
)]
pub(super) struct GrantArgs {
    /// The directory that is served; without it, the one here
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// What they are called here; a key is called by the comment behind it without this
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) name: Option<String>,
    /// Let them list and download
    #[arg(long)]
    pub(super) read: bool,
    /// Let them upload and make directories; without --read that is a drop box: they
    /// learn nothing of what is there, and a name that is taken gets a suffix
    #[arg(long)]
    pub(super) write: bool,
    /// Let them replace files, besides --read and --write
    #[arg(long)]
    pub(super) replace: bool,
    /// Let them remove, and with --read and --write rename
    #[arg(long)]
    pub(super) delete: bool,
    /// A path in the directory that is all they see of it
    #[arg(long, value_name = "PATH")]
    pub(super) under: Option<String>,
    /// Most bytes that they may store, as 1000, 10KiB or 3GiB; what is replaced or removed
    /// later counts on
    #[arg(long, value_name = "N", value_parser = size)]
    pub(super) max_bytes: Option<u64>,
    /// Most files that they may store, links among them; directories are not counted
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) max_files: Option<u64>,
    /// When it ends: 30m, 8h, 7d or 2w from now, after a day of UTC as 2025-11-22, or at
    /// a moment as 2025-11-22T12:00:00Z
    #[arg(long, value_name = "8h|DATE", value_parser = expiry::parse)]
    pub(super) expires: Option<Expiry>,
}

#[derive(Debug, ClapArgs)]
#[command(override_usage = "haul revoke [OPTIONS] KEY|NAME|ID")]
pub(super) struct RevokeArgs {
    /// A key, its fingerprint, the name of somebody, or the id of an invitation
    #[arg(required = true, value_name = "KEY|NAME|ID")]
    pub(super) whom: Vec<String>,
    /// Only for this directory; without it, for every one
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct AccessArgs {
    /// Only to this directory; without it, to every one
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(override_usage = "haul trust [OPTIONS] HOST FINGERPRINT")]
pub(super) struct TrustArgs {
    /// The server, as HOST or HOST:PORT
    pub(super) host: String,
    /// What its key must have, as it tells when it starts; the whole key does, too
    #[arg(required = true)]
    pub(super) fingerprint: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ForgetArgs {
    /// The server, as HOST or HOST:PORT
    pub(super) host: String,
}

fn name(text: &str) -> Result<String, &'static str> {
    let wrong = "a name has 1 to 100 bytes, all of which can be seen, and is no key";
    trust::is_name(text).then(|| text.to_owned()).ok_or(wrong)
}

fn size(text: &str) -> Result<u64, &'static str> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[number.len()..];
    let is_size = quantity::is_number(number) && trust::parse_size(&format!("1{unit}")).is_some();
    trust::parse_size(text).ok_or(if is_size {
        "that is too large: the most is 16777215TiB"
    } else {
        "bytes are written as 1000, 10KiB or 3GiB, and are not 0"
    })
}

fn count(text: &str) -> Result<u64, &'static str> {
    trust::parse_count(text).ok_or(if quantity::is_number(text) {
        "that is too large: the most is 18446744073709551615"
    } else {
        "a count is a number above 0"
    })
}
