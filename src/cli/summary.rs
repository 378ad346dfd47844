//! The one line with which a put or a get ends.

use std::time::Duration;

use crate::client::{Effect, JobOptions, Summary};
use crate::code::Code;
use crate::offer::OnExisting;

use super::quantity;

/// What a job did, and where.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Put files on this server.
    Put(String),
    /// Fetched files into this directory.
    Get(String),
}

/// Says what a job came to: what is claimed is only what was proved.
pub(super) fn sentence(
    job: &Job,
    summary: &Summary,
    elapsed: Duration,
    options: &JobOptions,
) -> String {
    let (verb, moved, place) = match job {
        Job::Put(server) => ("put", "stored", format!("on {server}")),
        Job::Get(directory) => ("get", "fetched", format!("in {directory}")),
    };
    let is_dry = options.effect == Effect::Dry;
    let (moved, unchanged) = if is_dry {
        ("to move", "to leave")
    } else {
        (moved, "unchanged")
    };
    let failed: u64 = summary.failed.values().sum();
    let links = if summary.links == 1 { "link" } else { "links" };
    let counts = [
        (summary.moved, moved),
        (summary.unchanged, unchanged),
        (summary.kept, "kept"),
        (summary.links, links),
        (summary.skipped, "skipped"),
        (failed, "failed"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let would = if is_dry { "would " } else { "" };
    let mut text = format!(
        "{would}{verb} {}, {}, {}",
        quantity::files(summary.files),
        quantity::bytes(summary.bytes),
        quantity::time(elapsed),
    );
    if !counts.is_empty() {
        text = format!("{text}: {}", counts.join(", "));
    }
    let vouched = summary.moved + summary.unchanged + summary.links;
    if is_dry {
        text = format!("{text}; nothing was done");
    } else if vouched > 0 && summary.durable {
        text = format!("{text}; verified and durable {place}");
    } else if vouched > 0 {
        text = format!("{text}; verified {place}, not flushed there");
    }
    if let Some(&left) = summary.failed.get(&Code::Exists) {
        text = format!("{text}; left {left} {}", way_out(options.on_existing));
    }
    text
}

/// The flags that would have gone further. What is of another kind they replace neither,
/// and how many were of which nobody counted.
fn way_out(on_existing: OnExisting) -> &'static str {
    match on_existing {
        OnExisting::Refuse => {
            "as they are: --overwrite replaces files with other content, --update older ones"
        }
        OnExisting::IfNewer | OnExisting::Replace | OnExisting::ReplaceVersion(_) => {
            "that are of another kind: those are never replaced"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(job: &Job, summary: &Summary, on_existing: OnExisting, text: &str) {
        let elapsed = Duration::from_secs(41);
        let options = JobOptions {
            on_existing,
            ..JobOptions::default()
        };
        assert_eq!(sentence(job, summary, elapsed, &options), text);
    }

    fn nas() -> Job {
        Job::Put("nas:4285".to_owned())
    }

    fn whole() -> Summary {
        Summary {
            files: 128,
            bytes: 3_328_599_655,
            moved: 3,
            unchanged: 125,
            durable: true,
            ..Summary::default()
        }
    }

    #[test]
    fn a_job_that_went_well_says_where_its_files_are_safe() {
        let on = OnExisting::Refuse;
        check(
            &nas(),
            &whole(),
            on,
            "put 128 files, 3.1 GiB, 41 s: 3 stored, 125 unchanged; \
             verified and durable on nas:4285",
        );
        let get = Job::Get("backup".to_owned());
        check(
            &get,
            &whole(),
            on,
            "get 128 files, 3.1 GiB, 41 s: 3 fetched, 125 unchanged; \
             verified and durable in backup",
        );
    }

    #[test]
    fn what_was_left_out_is_counted_and_a_link_is_no_file() {
        let summary = Summary {
            links: 1,
            skipped: 2,
            ..whole()
        };
        check(
            &nas(),
            &summary,
            OnExisting::Refuse,
            "put 128 files, 3.1 GiB, 41 s: 3 stored, 125 unchanged, 1 link, 2 skipped; \
             verified and durable on nas:4285",
        );
    }

    #[test]
    fn a_rehearsal_claims_nothing() {
        let options = JobOptions {
            effect: Effect::Dry,
            ..JobOptions::default()
        };
        let text = sentence(&nas(), &whole(), Duration::from_secs(41), &options);
        let end = "would put 128 files, 3.1 GiB, 41 s: 3 to move, 125 to leave; nothing was done";
        assert_eq!(text, end);
    }

    #[test]
    fn what_was_not_flushed_is_not_called_durable() {
        let summary = Summary {
            files: 1,
            bytes: 7,
            moved: 1,
            ..Summary::default()
        };
        check(
            &nas(),
            &summary,
            OnExisting::Refuse,
            "put 1 file, 7 B, 41 s: 1 stored; verified on nas:4285, not flushed there",
        );
    }

    #[test]
    fn where_nothing_was_done_nothing_is_claimed() {
        let summary = Summary {
            failed: [(Code::File, 2)].into(),
            ..Summary::default()
        };
        check(
            &nas(),
            &summary,
            OnExisting::Refuse,
            "put 0 files, 0 B, 41 s: 2 failed",
        );
    }

    #[test]
    fn what_was_left_ends_the_line_with_the_flags_that_help() {
        let summary = Summary {
            files: 1,
            bytes: 7,
            moved: 1,
            durable: true,
            failed: [(Code::File, 1), (Code::Exists, 2)].into(),
            ..Summary::default()
        };
        check(
            &nas(),
            &summary,
            OnExisting::Refuse,
            "put 1 file, 7 B, 41 s: 1 stored, 3 failed; verified and durable on nas:4285; \
             left 2 as they are: --overwrite replaces files with other content, --update older \
             ones",
        );
    }
}
