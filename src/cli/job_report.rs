//! What is told of each thing that a put or a get moves.

use crate::client::{Attempt, Effect, Event, Skip, Status};
use crate::code::Code;
use crate::content::Checksum;
use crate::entry::Kind;
use crate::path::RemotePath;

use super::escape;
use super::json::Line;
use super::quantity;
use super::report::{Report, kind_word};
use super::settings::{Format, Loudness};

impl Report {
    /// Tells of a file. What a person is to read is returned, for a screen that may
    /// have something else on it.
    pub(super) fn event(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Started { .. } => None,
            Event::Finished {
                path,
                size,
                checksum,
                status,
            } => self.finished((path, *size), *checksum, *status),
            Event::Placed { path, kind, status } => self.placed(path, kind, *status),
            Event::Skipped { path, why } => self.skipped(path, *why),
            Event::Lost(attempt) => self.lost(attempt),
            Event::Failed { path, code, text } => {
                if self.effect == Effect::Dry {
                    self.would("refuse", path, "");
                }
                self.failed(path.as_str(), *code, text)
            }
        }
    }

    fn finished(
        &mut self,
        (path, size): (&RemotePath, u64),
        checksum: Option<Checksum>,
        status: Status,
    ) -> Option<String> {
        self.files += 1;
        self.bytes += size;
        if self.manner.format == Format::Json {
            let checksum = checksum.map(|checksum| checksum.to_string());
            let line = Line::event("file")
                .text("path", path.as_str())
                .number("size", size)
                .text("checksum", checksum.as_deref())
                .text("status", word(status))
                .number("code", None);
            self.print(line);
            return None;
        }
        if let Some(what) = word(status).strip_prefix("would-") {
            self.would(what, path, "");
            return None;
        }
        (self.manner.loudness == Loudness::Verbose).then(|| {
            let shown = escape::name(path.as_str());
            let size = quantity::bytes(size);
            let proof = checksum.map_or(String::new(), |checksum| format!(", {checksum}"));
            format!("{} {shown}, {size}{proof}", word(status))
        })
    }

    /// Tells of a link or directory.
    fn placed(&mut self, path: &RemotePath, kind: &Kind, status: Status) -> Option<String> {
        let target = match kind {
            Kind::Link(target) => Some(target.as_str()),
            Kind::File(_) | Kind::Dir => None,
        };
        if self.manner.format == Format::Json {
            let line = Line::event("entry")
                .text("path", path.as_str())
                .text("kind", kind_word(kind))
                .text("target", target)
                .text("status", word(status));
            self.print(line);
            return None;
        }
        let slash = if *kind == Kind::Dir { "/" } else { "" };
        match (word(status).strip_prefix("would-"), kind) {
            // That a directory is there is nothing to be said of it.
            (Some("skip"), Kind::Dir) => None,
            (Some(what), _) => {
                self.would(what, path, slash);
                None
            }
            (None, _) => (self.manner.loudness == Loudness::Verbose)
                .then(|| format!("{} {}{slash}", word(status), escape::name(path.as_str()))),
        }
    }

    /// Tells of something that is left out.
    fn skipped(&mut self, path: &RemotePath, why: Skip) -> Option<String> {
        let why = why.to_string();
        if self.manner.format == Format::Json {
            let line = Line::event("file")
                .text("path", path.as_str())
                .number("size", None)
                .text("checksum", None)
                .text("status", "skipped")
                .number("code", None)
                .text("message", why.as_str());
            self.print(line);
            return None;
        }
        (self.manner.loudness != Loudness::Quiet)
            .then(|| format!("skipped {}: {why}", escape::name(path.as_str())))
    }

    /// Tells that the server is lost, and looked for again.
    pub(super) fn lost(&mut self, attempt: &Attempt) -> Option<String> {
        let Attempt {
            number,
            most,
            pause,
            why,
        } = attempt;
        if self.manner.format == Format::Json {
            let line = Line::event("retry")
                .number("attempt", u64::from(*number))
                .number("retries", u64::from(*most))
                .seconds("pause", *pause)
                .text("message", why.as_str());
            self.print(line);
            return None;
        }
        let pause = quantity::time(*pause);
        (self.manner.loudness != Loudness::Quiet).then(|| {
            let why = escape::message(why);
            format!("{why}: trying again in {pause}, {number} of {most}")
        })
    }

    /// Prints what would be done.
    fn would(&mut self, what: &str, path: &RemotePath, slash: &str) {
        let name = if self.escaped {
            escape::name(path.as_str())
        } else {
            path.as_str().into()
        };
        let line = format!("would {what} {name}{slash}");
        self.data(&line);
    }

    /// Tells of a file that failed, under a name that need not be a path.
    pub(super) fn failed(&mut self, name: &str, code: Code, text: &str) -> Option<String> {
        self.failed += 1;
        if self.manner.format == Format::Json {
            let line = Line::event("file")
                .text("path", name)
                .number("size", None)
                .text("checksum", None)
                .text(
                    "status",
                    match self.effect {
                        Effect::Real => "failed",
                        Effect::Dry => "would-refuse",
                    },
                )
                .number("code", u64::from(code.number()))
                .text("message", text);
            self.print(line);
            return None;
        }
        let text = escape::message(text);
        // Most reasons name the file themselves: one on a server in quotes, one here plainly.
        let names = [format!("{name:?}"), format!(" {name}: ")];
        Some(if names.iter().any(|name| text.contains(name)) {
            format!("haul: {text}")
        } else {
            format!("haul: {}: {text}", escape::name(name))
        })
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Stored => "stored",
        Status::Fetched => "fetched",
        Status::Unchanged => "unchanged",
        Status::Kept => "kept",
        Status::WouldStore => "would-store",
        Status::WouldReplace => "would-replace",
        Status::WouldSkip => "would-skip",
    }
}
