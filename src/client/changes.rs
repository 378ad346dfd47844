//! Jobs that change the remote tree without moving content: one request each.

use super::route::Said;
use super::session::Session;
use super::{Client, Error};
use crate::path::RemotePath;
use crate::store::{Parents, Removal};
use crate::transfer;
use crate::wire::message::{MakeDir, Remove, Rename};

impl Client {
    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or refuses: with code 6 where something has
    /// the name, with 5 where a directory above it is missing.
    pub fn make_dir(&self, path: &RemotePath, parents: Parents) -> Result<(), Error> {
        self.ask(|session| {
            session.ask(|request| MakeDir {
                request,
                path: path.clone(),
                parents: parents == Parents::Make,
            })
        })
    }

    /// Gives what is at `from` the name `to`, which nothing may have.
    ///
    /// ```
    /// # use haul::{fault::Fault, server::{Config, Server}, store::{Durability, LocalStore}};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = LocalStore::serve(dir.path(), Durability::Batch, Fault::default())?;
    /// # let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
    /// # let address = server.addresses()?[0].to_string();
    /// # let _running = server.start()?;
    /// use haul::client::{Client, Options, Parents, Removal};
    /// use haul::path::RemotePath;
    ///
    /// let client = Client::new(&address, Options::default());
    /// client.make_dir(&RemotePath::parse("2024/notes")?, Parents::Make)?;
    /// client.rename(&RemotePath::parse("2024")?, &RemotePath::parse("2025")?)?;
    /// assert!(dir.path().join("2025/notes").is_dir());
    /// client.remove(&RemotePath::parse("2025")?, Removal::Whole)?;
    /// # assert!(!dir.path().join("2025").exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or refuses: with code 6 where something has
    /// the new name, with 5 where nothing has the old one, with 2 where a directory
    /// would go into itself.
    pub fn rename(&self, from: &RemotePath, to: &RemotePath) -> Result<(), Error> {
        self.ask(|session| {
            session.ask(|request| Rename {
                request,
                from: from.clone(),
                to: to.clone(),
            })
        })
    }

    /// Removes what has a name: a link itself, never what it leads to.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or refuses: with code 2 where a directory is
    /// full and only one thing was to be removed. Of a tree that could not be removed
    /// whole, the rest is gone.
    pub fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), Error> {
        self.ask(|session| {
            session.ask(|request| Remove {
                request,
                path: path.clone(),
                tree: removal == Removal::Whole,
            })
        })
    }

    /// Asks one question over a connection.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&mut Session) -> Result<T, transfer::Error>,
    ) -> Result<T, Error> {
        let mut session = self.route.open(&self.options)?;
        let answer = question(&mut session);
        // A refusal is an answer too, unless it ended the connection.
        if matches!(answer, Ok(_) | Err(transfer::Error::Refused { .. })) {
            self.route.rest(session, &self.options, Said::All);
        }
        answer.map_err(|error| self.route.explain(error, &self.options))
    }
}
