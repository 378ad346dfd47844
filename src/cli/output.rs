//! Standard output and standard error, either of which may be gone.
//!
//! A reader that leaves early (`haul ls nas | head`) has seen what it wanted: the rest
//! is dropped in silence. A full disk behind standard output is an error, but no reason
//! to break off a transfer in the middle: it is kept, and told at the end.

use std::io::{self, BufWriter, ErrorKind, Write};

use crate::code::Code;

use super::failure::failure;

/// Standard output, for data.
pub(super) struct Output {
    to: BufWriter<Box<dyn Write>>,
    state: State,
}

enum State {
    Open,
    Left,
    Failed(io::Error),
}

impl Output {
    /// The program's own.
    pub(super) fn stdout() -> Self {
        Self::to(Box::new(io::stdout()))
    }

    /// Whatever takes bytes.
    pub(super) fn to(to: Box<dyn Write>) -> Self {
        Self {
            to: BufWriter::new(to),
            state: State::Open,
        }
    }

    /// Writes a line; it may wait for a [`flush`](Self::flush).
    pub(super) fn line(&mut self, line: &str) {
        self.attempt(|to| writeln!(to, "{line}"));
    }

    /// Hands on what was written so far.
    pub(super) fn flush(&mut self) {
        self.attempt(Write::flush);
    }

    /// Hands on the rest.
    ///
    /// # Errors
    ///
    /// The first failure there was, unless the reader has left.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.flush();
        match self.state {
            State::Open | State::Left => Ok(()),
            State::Failed(error) => {
                let text = format!("cannot write to standard output: {error}");
                Err(failure(Code::File, text))
            }
        }
    }

    fn attempt(&mut self, write: impl FnOnce(&mut BufWriter<Box<dyn Write>>) -> io::Result<()>) {
        if !matches!(self.state, State::Open) {
            return;
        }
        if let Err(error) = write(&mut self.to) {
            self.state = match error.kind() {
                ErrorKind::BrokenPipe => State::Left,
                _ => State::Failed(error),
            };
        }
    }
}

/// Writes a line to standard error. Where that is gone, nobody is left to be told.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::super::failure::code_of;
    use super::*;

    /// A place that takes nothing, for one reason.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn end_with(kind: ErrorKind) -> anyhow::Result<()> {
        let mut output = Output::to(Box::new(Broken(kind)));
        output.line("a");
        output.flush();
        output.line("b");
        output.finish()
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        assert!(end_with(ErrorKind::BrokenPipe).is_ok());
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let error = end_with(ErrorKind::StorageFull).unwrap_err();
        assert_eq!(code_of(&error), Code::File);
    }
}
