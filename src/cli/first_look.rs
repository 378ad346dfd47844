//! A first look at a command line: how its answer is to be given.
//!
//! A program that asked for `--json` wants to hear in JSON also that the line is wrong, and
//! then there is no parsed line that could be asked. So the few flags that concern the
//! answer are looked for before anything is parsed, wherever they stand.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::{Command, ValueEnum};

use super::args::ColorArg;
use super::settings::Format;

/// The form of answers to a line, the program's name first.
pub(super) fn format(line: &[OsString]) -> Format {
    let is_asked = words(line).any(|word| word == "--json");
    if is_asked || env::var_os("HAUL_JSON").is_some_and(|value| is_yes(&value)) {
        Format::Json
    } else {
        Format::Human
    }
}

/// When answers to a line, the program's name first, are to have colours.
pub(super) fn color(line: &[OsString]) -> ColorArg {
    let typed = typed_color(line).map(str::to_owned);
    let when = typed.or_else(|| env::var("HAUL_COLOR").ok());
    // What is none of the words is refused when the line is parsed.
    when.and_then(|when| ColorArg::from_str(&when, false).ok())
        .unwrap_or_default()
}

/// The value of `--color`, in either spelling.
fn typed_color(line: &[OsString]) -> Option<&str> {
    let mut words = words(line).map(|word| word.to_str().unwrap_or_default());
    let flag = words.find(|word| *word == "--color" || word.starts_with("--color="))?;
    match flag.split_once('=') {
        Some((_, when)) => Some(when),
        None => words.next(),
    }
}

/// What may be flags: behind `--` all is names.
fn words(line: &[OsString]) -> impl Iterator<Item = &OsString> {
    line.iter().skip(1).take_while(|word| *word != "--")
}

/// Whether a variable switches its flag on, as clap reads it.
fn is_yes(value: &OsStr) -> bool {
    let read = BoolishValueParser::new().parse_ref(&Command::new(""), None, value);
    read.is_ok_and(|is_yes| is_yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: Format) {
        assert_eq!(format(&line(text)), expected, "{text}");
    }

    #[track_caller]
    fn is_typed(text: &str, when: Option<&str>) {
        assert_eq!(typed_color(&line(text)), when, "{text}");
    }

    #[test]
    fn a_colour_is_typed_in_either_spelling_before_names_begin() {
        is_typed("haul --color always ls", Some("always"));
        is_typed("haul what --color=never", Some("never"));
        is_typed("haul ls --color", None);
        is_typed("haul put --colors always", None);
        is_typed("haul put -- --color=never nas", None);
    }

    #[test]
    fn json_is_asked_for_anywhere_before_names_begin() {
        check("haul --json", Format::Json);
        check("haul what --is this --json", Format::Json);
        check("haul put --json -- a nas", Format::Json);
        check("haul put -- --json nas", Format::Human);
        check("haul put --jsonp a", Format::Human);
        check("--json", Format::Human);
    }

    #[test]
    fn a_variable_says_yes_as_a_flag_reads_it() {
        for yes in ["1", "true", "yes"] {
            assert!(is_yes(yes.as_ref()), "{yes}");
        }
        for no in ["", "0", "false", "2"] {
            assert!(!is_yes(no.as_ref()), "{no}");
        }
    }
}
