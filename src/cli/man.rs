//! `haul man [COMMAND]`
//!
//! What is known of flags comes from their declarations, so that the manual cannot fall
//! behind them; what is to be said besides is in `manual`. The page of a command and the
//! whole manual are made of the same parts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

use clap::Command;
use clap_mangen::Man;

use crate::code::Code;

use super::args;
use super::escape;
use super::failure::usage;
use super::manual::{DESCRIPTION, ENVIRONMENT, EXAMPLES, EXIT_STATUS};
use super::report::Report;

/// Which program a page is of.
const SOURCE: &str = concat!("haul ", env!("CARGO_PKG_VERSION"));

pub(super) fn run(command: Option<&str>, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let page = match command {
        None => whole(),
        Some(name) => of_command(name)?,
    };
    report.page("man", &page);
    Ok(None)
}

/// The whole manual: every command with its own flags, and then what all share.
fn whole() -> String {
    let mut root = args::command().disable_help_subcommand(true);
    let commands: Vec<Command> = root.get_subcommands().map(bare).collect();
    let synopsis = synopsis(&mut root);
    let man = Man::new(root).source(SOURCE);
    let mut page = beginning(&man, &synopsis);
    page.push_str(".SH DESCRIPTION\n");
    for paragraph in DESCRIPTION {
        let _ = writeln!(page, ".PP\n{}", plain(paragraph));
    }
    page.push_str(".SH COMMANDS\n");
    for mut command in commands {
        let _ = writeln!(page, ".SS {}", plain(command.get_name()));
        let _ = writeln!(page, "{}\n.PP", self::synopsis(&mut command));
        let man = Man::new(command);
        page.push_str(&section(|to| man.render_description_section(to)));
        page.push_str(&section(|to| man.render_options_section(to)));
    }
    page.push_str(".SH OPTIONS\nEvery command has these.\n");
    page.push_str(&section(|to| man.render_options_section(to)));
    page.push_str(&ending(None));
    page
}

/// The page of one command, with all of its flags.
fn of_command(name: &str) -> anyhow::Result<String> {
    let mut root = args::command();
    root.build();
    let command = root.find_subcommand(name).filter(|c| c.get_name() == name);
    let Some(command) = command.filter(|_| name != "help") else {
        let shown = escape::name(name);
        return Err(usage(format!(
            "{shown} is no command: haul --help has them"
        )));
    };
    let mut command = command.clone().display_name(format!("haul-{name}"));
    let synopsis = synopsis(&mut command);
    let man = Man::new(command)
        .title(format!("haul-{name}"))
        .source(SOURCE);
    let mut page = beginning(&man, &synopsis);
    page.push_str(".SH DESCRIPTION\n");
    page.push_str(&section(|to| man.render_description_section(to)));
    page.push_str(".SH OPTIONS\n");
    page.push_str(&section(|to| man.render_options_section(to)));
    page.push_str(&ending(Some(name)));
    page.push_str(".SH SEE ALSO\n\\fBhaul\\fR(1)\n");
    Ok(page)
}

/// A command with no flags but its own, under its whole name.
fn bare(command: &Command) -> Command {
    command
        .clone()
        .bin_name(format!("haul {}", command.get_name()))
        .disable_help_flag(true)
}

/// How it is typed, in the words of `--help`.
fn synopsis(command: &mut Command) -> String {
    let usage = command.render_usage().to_string();
    plain(usage.trim_start_matches("Usage: ").trim())
}

fn beginning(man: &Man, synopsis: &str) -> String {
    let mut page = rendered(|to| man.render_title(to));
    page.push_str(".SH NAME\n");
    page.push_str(&section(|to| man.render_name_section(to)));
    let _ = writeln!(page, ".SH SYNOPSIS\n{synopsis}");
    page
}

/// What follows the flags: of the whole manual, or of one command's page.
fn ending(command: Option<&str>) -> String {
    let mut text = ".SH EXIT STATUS\n".to_owned();
    for (number, meaning) in EXIT_STATUS {
        item(&mut text, &number.to_string(), meaning);
    }
    text.push_str(".SH ENVIRONMENT\n");
    text.push_str(&plain(
        "Flags can come from the environment. One that is typed beats it; those that take no \
         value are 1 or 0 there.",
    ));
    text.push('\n');
    for (name, meaning) in ENVIRONMENT {
        item(&mut text, name, meaning);
    }
    for (name, meaning) in variables(command) {
        item(&mut text, &name, &meaning);
    }
    text.push_str(".SH EXAMPLES\n");
    let is_of = |line: &str| command.is_none_or(|name| line.split(' ').nth(1) == Some(name));
    for (line, meaning) in EXAMPLES.iter().filter(|(line, _)| is_of(line)) {
        item(&mut text, line, meaning);
    }
    text
}

/// The variables that stand for flags, and which flags those are.
fn variables(command: Option<&str>) -> BTreeMap<String, String> {
    let root = args::command();
    let mut found: BTreeMap<String, (String, Vec<&str>)> = BTreeMap::new();
    let all = [&root].into_iter().chain(root.get_subcommands());
    let is_meant = |name: &str| command.is_none_or(|meant| name == meant || name == "haul");
    for of in all.filter(|of| is_meant(of.get_name())) {
        for flag in of.get_arguments() {
            if let (Some(variable), Some(long)) = (flag.get_env(), flag.get_long()) {
                let variable = variable.to_string_lossy().into_owned();
                let known = found
                    .entry(variable)
                    .or_insert((long.to_owned(), Vec::new()));
                known.1.push(of.get_name());
            }
        }
    }
    let meaning = |(long, of): (String, Vec<&str>)| match of.as_slice() {
        ["haul"] => format!("--{long}"),
        _ => format!("--{long} of {}", of.join(", ")),
    };
    found
        .into_iter()
        .map(|(name, of)| (name, meaning(of)))
        .collect()
}

/// A line with a tag, and what it means.
fn item(text: &mut String, tag: &str, meaning: &str) {
    let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", plain(tag), plain(meaning));
}

/// Text that means nothing to roff, whatever is in it.
fn plain(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    // A line that begins with one of these would be a request.
    if escaped.starts_with(['.', '\'']) {
        format!("\\&{escaped}")
    } else {
        escaped
    }
}

/// What a section holds, without its own heading and what stands before that.
fn section(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let text = rendered(render);
    let mut lines = text.lines().skip_while(|line| !line.starts_with(".SH"));
    let mut body = String::new();
    // Those of flags that all commands have have a heading of their own.
    for line in lines.by_ref().filter(|line| !line.starts_with(".SH")) {
        let _ = writeln!(body, "{line}");
    }
    body
}

fn rendered(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    render(&mut bytes).expect("a Vec takes every byte");
    String::from_utf8_lossy(&bytes).into_owned()
}
