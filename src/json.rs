//! JSON as `--json` prints it and a server records: one object a line, never nested.
//!
//! That is little enough to write by hand, and nothing here ever reads any.

use std::fmt::Write;
use std::time::Duration;

/// One line under way.
#[derive(Debug)]
pub(crate) struct Line(String);

impl Line {
    /// Begins a line.
    pub(crate) fn begin() -> Self {
        Self(r#"{"v":1"#.to_owned())
    }

    /// Begins the line for an event of this name.
    pub(crate) fn event(name: &str) -> Self {
        Self::begin().text("event", name)
    }

    /// Adds a text, or null.
    pub(crate) fn text<'t>(self, key: &str, value: impl Into<Option<&'t str>>) -> Self {
        let value = value.into().map(quoted);
        self.member(key, value.as_deref().unwrap_or("null"))
    }

    /// Adds a text, or null, so that also whoever looks at the line itself sees every
    /// character: what would act on a screen, or cannot be seen there, is escaped.
    pub(crate) fn visible<'t>(self, key: &str, value: impl Into<Option<&'t str>>) -> Self {
        let value = value.into().map(escaped);
        self.member(key, value.as_deref().unwrap_or("null"))
    }

    /// Adds a whole number, or null.
    pub(crate) fn number(self, key: &str, value: impl Into<Option<u64>>) -> Self {
        let value = value.into().map(|number| number.to_string());
        self.member(key, value.as_deref().unwrap_or("null"))
    }

    /// Adds a time in seconds, to the millisecond.
    pub(crate) fn seconds(self, key: &str, value: Duration) -> Self {
        let (seconds, millis) = (value.as_secs(), value.subsec_millis());
        self.member(key, &format!("{seconds}.{millis:03}"))
    }

    /// The whole line, without its line feed.
    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn member(mut self, key: &str, value: &str) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.0, ",\"{key}\":{value}");
        self
    }
}

/// The string of RFC 8259, section 7, escaping no more than it asks for.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\0'..='\x1f' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The same string, escaping also what Rust would not show as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in quoted(text).chars() {
        match c {
            '"' | '\'' | '\\' => escaped.push(c),
            _ if c.escape_debug().len() == 1 => escaped.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, json: &str) {
        assert_eq!(quoted(text), json);
    }

    #[test]
    fn what_acts_on_a_screen_is_visible_where_that_is_wanted() {
        for (text, json) in [
            ("grüße 世界's \"a\\", "\"grüße 世界's \\\"a\\\\\""),
            ("a\nb\u{1b}", r#""a\u000ab\u001b""#),
            ("\u{7f}\u{9b}\u{202e}/", r#""\u007f\u009b\u202e/""#),
            ("\u{e0001}", r#""\udb40\udc01""#),
        ] {
            assert_eq!(escaped(text), json);
        }
    }

    #[test]
    fn a_string_is_escaped_where_it_must_be_and_whole_everywhere() {
        check("", r#""""#);
        check("grüße 世界", r#""grüße 世界""#);
        check("a\"b\\c", r#""a\"b\\c""#);
        check("a\nb\u{1b}", r#""a\u000ab\u001b""#);
        check("\u{7f}\u{202e}/", "\"\u{7f}\u{202e}/\"");
    }

    #[test]
    fn a_line_has_its_version_and_event_first() {
        let line = Line::event("file")
            .text("path", "a")
            .number("size", 7)
            .text("checksum", None)
            .number("code", None)
            .seconds("seconds", Duration::from_millis(1_042));
        let json = concat!(
            r#"{"v":1,"event":"file","path":"a","size":7,"#,
            r#""checksum":null,"code":null,"seconds":1.042}"#
        );
        assert_eq!(line.end(), json);
    }
}
