//! Users who exist for a test, and what they find in their files.

mod access_file;
mod grant;
mod grants;
mod invitations;
mod ledger;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use tempfile::TempDir;

use crate::net::keys::{Keypair, PublicKey};
use crate::utc::Utc;

use super::{Places, Variables};

/// A user with a home of their own.
struct User {
    _home: TempDir,
    places: Places,
}

impl User {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let variables = Variables {
            home: Some(home.path().into()),
            ..Variables::default()
        };
        Self {
            places: Places::find(&variables).unwrap(),
            _home: home,
        }
    }

    /// Writes their access file as an editor does.
    fn edits(&self, text: &str) {
        edit(&self.places.config().join("access"), text);
    }

    /// Writes down a latest time, or what stands in its place.
    fn has_seen(&self, text: &str) {
        edit(&self.places.state().join("latest_time"), text);
    }

    /// What is written down as the latest time.
    fn latest(&self) -> String {
        let text = fs::read_to_string(self.places.state().join("latest_time"));
        let text = text.unwrap_or_default();
        text.lines().last().unwrap_or_default().to_owned()
    }
}

/// Writes a file in place, as private as haul would have made it.
fn edit(path: &Path, text: &str) {
    let parent = path.parent().unwrap();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(parent).unwrap();
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn new_key() -> PublicKey {
    Keypair::generate().unwrap().0.public()
}

fn day(text: &str) -> Utc {
    Utc::parse_date(text).unwrap()
}
