//! A command line as a person can type it again.
//!
//! The words that the program got have lost their quotes. They get others here, so that a
//! shell reads the same words back, and a screen shows what it is given: a name with an
//! escape sequence in it must neither act on the terminal nor come out changed.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use super::links;

/// The command that goes on where this one is broken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// This one.
    With(String),
    /// The same one, which cannot be repeated: a secret was taken out of it.
    Unsaid,
}

impl Resume {
    /// The one that has these words.
    pub(super) fn of(words: &[OsString]) -> Self {
        if words.iter().any(|word| links::has_rest(word)) {
            Self::Unsaid
        } else {
            Self::With(command(words))
        }
    }

    /// The command, where it can be said.
    pub(super) fn command(&self) -> Option<&str> {
        match self {
            Self::With(command) => Some(command),
            Self::Unsaid => None,
        }
    }
}

/// The words in one line, each quoted as far as it must be.
fn command(words: &[OsString]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

fn quoted(word: &OsStr) -> String {
    match word.to_str() {
        Some(text) if is_plain(text) => text.to_owned(),
        Some(text) if text.chars().all(is_visible) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => in_octal(word),
    }
}

/// Whether no shell finds anything in it.
fn is_plain(text: &str) -> bool {
    let is_flag = text.starts_with('-');
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+,".contains(c) || (is_flag && c == '=');
    !text.is_empty() && text.chars().all(|c| plain(c) && is_visible(c))
}

/// Whether a character may stand on a screen as it is.
fn is_visible(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// `$'...'`, the quotes of POSIX.1-2024, in which every byte can be written in ASCII.
fn in_octal(word: &OsStr) -> String {
    let mut quoted = "$'".to_owned();
    for &byte in word.as_bytes() {
        match byte {
            b'\'' | b'\\' => quoted.extend(['\\', byte.into()]),
            b' '..=b'~' => quoted.push(byte.into()),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\{byte:03o}");
            }
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::escape;
    use super::*;
    use std::process::Command;

    #[track_caller]
    fn check(words: &[&[u8]], line: &str) {
        let words: Vec<OsString> = words.iter().map(|w| OsStr::from_bytes(w).into()).collect();
        assert_eq!(command(&words), line);
        // What is safe for a screen stays as it is there.
        assert_eq!(escape::message(line), line);
    }

    #[test]
    fn plain_words_have_no_quotes() {
        check(
            &[b"./haul", b"put", b"--connections=4", b"a.txt", b"nas:80/x"],
            "./haul put --connections=4 a.txt nas:80/x",
        );
        check(&["grüße-世界".as_bytes()], "grüße-世界");
    }

    #[test]
    fn what_a_shell_would_read_is_quoted() {
        check(&[b"a b", b"", b"~/x", b"*"], "'a b' '' '~/x' '*'");
        check(
            &[b"it's", b"a\\b", b"\"", b"x=1"],
            r#"'it'\''s' 'a\b' '"' 'x=1'"#,
        );
        check(
            &[b"$HOME", b"`x`", b"a;b", b"!x", b"#"],
            "'$HOME' '`x`' 'a;b' '!x' '#'",
        );
    }

    #[test]
    fn what_a_screen_would_obey_is_written_in_octal() {
        check(&[b"a\nb", b"\x1b[2J"], r"$'a\012b' $'\033[2J'");
        check(&["\u{202e}gpj".as_bytes()], r"$'\342\200\256gpj'");
        check(&[b"\xff'7\\"], r"$'\377\'7\\'");
        check(&["e\u{301}".as_bytes()], r"$'e\314\201'");
    }

    #[test]
    fn a_shell_reads_the_same_words_back() {
        let words: Vec<OsString> = [
            &b"printf"[..],
            b"%s\\n",
            b"it's",
            b" ",
            b"~",
            b"$(x)",
            b"*",
            b"x=1",
            b"",
            "grüße".as_bytes(),
        ]
        .map(|word| OsStr::from_bytes(word).into())
        .into();
        let said = Command::new("sh").arg("-c").arg(command(&words)).output();
        let said = String::from_utf8(said.unwrap().stdout).unwrap();
        assert_eq!(said, "it's\n \n~\n$(x)\n*\nx=1\n\ngrüße\n");
    }
}
