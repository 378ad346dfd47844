//! What is done with servers, and can be broken off.
//!
//! Of several short questions a failure of one is told and is no obstacle to the next; all
//! failures together are the exit code. Only a person who asks to stop ends them all.

use crate::client::{Cancel, Client, Options};
use crate::code::Code;

use super::failure::code_of;
use super::peer::Peer;
use super::report::Report;
use super::servers;
use super::settings::Secrecy;
use super::signals::Interrupts;

/// What one command has with servers, until a person asks to stop.
#[derive(Debug)]
pub(super) struct Errands<'s> {
    cancel: Cancel,
    secrecy: Secrecy,
    /// The server that all of them go to, where its connection is kept.
    server: Option<&'s Client>,
    _interrupts: Option<Interrupts>,
}

impl<'s> Errands<'s> {
    /// Those of a program that does nothing else, and ends with them.
    pub(super) fn begin(secrecy: Secrecy) -> anyhow::Result<Self> {
        let interrupts = Interrupts::listen()?;
        Ok(Self {
            cancel: interrupts.begin(),
            secrecy,
            server: None,
            _interrupts: Some(interrupts),
        })
    }

    /// Those of one command of several: with a server whose connection outlives it, until
    /// `cancel` ends them.
    pub(super) fn with(server: &'s Client, secrecy: Secrecy, cancel: Cancel) -> Self {
        Self {
            cancel,
            secrecy,
            server: Some(server),
            _interrupts: None,
        }
    }

    /// A client for jobs with a server.
    ///
    /// # Errors
    ///
    /// Where nobody knows whose server that is to be.
    pub(super) fn client(&self, peer: &Peer, connections: usize) -> anyhow::Result<Client> {
        let options = Options {
            connections,
            cancel: self.cancel.clone(),
            ..Options::default()
        };
        match self.server {
            Some(server) => Ok(server.for_jobs(connections, options.cancel)),
            None => servers::client(peer, self.secrecy, options),
        }
    }

    /// What ends them.
    pub(super) fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}

/// Runs one errand for each of `items`.
pub(super) fn each<T>(
    items: &[T],
    report: &mut Report,
    mut run: impl FnMut(&T, &mut Report) -> anyhow::Result<Option<Code>>,
) -> anyhow::Result<Option<Code>> {
    let mut codes = Vec::new();
    for item in items {
        match run(item, report) {
            Ok(code) => codes.extend(code),
            Err(error) if code_of(&error) == Code::Interrupted => return Err(error),
            Err(error) => codes.push(report.refused(&error)),
        }
    }
    Ok(Code::of_all(codes))
}
