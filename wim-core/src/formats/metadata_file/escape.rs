//! Names as JSON text that keeps every unit.
//!
//! Well-formed UTF-16 stands as itself. A backslash, which no name of a file can have, begins four hexadecimal digits of a
//! unit: an unpaired surrogate, or a backslash of a stream's name.

const BACKSLASH: u16 = b'\\' as u16;

/// The text of a name.
#[must_use]
pub fn escaped(name: &[u16]) -> String {
    let mut text = String::with_capacity(name.len());
    for unit in char::decode_utf16(name.iter().copied()) {
        match unit {
            Ok('\\') => text += &format!("\\{BACKSLASH:04x}"),
            Ok(c) => text.push(c),
            Err(surrogate) => text += &format!("\\{:04x}", surrogate.unpaired_surrogate()),
        }
    }
    text
}

/// The units of a text that [`escaped`] made; none for a backslash without four digits.
#[must_use]
pub fn unescaped(text: &str) -> Option<Vec<u16>> {
    let mut pieces = text.split('\\');
    let mut name: Vec<u16> = pieces.next()?.encode_utf16().collect();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(4)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        name.push(u16::from_str_radix(digits, 16).ok()?);
        name.extend(rest.encode_utf16());
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_must_be_is_escaped() {
        let units: Vec<u16> = "a/é😀\"".encode_utf16().collect();
        assert_eq!(escaped(&units), "a/é😀\"");
        assert_eq!(escaped(&[0x61, 0xD83D, 0x5C]), "a\\d83d\\005c");
        for bad in ["\\", "\\123", "\\12g4", "\\+123", "\\éé"] {
            assert_eq!(unescaped(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in prop::collection::vec(prop_oneof![any::<u16>(), 0xD7F0u16..0xE010, Just(BACKSLASH)], 0..8)) {
            prop_assert_eq!(unescaped(&escaped(&name)), Some(name));
        }
    }
}
