//! `haul shell REMOTE`: commands over one connection, until whoever types them leaves.
//!
//! A command here is the command of the command line, given a client whose connection is
//! kept and a place to see paths from. At a terminal an error is told, and the next line is
//! waited for; a script ends with its first error, and with its exit code.

mod completion;
mod history;
mod lines;
mod local;
mod names;
mod spoken;
mod standing;
mod terminal;
mod unfinished;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::Args;
use crossbeam_channel::select;

use crate::client::{Cancel, Error};
use crate::code::Code;

use super::bearings::BearingsArgs;
use super::failure::failure;
use super::remote::Remote;
use super::report::Report;
use super::signals::{Heard, Interrupts};
use super::vantage::Vantage;

use lines::{Lines, Pipe, Told};
use names::Names;
use standing::{Shell, Then};
use terminal::{Manners, Terminal};

#[derive(Debug, Args)]
pub(super) struct ShellArgs {
    /// The server, and the directory there to begin in
    #[arg(value_name = "REMOTE")]
    remote: OsString,
    #[command(flatten)]
    pub(super) bearings: BearingsArgs,
    /// Where lines come from no terminal: go on after an error
    #[arg(short = 'k')]
    keep_going: bool,
}

/// A shell to run.
#[derive(Debug)]
pub(super) struct Settings {
    remote: Remote,
    on_error: OnError,
}

/// What an error in a script means for the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnError {
    Stop,
    GoOn,
}

/// Who types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typist {
    Person,
    Script,
}

pub(super) fn settings(args: &ShellArgs, from: &Vantage) -> anyhow::Result<Settings> {
    Ok(Settings {
        remote: from.place(&args.remote)?,
        on_error: if args.keep_going {
            OnError::GoOn
        } else {
            OnError::Stop
        },
    })
}

pub(super) fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let typist = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        Typist::Person
    } else {
        Typist::Script
    };
    let interrupts = Interrupts::listen()?;
    let cancel = interrupts.begin();
    let mut shell = Shell::new(&settings.remote.peer, report.manner(), &cancel)?;
    shell.enter(&settings.remote, &cancel, report)?;
    interrupts.rest();
    let names = Names::new(shell.client.for_jobs(1, Cancel::default()), shell.vantage());
    let lines = match typist {
        Typist::Script => Lines::from(|| Ok(Pipe(io::stdin().lock())))?,
        Typist::Person => {
            let names = Arc::clone(&names);
            Lines::from(move || Terminal::new(names))?
        }
    };
    let _manners = (typist == Typist::Person).then(Manners::found);
    let (mut codes, mut number) = (Vec::new(), 0_u64);
    while let Some(line) = next(&lines, &shell, typist, &interrupts)? {
        number += 1;
        let cancel = interrupts.begin();
        let result = shell.obey(&line, &cancel, report);
        interrupts.rest();
        report.flush();
        names.stand(shell.vantage());
        let code = match result {
            Ok(Then::Leave) => break,
            Ok(Then::GoOn(code)) => code,
            Err(error) => Some(report.refused(&error)),
        };
        match (typist, code) {
            (Typist::Person, _) | (Typist::Script, None) => {}
            (Typist::Script, Some(Code::Interrupted)) => return Ok(code),
            (Typist::Script, Some(code)) => codes.push(code),
        }
        // A script that was to end goes no further, however its command came to an end.
        let ends = |heard| heard == Heard::Leave || typist == Typist::Script;
        if interrupts.heard().try_iter().any(ends) {
            return Err(Error::Interrupted.into());
        }
        if settings.on_error == OnError::Stop && !codes.is_empty() {
            report.notice(&format!(
                "stopped at line {number}: -k goes on after an error"
            ));
            break;
        }
    }
    Ok(Code::of_all(codes))
}

/// Waits for the next line; `None` where no more will come.
fn next(
    lines: &Lines,
    shell: &Shell,
    typist: Typist,
    interrupts: &Interrupts,
) -> anyhow::Result<Option<Vec<u8>>> {
    let mut told = lines.next(shell.prompt());
    loop {
        select! {
            recv(told) -> came => match came {
                Ok(Told::Line(line)) => return Ok(Some(line)),
                Ok(Told::Cleared) => told = lines.next(shell.prompt()),
                Ok(Told::End) | Err(_) => return Ok(None),
                Ok(Told::Failed(error)) => {
                    let text = format!("cannot read standard input: {error}");
                    return Err(failure(Code::File, text));
                }
            },
            recv(interrupts.heard()) -> heard => match (heard, typist) {
                // A terminal says Ctrl-C where it is typed: this one came from elsewhere.
                (Ok(Heard::Interrupt), Typist::Person) => {}
                _ => return Err(Error::Interrupted.into()),
            },
        }
    }
}
