//! `haul verify REMOTE... [--repair-from DIR]`
//!
//! Whether what is stored is still what was stored, file by file: what has decayed, and which
//! blocks; what was edited in place, which is no decay and is left alone. With a directory that
//! has good copies under the same names, those take the place of what has decayed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::client::{Client, DecayedBlocks, Error, Soundness};
use crate::code::Code;
use crate::content::Checksum;
use crate::entry::Entry;
use crate::path::RemotePath;

use super::errand::{Errands, Unanswered, each};
use super::escape;
use super::failure::{code_of, explain, failure};
use super::output;
use super::quantity;
use super::report::Report;
use super::settings::{Format, Loudness};
use super::sum::{relative, tell_rest};
use super::tree_settings::Verify;
use super::verified::{Tally, in_words, program_hears, program_hears_failure, repaired_in_words};
use super::watched_job;

/// A file that has decayed and is to be repaired.
struct Decay {
    entry: Entry,
    recorded: Checksum,
    blocks: Option<DecayedBlocks>,
    /// Where a good copy of it would be.
    good: PathBuf,
}

/// What is being verified, and as what its files are named.
struct Asked<'a> {
    path: Option<&'a RemotePath>,
    repair_from: Option<&'a Path>,
    is_named: bool,
}

pub(super) fn run(
    verify: &Verify,
    errands: &Errands,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    if let Some(from) = &verify.repair_from {
        // Whoever means to repair is to know it before all is read.
        fs::metadata(from).map_err(|error| unreadable(from, &error))?;
    }
    each(&verify.targets, report, |target, report| {
        let began = Instant::now();
        let asked = Asked {
            path: target.path.as_ref(),
            repair_from: verify.repair_from.as_deref(),
            is_named: report.manner().loudness == Loudness::Verbose,
        };
        let client = errands.client(&target.peer, 1)?;
        let mut tally = Tally::default();
        let mut decays = Vec::new();
        let mut is_begun = false;
        let ask = |report: &mut Report| {
            let rest = client.verify(asked.path, |entry, found| {
                is_begun = true;
                tally.files += 1;
                tally.bytes += entry.size();
                decays.extend(asked.tell(report, &mut tally, (entry, found)));
            });
            // Asked again in the middle, the server would read once more what is told.
            let unanswered = if is_begun {
                Unanswered::told
            } else {
                Unanswered::harmless
            };
            rest.map_err(unanswered)
        };
        let rest = match errands.ask(&client, report, ask) {
            Err(error) if !is_begun => return Err(error),
            rest => rest,
        };
        tally.codes.extend(tell_rest(rest, report)?);
        let mut hopeless = None;
        for decay in decays {
            if hopeless.is_some() {
                decay.leave(report, &mut tally, "decayed");
            } else if let Err(error) = asked.repair(&client, report, &mut tally, &decay) {
                // No other file has more luck, and what is left is known.
                hopeless = Some(error);
            }
        }
        match hopeless {
            Some(error) if code_of(&error) == Code::Interrupted => return Err(error),
            Some(error) => tally.codes.push(report.refused(&error)),
            None => {}
        }
        // What was found is to be read before what that comes to.
        report.flush();
        let elapsed = quantity::time(began.elapsed());
        report.notice(&tally.sentence(&elapsed, asked.repair_from.is_some()));
        Ok(Code::of_all(tally.codes))
    })
}

fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    let shown = escape::path(path);
    failure(Code::File, format!("{shown} cannot be used: {error}"))
}

impl Decay {
    fn leave(&self, report: &mut Report, tally: &mut Tally, why: &str) {
        let what = (&self.entry, self.recorded);
        tally.leave(report, what, why, self.blocks.as_ref());
    }
}

impl Asked<'_> {
    /// Tells of one file, and returns what is to be repaired.
    fn tell(
        &self,
        report: &mut Report,
        tally: &mut Tally,
        (entry, found): (Entry, Result<Soundness, Error>),
    ) -> Option<Decay> {
        let decay = match found {
            Ok(Soundness::Sound(checksum)) => {
                tally.sound += 1;
                program_hears(report, &entry, "unchanged", Some(checksum));
                if self.is_named {
                    self.line(report, "sound", &entry, "");
                }
                None
            }
            Ok(Soundness::Unrecorded) => {
                tally.unrecorded += 1;
                program_hears(report, &entry, "skipped", None);
                if self.is_named {
                    self.line(report, "unrecorded", &entry, "");
                }
                None
            }
            Ok(Soundness::Edited(recorded)) => {
                tally.edited += 1;
                tally.codes.push(Code::Exists);
                let why = "edited since it was stored; put it with -c --overwrite";
                program_hears_failure(report, &entry, (recorded, Code::Exists), why, None);
                self.line(report, "edited", &entry, "");
                None
            }
            Ok(Soundness::Decayed { recorded, blocks }) => {
                let what = blocks.as_ref().map(in_words).unwrap_or_default();
                self.line(report, "decayed", &entry, &what);
                if let Some(from) = self.repair_from {
                    Some(Decay {
                        good: self.copy_of(&entry, from),
                        entry,
                        recorded,
                        blocks,
                    })
                } else {
                    tally.leave(report, (&entry, recorded), "decayed", blocks.as_ref());
                    None
                }
            }
            Err(error) => {
                tally.failed += 1;
                tally.codes.push(error.code());
                fail(report, &entry, &error);
                None
            }
        };
        // A large file takes its time, and whoever waits is to see what there is.
        report.flush();
        decay
    }

    /// Puts a good copy in place of what has decayed, if there is one.
    fn repair(
        &self,
        client: &Client,
        report: &mut Report,
        tally: &mut Tally,
        decay: &Decay,
    ) -> anyhow::Result<()> {
        let repaired = watched_job::run(
            report,
            |_| (),
            |monitor| client.repair(&decay.entry, decay.recorded, &decay.good, monitor),
        );
        let outcome = match repaired {
            Ok(outcome) => outcome,
            Err(error) => {
                let why = explain(&error);
                decay.leave(report, tally, &why);
                if !is_of_the_copy(&error) {
                    return Err(error);
                }
                if report.manner().format == Format::Human {
                    let name = escape::name(decay.entry.path.as_str());
                    output::say(&format!("haul: {name} is not repaired: {why}"));
                }
                return Ok(());
            }
        };
        if let Some(code) = outcome.summary.code() {
            tally.decayed += 1;
            tally.codes.push(code);
            return Ok(());
        }
        tally.repaired += 1;
        let what = repaired_in_words(decay.blocks.as_ref(), outcome.sent);
        self.line(report, "repaired", &decay.entry, &what);
        Ok(())
    }

    /// Where the good copy of a file would be.
    fn copy_of(&self, entry: &Entry, from: &Path) -> PathBuf {
        if self.path == Some(&entry.path) && !from.is_dir() {
            return from.to_owned();
        }
        from.join(relative(&entry.path, self.path))
    }

    fn line(&self, report: &mut Report, what: &str, entry: &Entry, more: &str) {
        let name = relative(&entry.path, self.path);
        let name = if report.escaped {
            escape::name(name)
        } else {
            name.into()
        };
        let gap = if more.is_empty() { "" } else { "  " };
        report.data(&format!("{what}  {name}{gap}{more}"));
    }
}

/// Whether an error says of a copy that it is none.
fn is_of_the_copy(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<Error>();
    error.is_some_and(|error| matches!(error, Error::NotGood(_) | Error::Store(_)))
}

fn fail(report: &mut Report, entry: &Entry, error: &Error) {
    let text = error.to_string();
    if let Some(line) = report.failed(entry.path.as_str(), error.code(), &text) {
        output::say(&line);
    }
}
