//! What is done with servers, and can be broken off.
//!
//! Of several short questions a failure of one is told and is no obstacle to the next; all
//! failures together are the exit code. Only a person who asks to stop ends them all.

use crate::client::{Cancel, Client, Options};
use crate::code::Code;

use super::failure::code_of;
use super::report::Report;
use super::signals::Interrupts;

/// What one command has with servers, until a person asks to stop.
#[derive(Debug)]
pub(super) struct Errands<'s> {
    cancel: Cancel,
    /// The server that all of them go to, where its connection is kept.
    server: Option<&'s Client>,
    _interrupts: Option<Interrupts>,
}

impl<'s> Errands<'s> {
    /// Those of a program that does nothing else, and ends with them.
    pub(super) fn begin() -> anyhow::Result<Self> {
        let interrupts = Interrupts::listen()?;
        Ok(Self {
            cancel: interrupts.begin(),
            server: None,
            _interrupts: Some(interrupts),
        })
    }

    /// Those of one command of several: with a server whose connection outlives it, until
    /// `cancel` ends them.
    pub(super) fn with(server: &'s Client, cancel: Cancel) -> Self {
        Self {
            cancel,
            server: Some(server),
            _interrupts: None,
        }
    }

    /// A client for jobs with the server at `address`.
    pub(super) fn client(&self, address: &str, connections: usize) -> Client {
        let cancel = self.cancel.clone();
        match self.server {
            Some(server) => server.for_jobs(connections, cancel),
            None => Client::new(
                address,
                Options {
                    connections,
                    cancel,
                    ..Options::default()
                },
            ),
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
