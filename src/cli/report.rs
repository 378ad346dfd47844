//! What is told while a command runs, to a person or to a program.
//!
//! A person reads standard error; standard output is for data. A program that asked
//! for `--json` reads everything from standard output, a line for each event, and the
//! last is always `done`, whatever happened.

use std::io::{self, IsTerminal};
use std::time::Instant;

use crate::client::{Effect, Event, Skip, Status};
use crate::code::Code;
use crate::content::Checksum;
use crate::entry::{Entry, Kind};
use crate::path::RemotePath;

use super::escape;
use super::failure::{code_of, explain, failure};
use super::json::Line;
use super::output::{self, Output};
use super::quantity;
use super::settings::{Format, Loudness, Manner};
use super::utc;

/// What is told, and a count of it.
pub(super) struct Report {
    manner: Manner,
    effect: Effect,
    /// Whether names on standard output meet a person's eyes at once; in a pipe they
    /// travel as they are.
    escaped: bool,
    output: Output,
    began: Instant,
    files: u64,
    bytes: u64,
    failed: u64,
    /// The command that goes on where this one is broken off.
    resume: Option<String>,
}

impl Report {
    /// A report that begins now.
    pub(super) fn new(manner: Manner) -> Self {
        Self::to(Output::stdout(), manner)
    }

    fn to(output: Output, manner: Manner) -> Self {
        Self {
            manner,
            effect: Effect::Real,
            escaped: io::stdout().is_terminal(),
            output,
            began: Instant::now(),
            files: 0,
            bytes: 0,
            failed: 0,
            resume: None,
        }
    }

    /// Has the report name, should the command be interrupted, the one that goes on: its
    /// own line, so nothing secret.
    pub(super) fn resume_with(&mut self, command: String) {
        self.resume = Some(command);
    }

    /// How to talk.
    pub(super) fn manner(&self) -> Manner {
        self.manner
    }

    /// Says whether what is told of is done, or would be.
    pub(super) fn set_effect(&mut self, effect: Effect) {
        self.effect = effect;
    }

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
        let checksum = checksum.map(|checksum| checksum.to_string());
        if self.manner.format == Format::Json {
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
        let shown = escape::name(path.as_str());
        let size = quantity::bytes(size);
        let proof = checksum.map_or(String::new(), |checksum| format!(", {checksum}"));
        (self.manner.loudness == Loudness::Verbose)
            .then(|| format!("{} {shown}, {size}{proof}", word(status)))
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
        // Most reasons name the file themselves, in quotes.
        Some(if text.contains(&format!("{name:?}")) {
            format!("haul: {text}")
        } else {
            format!("haul: {}: {text}", escape::name(name))
        })
    }

    /// Tells a program of something that is listed.
    pub(super) fn entry(&mut self, entry: &Entry) {
        let (size, target) = match &entry.kind {
            Kind::File(geometry) => (Some(geometry.size()), None),
            Kind::Dir => (None, None),
            Kind::Link(target) => (None, Some(target.as_str())),
        };
        self.files += u64::from(size.is_some());
        self.bytes += size.unwrap_or(0);
        let checksum = entry.checksum.map(|checksum| checksum.to_string());
        let line = Line::event("entry")
            .text("path", entry.path.as_str())
            .text("kind", kind_word(&entry.kind))
            .number("size", size)
            .text("mode", format!("{:04o}", entry.mode.bits()).as_str())
            .text("mtime", utc::stamp(entry.mtime).as_str())
            .text("checksum", checksum.as_deref())
            .text("target", target);
        self.output.line(&line.end());
    }

    /// Prints a line of data for a person; a program has had it as an event.
    pub(super) fn data(&mut self, line: &str) {
        if self.manner.format == Format::Human {
            self.output.line(line);
        }
    }

    /// Hands on the data so far, so that what is said now stands behind it on a screen.
    pub(super) fn flush(&mut self) {
        self.output.flush();
    }

    /// Says something that is worth knowing, and no error.
    pub(super) fn notice(&self, text: &str) {
        if self.manner.hears_notices() {
            output::say(text);
        }
    }

    /// Ends the report: tells a program what the command came to, and makes sure that
    /// all data has gone out.
    ///
    /// # Errors
    ///
    /// The command's own, or else that standard output could not be written.
    pub(super) fn close(
        mut self,
        result: anyhow::Result<Option<Code>>,
    ) -> anyhow::Result<Option<Code>> {
        let is_interrupted = |error| code_of(error) == Code::Interrupted;
        let resume = self.resume.take();
        let resume = resume.filter(|_| result.as_ref().is_err_and(is_interrupted));
        if self.manner.format == Format::Json {
            if let Err(error) = &result {
                let mut line = Line::event("error")
                    .number("code", u64::from(code_of(error).number()))
                    .text("message", explain(error).as_str());
                if let Some(command) = &resume {
                    line = line.text("resume", command.as_str());
                }
                self.print(line);
            }
            let done = Line::event("done")
                .number("files", self.files)
                .number("bytes", self.bytes)
                .number("failed", self.failed)
                .seconds("seconds", self.began.elapsed());
            self.print(done);
        }
        let written = self.output.finish();
        let code = result.map_err(|error| match resume {
            Some(command) if self.manner.hears_notices() => failure(
                Code::Interrupted,
                format!("{error:#}: the same command goes on with what is missing: {command}"),
            ),
            _ => error,
        })?;
        written.map(|()| code)
    }

    fn print(&mut self, line: Line) {
        self.output.line(&line.end());
        // Whoever reads events wants them when they happen.
        self.output.flush();
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

fn kind_word(kind: &Kind) -> &'static str {
    match kind {
        Kind::File(_) => "file",
        Kind::Dir => "directory",
        Kind::Link(_) => "link",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::io::Write;
    use std::rc::Rc;

    /// What a program that reads standard output gets.
    #[derive(Clone, Default)]
    struct Reader(Rc<RefCell<Vec<u8>>>);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn report(format: Format, loudness: Loudness) -> (Report, Reader) {
        let reader = Reader::default();
        let manner = Manner {
            loudness,
            format,
            color: false,
        };
        let output = Output::to(Box::new(reader.clone()));
        (Report::to(output, manner), reader)
    }

    fn stored() -> Event {
        Event::Finished {
            path: RemotePath::parse("a\n").unwrap(),
            size: 7,
            checksum: Some(Checksum::Blake3([0x11; 32])),
            status: Status::Stored,
        }
    }

    #[test]
    fn a_program_reads_every_event_and_done_is_the_last() {
        let (mut report, reader) = report(Format::Json, Loudness::Usual);
        assert_eq!(report.event(&stored()), None);
        assert_eq!(report.failed("b", Code::File, "gone"), None);
        let result = report.close(Err(failure(Code::Connection, "lost")));
        assert!(result.is_err());
        let text = String::from_utf8(reader.0.take()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let hex = "11".repeat(32);
        let first = format!(
            r#"{{"v":1,"event":"file","path":"a\u000a","size":7,"checksum":"blake3:{hex}","status":"stored","code":null}}"#
        );
        assert_eq!(lines[0], first);
        assert_eq!(
            lines[1],
            r#"{"v":1,"event":"file","path":"b","size":null,"checksum":null,"status":"failed","code":10,"message":"gone"}"#
        );
        assert_eq!(
            lines[2],
            r#"{"v":1,"event":"error","code":3,"message":"lost"}"#
        );
        let done = r#"{"v":1,"event":"done","files":1,"bytes":7,"failed":1,"seconds":"#;
        assert!(lines[3].starts_with(done), "{}", lines[3]);
        assert_eq!(lines.len(), 4);
    }

    /// What is left to be said of a command that ended so, and what a program has read.
    fn ended(format: Format, loudness: Loudness, code: Code) -> (String, String) {
        let (mut report, reader) = report(format, loudness);
        report.resume_with("haul put 'a b' nas".to_owned());
        let error = report.close(Err(failure(code, "why"))).unwrap_err();
        let read = String::from_utf8(reader.0.take()).unwrap();
        (explain(&error), read)
    }

    #[test]
    fn what_is_interrupted_names_the_command_that_goes_on() {
        let (said, _) = ended(Format::Human, Loudness::Usual, Code::Interrupted);
        let end = "the same command goes on with what is missing: haul put 'a b' nas";
        assert_eq!(said, format!("why: {end}"));
        let (said, _) = ended(Format::Human, Loudness::Quiet, Code::Interrupted);
        assert_eq!(said, "why");
        let (said, read) = ended(Format::Json, Loudness::Usual, Code::Interrupted);
        assert_eq!(said, "why");
        let error = r#""event":"error","code":130,"message":"why","resume":"haul put 'a b' nas"}"#;
        assert!(read.contains(error), "{read}");
        for format in [Format::Human, Format::Json] {
            let (said, read) = ended(format, Loudness::Usual, Code::Connection);
            assert!(said == "why" && !read.contains("resume"), "{said} {read}");
        }
    }

    #[track_caller]
    fn fails(name: &str, text: &str, said: &str) {
        let (mut report, reader) = report(Format::Human, Loudness::Quiet);
        let line = report.failed(name, Code::File, text);
        assert_eq!(line.as_deref(), Some(said));
        assert!(report.close(Ok(None)).is_ok());
        assert!(reader.0.take().is_empty());
    }

    #[test]
    fn a_failure_is_named_once_even_when_quiet() {
        fails("a", "no space", "haul: a: no space");
        fails("a", "\"a\" is not there", "haul: \"a\" is not there");
        fails("a\n", "no\x1b", "haul: \"a\\n\": no\\u{1b}");
    }

    #[test]
    fn a_person_hears_of_each_file_only_on_request() {
        let (mut usual, _) = report(Format::Human, Loudness::Usual);
        assert_eq!(usual.event(&stored()), None);
        let (mut verbose, _) = report(Format::Human, Loudness::Verbose);
        let line = verbose.event(&stored()).unwrap();
        assert!(
            line.starts_with(r#"stored "a\n", 7 B, blake3:11"#),
            "{line}"
        );
    }
}
