//! Small text files that a user writes, lists of paths and capture configurations, and those that jobs write.
//!
//! UTF-8 with or without a byte-order mark, or UTF-16LE as Windows' Notepad writes it; `-` is standard input.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::{Error, ErrorKind, Result};

/// Largest file that is read: a list of a million paths is smaller.
const MAX_BYTES: u64 = 256 << 20;

/// Writes a text to the file at `path`, replacing one that is there whole or not at all.
///
/// # Errors
/// `Io` when the file cannot be written.
pub fn write_text(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut file = AtomicFile::create(path, IfExists::Replace)?;
    file.write_all(bytes.as_ref()).map_err(|e| Error::io(e, "cannot write", path))?;
    file.commit()
}

/// Reads the text at `path`.
///
/// # Errors
/// `Io`, `Limit` past 256 MiB, `Format` when it is neither UTF-8 nor UTF-16LE.
pub fn read_text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| Error::io(e, "cannot read", path))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::limit(format!("more than {MAX_BYTES} bytes of text")).in_file(path.display()));
    }
    decode(&bytes).ok_or_else(|| {
        Error::new(ErrorKind::Format, "the text is neither UTF-8 nor UTF-16LE").in_file(path.display())
    })
}

fn decode(bytes: &[u8]) -> Option<String> {
    // A zero behind the first character is what UTF-16LE without a mark begins with.
    let is_utf16 = bytes.starts_with(&[0xFF, 0xFE]) || matches!(bytes, [first, 0, ..] if *first != 0);
    if !is_utf16 {
        let text = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
        return String::from_utf8(text.to_vec()).ok();
    }
    let (pairs, rest) = bytes.strip_prefix(&[0xFF, 0xFE]).unwrap_or(bytes).as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_are_read_with_and_without_a_mark() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        assert_eq!(decode("ä\n".as_bytes()).as_deref(), Some("ä\n"));
        assert_eq!(decode("\u{FEFF}ä".as_bytes()).as_deref(), Some("ä"));
        assert_eq!(decode(&utf16("a\u{1F600}")).as_deref(), Some("a\u{1F600}"));
        assert_eq!(decode(&utf16("\u{FEFF}ä")).as_deref(), Some("ä"));
        assert_eq!(decode(b"").as_deref(), Some(""));
        assert_eq!(decode(b"a\xFF"), None);
        assert_eq!(decode(b"a\0b"), None);
        assert_eq!(decode(b"\xFF\xFE\x00\xD8"), None);
    }
}
