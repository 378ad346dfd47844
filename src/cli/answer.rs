//! What clap answers to a line that is not to be run: help, a version, what is wrong.

use std::io;

use clap::error::ErrorKind;

use crate::code::Code;

use super::failure::failure;

/// Prints the answer to a command line that is not to be run, and returns its code.
pub(super) fn print(answer: &clap::Error) -> anyhow::Result<Option<Code>> {
    match answer.print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let text = format!("cannot write to standard output: {error}");
            Err(failure(Code::File, text))
        }
        _ => Ok((answer.exit_code() != 0).then_some(Code::Usage)),
    }
}

/// What is wrong with a command line, without the lines that only help a person.
pub(super) fn in_one_line(answer: &clap::Error) -> String {
    if matches!(
        answer.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    ) {
        return "a command is wanted".to_owned();
    }
    let text = answer.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::args::parse;
    use super::*;
    use std::ffi::OsString;

    #[track_caller]
    fn in_short(line: &str, text: &str) {
        let error = parse(line.split(' ').map(OsString::from)).unwrap_err();
        assert_eq!(in_one_line(&error), text, "{line}");
    }

    #[test]
    fn what_is_wrong_fits_a_line() {
        in_short("haul", "a command is wanted");
        in_short("haul fetch", "unrecognized subcommand 'fetch'");
        in_short(
            "haul put",
            "the following required arguments were not provided: <PATH... REMOTE>...",
        );
        in_short(
            "haul put a nas --checksum md5",
            "invalid value 'md5' for '--checksum <CHECKSUM>' [possible values: blake3, sha256]",
        );
    }
}
