//! Names of the host as names of an image, and back.
//!
//! Windows' own names are UTF-16 already. On Unix a name is bytes: UTF-8, with an unpaired surrogate as the three bytes
//! that UTF-8 would give it (WTF-8), so that every name of an image has its bytes and comes back from them.

use std::ffi::{OsStr, OsString};

use crate::base::{WimString, windows_name};

/// The name in an image of a host file; none when its bytes are not text.
#[must_use]
pub fn to_image(name: &OsStr) -> Option<WimString> {
    #[cfg(unix)]
    {
        from_wtf8(std::os::unix::ffi::OsStrExt::as_bytes(name)).map(WimString::from)
    }
    #[cfg(windows)]
    {
        Some(WimString::from(std::os::windows::ffi::OsStrExt::encode_wide(name).collect::<Vec<u16>>()))
    }
}

/// The host's form of a name of an image.
#[must_use]
pub fn to_host(name: &[u16]) -> OsString {
    #[cfg(unix)]
    {
        std::os::unix::ffi::OsStringExt::from_vec(to_wtf8(name))
    }
    #[cfg(windows)]
    {
        std::os::windows::ffi::OsStringExt::from_wide(name)
    }
}

/// Which names a host's file systems take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRules {
    /// Anything but separators and NUL, which no image's tree holds.
    Unix,
    /// What the Win32 interface takes.
    Windows,
}

impl NameRules {
    /// Those of the host this runs on.
    #[must_use]
    pub const fn of_this_host() -> Self {
        if cfg!(windows) { Self::Windows } else { Self::Unix }
    }

    /// True when a file can be made under `name`.
    #[must_use]
    pub fn allow(self, name: &[u16]) -> bool {
        match self {
            Self::Unix => !name.is_empty(),
            Self::Windows => windows_name::name_fault(&String::from_utf16_lossy(name)).is_none(),
        }
    }
}

/// UTF-8 with unpaired surrogates as three bytes.
#[cfg(any(unix, test))]
fn to_wtf8(name: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    for unit in char::decode_utf16(name.iter().copied()) {
        match unit {
            Ok(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(surrogate) => {
                let [high, low] = surrogate.unpaired_surrogate().to_be_bytes();
                bytes.extend_from_slice(&[
                    0xE0 | high >> 4,
                    0x80 | high << 2 & 0x3C | low >> 6,
                    0x80 | low & 0x3F,
                ]);
            }
        }
    }
    bytes
}

/// Back from [`to_wtf8`]; none for anything else that is not UTF-8.
#[cfg(any(unix, test))]
fn from_wtf8(bytes: &[u8]) -> Option<Vec<u16>> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                units.extend(text.encode_utf16());
                return Some(units);
            }
            Err(error) => {
                let (good, bad) = rest.split_at(error.valid_up_to());
                units.extend(std::str::from_utf8(good).ok()?.encode_utf16());
                let [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, after @ ..] = bad else { return None };
                let unit = 0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F);
                // A pair written as two halves is the text of no image's name: it would come back as one character.
                let is_low = (0xDC00..=0xDFFF).contains(&unit);
                if is_low
                    && good.is_empty()
                    && units.last().is_some_and(|last| (0xD800..=0xDBFF).contains(last))
                {
                    return None;
                }
                units.push(unit);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_utf8_and_halves_of_pairs_survive() {
        assert_eq!(to_wtf8(&WimString::from("aé😀")), "aé😀".as_bytes());
        let half = [0x61, 0xD83D, 0x62, 0xDE00];
        assert_eq!(from_wtf8(&to_wtf8(&half)).unwrap(), half);
        for bad in [&b"\xFF"[..], b"a\xC3", b"\xED\xA0", b"\xED\xA0\xBD\xED\xB8\x80"] {
            assert_eq!(from_wtf8(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(units in prop::collection::vec(prop_oneof![any::<u16>(), 0xD7F0u16..0xE010], 0..8)) {
            prop_assert_eq!(from_wtf8(&to_wtf8(&units)), Some(units));
        }
    }

    #[test]
    fn each_system_has_its_own_rules() {
        let name = WimString::from("a:b");
        assert!(NameRules::Unix.allow(&name) && !NameRules::Windows.allow(&name));
        assert!(NameRules::Windows.allow(&WimString::from("a.b")) && !NameRules::Unix.allow(&[]));
    }
}
