//! A person at a terminal: the line editor, and the terminal as it was before.

use std::io;
use std::sync::Arc;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::Editor;
use rustyline::config::{CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;

use crate::cli::links;

use super::completion::Completion;
use super::history::History;
use super::lines::{Reader, Told};
use super::names::Names;

/// A terminal that lines are edited on.
pub(super) struct Terminal {
    editor: Editor<Completion, MemHistory>,
    history: Option<History>,
}

impl Terminal {
    /// Sets up the editor on standard input and output.
    pub(super) fn new(names: Arc<Names>) -> io::Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            // Lines that are pasted are run one by one, as they would be if they were typed.
            .bracketed_paste(false)
            .build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).map_err(plain)?;
        editor.set_helper(Some(Completion(names)));
        let history = History::open().map(|(history, lines)| {
            for line in lines {
                // What the editor does not want to remember it forgets.
                let _ = editor.add_history_entry(line);
            }
            history
        });
        Ok(Self { editor, history })
    }
}

impl Reader for Terminal {
    fn read(&mut self, prompt: &str) -> Told {
        match self.editor.readline(prompt) {
            Ok(line) => {
                let kept = links::without_secrets(&line);
                if let (Ok(true), Some(history)) =
                    (self.editor.add_history_entry(&*kept), &mut self.history)
                {
                    history.add(&kept);
                }
                Told::Line(line.into_bytes())
            }
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Told::Cleared,
            Err(ReadlineError::Eof) => Told::End,
            Err(error) => Told::Failed(plain(error)),
        }
    }
}

fn plain(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        ReadlineError::Errno(errno) => errno.into(),
        other => io::Error::other(other),
    }
}

/// The terminal as it was found, which it becomes again: a program that is told to go in
/// the middle of a line would leave it without echo.
pub(super) struct Manners(Option<Termios>);

impl Manners {
    /// Takes note of how the terminal is.
    pub(super) fn found() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Manners {
    fn drop(&mut self) {
        if let Some(termios) = &self.0 {
            // It may be gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, termios);
        }
    }
}
