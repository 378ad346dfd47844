//! The program: runs the command line, and turns what came of it into an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use haul::cli;

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(code)) => ExitCode::from(code.number()),
        Err(error) => {
            // Where standard error is gone too, the exit code still says it.
            let _ = writeln!(io::stderr(), "haul: {}", cli::explain(&error));
            ExitCode::from(cli::code_of(&error).number())
        }
    }
}
