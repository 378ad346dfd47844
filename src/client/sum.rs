//! Checksums of what is on a server, read there: nothing but names and sums moves.

use super::{Client, Error, Listing};
use crate::content::{Algorithm, Checksum};
use crate::entry::Entry;
use crate::path::RemotePath;
use crate::transfer;
use crate::wire::Message;
use crate::wire::message::{Request, Sum};

impl Client {
    /// Has the server read the file at `path`, or every file beneath it, or all there are,
    /// and tells `hear` of each, in the order of a listing: its entry, and its checksum or
    /// why there is none. Recorded checksums are not believed here.
    ///
    /// Returns what was listed and has no checksum: directories, links, and how much could
    /// not be listed.
    ///
    /// ```
    /// # use haul::{fault::Fault, server::{Config, Server}, store::{Durability, LocalStore}};
    /// # let served = tempfile::tempdir()?;
    /// # let store = LocalStore::serve(served.path(), Durability::Batch, Fault::default())?;
    /// # let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
    /// # let address = server.addresses()?[0].to_string();
    /// # let _running = server.start()?;
    /// # std::fs::write(served.path().join("notes"), "sea")?;
    /// use haul::client::{Client, Options};
    /// use haul::content::Algorithm;
    ///
    /// let client = Client::new(&address, Options::default());
    /// let mut sums = Vec::new();
    /// client.sum(None, Algorithm::Blake3, |entry, sum| sums.push((entry.path, sum.ok())))?;
    /// let (path, sum) = sums.remove(0);
    /// assert_eq!(path.as_str(), "notes");
    /// let expected = format!("blake3:{}", blake3::hash(b"sea").to_hex());
    /// assert_eq!(sum.map(|sum| sum.to_string()), Some(expected));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What ended the whole job: that there is no such path or no file, or the connection's
    /// end. A file that failed alone is told to `hear`.
    pub fn sum(
        &self,
        path: Option<&RemotePath>,
        algorithm: Algorithm,
        hear: impl FnMut(Entry, Result<Checksum, Error>),
    ) -> Result<Listing, Error> {
        let ask = |request, path, version| Sum {
            request,
            path,
            version,
            algorithm,
        };
        self.ask_of_each(path, ask, |_, answer| checksum(&answer, algorithm), hear)
    }
}

/// What is answered with this algorithm's checksum.
fn checksum(
    message: &Message,
    algorithm: Algorithm,
) -> Result<(Request, Checksum), transfer::Error> {
    match message {
        Message::SumIs(sum) if sum.checksum.algorithm() == algorithm => {
            Ok((sum.request, sum.checksum))
        }
        other => Err(transfer::Error::OutOfOrder(other.kind())),
    }
}
