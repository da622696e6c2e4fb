//! How much the members of an archive may come to, so that small files cannot fill a disk.

use crate::base::{Error, Result};

/// Most members that an archive may have.
const MAX_MEMBERS: usize = 200_000;
/// Most bytes that all members may come to: the largest packages, of graphics adapters, have 3 GB, and cumulative updates of
/// Windows 11 expand to less than 12.
const MAX_TOTAL_BYTES: u64 = 16 << 30;
/// Archives that come to less than this may shrink their data as much as they like.
const FREE_BYTES: u64 = 256 << 20;
/// Most times that the data of a larger archive may be its size: drivers shrink to a third, texts to a tenth.
const MAX_RATIO: u64 = 100;

/// What the file that the user gave may unpack to; archives inside it share it, so that nesting gains nothing.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    archive_bytes: u64,
}

impl Allowance {
    /// That of a file of so many bytes.
    #[must_use]
    pub const fn of_file(bytes: u64) -> Self {
        Self { archive_bytes: bytes }
    }

    /// Bytes of the file that the user gave.
    #[must_use]
    pub const fn archive_bytes(self) -> u64 {
        self.archive_bytes
    }

    /// Refuses what, by what it says of itself, has or makes more than is sane.
    ///
    /// # Errors
    /// `Limit` with both numbers.
    pub fn check(self, members: usize, unpacked_bytes: u64) -> Result<()> {
        let remedy = "if it is no trap, unpack it with another tool and give the folder";
        if members > MAX_MEMBERS {
            let message = format!("it has {members} members, more than {MAX_MEMBERS}");
            return Err(Error::limit(message).remedy(remedy));
        }
        let allowed = self.archive_bytes.saturating_mul(MAX_RATIO).clamp(FREE_BYTES, MAX_TOTAL_BYTES);
        if unpacked_bytes > allowed {
            let Self { archive_bytes } = self;
            return Err(Error::limit(format!(
                "its members come to {unpacked_bytes} bytes, more than the {allowed} that an archive of {archive_bytes} bytes may hold"
            ))
            .remedy(remedy));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_no_package_has_are_refused() {
        assert!(Allowance::of_file(1000).check(9, 200 << 20).is_ok());
        assert!(Allowance::of_file(1000).check(9, 300 << 20).is_err());
        assert!(Allowance::of_file(1 << 30).check(9, 3 << 30).is_ok());
        assert!(Allowance::of_file(u64::MAX).check(9, u64::MAX).is_err());
        assert!(Allowance::of_file(1 << 30).check(300_000, 9).is_err());
    }
}
