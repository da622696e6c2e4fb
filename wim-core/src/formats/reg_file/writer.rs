//! Writing: keys and values as regedit exports them, so that a comparison of texts shows real differences only.
//!
//! Lines of bytes wrap where regedit wraps them; texts that are not clean go out as bytes, so that every value comes back
//! exactly. Order is the caller's.

use std::io::Write;

use encoding_rs::Encoding;

use super::encoding;
use super::{DEFAULT_CODE_PAGE, RegFormat};
use crate::base::{Error, ErrorKind, Result};

/// A line of bytes is continued once it has this many characters.
const WRAP_COLUMN: usize = 77;

/// Writes a registry text file.
pub struct RegWriter<'w> {
    out: &'w mut dyn Write,
    format: RegFormat,
    ansi: &'static Encoding,
    /// Encoded text that is not yet written.
    buffer: Vec<u8>,
}

impl<'w> RegWriter<'w> {
    /// Begins a file with its header; `code_page` is that of REGEDIT4 files.
    ///
    /// # Errors
    /// `Unsupported` for an unknown code page, `Io` when writing fails.
    pub fn new(out: &'w mut dyn Write, format: RegFormat, code_page: Option<u16>) -> Result<Self> {
        let ansi = encoding::code_page(code_page.unwrap_or(DEFAULT_CODE_PAGE))?;
        let mut writer = Self { out, format, ansi, buffer: Vec::new() };
        match format {
            RegFormat::Version5 => {
                writer.buffer.extend([0xFF, 0xFE]);
                writer.text("Windows Registry Editor Version 5.00\r\n")?;
            }
            RegFormat::Regedit4 => writer.text("REGEDIT4\r\n")?,
        }
        Ok(writer)
    }

    /// Begins a key; `path` has the root name in front.
    ///
    /// # Errors
    /// `Unsupported` when the code page lacks a character of it, `Io` when writing fails.
    pub fn key(&mut self, path: &str) -> Result<()> {
        self.text(&format!("\r\n[{path}]\r\n"))
    }

    /// Writes a value of the key; the empty name is the default value.
    ///
    /// # Errors
    /// `Unsupported` when the code page lacks a character of name or text, `Io` when writing fails.
    pub fn value(&mut self, name: &str, kind: u32, data: &[u8]) -> Result<()> {
        let mut line = if name.is_empty() { "@=".to_owned() } else { format!("\"{}\"=", escape(name)) };
        if let Some(text) = clean_text(kind, data) {
            line += &format!("\"{}\"", escape(&text));
        } else if let (4, Ok(bytes)) = (kind, <[u8; 4]>::try_from(data)) {
            line += &format!("dword:{:08x}", u32::from_le_bytes(bytes));
        } else {
            line += &if kind == 3 { "hex:".to_owned() } else { format!("hex({kind:x}):") };
            let ansi = match self.format {
                RegFormat::Regedit4 if matches!(kind, 1 | 2 | 7) => Some(self.to_ansi(kind, data)?),
                _ => None,
            };
            push_bytes(&mut line, ansi.as_deref().unwrap_or(data));
        }
        line += "\r\n";
        self.text(&line)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// `Io` when writing fails.
    pub fn finish(mut self) -> Result<()> {
        self.text("\r\n")?;
        self.flush()
    }

    /// The ANSI bytes of a text value, if they bring the same value back.
    fn to_ansi(&self, kind: u32, data: &[u8]) -> Result<Vec<u8>> {
        let units: Vec<u16> = data.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
        String::from_utf16(&units)
            .ok()
            .and_then(|text| encoding::to_ansi(&text, self.ansi))
            .filter(|bytes| encoding::ansi_to_utf16(bytes, self.ansi) == data)
            .ok_or_else(|| not_in_code_page(&format!("a value of type {kind}"), self.ansi))
    }

    fn text(&mut self, text: &str) -> Result<()> {
        const FLUSH_BYTES: usize = 1 << 16;
        match self.format {
            RegFormat::Version5 => self.buffer.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            RegFormat::Regedit4 => {
                let bytes = encoding::to_ansi(text, self.ansi)
                    .ok_or_else(|| not_in_code_page(text.trim(), self.ansi))?;
                self.buffer.extend(bytes);
            }
        }
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.out.write_all(&self.buffer).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot write the registry file: {error}")).with_source(error)
        })?;
        self.buffer.clear();
        Ok(())
    }
}

fn not_in_code_page(what: &str, ansi: &'static Encoding) -> Error {
    let shown: String = what.chars().take(80).collect();
    Error::unsupported(format!("{shown} cannot be written in {}", ansi.name()))
        .remedy("export in version 5.00, which is UTF-16")
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The text of a `REG_SZ` that is well-formed and ends in its only terminator.
fn clean_text(kind: u32, data: &[u8]) -> Option<String> {
    let (pairs, rest) = data.as_chunks();
    if kind != 1 || !rest.is_empty() {
        return None;
    }
    let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
    let (last, text) = units.split_last()?;
    if *last != 0 || text.contains(&0) {
        return None;
    }
    String::from_utf16(text).ok()
}

/// Appends bytes, wrapped as regedit does.
fn push_bytes(line: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut column = line.encode_utf16().count();
    for (index, byte) in bytes.iter().enumerate() {
        for nibble in [byte >> 4, byte & 15] {
            line.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or('0'));
        }
        if index + 1 < bytes.len() {
            line.push(',');
            column += 3;
            if column >= WRAP_COLUMN {
                line.push_str("\\\r\n  ");
                column = 2;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RegAction, RegFile, UnknownLines};
    use super::*;

    fn export(format: RegFormat, values: &[(&str, u32, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = RegWriter::new(&mut out, format, None).unwrap();
        writer.key("HKEY_LOCAL_MACHINE\\SOFTWARE\\Test").unwrap();
        for (name, kind, data) in values {
            writer.value(name, *kind, data).unwrap();
        }
        writer.finish().unwrap();
        out
    }

    #[test]
    fn long_values_wrap_where_regedit_wraps_them() {
        let bytes = export(RegFormat::Regedit4, &[("Name", 3, (0..60).collect())]);
        let text = String::from_utf8(bytes).unwrap();
        let expected = concat!(
            "REGEDIT4\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Test]\r\n",
            "\"Name\"=hex:00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,10,11,12,13,14,15,\\\r\n",
            "  16,17,18,19,1a,1b,1c,1d,1e,1f,20,21,22,23,24,25,26,27,28,29,2a,2b,2c,2d,2e,\\\r\n",
            "  2f,30,31,32,33,34,35,36,37,38,39,3a,3b\r\n\r\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn every_value_comes_back_from_both_formats() {
        let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let values = vec![
            ("", 1, utf16("default\0")),
            ("q\"\\", 1, utf16("a\"b\\c\0")),
            ("lines\r\n", 1, utf16("a\r\nb\nc\0")),
            ("two ends", 1, utf16("a\0b\0")),
            ("no end", 1, utf16("abc")),
            ("empty", 1, vec![]),
            ("d", 4, vec![1, 2, 3, 4]),
            ("short d", 4, vec![1]),
            ("m", 7, utf16("a\0ä\0\0")),
            ("e", 2, utf16("%x%\0")),
            ("none", 0, vec![]),
            ("odd", 0xFFFF_0011, vec![0xFF]),
        ];
        for format in [RegFormat::Version5, RegFormat::Regedit4] {
            let file = RegFile::parse(&export(format, &values), None, UnknownLines::Refuse).unwrap();
            assert_eq!(file.format, format);
            let got: Vec<_> = file
                .statements
                .iter()
                .filter_map(|statement| match &statement.action {
                    RegAction::SetValue { name, kind, data } => Some((name.as_str(), *kind, data.clone())),
                    _ => None,
                })
                .collect();
            assert_eq!(got, values);
        }
    }

    #[test]
    fn what_a_code_page_lacks_is_refused() {
        let mut out = Vec::new();
        let mut writer = RegWriter::new(&mut out, RegFormat::Regedit4, None).unwrap();
        assert!(writer.value("日本", 1, &[0, 0]).is_err());
        assert!(writer.value("x", 7, &[0xE5, 0x65, 0, 0]).is_err());
        assert!(writer.value("x", 2, &[1]).is_err(), "an odd byte has no ANSI form");
        assert!(writer.value("x", 3, &[0xE5, 0x65]).is_ok());
    }
}
