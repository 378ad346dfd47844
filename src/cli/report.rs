//! What is told while a command runs, to a person or to a program.
//!
//! A person reads standard error; standard output is for data. A program that asked
//! for `--json` reads everything from standard output, a line for each event, and the
//! last is always `done`, whatever happened.

use std::io::{self, IsTerminal};
use std::time::Instant;

use crate::client::Effect;
use crate::code::Code;
use crate::entry::{Entry, Kind};

use super::failure::{code_of, explain, failure};
use super::json::Line;
use super::output::{self, Output};
use super::quoting::Resume;
use super::settings::{Format, Loudness, Manner};

/// What is told, and a count of it.
pub(super) struct Report {
    pub(super) manner: Manner,
    pub(super) effect: Effect,
    /// Whether names on standard output meet a person's eyes at once; in a pipe they
    /// travel as they are.
    pub(super) escaped: bool,
    output: Output,
    began: Instant,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) failed: u64,
    resume: Option<Resume>,
    has_begun: bool,
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
            has_begun: false,
        }
    }

    /// Has the report name, should the command that begins be broken off, the one that goes on.
    pub(super) fn resume_with(&mut self, resume: impl Into<Option<Resume>>) {
        self.resume = resume.into();
        self.has_begun = false;
    }

    /// Says that the job came as far as to move bytes, which another one need not.
    pub(super) fn has_begun(&mut self) {
        self.has_begun = true;
    }

    /// How to talk.
    pub(super) fn manner(&self) -> Manner {
        self.manner
    }

    /// Says whether what is told of is done, or would be.
    pub(super) fn set_effect(&mut self, effect: Effect) {
        self.effect = effect;
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
        let recorded = entry.checksum;
        let checksum = recorded.map(|recorded| recorded.checksum.to_string());
        let line = Line::event("entry")
            .text("path", entry.path.as_str())
            .text("kind", kind_word(&entry.kind))
            .number("size", size)
            .text("mode", format!("{:04o}", entry.mode.bits()).as_str())
            .text("mtime", entry.mtime.utc().to_string().as_str())
            .text("checksum", checksum.as_deref())
            .text("target", target);
        self.output.line(&line.end());
    }

    /// Tells a program of a root, which has no name and no entry.
    pub(super) fn root(&mut self) {
        let line = Line::event("entry")
            .text("path", ".")
            .text("kind", "directory")
            .number("size", None)
            .text("mode", None)
            .text("mtime", None)
            .text("checksum", None)
            .text("target", None);
        self.output.line(&line.end());
    }

    /// Hands on what was printed so far.
    pub(super) fn flush(&mut self) {
        self.output.flush();
    }

    /// Prints a line of data for a person; a program has had it as an event.
    pub(super) fn data(&mut self, line: &str) {
        if self.manner.format == Format::Human {
            self.output.line(line);
        }
    }

    /// Prints a page of text; a program gets it as one event.
    pub(super) fn page(&mut self, event: &str, text: &str) {
        match self.manner.format {
            Format::Human => self.output.line(text.trim_end()),
            Format::Json => self.print(Line::event(event).text("text", text)),
        }
    }

    /// Tells that one of several things to do cannot be done, and returns its code.
    pub(super) fn refused(&mut self, error: &anyhow::Error) -> Code {
        self.tell_refused(error, None);
        code_of(error)
    }

    /// The same of a command that is one of several, and names the one that goes on.
    pub(super) fn broken_off(&mut self, error: &anyhow::Error) -> Code {
        let resume = self.resume_after(Some(error));
        match &resume {
            Some(resume) if self.manner.hears_notices() => {
                self.tell_refused(&going_on(error, resume), None);
            }
            _ => self.tell_refused(error, resume.as_ref().and_then(Resume::command)),
        }
        code_of(error)
    }

    fn tell_refused(&mut self, error: &anyhow::Error, resume: Option<&str>) {
        self.failed += 1;
        if self.manner.format == Format::Json {
            self.error(error, resume);
        }
        // To both, as an error that ends the program is.
        output::say(&format!("haul: {}", explain(error)));
    }

    /// Says what was done, to whoever wants to know of every step.
    pub(super) fn detail(&self, text: &str) {
        if self.manner.loudness == Loudness::Verbose {
            self.notice(text);
        }
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
        let resume = self.resume_after(result.as_ref().err());
        if self.manner.format == Format::Json {
            if let Err(error) = &result {
                self.error(error, resume.as_ref().and_then(Resume::command));
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
            Some(resume) if self.manner.hears_notices() => going_on(&error, &resume),
            _ => error,
        })?;
        written.map(|()| code)
    }

    /// The command that goes on after this error, where one does.
    fn resume_after(&mut self, error: Option<&anyhow::Error>) -> Option<Resume> {
        let is_broken_off = error.is_some_and(|error| match code_of(error) {
            Code::Interrupted => true,
            Code::Connection => self.has_begun,
            _ => false,
        });
        self.resume.take().filter(|_| is_broken_off)
    }

    fn error(&mut self, error: &anyhow::Error, resume: Option<&str>) {
        let mut line = Line::event("error")
            .number("code", u64::from(code_of(error).number()))
            .text("message", explain(error).as_str());
        if let Some(command) = resume {
            line = line.text("resume", command);
        }
        self.print(line);
    }

    pub(super) fn print(&mut self, line: Line) {
        self.output.line(&line.end());
        // Whoever reads events wants them when they happen.
        self.output.flush();
    }
}

/// An error that names the command which goes on.
fn going_on(error: &anyhow::Error, resume: &Resume) -> anyhow::Error {
    let same = "the same command goes on with what is missing";
    failure(
        code_of(error),
        match resume {
            Resume::With(command) => format!("{error:#}: {same}: {command}"),
            Resume::Unsaid => format!("{error:#}: {same}; its link is not to be shown"),
        },
    )
}

pub(super) fn kind_word(kind: &Kind) -> &'static str {
    match kind {
        Kind::File(_) => "file",
        Kind::Dir => "directory",
        Kind::Link(_) => "link",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::Secrecy;
    use crate::client::{Event, Status};
    use crate::content::Checksum;
    use crate::path::RemotePath;
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
            secrecy: Secrecy::Encrypted,
            retries: 0,
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
        report.resume_with(again());
        end(report, &reader, code)
    }

    fn again() -> Resume {
        Resume::With("haul put 'a b' nas".to_owned())
    }

    fn end(report: Report, reader: &Reader, code: Code) -> (String, String) {
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
        for code in [Code::Connection, Code::Exists] {
            let (said, read) = ended(Format::Json, Loudness::Usual, code);
            assert!(said == "why" && !read.contains("resume"), "{said} {read}");
        }
    }

    #[test]
    fn a_connection_that_is_lost_leaves_something_once_bytes_have_moved() {
        let same = "why: the same command goes on with what is missing: haul put 'a b' nas";
        // In a shell, another command may begin behind it.
        for (begins, expected) in [(1, same), (2, "why")] {
            let (mut report, reader) = report(Format::Human, Loudness::Usual);
            report.resume_with(again());
            report.has_begun();
            (1..begins).for_each(|_| report.resume_with(again()));
            assert_eq!(end(report, &reader, Code::Connection).0, expected);
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
