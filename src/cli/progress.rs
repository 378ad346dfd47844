//! How far a job has come, drawn while it runs.
//!
//! On a terminal there is a bar for the whole, and one for each large file in flight; off
//! a terminal, and on one that can draw nothing, a plain line every ten seconds, so that a
//! log shows life without filling up. The engine knows nothing of it: it counts, and this
//! room looks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::{Event, Progress};
use crate::path::RemotePath;

use super::escape;
use super::output;
use super::quantity;
use super::settings::{Format, Loudness, Manner};
use super::terminal;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Redraws in a second.
const REDRAWS: u8 = 10;

/// Bars of single files at once: more would push the total off a small terminal.
const FILES_SHOWN: usize = 8;

/// Where a job's progress is seen.
#[derive(Debug)]
pub(super) enum Screen {
    /// Nowhere.
    Silent,
    /// In plain lines.
    Lines { began: Instant, last: Instant },
    /// In bars.
    Bars(Bars),
}

/// The bars of one job.
#[derive(Debug)]
pub(super) struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    files: HashMap<RemotePath, (ProgressBar, Arc<AtomicU64>)>,
    /// What keeps the job from moving, and how much had moved before.
    trouble: Option<(String, u64)>,
}

impl Screen {
    /// The screen for a job that begins now.
    pub(super) fn new(manner: Manner) -> Self {
        if manner.loudness == Loudness::Quiet || manner.format == Format::Json {
            Self::Silent
        } else if terminal::can_redraw() {
            Self::Bars(Bars::new(manner.color))
        } else {
            let now = Instant::now();
            Self::Lines {
                began: now,
                last: now,
            }
        }
    }

    /// Takes note of a file that begins or ends.
    pub(super) fn hear(&mut self, event: &Event) {
        let Self::Bars(bars) = self else { return };
        match event {
            Event::Started { path, size, done } => bars.begin(path, *size, done),
            Event::Finished { path, .. }
            | Event::Failed { path, .. }
            | Event::Skipped { path, .. } => bars.end(path),
            Event::Placed { .. } | Event::Lost(_) => {}
        }
    }

    /// Tells what a person is to know of an event. Trouble is drawn where the rate was, as
    /// long as it lasts.
    pub(super) fn tell(&mut self, event: &Event, line: String, progress: &Progress) {
        match (event, self) {
            (Event::Lost(_), Self::Bars(bars)) => {
                let moved = progress.bytes_done.load(Ordering::Relaxed);
                bars.trouble = Some((line, moved));
            }
            (_, screen) => screen.say(&line),
        }
    }

    /// Shows how far the job has come, if it is time to.
    pub(super) fn draw(&mut self, progress: &Progress) {
        match self {
            Self::Silent => {}
            Self::Lines { began, last } => {
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    output::say(&Count::of(progress).line(began.elapsed()));
                }
            }
            Self::Bars(bars) => bars.draw(&Count::of(progress)),
        }
    }

    /// Says a line, beside whatever is drawn.
    pub(super) fn say(&self, line: &str) {
        match self {
            Self::Silent | Self::Lines { .. } => output::say(line),
            Self::Bars(bars) => bars.all.suspend(|| output::say(line)),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Bars(bars) = self {
            // The summary takes their place. What cannot be cleared was not drawn either.
            let _ = bars.all.clear();
        }
    }
}

impl Bars {
    fn new(color: bool) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS);
        let all = MultiProgress::with_draw_target(target);
        // Written out, as indicatif's own colours ask the environment once more.
        let style = if color {
            "\x1b[36m{wide_bar}\x1b[0m {msg}{binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        } else {
            "{wide_bar} {msg}{binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        };
        let total = all.add(ProgressBar::new(0).with_style(template(style)));
        Self {
            all,
            total,
            files: HashMap::new(),
            trouble: None,
        }
    }

    fn begin(&mut self, path: &RemotePath, size: u64, done: &Arc<AtomicU64>) {
        if self.files.len() < FILES_SHOWN {
            let style = template("  {wide_msg} {bar:20} {binary_bytes} of {binary_total_bytes}");
            let bar = ProgressBar::new(size)
                .with_style(style)
                .with_message(escape::name(path.as_str()).into_owned());
            let bar = self.all.insert_before(&self.total, bar);
            self.files.insert(path.clone(), (bar, Arc::clone(done)));
        }
    }

    fn end(&mut self, path: &RemotePath) {
        if let Some((bar, _)) = self.files.remove(path) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    fn draw(&mut self, count: &Count) {
        self.trouble.take_if(|(_, moved)| count.bytes_done > *moved);
        for (bar, done) in self.files.values() {
            bar.set_position(done.load(Ordering::Relaxed));
        }
        self.total.set_length(count.bytes);
        self.total.set_position(count.bytes_done);
        self.total.set_message(match &self.trouble {
            Some((trouble, _)) => format!("{}, {trouble}, ", count.of_files()),
            None => format!("{}, ", count.of_files()),
        });
    }
}

/// The counters at one moment.
#[derive(Debug)]
struct Count {
    files: u64,
    files_done: u64,
    bytes: u64,
    bytes_done: u64,
}

impl Count {
    fn of(progress: &Progress) -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            files: read(&progress.files),
            files_done: read(&progress.files_done),
            bytes: read(&progress.bytes),
            bytes_done: read(&progress.bytes_done),
        }
    }

    fn of_files(&self) -> String {
        format!("{} of {}", self.files_done, quantity::files(self.files))
    }

    /// The plain line, `elapsed` after the beginning.
    fn line(&self, elapsed: Duration) -> String {
        let rate = quantity::rate(self.bytes_done, elapsed);
        let left = match self.bytes.saturating_sub(self.bytes_done).checked_div(rate) {
            Some(seconds) => format!(", {} left", quantity::time(Duration::from_secs(seconds))),
            // Nothing has moved, so nothing can be foretold.
            None => String::new(),
        };
        format!(
            "{}, {} of {}, {}/s{left}",
            self.of_files(),
            quantity::bytes(self.bytes_done),
            quantity::bytes(self.bytes),
            quantity::bytes(rate),
        )
    }
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).expect("the templates in this file are well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes_done: u64, seconds: u64, line: &str) {
        let count = Count {
            files: 128,
            files_done: 12,
            bytes: 3 << 30,
            bytes_done,
        };
        assert_eq!(count.line(Duration::from_secs(seconds)), line);
    }

    #[test]
    fn a_line_tells_files_bytes_rate_and_time_left() {
        check(
            1 << 30,
            10,
            "12 of 128 files, 1.0 GiB of 3.0 GiB, 102.4 MiB/s, 20 s left",
        );
    }

    #[test]
    fn nothing_is_foretold_before_anything_moved() {
        check(0, 10, "12 of 128 files, 0 B of 3.0 GiB, 0 B/s");
    }

    #[test]
    fn every_template_is_well_formed() {
        let mut bars = Bars::new(true);
        bars.begin(&RemotePath::parse("a").unwrap(), 1, &Arc::default());
        assert_eq!(bars.files.len(), 1);
        drop(Bars::new(false));
    }
}
