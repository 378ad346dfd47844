//! The line that is being typed: which word it ends in, and how that word goes on.
//!
//! What a POSIX shell would read of it is known only when it is whole. Here it is read as
//! far as it goes, by the same rules, so that a name is completed as it is quoted.

/// What is typed of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfinished {
    /// The words that are whole.
    pub(super) words: Vec<String>,
    /// Where in the line the last word begins.
    pub(super) start: usize,
    /// The last word, without its quotes.
    pub(super) word: String,
    /// How the last word is quoted.
    pub(super) quotes: Quotes,
}

/// How a word is kept in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// By a backslash where one is needed.
    Backslash,
    /// By `'`.
    Single,
    /// By `"`.
    Double,
}

impl Unfinished {
    /// Reads a line up to where it is being typed.
    pub(super) fn read(line: &str) -> Self {
        let mut words = Vec::new();
        let mut word: Option<(usize, String, Quotes)> = None;
        let mut open = Quotes::Backslash;
        let mut chars = line.char_indices();
        while let Some((at, c)) = chars.next() {
            if open == Quotes::Backslash && matches!(c, ' ' | '\t') {
                words.extend(word.take().map(|(_, text, _)| text));
                continue;
            }
            let begins = match c {
                '\'' => Quotes::Single,
                '"' => Quotes::Double,
                _ => Quotes::Backslash,
            };
            let (_, text, _) = word.get_or_insert((at, String::new(), begins));
            match (open, c) {
                (Quotes::Backslash, '\'' | '"') => open = begins,
                (Quotes::Single, '\'') | (Quotes::Double, '"') => open = Quotes::Backslash,
                (Quotes::Backslash, '\\') => text.extend(chars.next().map(|(_, c)| c)),
                (Quotes::Double, '\\') => match chars.next() {
                    Some((_, c @ ('"' | '\\' | '$' | '`'))) => text.push(c),
                    other => text.extend(['\\'].into_iter().chain(other.map(|(_, c)| c))),
                },
                _ => text.push(c),
            }
        }
        let (start, word, quotes) = word.unwrap_or((line.len(), String::new(), Quotes::Backslash));
        Self {
            words,
            start,
            word,
            quotes,
        }
    }
}

/// Writes a word so that it is read as this text. One that is not whole keeps its quote open.
pub(super) fn quoted(text: &str, quotes: Quotes, is_whole: bool) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    let (quote, special): (_, &[char]) = match quotes {
        Quotes::Backslash => ("", &[' ', '\t', '\'', '"', '\\']),
        Quotes::Single => ("'", &[]),
        Quotes::Double => ("\"", &['"', '\\']),
    };
    word.push_str(quote);
    for (at, c) in text.char_indices() {
        let is_comment = c == '#' && at == 0 && quotes == Quotes::Backslash;
        if c == '\'' && quotes == Quotes::Single {
            word.push_str(r"'\'");
        } else if special.contains(&c) || is_comment {
            word.push('\\');
        }
        word.push(c);
    }
    if is_whole {
        word.push_str(quote);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(line: &str, words: &[&str], start: usize, word: &str, quotes: Quotes) {
        let read = Unfinished::read(line);
        let seen = (&*read.word, read.start, read.quotes);
        assert_eq!(seen, (word, start, quotes), "{line}");
        assert_eq!(read.words, words, "{line}");
    }

    #[test]
    fn the_last_word_is_read_as_far_as_it_goes() {
        use Quotes::{Backslash, Double, Single};
        reads("", &[], 0, "", Backslash);
        reads("  l", &[], 2, "l", Backslash);
        reads("ls ", &["ls"], 3, "", Backslash);
        reads("ls a/b", &["ls"], 3, "a/b", Backslash);
        reads(r"get a\ b c\ d", &["get", "a b"], 9, "c d", Backslash);
        reads(r"get a\", &["get"], 4, "a", Backslash);
        reads("get 'a b", &["get"], 4, "a b", Single);
        reads("get 'a' \"b \\\" \\x", &["get", "a"], 8, "b \" \\x", Double);
        reads("get a' 'b", &["get"], 4, "a b", Backslash);
    }

    #[test]
    fn a_word_that_is_written_is_read_as_the_same() {
        for text in [
            "a", "a b", "it's", "\"q\"", r"a\b", "#x", "$HOME", "grüße", "a\tb",
        ] {
            for quotes in [Quotes::Backslash, Quotes::Single, Quotes::Double] {
                let word = quoted(text, quotes, true);
                let read = shlex::split(&word);
                assert_eq!(read.as_deref(), Some(&[text.to_owned()][..]), "{word}");
                let open = quoted(text, quotes, false);
                assert_eq!(Unfinished::read(&open).word, text, "{open}");
            }
        }
    }
}
