//! `haul key`

use crate::code::Code;

use super::escape;
use super::json::Line;
use super::places;
use super::report::Report;
use super::settings::Format;

pub(super) fn run(report: &mut Report) -> anyhow::Result<Option<Code>> {
    let file = places::of_user()?.identity();
    let is_new = file.load()?.is_none();
    let key = file.load_or_make()?.public();
    if is_new {
        let path = escape::path(file.path());
        report.notice(&format!("made a key for this user: {path}"));
    }
    let (line, fingerprint) = (key.to_string(), key.fingerprint().to_string());
    if report.manner().format == Format::Json {
        let event = Line::event("key").text("key", line.as_str());
        report.print(event.text("fingerprint", fingerprint.as_str()));
    }
    report.data(&line);
    report.data(&fingerprint);
    Ok(None)
}
