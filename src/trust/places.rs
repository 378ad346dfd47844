//! Where the files are: the directories of the XDG base directory specification.
//!
//! Configuration is what a person would back up and may edit; state is what haul notes
//! for itself. The values of the variables are passed in, as the environment belongs to
//! the whole process and its tests run side by side.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::error::Error;
use super::key_file::KeyFile;

/// The variables that say where files are.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// `HOME`.
    pub home: Option<OsString>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<OsString>,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<OsString>,
    /// `HAUL_IDENTITY`, a file that holds another private key.
    pub identity: Option<OsString>,
}

/// Where the files of one user are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    config: PathBuf,
    state: PathBuf,
    identity: Option<PathBuf>,
}

impl Places {
    /// Finds them.
    ///
    /// # Errors
    ///
    /// [`Error::NoHome`] where nothing says where.
    pub fn find(variables: &Variables) -> Result<Self, Error> {
        let said = |value: &Option<OsString>| value.clone().filter(|value| !value.is_empty());
        let home = said(&variables.home).map(PathBuf::from);
        // The specification has a relative path ignored.
        let absolute = |value| said(value).map(PathBuf::from).filter(|p| p.is_absolute());
        let base = |value, name, usual: &str| {
            let usual = || Some(home.as_ref().filter(|p| p.is_absolute())?.join(usual));
            let base = absolute(value).or_else(usual).ok_or(Error::NoHome(name))?;
            Ok(base.join("haul"))
        };
        Ok(Self {
            config: base(&variables.config_home, "XDG_CONFIG_HOME", ".config")?,
            state: base(&variables.state_home, "XDG_STATE_HOME", ".local/state")?,
            identity: said(&variables.identity).map(PathBuf::from),
        })
    }

    /// The directory of what a person may edit, and of the keys.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The directory of what haul notes for itself.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Makes the directory of what haul notes for itself, private, where it is not there.
    ///
    /// # Errors
    ///
    /// Where it is not to be trusted, or cannot be made.
    pub fn make_state(&self) -> Result<(), Error> {
        Directory::make(&self.state).map(drop)
    }

    /// The private key that says who this user is.
    #[must_use]
    pub fn identity(&self) -> KeyFile {
        match &self.identity {
            None => KeyFile::Own(self.config.join("identity")),
            Some(path) => KeyFile::Named(path.clone()),
        }
    }

    /// The private key of the servers that this user starts.
    #[must_use]
    pub fn server_key(&self) -> KeyFile {
        KeyFile::Own(self.config.join("server_key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(home: &str, config: &str, state: &str) -> Variables {
        Variables {
            home: Some(home.into()),
            config_home: Some(config.into()),
            state_home: Some(state.into()),
            identity: None,
        }
    }

    #[track_caller]
    fn leads(home: &str, config: &str, state: &str, to: (&str, &str)) {
        let places = Places::find(&variables(home, config, state)).unwrap();
        assert_eq!(places.config(), Path::new(to.0));
        assert_eq!(places.state(), Path::new(to.1));
    }

    #[test]
    fn variables_lead_to_the_files_and_home_where_they_are_not_set() {
        let usual = ("/h/.config/haul", "/h/.local/state/haul");
        leads("/h", "", "", usual);
        leads("/h", "relative", "./too", usual);
        leads("/h", "/c", "/s", ("/c/haul", "/s/haul"));
        leads("", "/c", "/s", ("/c/haul", "/s/haul"));
        leads("relative", "/c", "/s", ("/c/haul", "/s/haul"));
    }

    #[test]
    fn without_a_home_it_is_said_what_to_set() {
        let error = Places::find(&variables("", "/c", "")).unwrap_err();
        assert_eq!(error, Error::NoHome("XDG_STATE_HOME"));
        assert!(Places::find(&Variables::default()).is_err());
        assert!(Places::find(&variables("relative", "", "/s")).is_err());
    }

    #[test]
    fn a_key_is_named_or_has_its_place() {
        let mut variables = variables("/h", "/c", "/s");
        let places = Places::find(&variables).unwrap();
        assert_eq!(places.identity(), KeyFile::Own("/c/haul/identity".into()));
        variables.identity = Some("ci.key".into());
        let places = Places::find(&variables).unwrap();
        assert_eq!(places.identity(), KeyFile::Named("ci.key".into()));
        assert_eq!(
            places.server_key(),
            KeyFile::Own("/c/haul/server_key".into())
        );
    }
}
