//! Where a shell's lines come from.
//!
//! Whoever waits for a line must hear of a signal too, and what reads a line cannot be
//! woken. So it reads on a thread of its own, one line at a time and only when it is
//! asked: what is typed while a command runs is that command's affair, or the system's.

use std::io::{self, BufRead, Read};
use std::thread;

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, bounded};

/// Bytes in the longest line that is read.
const LINE_MAX: u64 = 1 << 20;

/// What came of waiting for a line.
#[derive(Debug)]
pub(super) enum Told {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line that was begun and is not wanted.
    Cleared,
    /// No more will come.
    End,
    /// It cannot be read.
    Failed(io::Error),
}

/// What reads lines.
pub(super) trait Reader {
    /// Reads the next line, for which this is the prompt.
    fn read(&mut self, prompt: &str) -> Told;
}

/// Lines that are read on another thread.
#[derive(Debug)]
pub(super) struct Lines {
    ask: Sender<String>,
    told: Receiver<Told>,
}

impl Lines {
    /// Begins to read with what `open` makes, on the thread that it will read on.
    pub(super) fn from<R: Reader>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (ask, asked) = bounded::<String>(1);
        let (tell, told) = bounded(1);
        let read = move || {
            let mut reader = match open() {
                Ok(reader) => reader,
                Err(error) => return drop(tell.send(Told::Failed(error))),
            };
            for prompt in asked {
                if tell.send(reader.read(&prompt)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(read)
            .context("no thread can be had")?;
        Ok(Self { ask, told })
    }

    /// Asks for the next line; where it comes is what is returned.
    pub(super) fn next(&self, prompt: String) -> &Receiver<Told> {
        // Where the reader has ended, waiting will tell.
        let _ = self.ask.send(prompt);
        &self.told
    }
}

/// Standard input that is no terminal.
pub(super) struct Pipe<R>(pub(super) R);

impl<R: BufRead> Reader for Pipe<R> {
    fn read(&mut self, _: &str) -> Told {
        let mut line = Vec::new();
        let result = (&mut self.0)
            .take(LINE_MAX + 1)
            .read_until(b'\n', &mut line);
        match result {
            Err(error) => return Told::Failed(error),
            Ok(0) => return Told::End,
            Ok(len) if len as u64 > LINE_MAX => {
                return Told::Failed(io::Error::other("a line of more than a MiB"));
            }
            Ok(_) => {}
        }
        for end in [b'\n', b'\r'] {
            line.pop_if(|last| *last == end);
        }
        Told::Line(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &[u8], lines: &[&[u8]]) {
        let mut pipe = Pipe(text);
        for line in lines {
            match pipe.read("") {
                Told::Line(read) => assert_eq!(read, *line),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(pipe.read(""), Told::End));
    }

    #[test]
    fn a_line_ends_as_it_does_on_any_system_and_the_last_need_not() {
        reads(b"", &[]);
        reads(b"a\nb\r\n\n c ", &[b"a", b"b", b"", b" c "]);
        reads(b"a\r", &[b"a"]);
        reads(b"\xff\n", &[b"\xff"]);
    }

    #[test]
    fn a_line_without_an_end_is_not_read_for_ever() {
        let mut pipe = Pipe(io::BufReader::new(io::repeat(b'a')));
        assert!(matches!(pipe.read(""), Told::Failed(_)));
    }
}
