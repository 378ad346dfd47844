//! Which of two flags that exclude each other holds.
//!
//! Clap's own conflicts will not do: a flag that is typed must beat the other one from
//! the environment, and `HAUL_UPDATE=0` is no conflict with anything.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::environment::spelling;
use super::failure::usage;

/// The one of two that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Second,
}

/// Decides between two flags of the command that `matches` leads to.
///
/// # Errors
///
/// Where both are typed, or both come from the environment.
pub(super) fn one_of(
    matches: &ArgMatches,
    first: &str,
    second: &str,
) -> anyhow::Result<Option<Which>> {
    let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
    let is_typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    match (matches.get_flag(first), matches.get_flag(second)) {
        (false, false) => Ok(None),
        (true, false) => Ok(Some(Which::First)),
        (false, true) => Ok(Some(Which::Second)),
        (true, true) => match (is_typed(first), is_typed(second)) {
            (true, false) => Ok(Some(Which::First)),
            (false, true) => Ok(Some(Which::Second)),
            _ => Err(usage(format!(
                "{} and {} exclude each other",
                spelling(matches, first),
                spelling(matches, second)
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::builder::{BoolishValueParser, OsStr};
    use clap::{Arg, ArgAction, Command};

    /// A command with two flags, of which the second has a value without being typed.
    /// A default takes the environment's part: tests share one environment.
    fn decide(line: &[&str], second: &'static str) -> anyhow::Result<Option<Which>> {
        let flag = |id: &'static str, default: &'static str| {
            Arg::new(id)
                .long(id)
                .action(ArgAction::SetTrue)
                .value_parser(BoolishValueParser::new())
                .default_value(OsStr::from(default))
        };
        let command = Command::new("test")
            .no_binary_name(true)
            .arg(flag("overwrite", "0"))
            .arg(flag("update", second));
        let matches = command.try_get_matches_from(line).unwrap();
        one_of(&matches, "overwrite", "update")
    }

    #[track_caller]
    fn check(line: &[&str], second: &'static str, which: Option<Which>) {
        assert_eq!(decide(line, second).unwrap(), which, "{line:?}");
    }

    #[test]
    fn what_is_typed_beats_what_is_not() {
        check(&["--overwrite"], "1", Some(Which::First));
        check(&["--update"], "0", Some(Which::Second));
        check(&[], "1", Some(Which::Second));
    }

    #[test]
    fn a_zero_is_no_conflict() {
        check(&["--overwrite"], "0", Some(Which::First));
        check(&[], "0", None);
    }

    #[test]
    fn two_that_are_typed_exclude_each_other() {
        assert!(decide(&["--overwrite", "--update"], "0").is_err());
    }
}
