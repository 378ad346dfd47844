//! `haul completions SHELL`

use clap_complete::Shell;

use crate::code::Code;

use super::args;
use super::report::Report;

pub(super) fn run(shell: Shell, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "haul", &mut script);
    report.page("completions", &String::from_utf8(script)?);
    Ok(None)
}
