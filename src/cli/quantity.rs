//! Numbers as a person reads and writes them.

use std::time::Duration;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `1 file`, `128 files`.
pub(super) fn files(count: u64) -> String {
    counted(count, "file", "files")
}

/// A count and what it counts, in one word for one and another for all else.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `512 B`, `3.1 GiB`: in powers of 1024, with one decimal.
pub(super) fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count} B");
    }
    let mut scale = 1_u128;
    let mut shown = String::new();
    for unit in UNITS {
        scale *= 1024;
        // In whole tenths: what would round up to 1024.0 goes on to the next unit.
        let tenths = (u128::from(count) * 10 + scale / 2) / scale;
        shown = format!("{}.{} {unit}", tenths / 10, tenths % 10);
        if tenths < 10_240 {
            break;
        }
    }
    shown
}

/// `0.3 s`, `41 s`, `12 min 5 s`, `3 h 20 min`.
pub(super) fn time(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    if tenths < 100 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    match (time.as_millis() + 500) / 1000 {
        seconds @ ..600 => format!("{seconds} s"),
        seconds @ ..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Bytes a second. No time counts as a millisecond.
pub(super) fn rate(bytes: u64, time: Duration) -> u64 {
    let a_second = u128::from(bytes) * 1000 / time.as_millis().max(1);
    u64::try_from(a_second).unwrap_or(u64::MAX)
}

/// Whether a text is a number above 0, be it one that is too large to be counted with.
pub(super) fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.bytes().any(|b| b != b'0')
}

/// Reads seconds, with an `s` or without, or minutes with an `m`.
pub(super) fn parse_time(text: &str) -> Result<Duration, &'static str> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    number
        .parse::<u32>()
        .map(|number| Duration::from_secs(u64::from(number) * unit))
        .map_err(|_| "a time is written as 30, 30s or 5m")
}

/// Reads a time as [`parse_time`] does, or hours with an `h`, or days with a `d`.
pub(super) fn parse_long_time(text: &str) -> Result<Duration, &'static str> {
    let units = [('h', 3600), ('d', 24 * 3600)];
    let number = |(unit, seconds)| Some((text.strip_suffix(unit)?, seconds));
    let Some((number, unit)) = units.into_iter().find_map(number) else {
        return parse_time(text).map_err(|_| "a time is written as 30, 30s, 5m, 12h or 7d");
    };
    let number = number.parse::<u32>();
    let time = number.map(|number| Duration::from_secs(u64::from(number) * unit));
    time.map_err(|_| "a time is written as 30, 30s, 5m, 12h or 7d")
}

/// Reads a time that is not nothing.
pub(super) fn parse_some_time(text: &str) -> Result<Duration, &'static str> {
    match parse_time(text)? {
        Duration::ZERO => Err("with no time at all nobody could ask for anything"),
        some => Ok(some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn size(count: u64, shown: &str) {
        assert_eq!(bytes(count), shown);
    }

    #[track_caller]
    fn lasting(millis: u64, shown: &str) {
        assert_eq!(time(Duration::from_millis(millis)), shown);
    }

    #[test]
    fn sizes_take_the_unit_that_leaves_them_below_1024() {
        size(0, "0 B");
        size(1023, "1023 B");
        size(1024, "1.0 KiB");
        size(1_048_524, "1023.9 KiB");
        size(1_048_525, "1.0 MiB");
        size(3 << 30, "3.0 GiB");
        size(3_328_599_655, "3.1 GiB");
        size(u64::MAX, "16.0 EiB");
    }

    #[test]
    fn times_lose_precision_as_they_grow() {
        lasting(0, "0.0 s");
        lasting(349, "0.3 s");
        lasting(9_949, "9.9 s");
        lasting(9_950, "10 s");
        lasting(41_000, "41 s");
        lasting(599_499, "599 s");
        lasting(725_000, "12 min 5 s");
        lasting(12_000_000, "3 h 20 min");
    }

    #[test]
    fn one_file_is_no_files() {
        assert_eq!(files(0), "0 files");
        assert_eq!(files(1), "1 file");
        assert_eq!(files(2), "2 files");
    }

    #[test]
    fn a_rate_over_no_time_is_no_division_by_zero() {
        assert_eq!(rate(0, Duration::ZERO), 0);
        assert_eq!(rate(10 << 20, Duration::from_secs(10)), 1 << 20);
    }

    #[track_caller]
    fn written(text: &str, seconds: Option<u64>) {
        assert_eq!(
            parse_time(text).ok(),
            seconds.map(Duration::from_secs),
            "{text}"
        );
    }

    #[test]
    fn times_are_seconds_unless_they_say_minutes() {
        written("30", Some(30));
        written("30s", Some(30));
        written("5m", Some(300));
        written("0", Some(0));
        written("", None);
        written("5h", None);
        written("-1", None);
        assert!(parse_some_time("0").is_err());
    }

    #[test]
    fn long_times_may_say_hours_and_days() {
        for (text, seconds) in [
            ("30", Some(30)),
            ("5m", Some(300)),
            ("12h", Some(12 * 3600)),
            ("7d", Some(7 * 24 * 3600)),
            ("0", Some(0)),
            ("d", None),
            ("1w", None),
            ("1.5h", None),
        ] {
            let read = parse_long_time(text).ok();
            assert_eq!(read, seconds.map(Duration::from_secs), "{text}");
        }
    }
}
