//! One job, watched: the client works on a thread of its own while this one draws.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use crate::client::{Error, Event, Monitor, Summary};

use super::progress::Screen;
use super::report::Report;

/// Between two looks at the counters.
const TICK: Duration = Duration::from_millis(100);

/// What a job came to, and how long it took.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) summary: Summary,
    pub(super) elapsed: Duration,
    /// Bytes that a put has sent.
    pub(super) sent: u64,
}

/// Runs `job` to its end. Every event goes to the report, and to `hear`.
pub(super) fn run(
    report: &mut Report,
    mut hear: impl FnMut(&Event),
    job: impl FnOnce(&Monitor) -> Result<Summary, Error> + Send,
) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let mut screen = Screen::new(report.manner());
    let (monitor, events) = Monitor::new();
    let progress = Arc::clone(&monitor.progress);
    let summary = thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("job".to_owned())
            .spawn_scoped(scope, move || job(&monitor))
            .map_err(Error::Thread)?;
        loop {
            match events.recv_timeout(TICK) {
                Ok(event) => {
                    hear(&event);
                    screen.hear(&event);
                    if let Some(line) = report.event(&event) {
                        screen.tell(&event, line, &progress);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            screen.draw(&progress);
        }
        worker
            .join()
            .unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    });
    let sent = progress.bytes_sent.load(Ordering::Relaxed);
    if sent.max(progress.bytes_done.load(Ordering::Relaxed)) > 0 {
        report.has_begun();
    }
    Ok(Outcome {
        summary: summary?,
        elapsed: began.elapsed(),
        sent,
    })
}
