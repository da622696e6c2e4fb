//! The job's time, and times as people read them.
//!
//! The one place that asks the clock, and `SOURCE_DATE_EPOCH` before it (reproducible-builds.org), so that the same input
//! and options can give the same bytes. The calendar is the proleptic Gregorian one in UTC; leap seconds and time zones
//! do not occur in a WIM.

use std::fmt;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::base::{Error, FileTime, Result, calendar};

/// The time that a job writes into what it makes: `SOURCE_DATE_EPOCH` when that is set, else now.
///
/// # Errors
/// As [`fixed_time`].
pub fn job_time() -> Result<FileTime> {
    Ok(fixed_time()?.unwrap_or_else(|| FileTime::from_system_time(SystemTime::now())))
}

/// The time of `SOURCE_DATE_EPOCH`, when that is set.
///
/// # Errors
/// `InvalidInput` when it is set to something that is no number of seconds.
pub fn fixed_time() -> Result<Option<FileTime>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    match text.to_str().and_then(|text| text.trim().parse::<i64>().ok()) {
        Some(seconds) => Ok(Some(FileTime::from_unix(seconds, 0))),
        None => Err(Error::invalid_input(format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds"))
            .remedy("set it to the seconds since 1970, or unset it")),
    }
}

/// A date and time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilTime {
    /// Year, 1601 and later.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Day of the week, 0 for Sunday.
    pub weekday: u8,
}

const SECONDS_PER_DAY: i64 = 86_400;

impl CivilTime {
    /// The calendar's name for a time, rounded down to the second.
    #[must_use]
    pub fn of(time: FileTime) -> Self {
        let (seconds, _) = time.to_unix();
        let days = seconds.div_euclid(SECONDS_PER_DAY);
        let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let (year, month, day) = calendar::date_from_days(days);
        let small = |n: i64| u8::try_from(n).expect("calendar fields other than the year are below 100");
        Self {
            year,
            month,
            day,
            hour: small(of_day / 3_600),
            minute: small(of_day / 60 % 60),
            second: small(of_day % 60),
            // 1970-01-01 was a Thursday.
            weekday: small((days + 4).rem_euclid(7)),
        }
    }

    /// As C's `asctime` and wimlib write it: `Sun Jan 28 18:51:35 2018 UTC`.
    #[must_use]
    pub fn to_asctime(self) -> String {
        const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let Self { year, month, day, hour, minute, second, weekday } = self;
        let weekday = DAYS.get(usize::from(weekday)).copied().unwrap_or_default();
        let month = MONTHS.get(usize::from(month).saturating_sub(1)).copied().unwrap_or_default();
        format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} {year} UTC")
    }
}

impl fmt::Display for CivilTime {
    /// RFC 3339: `2018-01-28T18:51:35Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, .. } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A time in a report; in JSON an RFC 3339 text with all seven digits of the 100 ns ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportTime(pub FileTime);

impl ReportTime {
    /// As wimlib prints it.
    #[must_use]
    pub fn to_asctime(self) -> String {
        CivilTime::of(self.0).to_asctime()
    }
}

impl fmt::Display for ReportTime {
    /// To the second: `2018-01-28 18:51:35`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CivilTime { year, month, day, hour, minute, second, .. } = CivilTime::of(self.0);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

impl Serialize for ReportTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = CivilTime::of(self.0).to_string();
        let seconds = text.strip_suffix('Z').unwrap_or(&text);
        serializer.collect_str(&format_args!("{seconds}.{:07}Z", self.0.0 % 10_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_have_their_names() {
        for (seconds, text) in [
            (0, "Thu Jan 01 00:00:00 1970 UTC"),
            (1_517_165_495, "Sun Jan 28 18:51:35 2018 UTC"),
            (951_782_399, "Mon Feb 28 23:59:59 2000 UTC"),
            (951_782_400, "Tue Feb 29 00:00:00 2000 UTC"),
            (4_107_542_400, "Mon Mar 01 00:00:00 2100 UTC"),
            (-11_644_473_600, "Mon Jan 01 00:00:00 1601 UTC"),
        ] {
            assert_eq!(CivilTime::of(FileTime::from_unix(seconds, 0)).to_asctime(), text);
        }
        assert_eq!(CivilTime::of(FileTime(u64::MAX)).year, 60_056);
    }

    #[test]
    fn json_keeps_every_tick() {
        let time = ReportTime(FileTime::from_unix(1_517_165_495, 123_456_700));
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2018-01-28T18:51:35.1234567Z\"");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut before = CivilTime::of(FileTime(0));
        for day in 1..=146_097_u64 {
            let now = CivilTime::of(FileTime(day * 864_000_000_000));
            assert_eq!(now.weekday, (before.weekday + 1) % 7);
            let next_day = (now.year, now.month, now.day) == (before.year, before.month, before.day + 1);
            let next_month = now.day == 1 && before.day >= 28;
            assert!(next_day || next_month, "{now:?} after {before:?}");
            before = now;
        }
        assert_eq!((before.year, before.month, before.day), (2001, 1, 1));
    }
}
