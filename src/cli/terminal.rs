//! What a terminal can do, and what its owner wants of it.
//!
//! Clap colours help and errors, this crate its bars. One decision serves both: where each
//! asked the environment itself, `--color always` beat `NO_COLOR` in one place only, and
//! `TERM=dumb` was heeded in one and not in the other.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};

use clap::ColorChoice;

use super::args::ColorArg;

/// Whether clap is to use colours.
pub(super) fn color_choice(when: ColorArg) -> ColorChoice {
    match when {
        ColorArg::Always => ColorChoice::Always,
        // Only clap knows which stream it will write to, and so looks at that itself.
        ColorArg::Auto if is_colorful() => ColorChoice::Auto,
        ColorArg::Auto | ColorArg::Never => ColorChoice::Never,
    }
}

/// Whether standard error is to have colours.
pub(super) fn has_color(when: ColorArg) -> bool {
    match when {
        ColorArg::Always => true,
        ColorArg::Never => false,
        ColorArg::Auto => io::stderr().is_terminal() && is_colorful(),
    }
}

/// Whether standard error is a terminal on which lines can be drawn again.
pub(super) fn can_redraw() -> bool {
    io::stderr().is_terminal() && is_able(env::var_os("TERM").as_deref())
}

fn is_colorful() -> bool {
    let (no_color, term) = (env::var_os("NO_COLOR"), env::var_os("TERM"));
    allows_color(no_color.as_deref(), term.as_deref())
}

/// <https://no-color.org>: an empty value is no value.
fn allows_color(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && is_able(term)
}

/// Whether a terminal obeys escape sequences. One that has no name is taken to obey none.
fn is_able(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(no_color: Option<&str>, term: Option<&str>, allowed: bool) {
        let seen = allows_color(no_color.map(OsStr::new), term.map(OsStr::new));
        assert_eq!(seen, allowed, "NO_COLOR {no_color:?}, TERM {term:?}");
    }

    #[test]
    fn the_environment_may_take_colours_away() {
        check(None, Some("xterm"), true);
        check(Some(""), Some("xterm"), true);
        check(Some("1"), Some("xterm"), false);
        check(Some("0"), Some("xterm"), false);
        check(None, Some("dumb"), false);
        check(None, Some(""), false);
        check(None, None, false);
    }

    #[test]
    fn what_is_typed_beats_the_environment() {
        assert_eq!(color_choice(ColorArg::Always), ColorChoice::Always);
        assert_eq!(color_choice(ColorArg::Never), ColorChoice::Never);
        assert!(has_color(ColorArg::Always));
        assert!(!has_color(ColorArg::Never));
    }
}
