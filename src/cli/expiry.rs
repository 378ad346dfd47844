//! When a grant ends, as a person says it: so long from now, or on a day.

use crate::trust::{self, LatestTime, Places};
use crate::utc::Utc;

use super::escape;
use super::failure::usage;
use super::quantity;

/// An end that was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// So many seconds from now.
    In(i64),
    /// At this moment.
    At(Utc),
    /// With the end of a day, which is this moment.
    AfterDay(Utc),
}

const UNITS: [(char, i64); 4] = [('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)];

/// Reads `8h` and the like, a day, or a moment.
pub(super) fn parse(text: &str) -> Result<Expiry, &'static str> {
    let with_unit = |(unit, scale): &(char, i64)| Some((text.strip_suffix(*unit)?, *scale));
    if let Some((count, scale)) = UNITS.iter().find_map(with_unit)
        && quantity::is_number(count)
    {
        // In a hundred years nobody will remember what was meant.
        let count = count.parse::<u16>();
        return count.map_or(
            Err("that is too large: the most is 65535 of a unit, or say a date"),
            |count| Ok(Expiry::In(i64::from(count) * scale)),
        );
    }
    let moment = |end| match Utc::parse_date(text) {
        Some(_) => Expiry::AfterDay(end),
        None => Expiry::At(end),
    };
    trust::parse_end(text).map(moment).ok_or(
        "an end is written as 30m, 8h, 7d or 2w, as a day, 2025-11-22, or as a moment, \
         2025-11-22T12:00:00Z",
    )
}

impl Expiry {
    /// The moment, seen from now.
    ///
    /// # Errors
    ///
    /// Where it is past by the latest time that was seen: what a server would not grant is
    /// not to look granted.
    pub(super) fn end(self, places: &Places, now: Utc) -> anyhow::Result<Utc> {
        let end = self.after(now);
        let mut latest = LatestTime::new(places);
        let seen = latest.see(now)?;
        let shown = match self {
            // The day is what was typed.
            Self::AfterDay(end) => end.plus(-1).date(),
            Self::In(_) | Self::At(_) => end.to_string(),
        };
        if end <= now {
            return Err(usage(format!("{shown} is past")));
        }
        if end <= seen {
            let file = latest.path();
            return Err(usage(format!(
                "{shown} is past: the clock was at {seen} once, and by that it is judged what \
                 has expired; if the clock was wrong then, remove {}",
                escape::path(&file)
            )));
        }
        Ok(end)
    }

    /// The moment, seen from another.
    fn after(self, now: Utc) -> Utc {
        match self {
            Self::In(seconds) => now.plus(seconds),
            Self::At(moment) | Self::AfterDay(moment) => moment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ends(text: &str, end: Option<&str>) {
        let now = Utc::parse("2025-11-22T12:00:00Z").unwrap();
        let said = parse(text).ok().map(|expiry| expiry.after(now).to_string());
        assert_eq!(said.as_deref(), end, "{text}");
    }

    #[test]
    fn an_end_is_so_long_from_now_or_the_end_of_a_day() {
        ends("30m", Some("2025-11-22T12:30:00Z"));
        ends("8h", Some("2025-11-22T20:00:00Z"));
        ends("7d", Some("2025-11-29T12:00:00Z"));
        ends("2w", Some("2025-12-06T12:00:00Z"));
        ends("2025-12-31", Some("2026-01-01T00:00:00Z"));
        ends("2025-12-31T01:02:03Z", Some("2025-12-31T01:02:03Z"));
        ends("9999-12-31", Some("9999-12-31T23:59:59Z"));
        for wrong in [
            "",
            "8",
            "h",
            "0h",
            "-8h",
            "+8h",
            "8 h",
            "8y",
            "99999999999d",
            "soon",
        ] {
            ends(wrong, None);
        }
    }
}
