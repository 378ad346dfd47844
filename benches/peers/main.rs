//! haul beside what people use for the same work, in one run.
//!
//!     cargo bench --bench peers                       # every row, against every peer that is there
//!     cargo bench --bench peers -- put-big --big 256MiB --rounds 3
//!     cargo bench --bench peers -- --help
//!
//! Absolute times say little: machines differ, and drift. So haul and its peers take turns,
//! and what is told is the ratio of their medians. `docs/performance.md` says what each row
//! means.

mod args;
mod bench;
mod children;
mod cp;
mod ends;
mod entrants;
mod ground;
mod growth;
mod iperf;
mod json;
mod line;
mod load;
mod machine;
mod material;
mod memory;
mod meter;
mod ours;
mod processors;
mod race;
mod report;
mod resume;
mod rsync;
mod ssh;
mod warm;
mod web;
mod works;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Errand};
use bench::Bench;

fn main() -> ExitCode {
    let args = Args::parse();
    if !args.is_meant() {
        println!("nothing was measured: cargo bench --bench peers does");
        return ExitCode::SUCCESS;
    }
    let done = match args.errand {
        Some(Errand::Reach { address, seconds }) => ends::reach(address, seconds),
        Some(Errand::Port { address }) => ends::print_port(address),
        Some(Errand::Hold {
            address,
            connections,
            server_key,
            home,
        }) => load::hold_on(
            address,
            connections,
            server_key.as_deref().zip(home.as_deref()),
        ),
        None => Bench::prepare(args).and_then(|bench| bench.run()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error:#}");
            if error.is::<children::Interrupted>() {
                ExitCode::from(130)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
