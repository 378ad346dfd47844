//! Moments as a calendar shows them, in UTC.
//!
//! What a person reads in a list, writes into a file and gives as a date is UTC
//! everywhere: two machines that speak of one moment may stand in two time zones.

use std::fmt;
use std::time::SystemTime;

const DAY: i64 = 86_400;

/// A second in time, counted from the beginning of 1970, negative before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utc(i64);

impl Utc {
    /// The moment so many seconds after the beginning of 1970.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// What the machine's clock shows.
    #[must_use]
    pub fn now() -> Self {
        let seconds = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s),
        };
        Self(seconds)
    }

    /// Seconds since the beginning of 1970.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// The moment `seconds` later.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// `2025-11-22`.
    #[must_use]
    pub fn date(self) -> String {
        let (year, month, day) = date(self.0.div_euclid(DAY));
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Reads `2025-11-22T12:04:05Z`, the form that [`fmt::Display`] writes, or nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        // A leap second has no number of its own in this count.
        let is_time = hour < 24 && minute < 60 && second < 60;
        let midnight = Self::parse_date(date).filter(|_| is_time)?;
        Some(midnight.plus(hour * 3600 + minute * 60 + second))
    }

    /// Reads `2025-11-22`, which is the moment that the day begins, or nothing.
    #[must_use]
    pub fn parse_date(text: &str) -> Option<Self> {
        let [year, month, day] = numbers(text, '-', [4, 2, 2])?;
        let count = days(year, month, day);
        // The 30th of February would count as a day of March.
        ((1..=12).contains(&month) && date(count) == (year, month, day)).then(|| Self(count * DAY))
    }
}

/// `2025-11-22T12:04:05Z`.
impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}Z", self.date())
    }
}

/// Three numbers of so many digits each, with a mark between.
fn numbers(text: &str, mark: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(mark);
    let mut found = [0; 3];
    for (number, width) in found.iter_mut().zip(widths) {
        // The standard library would take `+1` as well.
        let digits = |part: &&str| part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
        *number = parts.next().filter(digits)?.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// The algorithm is `civil_from_days` of Howard Hinnant's "chrono-Compatible Low-Level
/// Date Algorithms": years begin in March, so that the leap day is their last.
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_month)
}

/// The count of a day from 1970-01-01: the other way round, `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, shown: &str) {
        let moment = Utc::from_seconds(seconds);
        assert_eq!(moment.to_string(), shown);
        assert_eq!(Utc::parse(shown), Some(moment));
    }

    #[test]
    fn seconds_become_the_days_of_the_calendar_and_back() {
        check(0, "1970-01-01T00:00:00Z");
        check(-1, "1969-12-31T23:59:59Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_763_813_045, "2025-11-22T12:04:05Z");
        check(4_107_542_399, "2100-02-28T23:59:59Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
    }

    #[test]
    fn every_day_of_four_centuries_is_read_back() {
        for day in -10_000..140_000 {
            let moment = Utc::from_seconds(day * DAY);
            assert_eq!(Utc::parse_date(&moment.date()), Some(moment));
        }
    }

    #[test]
    fn what_no_calendar_has_is_no_moment() {
        for text in [
            "",
            "2025-11-22",
            "2025-02-30T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-11-22T24:00:00Z",
            "2025-11-22T12:60:00Z",
            "2025-11-22T12:00:60Z",
            "2025-11-22T12:00:00",
            "2025-11-22 12:00:00Z",
            "2025-11-22T+1:00:00Z",
            "2025-11-22T12:00:00Z ",
            "20251-1-22T12:00:00Z",
            "2025-11-22-01T12:00:00Z",
        ] {
            assert_eq!(Utc::parse(text), None, "{text}");
        }
        assert_eq!(Utc::parse_date("2100-02-29"), None);
        assert_eq!(Utc::parse_date("2025-11-2"), None);
    }

    #[test]
    fn a_moment_that_a_hostile_server_made_up_is_no_panic() {
        assert!(!Utc::from_seconds(i64::MAX).to_string().is_empty());
        assert!(!Utc::from_seconds(i64::MIN).to_string().is_empty());
        assert_eq!(Utc::from_seconds(i64::MAX).plus(1).seconds(), i64::MAX);
    }
}
