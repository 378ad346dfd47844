//! Who is who and who may do what, kept in files of this user.
//!
//! A key says who somebody is; what a key may do, and which key a server is to have, is
//! written in files that a person can read and mend. Whoever can change those files can
//! let anybody in, so nothing in them is believed before their owner, their permissions
//! and those of their directory are found to be in order, and what is not admits nobody.
//!
//! ```text
//! CONFIG/haul/identity      this user's private key      keys
//! CONFIG/haul/server_key    this user's server's         keys
//! CONFIG/haul/known_hosts   which server has which key   known_hosts
//! CONFIG/haul/access        who may do what where        access, grants
//! STATE/haul/latest_time    a clock that never goes back latest_time
//! ```

mod directory;
mod error;
mod key_file;
mod known_hosts;
mod line;
mod line_file;
mod places;
mod private_file;
mod who;

pub use error::{Action, Error, Flaw};
pub use key_file::KeyFile;
pub use known_hosts::{KnownHost, KnownHosts, Standing};
pub use line::LineError;
pub use places::{Places, Variables};
pub use who::Who;
