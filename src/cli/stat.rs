//! `haul stat REMOTE...`
//!
//! A line is a key and a value. A name that would break that, as one with a line feed in
//! it could, is escaped wherever it goes; JSON carries it whole.

use crate::code::Code;
use crate::entry::{Entry, Kind};

use super::errand::{Errands, Unanswered, each};
use super::escape;
use super::report::Report;
use super::settings::Format;
use super::tree_settings::Stat;

pub(super) fn run(
    stat: &Stat,
    errands: &Errands,
    report: &mut Report,
) -> anyhow::Result<Option<Code>> {
    let mut is_first = true;
    each(&stat.targets, report, |target, report| {
        let client = errands.client(&target.peer, 1)?;
        let path = target.path.as_ref();
        let ask = |_: &mut Report| client.stat(path).map_err(Unanswered::harmless);
        let entry = errands.ask(&client, report, ask)?;
        if report.manner().format == Format::Json {
            match &entry {
                Some(entry) => report.entry(entry),
                None => report.root(),
            }
            return Ok(None);
        }
        if !is_first {
            report.data("");
        }
        is_first = false;
        for (key, value) in entry.as_ref().map_or_else(of_root, of_entry) {
            report.data(&format!("{key}: {value}"));
        }
        Ok(None)
    })
}

/// What is said of a root, which has no name.
fn of_root() -> Vec<(&'static str, String)> {
    vec![("path", ".".to_owned()), ("kind", "directory".to_owned())]
}

fn of_entry(entry: &Entry) -> Vec<(&'static str, String)> {
    let kind = match entry.kind {
        Kind::File(_) => "file",
        Kind::Dir => "directory",
        Kind::Link(_) => "link",
    };
    let mut lines = vec![
        ("path", escape::name(entry.path.as_str()).into_owned()),
        ("kind", kind.to_owned()),
    ];
    if let Kind::File(geometry) = entry.kind {
        lines.push(("size", geometry.size().to_string()));
    }
    lines.push(("mode", format!("{:04o}", entry.mode.bits())));
    lines.push(("mtime", entry.mtime.utc().to_string()));
    if let Some(recorded) = entry.checksum {
        lines.push(("checksum", recorded.checksum.to_string()));
    }
    if let Kind::Link(target) = &entry.kind {
        lines.push(("target", escape::name(target.as_str()).into_owned()));
    }
    lines
}
