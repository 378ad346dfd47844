//! A watcher that sees every call of a store or stream, and fails one of them.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use haul::client::{Client, JobOptions};
use haul::fault::{Call, Fault};
use haul::offer::OnExisting;

use crate::rig::{Outcome, Rig, put};

const MIB: usize = 1 << 20;

/// Two files in directories that are not there yet.
pub const NESTED: [&str; 2] = ["new/er/small", "new/er/other"];

/// Sees every call of a store, and fails one of them.
#[derive(Clone, Default)]
pub struct Saboteur(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    trace: Vec<Call>,
    /// Which kind of call fails, after how many that do not, and what with.
    fails: Option<(Call, usize, i32)>,
    failed: bool,
}

impl Saboteur {
    pub fn fault(&self) -> Fault {
        let plan = Arc::clone(&self.0);
        Fault::watched(move |call| {
            let mut plan = plan.lock().unwrap();
            plan.trace.push(call);
            match plan.fails {
                Some((kind, left, errno)) if kind == call => {
                    plan.fails = left.checked_sub(1).map(|left| (kind, left, errno));
                    plan.failed = plan.fails.is_none();
                    if plan.failed {
                        return Err(io::Error::from_raw_os_error(errno));
                    }
                    Ok(())
                }
                _ => Ok(()),
            }
        })
    }

    pub fn arm(&self, fails: Option<(Call, usize, i32)>) {
        *self.0.lock().unwrap() = Plan {
            fails,
            ..Plan::default()
        };
    }

    pub fn failed(&self) -> bool {
        self.0.lock().unwrap().failed
    }

    pub fn trace(&self) -> Vec<Call> {
        self.0.lock().unwrap().trace.clone()
    }
}

/// Ten small files, which one flush covers, two of them in directories that are not
/// there yet, and a large one.
pub fn sources(rig: &Rig) -> Vec<(PathBuf, String)> {
    let small = (1..9).map(|n| (format!("small-{n}"), n));
    small
        .chain([(NESTED[0].to_owned(), 9), (NESTED[1].to_owned(), 10)])
        .chain([("large".to_owned(), 2 * MIB + 5)])
        .map(|(name, len)| (rig.file(&name.replace('/', "-"), len), name))
        .collect()
}

pub fn put_all(client: &Client, sources: &[(PathBuf, String)]) -> Outcome {
    let files: Vec<_> = sources
        .iter()
        .map(|(path, name)| (path.as_path(), name.as_str()))
        .collect();
    let options = JobOptions {
        on_existing: OnExisting::Replace,
        ..JobOptions::default()
    };
    put(client, &files, &options)
}
