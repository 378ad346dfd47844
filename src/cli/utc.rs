//! Moments as a calendar shows them, in UTC.

use crate::entry::Mtime;

const DAY: i64 = 86_400;

/// `2025-11-22T12:04:05Z`.
pub(super) fn stamp(moment: Mtime) -> String {
    let (year, month, day) = date(moment.seconds().div_euclid(DAY));
    let second = moment.seconds().rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, shown: &str) {
        assert_eq!(stamp(Mtime::new(seconds, 0).unwrap()), shown);
    }

    #[test]
    fn seconds_become_the_days_of_the_calendar() {
        check(0, "1970-01-01T00:00:00Z");
        check(-1, "1969-12-31T23:59:59Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_763_813_045, "2025-11-22T12:04:05Z");
        check(4_107_542_399, "2100-02-28T23:59:59Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
    }

    #[test]
    fn a_moment_that_a_hostile_server_made_up_is_no_panic() {
        assert!(!stamp(Mtime::new(i64::MAX, 0).unwrap()).is_empty());
        assert!(!stamp(Mtime::new(i64::MIN, 0).unwrap()).is_empty());
    }
}
