//! The proleptic Gregorian calendar: days since 1970 as dates, and back.
//!
//! Years are counted from March, so that the leap day is the last of its year; an era is 400 years (H. Hinnant's method). Time
//! zones and leap seconds do not occur.

use super::filetime::FileTime;

/// Days in 400 years.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Days from 1970-01-01 to a date; month and day count from 1.
#[must_use]
pub fn days_from_date(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + i64::from(day) - 1;
    era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH
}

/// Year, month and day that lie `days` after 1970-01-01.
#[must_use]
pub fn date_from_days(days: i64) -> (i64, u8, u8) {
    let from_era = days + EPOCH;
    let (era, day_of_era) = (from_era.div_euclid(ERA_DAYS), from_era.rem_euclid(ERA_DAYS));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let small = |n: i64| u8::try_from(n).expect("months and days are below 32");
    (era * 400 + year_of_era + i64::from(month <= 2), small(month), small(day))
}

/// A date and time of day as clocks on a wall show them, and how far east of UTC the wall stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WallClock {
    /// Year.
    pub year: i64,
    /// Month, from 1.
    pub month: u8,
    /// Day, from 1.
    pub day: u8,
    /// Hour.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Second.
    pub second: u8,
    /// Nanoseconds of the second.
    pub nanoseconds: u32,
    /// Minutes that it is ahead of UTC.
    pub minutes_east: i64,
}

impl WallClock {
    /// The instant; none when a field has a value that no clock shows.
    #[must_use]
    pub fn to_file_time(self) -> Option<FileTime> {
        let days = days_from_date(self.year, self.month, self.day);
        let is_date = (1..=12).contains(&self.month)
            && self.day > 0
            && date_from_days(days) == (self.year, self.month, self.day);
        if !is_date || self.hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let minutes = days * 1440 + i64::from(self.hour) * 60 + i64::from(self.minute) - self.minutes_east;
        Some(FileTime::from_unix(minutes * 60 + i64::from(self.second), self.nanoseconds.min(999_999_999)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_and_every_day_of_an_era() {
        assert_eq!(days_from_date(1970, 1, 1), 0);
        assert_eq!(days_from_date(2000, 2, 29), 11_016);
        assert_eq!(date_from_days(-134_774), (1601, 1, 1));
        for day in -ERA_DAYS / 2..ERA_DAYS / 2 {
            let (year, month, of_month) = date_from_days(day);
            assert_eq!(days_from_date(year, month, of_month), day);
        }
    }

    #[test]
    fn clocks_east_of_utc_are_ahead_and_impossible_times_are_none() {
        let clock =
            WallClock { year: 1970, month: 1, day: 1, hour: 1, minutes_east: 60, ..WallClock::default() };
        assert_eq!(clock.to_file_time(), Some(FileTime::from_unix(0, 0)));
        let bad = [
            WallClock { month: 13, ..clock },
            WallClock { month: 2, day: 29, ..clock },
            WallClock { day: 0, ..clock },
            WallClock { hour: 24, ..clock },
            WallClock { second: 60, ..clock },
        ];
        assert!(bad.iter().all(|clock| clock.to_file_time().is_none()));
    }
}
