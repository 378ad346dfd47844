//! `haul trust HOST FINGERPRINT`

use crate::code::Code;
use crate::trust::{KnownHosts, Who};
use crate::utc::Utc;

use super::address::Address;
use super::json::Line;
use super::places;
use super::report::Report;
use super::settings::Format;

pub(super) fn run(host: &Address, who: Who, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let known = KnownHosts::new(&places::of_user()?);
    let now = Utc::now();
    let old = known.learn(&host.to_string(), who, now)?;
    let fingerprint = who.fingerprint().to_string();
    let since = old.as_ref().map_or(Some(now), |old| old.since);
    let since = since.map(Utc::date);
    if report.manner().format == Format::Json {
        let line = Line::event("host")
            .text("host", host.to_string().as_str())
            .text("fingerprint", fingerprint.as_str())
            .text("since", since.as_deref())
            .text("status", "known");
        report.print(line);
    }
    report.notice(&match (old, since) {
        (None, _) => format!("{host} is known by {fingerprint} from now on"),
        (Some(_), None) => format!("{host} is known by that already"),
        (Some(_), Some(since)) => format!("{host} is known by that already, since {since}"),
    });
    Ok(None)
}
