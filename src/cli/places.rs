//! Where this user's files are, as the environment says.

use std::env;

use crate::trust::{Error, Places, Variables};

/// Reads the variables that say where files are.
pub(super) fn of_user() -> Result<Places, Error> {
    Places::find(&Variables {
        home: env::var_os("HOME"),
        config_home: env::var_os("XDG_CONFIG_HOME"),
        state_home: env::var_os("XDG_STATE_HOME"),
        identity: env::var_os("HAUL_IDENTITY"),
    })
}
