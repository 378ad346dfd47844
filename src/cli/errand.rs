//! What is done with servers, and can be broken off.
//!
//! Of several short questions a failure of one is told and is no obstacle to the next; all
//! failures together are the exit code. Only a person who asks to stop ends them all.

use std::num::NonZero;
use std::thread;

use crate::client::{Cancel, Client, Error, Options, Retry};
use crate::code::Code;

use super::failure::code_of;
use super::output;
use super::peer::Peer;
use super::report::Report;
use super::servers::{self, is_here};
use super::settings::{Connections, Secrecy};
use super::signals::Interrupts;

/// Connections of a job on this machine.
const NEAR: usize = 4;

/// Connections of a job to another machine: over a long link each brings a window of its own.
const AWAY: usize = 16;

/// What one command has with servers, until a person asks to stop.
#[derive(Debug)]
pub(super) struct Errands<'s> {
    cancel: Cancel,
    secrecy: Secrecy,
    retry: Retry,
    /// The server that all of them go to, where its connection is kept.
    server: Option<&'s Client>,
    _interrupts: Option<Interrupts>,
}

impl<'s> Errands<'s> {
    /// Those of a program that does nothing else, and ends with them.
    pub(super) fn begin(secrecy: Secrecy, retry: Retry) -> anyhow::Result<Self> {
        let interrupts = Interrupts::listen()?;
        Ok(Self {
            cancel: interrupts.begin(),
            secrecy,
            retry,
            server: None,
            _interrupts: Some(interrupts),
        })
    }

    /// Those of one command of several: with a server whose connection outlives it, until
    /// `cancel` ends them.
    pub(super) fn with(
        server: &'s Client,
        (secrecy, retry): (Secrecy, Retry),
        cancel: Cancel,
    ) -> Self {
        Self {
            cancel,
            secrecy,
            retry,
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
            retry: self.retry,
            ..Options::default()
        };
        match self.server {
            Some(server) => {
                let client = server.for_jobs(connections, options.cancel);
                Ok(client.retrying(self.retry))
            }
            None => servers::client(peer, self.secrecy, options),
        }
    }

    /// A client for a job that moves something.
    ///
    /// # Errors
    ///
    /// As [`client`](Self::client).
    pub(super) fn client_for(&self, peer: &Peer, reach: &Connections) -> anyhow::Result<Client> {
        let is_here = is_here(&peer.to_string());
        let usual = if is_here { NEAR } else { AWAY };
        let client = self.client(peer, reach.most.unwrap_or(usual))?;
        let client = match reach.most {
            None if is_here => client.with_for_large(self.for_large_here()),
            None | Some(_) => client,
        };
        Ok(client.sending_by(reach.congestion.clone()))
    }

    /// How many connections a large file gets on this machine, where each keeps two threads busy
    /// and several wait for the file's lock. With encryption they have more to do between.
    fn for_large_here(&self) -> usize {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        match self.secrecy {
            Secrecy::Plain => processors / 2,
            Secrecy::Encrypted => processors,
        }
    }

    /// Asks a question, and once more where another try may have an answer.
    pub(super) fn ask<T>(
        &self,
        client: &Client,
        report: &mut Report,
        mut question: impl FnMut(&mut Report) -> Result<T, Unanswered>,
    ) -> anyhow::Result<T> {
        let mut number = 0;
        loop {
            let Unanswered { error, again } = match question(report) {
                Ok(answer) => return Ok(answer),
                Err(unanswered) => unanswered,
            };
            number += 1;
            let is_untaken = matches!(error, Error::Refused { .. });
            let may = client.is_worth_another_try(&error)
                && match again {
                    Again::WheneverLost => true,
                    Again::IfNotTaken => is_untaken,
                    Again::Never => false,
                };
            let attempt = self.retry.attempt(number, &error).filter(|_| may);
            let Some(attempt) = attempt else {
                return Err(error.into());
            };
            if let Some(line) = report.lost(&attempt) {
                output::say(&line);
            }
            if self.cancel.wait(attempt.pause) {
                return Err(Error::Interrupted.into());
            }
        }
    }

    /// What ends them.
    pub(super) fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}

/// A question without an answer, and when it may be asked again.
#[derive(Debug)]
pub(super) struct Unanswered {
    error: Error,
    again: Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    WheneverLost,
    IfNotTaken,
    Never,
}

impl Unanswered {
    /// Its answer may just be lost: to be asked twice changes nothing.
    pub(super) fn harmless(error: Error) -> Self {
        let again = Again::WheneverLost;
        Self { error, again }
    }

    /// It may be done, and to do it twice would fail, or be wrong: it is asked again only
    /// where the server said that it would not hear it.
    pub(super) fn once(error: Error) -> Self {
        let again = Again::IfNotTaken;
        Self { error, again }
    }

    /// A part of the answer was heard, and told: it would be told twice.
    pub(super) fn told(error: Error) -> Self {
        let again = Again::Never;
        Self { error, again }
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
