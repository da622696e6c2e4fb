//! Discs that were published, by their SHA-1.
//!
//! The list holds the Windows 7 discs of MSDN and Digital River with the number of public sources that state each digest. A disc
//! that is not in it is unknown, which says nothing bad: other languages and legitimately mastered copies exist.

use serde::Serialize;

/// A published disc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KnownDisc {
    /// The name it was published under.
    pub file_name: &'static str,
    /// SHA-1 of the file in hexadecimal.
    pub sha1: &'static str,
    /// Independent public sources that state the digest; one alone confirms nothing.
    pub sources: u8,
}

const fn disc(file_name: &'static str, sha1: &'static str, sources: u8) -> KnownDisc {
    KnownDisc { file_name, sha1, sources }
}

/// The list.
pub const KNOWN_DISCS: [KnownDisc; 14] = [
    disc(
        "en_windows_7_professional_with_sp1_x64_dvd_u_676939.iso",
        "0bcfc54019ea175b1ee51f6d2b207a3d14dd2b58",
        5,
    ),
    disc(
        "en_windows_7_professional_with_sp1_x86_dvd_u_677056.iso",
        "d89937df3a9bc2ec1a1486195fd308cd3dade928",
        3,
    ),
    disc(
        "en_windows_7_ultimate_with_sp1_x64_dvd_u_677332.iso",
        "36ae90defbad9d9539e649b193ae573b77a71c83",
        6,
    ),
    disc(
        "en_windows_7_ultimate_with_sp1_x86_dvd_u_677460.iso",
        "65fce0f445d9bf7e78e43f17e441e08c63722657",
        2,
    ),
    disc(
        "en_windows_7_home_premium_with_sp1_x64_dvd_u_676549.iso",
        "6c9058389c1e2e5122b7c933275f963edf1c07b9",
        2,
    ),
    disc(
        "en_windows_7_home_premium_with_sp1_x86_dvd_u_676701.iso",
        "6071b4553fcf0ea53d589a846b5ae76743dd68fc",
        1,
    ),
    disc(
        "en_windows_7_enterprise_with_sp1_x64_dvd_u_677651.iso",
        "a491f985dccfb5863f31b728dddbedb2ff4df8d1",
        5,
    ),
    disc(
        "en_windows_7_enterprise_with_sp1_x86_dvd_u_677710.iso",
        "4e0450ac73ab6f9f755eb422990cd9c7a1f3509c",
        1,
    ),
    disc(
        "en_windows_7_professional_with_sp1_vl_build_x64_dvd_u_677791.iso",
        "708e0338d4e2f094dfeb860347c84a6ed9e91d0c",
        3,
    ),
    disc(
        "en_windows_7_professional_with_sp1_vl_build_x86_dvd_u_677896.iso",
        "d5bd65e1b326d728f4fd146878ee0d9a3da85075",
        1,
    ),
    disc("en_windows_7_professional_x86_dvd_x15-65804.iso", "697fa06554502fb21d30275273b25747299c020d", 1),
    disc("en_windows_7_home_premium_x86_dvd_x15-65732.iso", "cc9d8220b2179e784d85bf1ea98d2ee2190d534f", 1),
    disc("en_windows_7_home_premium_x64_dvd_x15-65733.iso", "336779ea6b65f63e11a609b4d021439c47ab315b", 1),
    disc(
        "fr_windows_7_professional_with_sp1_x64_dvd_u_678724.iso",
        "f9f0512f7ca5e2cd1502a41f6e88d80f4655bbcd",
        1,
    ),
];

/// The disc with this SHA-1, in hexadecimal of either case.
#[must_use]
pub fn by_sha1(sha1: &str) -> Option<&'static KnownDisc> {
    KNOWN_DISCS.iter().find(|disc| disc.sha1.eq_ignore_ascii_case(sha1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_forty_digits_and_differ() {
        for (number, disc) in KNOWN_DISCS.iter().enumerate() {
            assert!(disc.sha1.len() == 40 && disc.sha1.bytes().all(|b| b.is_ascii_hexdigit()), "{disc:?}");
            assert_eq!(KNOWN_DISCS.iter().position(|other| other.sha1 == disc.sha1), Some(number));
        }
        assert_eq!(by_sha1("0BCFC54019EA175B1EE51F6D2B207A3D14DD2B58").map(|disc| disc.sources), Some(5));
        assert_eq!(by_sha1(""), None);
    }
}
