//! What may follow of a line that is being typed: commands, flags, names there and here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use crate::cli::escape;

use super::names::{Is, Names};
use super::spoken;
use super::unfinished::{Quotes, Unfinished, quoted};

/// Candidates that are handed on: more nobody reads.
const SHOWN_MAX: usize = 2000;

/// What completes a line.
pub(super) struct Completion(pub(super) Arc<Names>);

/// What a word is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Command,
    Remote,
    RemoteDirectory,
    Local,
    LocalDirectory,
    /// A remote name or a local one: only the last one's place will tell.
    Either,
    Nothing,
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Validator for Completion {}

impl Hinter for Completion {
    type Hint = String;
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = Unfinished::read(&line[..at]);
        let words = match typed.words.first() {
            Some(command) if typed.word.starts_with('-') => of_flags(command, &typed.word),
            _ => self.of(wanted(&typed.words), &typed.word),
        };
        Ok((typed.start, pairs(words, typed.quotes)))
    }
}

impl Completion {
    /// The whole words that begin with this one.
    fn of(&self, wanted: Wanted, word: &str) -> BTreeMap<String, Is> {
        match wanted {
            Wanted::Nothing => BTreeMap::new(),
            Wanted::Command => of_commands(word),
            Wanted::Remote => self.remote(word, false),
            Wanted::RemoteDirectory => self.remote(word, true),
            Wanted::Local => local(word, false),
            Wanted::LocalDirectory => local(word, true),
            Wanted::Either => {
                let mut both = self.remote(word, false);
                both.append(&mut local(word, false));
                both
            }
        }
    }

    fn remote(&self, word: &str, only_directories: bool) -> BTreeMap<String, Is> {
        let (directory, begun) = cut(word);
        let names = self.0.beneath(directory);
        let names = names.iter().map(|(name, is)| (name.clone(), *is));
        matching((directory, begun), names, only_directories)
    }
}

/// What the next word is to be after these.
fn wanted(words: &[String]) -> Wanted {
    let Some((command, rest)) = words.split_first() else {
        return Wanted::Command;
    };
    let is_first = rest.iter().all(|word| word.starts_with('-'));
    match (&**command, is_first) {
        ("ls" | "stat" | "rm" | "mv" | "sum" | "verify", _) | ("get", true) => Wanted::Remote,
        ("cd" | "mkdir", _) => Wanted::RemoteDirectory,
        ("lls", _) | ("put", true) => Wanted::Local,
        ("lcd", _) => Wanted::LocalDirectory,
        ("put" | "get", false) => Wanted::Either,
        ("help", true) => Wanted::Command,
        _ => Wanted::Nothing,
    }
}

fn of_commands(word: &str) -> BTreeMap<String, Is> {
    let command = spoken::command();
    let names = command
        .get_subcommands()
        .map(|c| (c.get_name().to_owned(), Is::Whole));
    names.filter(|(name, _)| name.starts_with(word)).collect()
}

fn of_flags(command: &str, word: &str) -> BTreeMap<String, Is> {
    let mut all = spoken::command();
    all.build();
    let Some(command) = all.find_subcommand(command) else {
        return BTreeMap::new();
    };
    let shown = command.get_arguments().filter(|flag| !flag.is_hide_set());
    shown
        .flat_map(|flag| {
            let long = flag.get_long().map(|long| format!("--{long}"));
            let short = flag.get_short().map(|short| format!("-{short}"));
            long.into_iter().chain(short)
        })
        .filter(|flag| flag.starts_with(word))
        .map(|flag| (flag, Is::Whole))
        .collect()
}

fn local(word: &str, only_directories: bool) -> BTreeMap<String, Is> {
    let (directory, begun) = cut(word);
    let place = if directory.is_empty() { "." } else { directory };
    let items = fs::read_dir(Path::new(place))
        .into_iter()
        .flatten()
        .flatten();
    let names = items.filter_map(|item| {
        let name = item.file_name().into_string().ok()?;
        // What a link leads to decides: here links are followed.
        let is_directory = fs::metadata(item.path()).is_ok_and(|is| is.is_dir());
        Some((
            name,
            if is_directory {
                Is::Directory
            } else {
                Is::Whole
            },
        ))
    });
    matching((directory, begun), names, only_directories)
}

/// Cuts a path after its last slash.
fn cut(word: &str) -> (&str, &str) {
    word.split_at(word.rfind('/').map_or(0, |slash| slash + 1))
}

/// Names in a directory that begin so, as whole words.
fn matching(
    (directory, begun): (&str, &str),
    names: impl Iterator<Item = (String, Is)>,
    only_directories: bool,
) -> BTreeMap<String, Is> {
    names
        .filter(|(_, is)| *is == Is::Directory || !only_directories)
        // What a screen would obey, or cannot show, is not offered.
        .filter(|(name, _)| name.starts_with(begun) && escape::message(name) == *name)
        .map(|(name, is)| match is {
            Is::Directory => (format!("{directory}{name}/"), is),
            Is::Whole => (format!("{directory}{name}"), is),
        })
        .collect()
}

/// Candidates as they are shown and typed.
fn pairs(words: BTreeMap<String, Is>, quotes: Quotes) -> Vec<Pair> {
    let is_only = words.len() == 1;
    let mut pairs: Vec<Pair> = words
        .into_iter()
        .map(|(word, is)| {
            let is_whole = is_only && is == Is::Whole;
            let mut replacement = quoted(&word, quotes, is_whole);
            if is_whole {
                replacement.push(' ');
            }
            let (_, name) = cut(word.trim_end_matches('/'));
            let slash = if is == Is::Directory { "/" } else { "" };
            let display = format!("{name}{slash}");
            Pair {
                display,
                replacement,
            }
        })
        .collect();
    // What all have in common is what the first and the last have in common.
    let rest = pairs.len().saturating_sub(1);
    if rest >= SHOWN_MAX {
        pairs.drain(SHOWN_MAX - 1..rest);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is_wanted(line: &str, what: Wanted) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(wanted(&words), what, "{line}");
    }

    #[test]
    fn a_commands_words_are_there_or_here() {
        is_wanted("", Wanted::Command);
        is_wanted("ls", Wanted::Remote);
        is_wanted("cd", Wanted::RemoteDirectory);
        is_wanted("put", Wanted::Local);
        is_wanted("put --overwrite", Wanted::Local);
        is_wanted("put a", Wanted::Either);
        is_wanted("get", Wanted::Remote);
        is_wanted("get a", Wanted::Either);
        is_wanted("lcd", Wanted::LocalDirectory);
        is_wanted("help", Wanted::Command);
        is_wanted("pwd", Wanted::Nothing);
    }

    #[track_caller]
    fn become_pairs(names: &[(&str, Is)], quotes: Quotes, typed: &[&str]) {
        let names = names.iter().map(|(name, is)| ((*name).to_owned(), *is));
        let pairs = pairs(matching(("d/", ""), names, false), quotes);
        let seen: Vec<&str> = pairs.iter().map(|pair| &*pair.replacement).collect();
        assert_eq!(seen, typed);
    }

    #[test]
    fn a_name_is_typed_as_it_must_be_quoted_and_what_acts_on_a_screen_is_not_offered() {
        use Is::{Directory, Whole};
        become_pairs(&[("a b", Whole)], Quotes::Backslash, &["d/a\\ b "]);
        become_pairs(&[("a b", Whole)], Quotes::Single, &["'d/a b' "]);
        become_pairs(&[("a b", Directory)], Quotes::Double, &["\"d/a b/"]);
        become_pairs(
            &[("b", Whole), ("a", Directory)],
            Quotes::Backslash,
            &["d/a/", "d/b"],
        );
        become_pairs(
            &[("\u{1b}[2J", Whole), ("a\nb", Whole)],
            Quotes::Single,
            &[],
        );
    }

    #[test]
    fn of_very_many_the_first_and_the_last_are_handed_on() {
        let words = (10_000..99_999)
            .map(|n| (n.to_string(), Is::Whole))
            .collect();
        let pairs = pairs(words, Quotes::Backslash);
        assert_eq!(pairs.len(), SHOWN_MAX);
        assert_eq!(pairs[0].replacement, "10000");
        assert_eq!(pairs[SHOWN_MAX - 1].replacement, "99998");
    }

    #[test]
    fn flags_are_those_of_the_command() {
        let flags = of_flags("put", "--over");
        assert_eq!(flags.keys().collect::<Vec<_>>(), ["--overwrite"]);
        assert!(of_flags("ls", "--over").is_empty());
    }
}
