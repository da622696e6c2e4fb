//! How much the members of an archive may come to, so that small files cannot fill a disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::{Error, Result};

/// Most members that one archive may have.
const MAX_MEMBERS: usize = 200_000;
/// Most bytes that all members may come to, those of archives inside and of what is rebuilt from them included: the largest
/// packages, of graphics adapters, have 3 GB; cumulative updates of Windows 11 take 5 GB out of their container and expand to
/// less than 12.
const MAX_TOTAL_BYTES: u64 = 20 << 30;
/// Archives that come to less than this may shrink their data as much as they like.
const FREE_BYTES: u64 = 256 << 20;
/// Most times that the data of a larger archive may be its size: drivers shrink to a third, texts to a tenth.
const MAX_RATIO: u64 = 100;

/// What the file that the user gave may unpack to. Clones share what is left of it, so that nesting gains nothing.
#[derive(Clone, Debug)]
pub struct Allowance {
    archive_bytes: u64,
    /// Bytes that were unpacked from the file and from archives inside.
    used: Arc<AtomicU64>,
}

impl Allowance {
    /// That of a file of so many bytes.
    #[must_use]
    pub fn of_file(bytes: u64) -> Self {
        Self::with_used(bytes, 0)
    }

    /// That of a file of which `used` bytes were unpacked already.
    #[must_use]
    pub fn with_used(bytes: u64, used: u64) -> Self {
        Self { archive_bytes: bytes, used: Arc::new(AtomicU64::new(used)) }
    }

    /// Bytes of the file that the user gave.
    #[must_use]
    pub const fn archive_bytes(&self) -> u64 {
        self.archive_bytes
    }

    /// Bytes that were taken so far.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes what an archive, by what it says of itself, unpacks to; refuses what has or makes more than is sane.
    ///
    /// # Errors
    /// `Limit` with the numbers; nothing is taken then.
    pub fn take(&self, members: usize, unpacked_bytes: u64) -> Result<()> {
        let remedy = "if it is no trap, unpack it with another tool and give the folder";
        if members > MAX_MEMBERS {
            let message = format!("it has {members} members, more than {MAX_MEMBERS}");
            return Err(Error::limit(message).remedy(remedy));
        }
        let allowed = self.archive_bytes.saturating_mul(MAX_RATIO).clamp(FREE_BYTES, MAX_TOTAL_BYTES);
        let more = |used: u64| used.checked_add(unpacked_bytes).filter(|&sum| sum <= allowed);
        let Err(used) = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) else {
            return Ok(());
        };
        let before = if used > 0 { format!(" after {used} on the way to it") } else { String::new() };
        let Self { archive_bytes, .. } = self;
        Err(Error::limit(format!(
            "its members come to {unpacked_bytes} bytes{before}, more than the {allowed} that an archive of {archive_bytes} bytes may hold"
        ))
        .remedy(remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_no_package_has_are_refused() {
        assert!(Allowance::of_file(1000).take(9, 200 << 20).is_ok());
        assert!(Allowance::of_file(1000).take(9, 300 << 20).is_err());
        assert!(Allowance::of_file(1 << 30).take(9, 3 << 30).is_ok());
        assert!(Allowance::of_file(u64::MAX).take(9, u64::MAX).is_err());
        assert!(Allowance::of_file(1 << 30).take(300_000, 9).is_err());
    }

    #[test]
    fn archives_inside_share_what_is_left() {
        let outer = Allowance::of_file(1000);
        let inner = outer.clone();
        outer.take(1, 150 << 20).unwrap();
        let error = inner.take(1, 150 << 20).unwrap_err();
        assert!(error.to_string().contains("after 157286400 on the way"), "{error}");
        inner.take(1, 100 << 20).unwrap();
        assert_eq!(outer.used_bytes(), 250 << 20);
        assert!(Allowance::with_used(1000, inner.used_bytes()).take(1, 10 << 20).is_err());
    }
}
