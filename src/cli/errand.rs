//! What is done with servers, and can be broken off.
//!
//! Of several short questions a failure of one is told and is no obstacle to the next; all
//! failures together are the exit code. Only a person who asks to stop ends them all.

use crate::client::{Cancel, Client, Options};
use crate::code::Code;

use super::failure::code_of;
use super::report::Report;
use super::signals::{self, Watch};

/// What one command has with servers, until a person asks to stop.
#[derive(Debug)]
pub(super) struct Errands {
    cancel: Cancel,
    _signals: Watch,
}

impl Errands {
    /// Begins to watch for signals.
    pub(super) fn begin() -> anyhow::Result<Self> {
        let cancel = Cancel::default();
        Ok(Self {
            _signals: signals::cancelling(cancel.clone())?,
            cancel,
        })
    }

    /// A client for jobs with the server at `address`.
    pub(super) fn client(&self, address: &str, connections: usize) -> Client {
        Client::new(
            address,
            Options {
                connections,
                cancel: self.cancel.clone(),
                ..Options::default()
            },
        )
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
