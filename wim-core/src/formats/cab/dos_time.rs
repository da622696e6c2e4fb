//! Dates and times of MS-DOS: two seconds apart, from 1980 to 2107, in a time zone that nobody wrote down.
//!
//! [MS-CAB] 2.3. They are taken for UTC, so that the same cabinet gives the same times everywhere.

use crate::base::{FileTime, calendar};

const SECONDS_PER_DAY: i64 = 86_400;

/// A date and a time of day as a cabinet stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DosTime {
    /// Year less 1980 (7 bits), month (4 bits), day (5 bits).
    pub date: u16,
    /// Hour (5 bits), minute (6 bits), seconds halved (5 bits).
    pub time: u16,
}

impl DosTime {
    /// The first time that there is: 1980-01-01 00:00.
    pub const FIRST: Self = Self { date: 1 << 5 | 1, time: 0 };
    /// The last one: 2107-12-31 23:59:58.
    pub const LAST: Self = Self { date: 127 << 9 | 12 << 5 | 31, time: 23 << 11 | 59 << 5 | 29 };

    /// The time it means; none when a field is out of range.
    #[must_use]
    pub fn to_file_time(self) -> Option<FileTime> {
        let [low, high] = self.date.to_le_bytes();
        let (year, month, day) = (1980 + i64::from(high >> 1), (high & 1) << 3 | low >> 5, low & 31);
        let (hour, minute, second) = (self.time >> 11, self.time >> 5 & 63, (self.time & 31) * 2);
        let in_range =
            (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
        let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        let days = calendar::days_from_date(year, month, day);
        in_range.then(|| FileTime::from_unix(days * SECONDS_PER_DAY + of_day, 0))
    }

    /// The time rounded down to two seconds, held between [`Self::FIRST`] and [`Self::LAST`].
    #[must_use]
    pub fn of(time: FileTime) -> Self {
        let (seconds, _) = time.to_unix();
        let (days, of_day) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        let bits = |n: i64| u16::try_from(n).unwrap_or(0);
        let (year, month, day) = calendar::date_from_days(days);
        if year < 1980 {
            return Self::FIRST;
        }
        if year > 2107 {
            return Self::LAST;
        }
        Self {
            date: bits(year - 1980) << 9 | u16::from(month) << 5 | u16::from(day),
            time: bits(of_day / 3600) << 11 | bits(of_day / 60 % 60) << 5 | bits(of_day % 60 / 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_convert_both_ways() {
        for (date, time, unix) in [
            (1 << 5 | 1, 0, 315_532_800),
            // 2011-06-15 16:00:00, of a real update.
            (31 << 9 | 6 << 5 | 15, 16 << 11, 1_308_153_600),
            (40 << 9 | 2 << 5 | 29, 23 << 11 | 59 << 5 | 29, 1_583_020_798),
        ] {
            let dos = DosTime { date, time };
            assert_eq!(dos.to_file_time(), Some(FileTime::from_unix(unix, 0)));
            assert_eq!(DosTime::of(FileTime::from_unix(unix + 1, 7)), dos);
        }
        assert_eq!(DosTime::of(FileTime(0)), DosTime::FIRST);
        assert_eq!(DosTime::of(FileTime(u64::MAX)), DosTime::LAST);
        for wrong in [0, 13 << 5 | 1, 5 << 5] {
            assert_eq!(DosTime { date: wrong, time: 0 }.to_file_time(), None);
        }
        assert_eq!(DosTime { date: 33, time: 24 << 11 }.to_file_time(), None);
    }

    #[test]
    fn every_day_of_the_range_comes_back() {
        let mut days = 3652;
        while let dos = DosTime::of(FileTime::from_unix(days * SECONDS_PER_DAY, 0))
            && dos.date < DosTime::LAST.date
        {
            assert_eq!(dos.to_file_time(), Some(FileTime::from_unix(days * SECONDS_PER_DAY, 0)));
            days += 1;
        }
        assert_eq!(days, 3652 + 46_750);
    }
}
