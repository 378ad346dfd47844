//! Short questions to servers, one after the other.
//!
//! A failure of one is told and is no obstacle to the next; all failures together are the
//! exit code. Only a person who asks to stop ends them all.

use crate::client::{Cancel, Client, Options};
use crate::code::Code;

use super::address::Address;
use super::failure::code_of;
use super::report::Report;
use super::signals::{self, Watch};

/// What can be asked of servers until a person asks to stop.
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

    /// A client for one short question after the other.
    pub(super) fn client(&self, address: &Address) -> Client {
        let options = Options {
            connections: 1,
            cancel: self.cancel.clone(),
            ..Options::default()
        };
        Client::new(&address.to_string(), options)
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
