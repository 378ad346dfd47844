//! Who is who and who may do what, kept in files of this user.
//!
//! A key says who somebody is; what a key may do, and which key a server is to have, is
//! written in files that a person can read and mend. Whoever can change those files can
//! let anybody in, so nothing in them is believed before their owner, their permissions
//! and those of their directory are found to be in order, and what is not admits nobody.
//!
//! ```text
//! CONFIG/haul/identity     this user's private key          KeyFile
//! CONFIG/haul/server_key   that of this user's servers      KeyFile
//! CONFIG/haul/known_hosts  which server has which key       KnownHosts
//! CONFIG/haul/access       who may do what, and where       AccessFile, Grants
//! STATE/haul/latest_time   a clock that is never set back   LatestTime
//! STATE/haul/invitations   who may come in by a link        InvitationFile, Grants
//! STATE/haul/usage/ledger  who has stored how much          UsageFile, Ledger
//! ```

mod access_file;
mod append_file;
mod directory;
mod error;
mod grant;
mod grants;
mod introduction;
mod invitation;
mod invitation_file;
mod key_file;
mod known_hosts;
mod latest_time;
mod ledger;
mod line;
mod line_file;
mod places;
mod private_file;
#[cfg(test)]
mod tests;
mod usage;
mod watched;
mod who;

pub use access_file::{AccessFile, Admissions, Whom};
pub use append_file::AppendFile;
pub use error::{Action, Error, Flaw};
pub use grant::{Admission, Grant, is_name, is_root, parse_count, parse_end, parse_size};
pub use grant::{parse_rights, rights_words};
pub use grants::{Grants, Uninvited};
pub use introduction::{Introduction, IntroductionError};
pub use invitation::{Bearer, Invitation};
pub use invitation_file::{InvitationFile, Invitations};
pub use key_file::KeyFile;
pub use known_hosts::{KnownHost, KnownHosts, Standing};
pub use latest_time::LatestTime;
pub use ledger::{Hold, Ledger, Limit, Quota, Refusal};
pub use line::LineError;
pub use places::{Places, Variables};
pub use usage::{Account, Amount, UsageFile, Used};
pub use who::Who;
