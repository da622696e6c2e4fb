//! Windows timestamps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 100 ns intervals since 1601-01-01 00:00 UTC, as NTFS and WIM store them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileTime(pub u64);

/// FILETIME of 1970-01-01: 369 years with 89 leap days.
const UNIX_EPOCH_TICKS: i128 = 11_644_473_600 * 10_000_000;

impl FileTime {
    /// The time `seconds` and `nanoseconds` after 1970, held at 0 and at the largest value.
    #[must_use]
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        let ticks = i128::from(seconds) * 10_000_000 + i128::from(nanoseconds / 100) + UNIX_EPOCH_TICKS;
        Self(u64::try_from(ticks.max(0)).unwrap_or(u64::MAX))
    }

    /// Seconds since 1970 (rounded down) and nanoseconds.
    #[must_use]
    pub fn to_unix(self) -> (i64, u32) {
        let ticks = i128::from(self.0) - UNIX_EPOCH_TICKS;
        let seconds = ticks.div_euclid(10_000_000);
        let nanoseconds = ticks.rem_euclid(10_000_000) * 100;
        (
            i64::try_from(seconds).expect("2^64 ticks are 1.8e12 seconds"),
            u32::try_from(nanoseconds).expect("less than 1e9"),
        )
    }

    /// The host's representation; times that the host cannot express are held at 1970.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        let (seconds, nanoseconds) = self.to_unix();
        let since = Duration::new(seconds.unsigned_abs(), 0);
        let whole = if seconds >= 0 { UNIX_EPOCH.checked_add(since) } else { UNIX_EPOCH.checked_sub(since) };
        whole.and_then(|t| t.checked_add(Duration::from_nanos(u64::from(nanoseconds)))).unwrap_or(UNIX_EPOCH)
    }

    /// From the host's representation.
    #[must_use]
    pub fn from_system_time(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(d) => Self::from_unix(i64::try_from(d.as_secs()).unwrap_or(i64::MAX), d.subsec_nanos()),
            Err(before) => {
                let d = before.duration();
                let ticks =
                    UNIX_EPOCH_TICKS - i128::try_from(d.as_nanos().div_ceil(100)).unwrap_or(i128::MAX);
                Self(u64::try_from(ticks.max(0)).unwrap_or(0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_times_convert_both_ways() {
        assert_eq!(FileTime::from_unix(0, 0).0, 116_444_736_000_000_000);
        assert_eq!(FileTime::from_unix(1_704_164_645, 123_456_700).to_unix(), (1_704_164_645, 123_456_700));
        assert_eq!(FileTime(0).to_unix(), (-11_644_473_600, 0));
        assert_eq!(FileTime::from_unix(i64::MIN, 0), FileTime(0));
        for ft in
            [FileTime(0), FileTime(5), FileTime(116_444_736_000_000_001), FileTime(133_000_000_000_000_007)]
        {
            assert_eq!(FileTime::from_system_time(ft.to_system_time()), ft);
        }
    }
}
