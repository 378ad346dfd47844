//! `haul forget HOST`

use crate::code::Code;
use crate::trust::KnownHosts;

use super::address::Address;
use super::failure::failure;
use super::json::Line;
use super::places;
use super::report::Report;
use super::settings::Format;

pub(super) fn run(host: &Address, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let known = KnownHosts::new(&places::of_user()?);
    if known.forget(&host.to_string())? == 0 {
        let text = format!("{host} is not a server that is known here");
        return Err(failure(Code::NotFound, text));
    }
    if report.manner().format == Format::Json {
        let line = Line::event("host")
            .text("host", host.to_string().as_str())
            .text("status", "forgotten");
        report.print(line);
    }
    report.notice(&format!("{host} is not known any more"));
    Ok(None)
}
