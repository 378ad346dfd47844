//! Text from elsewhere, made safe for a screen.
//!
//! A file's name may hold an escape sequence that moves the cursor, and a mark that
//! turns the reading direction makes `gpj.exe` look like `exe.jpg`. On a screen or in
//! a log such characters appear as Rust would write them; plain names stay plain.

use std::borrow::Cow;
use std::path::Path;

/// A name: as it is where that is plain, otherwise escaped and in quotes.
pub(super) fn name(name: &str) -> Cow<'_, str> {
    let quoted = format!("{name:?}");
    if quoted[1..quoted.len() - 1] == *name {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(quoted)
    }
}

/// A name as `sha256sum` escapes it for `sha256sum -c`, or none where it has nothing to
/// escape. A line with such a name begins with a backslash.
pub(super) fn checked(name: &str) -> Option<String> {
    name.contains(['\\', '\n', '\r']).then(|| {
        name.replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
    })
}

/// A local path, which need not be text at all.
#[expect(
    clippy::unnecessary_debug_formatting,
    reason = "only that form shows the bytes that are no text"
)]
pub(super) fn path(path: &Path) -> Cow<'_, str> {
    match path.to_str() {
        Some(text) => name(text),
        None => Cow::Owned(format!("{path:?}")),
    }
}

/// A sentence: quotes and backslashes stay, as names in it are escaped already.
pub(super) fn message(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => escaped.push(c),
            _ => escaped.extend(c.escape_debug()),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[track_caller]
    fn shows(raw: &str, shown: &str) {
        assert_eq!(name(raw), shown);
    }

    #[test]
    fn plain_names_stay_plain() {
        for plain in ["a.txt", "grüße-世界", "a b", "-rf", "it's"] {
            shows(plain, plain);
        }
    }

    #[test]
    fn names_that_would_move_the_cursor_or_turn_the_line_are_quoted() {
        shows("a\nb", r#""a\nb""#);
        shows("\u{1b}[2J", r#""\u{1b}[2J""#);
        shows("\u{202e}gpj.exe", r#""\u{202e}gpj.exe""#);
        shows("a\\b", r#""a\\b""#);
        shows("\"", r#""\"""#);
    }

    #[test]
    fn a_path_that_is_no_text_shows_its_bytes() {
        let odd = Path::new(OsStr::from_bytes(b"a\xffb"));
        assert_eq!(path(odd), r#""a\xFFb""#);
    }

    #[test]
    fn a_sentence_keeps_its_quotes_and_loses_its_escapes() {
        assert_eq!(
            message("\"a\\n\" is\x1b[0m gone"),
            "\"a\\n\" is\\u{1b}[0m gone"
        );
    }
}
