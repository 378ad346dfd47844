//! Removing what clients have left behind and not come back for, and what is kept of files that
//! are not there any more: at the start, and now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tracing::info;

use super::Shared;
use crate::store::{Store, Swept};

/// How soon after its start a server looks through what is kept of files: by then those are served
/// who waited for it.
const FIRST: Duration = Duration::from_secs(60);

/// How often it does so, however short the time is for which parts are kept: each of the files is
/// looked at.
const NODES: Duration = Duration::from_secs(3600);

/// Sweeps now and then until the server is stopped.
pub(super) fn run<S: Store>(shared: &Arc<Shared<S>>, stopped: &Receiver<()>) {
    let mut pause = shared.config.sweep.min(FIRST);
    let mut nodes: Option<Instant> = None;
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        sweep(shared);
        if nodes.is_none_or(|last| last.elapsed() >= NODES) {
            // Whoever comes meanwhile is served, and a stop does not wait for it.
            shared.sweep_nodes();
            nodes = Some(Instant::now());
        }
        pause = shared.config.sweep;
    }
}

/// Sweeps, and says in the log what there was.
pub(super) fn sweep<S: Store>(shared: &Shared<S>) {
    let Swept { files, bytes } = shared.sweep();
    if files > 0 {
        info!(files, bytes, "swept uploads that nobody came back for");
    }
}
