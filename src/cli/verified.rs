//! What a verification found, in words and as events.

use std::ops::Range;

use crate::client::DecayedBlocks;
use crate::code::Code;
use crate::content::Checksum;
use crate::entry::Entry;

use super::json::Line;
use super::quantity;
use super::report::Report;
use super::settings::Format;

/// What the files of one place came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) sound: u64,
    pub(super) repaired: u64,
    pub(super) decayed: u64,
    pub(super) edited: u64,
    pub(super) unrecorded: u64,
    pub(super) failed: u64,
    pub(super) codes: Vec<Code>,
}

impl Tally {
    /// Counts what has decayed and stays so.
    pub(super) fn leave(
        &mut self,
        report: &mut Report,
        (entry, recorded): (&Entry, Checksum),
        why: &str,
        blocks: Option<&DecayedBlocks>,
    ) {
        self.decayed += 1;
        self.codes.push(Code::Mismatch);
        let which = blocks.map(|blocks| named(&blocks.runs));
        let what = (recorded, Code::Mismatch);
        program_hears_failure(report, entry, what, why, which.as_deref());
    }

    /// The one line with which it ends.
    pub(super) fn sentence(&self, elapsed: &str, is_repairing: bool) -> String {
        let counts = [
            (self.sound, "sound"),
            (self.repaired, "repaired"),
            (self.decayed, "decayed"),
            (self.edited, "edited"),
            (self.unrecorded, "without a record"),
            (self.failed, "failed"),
        ];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let mut text = format!(
            "verified {}, {}, {elapsed}",
            quantity::files(self.files),
            quantity::bytes(self.bytes),
        );
        if !counts.is_empty() {
            text = format!("{text}: {}", counts.join(", "));
        }
        if self.decayed > 0 && !is_repairing {
            text.push_str("; --repair-from DIR puts good copies in place of what has decayed");
        }
        if self.edited > 0 {
            text.push_str("; what was edited is recorded anew by a put with -c --overwrite");
        }
        text
    }
}

/// Tells a program of a file that needs nothing.
pub(super) fn program_hears(
    report: &mut Report,
    entry: &Entry,
    status: &str,
    checksum: Option<Checksum>,
) {
    report.files += 1;
    report.bytes += entry.size();
    if report.manner().format == Format::Json {
        let line = event(entry, checksum, status).number("code", None);
        report.print(line);
    }
}

/// Tells a program of a file that is not what was stored.
pub(super) fn program_hears_failure(
    report: &mut Report,
    entry: &Entry,
    (recorded, code): (Checksum, Code),
    why: &str,
    blocks: Option<&str>,
) {
    report.failed += 1;
    if report.manner().format == Format::Json {
        let line = event(entry, Some(recorded), "failed")
            .number("code", u64::from(code.number()))
            .text("message", why);
        let line = match blocks {
            Some(blocks) => line.text("blocks", blocks),
            None => line,
        };
        report.print(line);
    }
}

fn event(entry: &Entry, checksum: Option<Checksum>, status: &str) -> Line {
    let checksum = checksum.map(|checksum| checksum.to_string());
    Line::event("file")
        .text("path", entry.path.as_str())
        .number("size", entry.size())
        .text("checksum", checksum.as_deref())
        .text("status", status)
}

/// Which blocks have decayed.
pub(super) fn in_words(blocks: &DecayedBlocks) -> String {
    let more = blocks.decayed
        - blocks
            .runs
            .iter()
            .map(|run| run.end - run.start)
            .sum::<u64>();
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let which = named(&blocks.runs);
    let word = if blocks.decayed == 1 {
        "block"
    } else {
        "blocks"
    };
    format!("{word} {which}{more} of {}", blocks.all)
}

fn named(runs: &[Range<u64>]) -> String {
    let named = runs.iter().map(|run| match run.end - run.start {
        1 => run.start.to_string(),
        _ => format!("{}-{}", run.start, run.end - 1),
    });
    named.collect::<Vec<_>>().join(", ")
}

/// What was sent of a file to repair it.
pub(super) fn repaired_in_words(blocks: Option<&DecayedBlocks>, sent: u64) -> String {
    let sent = quantity::bytes(sent);
    match blocks {
        Some(blocks) => {
            let count = quantity::counted(blocks.decayed, "block", "blocks");
            format!("{count}, {sent}")
        }
        None => sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is_said(decayed: u64, runs: &[(u64, u64)], text: &str) {
        let blocks = DecayedBlocks {
            size: 1 << 20,
            all: 2048,
            decayed,
            runs: runs.iter().map(|(first, end)| *first..*end).collect(),
        };
        assert_eq!(in_words(&blocks), text);
    }

    #[test]
    fn decayed_blocks_are_named_by_their_numbers_from_zero() {
        is_said(1, &[(3, 4)], "block 3 of 2048");
        is_said(4, &[(3, 4), (7, 10)], "blocks 3, 7-9 of 2048");
        is_said(9, &[(0, 2), (4, 5)], "blocks 0-1, 4 and 6 more of 2048");
    }

    #[test]
    fn the_last_line_counts_what_there_is_and_says_what_helps() {
        let tally = Tally {
            files: 5,
            bytes: 3 << 30,
            sound: 2,
            decayed: 1,
            edited: 1,
            unrecorded: 1,
            ..Tally::default()
        };
        let counted = "verified 5 files, 3.0 GiB, 4 s: 2 sound, 1 decayed, 1 edited, \
                       1 without a record";
        let repairing =
            format!("{counted}; what was edited is recorded anew by a put with -c --overwrite");
        assert_eq!(tally.sentence("4 s", true), repairing);
        assert!(
            tally
                .sentence("4 s", false)
                .starts_with(&format!("{counted}; --repair-from DIR"))
        );
        let none = Tally::default().sentence("1 s", true);
        assert_eq!(none, "verified 0 files, 0 B, 1 s");
    }
}
