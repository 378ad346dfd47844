//! Lines that a person can write: words, quotes, comments, and what can be wrong.
//!
//! Words stand between spaces. What holds a space, or a character that a screen would
//! obey, is quoted, so that every name and path fits a line and no line holds anything
//! that cannot be seen. A `#` where a word could begin makes the rest a comment.

use std::fmt::Write;

use crate::net::keys::KeyError;
use crate::path::PathError;

/// Why a line says nothing that can be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A quote that nothing closes.
    #[error("a quote is not closed")]
    OpenQuote,
    /// A backslash that means nothing.
    #[error("a backslash stands in quotes, before one of \" \\ n r t, or x and two digits")]
    Backslash,
    /// No key where one was to be.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// A word that is no field.
    #[error("{0:?} is no FIELD=VALUE that is known")]
    UnknownWord(String),
    /// The same field again.
    #[error("{0}= is there twice")]
    FieldTwice(&'static str),
    /// A field that every line has.
    #[error("{0}= is missing")]
    Missing(&'static str),
    /// A value that is not one for its field.
    #[error("{field}= takes {form}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it takes.
        form: &'static str,
    },
    /// A path in the root that is none.
    #[error("under=: {0}")]
    Under(PathError),
    /// A line about what another one has said.
    #[error("a line above is about the same: remove one of them")]
    Twice,
    /// A line that another contradicts.
    #[error("line {0} is about the same, and neither holds: remove one of them")]
    AlsoIn(usize),
    /// The end of a file that may have been cut.
    #[error("no line feed ends it, so it may have been cut off")]
    Unfinished,
    /// No invitation's id where one was to be.
    #[error("an invitation begins with its eight digits")]
    Invitation,
    /// A host without a port, or with something else.
    #[error("a host is written HOST:PORT")]
    Host,
    /// A day that is none.
    #[error("{0:?} is no day, as 2025-11-22 is one")]
    Day(String),
}

/// Cuts a line into its words; none where it says nothing.
pub(super) fn words(line: &str) -> Result<Vec<Vec<u8>>, LineError> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut rest = line.bytes();
    let mut quoted = false;
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b'\\' => {
                let escaped = quoted.then(|| unescaped(&mut rest)).flatten();
                let escaped = escaped.ok_or(LineError::Backslash)?;
                word.get_or_insert_default().push(escaped);
            }
            _ if quoted => word.get_or_insert_default().push(byte),
            _ if byte.is_ascii_whitespace() => words.extend(word.take()),
            b'#' if word.is_none() => break,
            _ => word.get_or_insert_default().push(byte),
        }
    }
    if quoted {
        return Err(LineError::OpenQuote);
    }
    words.extend(word);
    Ok(words)
}

/// A value as [`words`] reads it back, in quotes where it must be.
pub(super) fn quoted(value: &[u8]) -> String {
    let mut quoted = String::new();
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                // A mark that turns the line around, or joins what stands before it.
                _ if c != '\'' && c.escape_debug().len() > 1 => {
                    in_digits(&mut quoted, c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => quoted.push(c),
            }
        }
        in_digits(&mut quoted, chunk.invalid());
    }
    let is_plain = |text: &str| !text.is_empty() && !text.contains([' ', '\\', '#']);
    if is_plain(&quoted) {
        quoted
    } else {
        format!("\"{quoted}\"")
    }
}

/// What words say of each of these fields, none of them twice.
pub(super) fn fields<const N: usize>(
    words: impl Iterator<Item = Vec<u8>>,
    names: [&'static str; N],
) -> Result<[Option<Vec<u8>>; N], LineError> {
    let mut fields = [const { None }; N];
    for word in words {
        let unknown = || LineError::UnknownWord(String::from_utf8_lossy(&word).into_owned());
        let end = word.iter().position(|byte| *byte == b'=');
        let (name, value) = word.split_at(end.ok_or_else(unknown)?);
        let known = names.iter().position(|known| known.as_bytes() == name);
        let at = known.ok_or_else(unknown)?;
        if fields[at].replace(value[1..].to_owned()).is_some() {
            return Err(LineError::FieldTwice(names[at]));
        }
    }
    Ok(fields)
}

/// The lines, each with its number.
pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.split_inclusive('\n'))
}

fn in_digits(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Reads what follows a backslash.
fn unescaped(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    Some(match rest.next()? {
        byte @ (b'"' | b'\\') => byte,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'x' => (digit(rest.next())? * 16 + digit(rest.next())?) as u8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn cut(line: &str, into: &[&[u8]]) {
        assert_eq!(words(line).unwrap(), into, "{line:?}");
    }

    #[track_caller]
    fn refused(line: &str, why: &LineError) {
        assert_eq!(words(line).as_ref().unwrap_err(), why, "{line:?}");
    }

    #[test]
    fn words_stand_between_spaces_and_quotes_hold_them_together() {
        cut("", &[]);
        cut("  # all of it", &[]);
        cut(" a\tb \r\n", &[b"a", b"b"]);
        cut("a # b", &[b"a"]);
        cut("a#b", &[b"a#b"]);
        cut(r#"root="/a b" "c d"e"#, &[b"root=/a b", b"c de"]);
        cut(r#""" "#, &[b""]);
        cut(r#""\"\\\n\r\t\xff# ""#, &[b"\"\\\n\r\t\xff# "]);
        cut("it's 'x y'", &[b"it's", b"'x", b"y'"]);
    }

    #[test]
    fn a_quote_or_backslash_that_means_nothing_is_refused() {
        refused(r#"a "b"#, &LineError::OpenQuote);
        refused(r"a\ b", &LineError::Backslash);
        refused(r#""\q""#, &LineError::Backslash);
        refused(r#""\x1""#, &LineError::Backslash);
        refused(r#""\x1g""#, &LineError::Backslash);
        refused(r#""\"#, &LineError::Backslash);
    }

    #[test]
    fn a_value_has_quotes_where_it_needs_them_and_nothing_that_acts() {
        assert_eq!(quoted(b"/srv/files"), "/srv/files");
        assert_eq!(quoted("grüße".as_bytes()), "grüße");
        assert_eq!(quoted(b""), r#""""#);
        assert_eq!(quoted(b"a b"), r#""a b""#);
        assert_eq!(quoted(b"a#"), r#""a#""#);
        assert_eq!(quoted(b"\xff\n"), r#""\xff\x0a""#);
        assert_eq!(quoted("\u{202e}x".as_bytes()), r#""\xe2\x80\xaex""#);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".*") {
            let _ = words(&line);
        }

        #[test]
        fn every_value_is_read_back(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let line = format!("a b={} c", quoted(&value));
            let read = words(&line).unwrap();
            prop_assert_eq!(&read[1][2..], &value[..]);
            prop_assert_eq!(read.len(), 3);
            prop_assert!(!line.contains(char::is_control));
        }
    }
}
