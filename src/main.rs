//! The program: runs the command line, and turns what came of it into an exit code.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use haul::cli;

fn main() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    cli::hide_links(&line);
    match cli::run(line) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(code)) => ExitCode::from(code.number()),
        Err(error) => {
            // Where standard error is gone too, the exit code still says it.
            let _ = writeln!(io::stderr(), "haul: {}", cli::explain(&error));
            ExitCode::from(cli::code_of(&error).number())
        }
    }
}
