//! A first look at a command line: how its answer is to be given.
//!
//! A program that asked for `--json` wants to hear in JSON also that the line is wrong, and
//! then there is no parsed line that could be asked. So the few flags that concern the
//! answer are looked for before anything is parsed, wherever they stand.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::Command;
use clap::builder::{BoolishValueParser, TypedValueParser};

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

    #[track_caller]
    fn check(line: &str, expected: Format) {
        let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(format(&line), expected, "{line:?}");
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
