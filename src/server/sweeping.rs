//! Removing what clients have left behind and not come back for: at the start, and now and
//! then.

use std::sync::Arc;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tracing::info;

use super::Shared;
use crate::store::{Store, Swept};

/// Sweeps now and then until the server is stopped.
pub(super) fn run<S: Store>(shared: &Arc<Shared<S>>, stopped: &Receiver<()>) {
    while stopped.recv_timeout(shared.config.sweep) == Err(RecvTimeoutError::Timeout) {
        sweep(shared);
    }
}

/// Sweeps, and says in the log what there was.
pub(super) fn sweep<S: Store>(shared: &Shared<S>) {
    let Swept { files, bytes } = shared.sweep();
    if files > 0 {
        info!(files, bytes, "swept uploads that nobody came back for");
    }
}
