//! Where a shell stands, and what it does with a line there.

use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::client::{Cancel, Client, Connected, Effect, Idle, Options, Retry};
use crate::code::Code;
use crate::entry::Kind;
use crate::path::RemotePath;

use crate::cli::errand::Errands;
use crate::cli::escape;
use crate::cli::failure::{failure, usage};
use crate::cli::peer::Peer;
use crate::cli::quoting::Resume;
use crate::cli::remote::Remote;
use crate::cli::report::Report;
use crate::cli::run_errand;
use crate::cli::servers;
use crate::cli::settings::{self, Format, Manner};
use crate::cli::vantage::Vantage;

use super::local;
use super::spoken::{self, Line, Read, Spoken};

/// How long a connection may have rested to be used without being asked whether it stands:
/// shorter than any network forgets one, and longer than a script pauses.
const TRUST: Duration = Duration::from_secs(5);

/// What comes after a line.
pub(super) enum Then {
    /// The next one.
    GoOn(Option<Code>),
    /// Nothing.
    Leave,
}

/// A connection, and a place on its server.
pub(super) struct Shell {
    pub(super) client: Client,
    peer: Peer,
    here: Option<RemotePath>,
    manner: Manner,
}

impl Shell {
    /// Begins with a server, without connecting.
    ///
    /// # Errors
    ///
    /// Where nobody knows whose server that is to be.
    pub(super) fn new(peer: &Peer, manner: Manner, cancel: &Cancel) -> anyhow::Result<Self> {
        let options = Options {
            cancel: cancel.clone(),
            idle: Idle::Keep { trust: TRUST },
            ..Options::default()
        };
        Ok(Self {
            client: servers::client(peer, manner.secrecy, options)?,
            peer: peer.clone(),
            here: None,
            manner,
        })
    }

    pub(super) fn vantage(&self) -> Vantage {
        Vantage::Within(self.peer.clone(), self.here.clone())
    }

    /// The directory there, as a path from the root.
    fn place(&self) -> String {
        format!("/{}", self.here.as_ref().map_or("", |here| here.as_str()))
    }

    pub(super) fn prompt(&self) -> String {
        format!(
            "{}{}> ",
            self.peer.address.short(),
            escape::name(&self.place())
        )
    }

    /// Does what a line says.
    pub(super) fn obey(
        &mut self,
        line: &[u8],
        cancel: &Cancel,
        report: &mut Report,
    ) -> anyhow::Result<Then> {
        let words = spoken::words(line)?;
        match spoken::read(&words)? {
            Read::Nothing => Ok(Then::GoOn(None)),
            Read::Help(text) => {
                report.page("help", &text);
                Ok(Then::GoOn(None))
            }
            Read::Command(line, matches) => {
                report.manner = self.manner_of(&line, &matches)?;
                report.set_effect(Effect::Real);
                let goes_on = matches!(&line.command, Spoken::Errand(errand) if errand.goes_on());
                report.resume_with(goes_on.then(|| Resume::of(&words)));
                let result = self.carry_out(line.command, &matches, cancel, report);
                let result = result.or_else(|error| {
                    let code = report.broken_off(&error);
                    Ok(Then::GoOn(Some(code)))
                });
                report.manner = self.manner;
                result
            }
        }
    }

    /// How to talk of one command: as of all, but for what is typed with it.
    fn manner_of(&self, line: &Line, matches: &ArgMatches) -> anyhow::Result<Manner> {
        let own = settings::manner(line.everywhere, matches)?;
        let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
        let is_typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let is_loudness_typed = is_typed("quiet") || is_typed("verbose");
        Ok(Manner {
            loudness: if is_loudness_typed {
                own.loudness
            } else {
                self.manner.loudness
            },
            format: match self.manner.format {
                Format::Json => Format::Json,
                Format::Human => own.format,
            },
            color: if is_typed("color") {
                own.color
            } else {
                self.manner.color
            },
            secrecy: self.manner.secrecy,
            retries: if is_typed("retries") {
                own.retries
            } else {
                self.manner.retries
            },
        })
    }

    fn carry_out(
        &mut self,
        command: Spoken,
        matches: &ArgMatches,
        cancel: &Cancel,
        report: &mut Report,
    ) -> anyhow::Result<Then> {
        let code = match command {
            Spoken::Errand(errand) => {
                if errand.bearings().is_said() {
                    let peer = &self.peer;
                    return Err(usage(format!("all commands here are for {peer}")));
                }
                self.reach(cancel, report)?;
                let ways = (self.manner.secrecy, Retry::times(report.manner().retries));
                let errands = Errands::with(&self.client, ways, cancel.clone());
                run_errand(errand, matches, &self.vantage(), &errands, report)?
            }
            Spoken::Cd(args) => {
                let place = self.vantage().place(&args.remote)?;
                self.enter(&place, cancel, report)?;
                None
            }
            Spoken::Pwd => {
                report.page("pwd", &shown(&self.place(), report));
                None
            }
            Spoken::Lls(args) => local::lls(&args, cancel, report)?,
            Spoken::Lcd(args) => {
                local::lcd(&args.dir)?;
                None
            }
            Spoken::Lpwd => {
                let here = local::lpwd()?;
                report.page("lpwd", &shown(&here.to_string_lossy(), report));
                None
            }
            Spoken::Help(args) => {
                let text = match args.command {
                    None => spoken::list(),
                    Some(name) => spoken::usage_of(&name)?,
                };
                report.page("help", &text);
                None
            }
            Spoken::Exit => return Ok(Then::Leave),
        };
        Ok(Then::GoOn(code))
    }

    /// Goes to a directory, if it is one.
    pub(super) fn enter(
        &mut self,
        place: &Remote,
        cancel: &Cancel,
        report: &Report,
    ) -> anyhow::Result<()> {
        self.reach(cancel, report)?;
        if let Some(path) = &place.path {
            let client = self.client.for_jobs(1, cancel.clone());
            let entry = client.stat(Some(path))?;
            if entry.is_none_or(|entry| entry.kind != Kind::Dir) {
                return Err(failure(Code::File, format!("{path:?} is no directory")));
            }
        }
        self.here.clone_from(&place.path);
        Ok(())
    }

    /// Makes sure of the connection, and says so where the one before was lost.
    fn reach(&self, cancel: &Cancel, report: &Report) -> anyhow::Result<()> {
        let connected = self.client.for_jobs(1, cancel.clone()).connect()?;
        if connected == Connected::Again {
            let address = &self.peer;
            report.notice(&format!(
                "the connection to {address} was lost, and is open again"
            ));
        }
        Ok(())
    }
}

/// A path as data: to a screen escaped, to a pipe as it is.
fn shown(path: &str, report: &Report) -> String {
    if report.escaped && report.manner().format == Format::Human {
        escape::name(path).into_owned()
    } else {
        path.to_owned()
    }
}
