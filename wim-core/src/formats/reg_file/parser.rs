//! Parsing: text to statements in their order, each with its line.
//!
//! Follows regedit where it matters (escapes, continuation lines, deletions, ANSI strings of REGEDIT4) but says what it does
//! not understand instead of skipping it silently.

use encoding_rs::Encoding;

use super::encoding;
use super::scanner::Scanner;
use super::{DEFAULT_CODE_PAGE, RegFormat};
use crate::base::{Error, Place, Result};

/// Value types whose bytes REGEDIT4 files hold in ANSI.
const TEXT_TYPES: [u32; 3] = [1, 2, 7];
const DWORD: u32 = 4;
const SZ: u32 = 1;
const BINARY: u32 = 3;

/// What to do about lines that are no statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnknownLines {
    /// Skip them with a warning.
    #[default]
    Warn,
    /// Fail.
    Refuse,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegAction {
    /// Makes the key.
    CreateKey,
    /// Deletes the key with everything below.
    DeleteKey,
    /// Sets a value of the key.
    SetValue {
        /// Its name; empty for the default value.
        name: String,
        /// Its type.
        kind: u32,
        /// Its bytes, as a hive stores them.
        data: Vec<u8>,
    },
    /// Deletes a value of the key.
    DeleteValue {
        /// Its name; empty for the default value.
        name: String,
    },
}

/// One statement of a registry text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegStatement {
    /// Line it begins on, counted from 1.
    pub line: u32,
    /// Full path of the key, root name included, as written.
    pub key: String,
    /// What it does.
    pub action: RegAction,
}

/// A parsed registry text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegFile {
    /// Its format.
    pub format: RegFormat,
    /// Its statements, in order.
    pub statements: Vec<RegStatement>,
    /// What was skipped: line and reason.
    pub warnings: Vec<(u32, String)>,
}

impl RegFile {
    /// Parses a file. REGEDIT4 files, and version 5.00 files that are neither UTF-16 nor UTF-8, are read in
    /// `code_page`; [`DEFAULT_CODE_PAGE`] unless the user names another.
    ///
    /// # Errors
    /// `Format` with the line when the header is missing, or a line is no statement and must be refused; `Unsupported`
    /// for an unknown code page.
    pub fn parse(bytes: &[u8], code_page: Option<u16>, unknown: UnknownLines) -> Result<Self> {
        let ansi = encoding::code_page(code_page.unwrap_or(DEFAULT_CODE_PAGE))?;
        let text = encoding::decode(bytes, ansi);
        let mut scanner = Scanner::new(&text);
        scanner.skip_empty_lines();
        let header_line = scanner.line();
        let format = match scanner.take_line().trim() {
            "Windows Registry Editor Version 5.00" => RegFormat::Version5,
            "REGEDIT4" => RegFormat::Regedit4,
            other => {
                let shown: String = other.chars().take(60).collect();
                return Err(at_line(header_line, format!("{shown:?} is not the header of a registry file"))
                    .remedy("begin the file with \"Windows Registry Editor Version 5.00\" or \"REGEDIT4\""));
            }
        };
        let file = Self { format, statements: Vec::new(), warnings: Vec::new() };
        let mut parser = Parser { scanner, ansi, unknown, file, key: None };
        while parser.statement()? {}
        Ok(parser.file)
    }
}

fn at_line(line: u32, message: impl Into<String>) -> Error {
    Error::new(crate::base::ErrorKind::Format, message).at(Place::Line { line, column: 0 })
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    ansi: &'static Encoding,
    unknown: UnknownLines,
    file: RegFile,
    /// The key that values belong to; none before the first, and after a deleted one.
    key: Option<String>,
}

/// Why a line is no statement.
type Refusal = String;

impl Parser<'_> {
    /// Parses one statement; false at the end of the text.
    fn statement(&mut self) -> Result<bool> {
        self.scanner.skip_empty_lines();
        let line = self.scanner.line();
        let parsed = match self.scanner.peek() {
            None => return Ok(false),
            Some(';') => {
                self.scanner.take_line();
                Ok(())
            }
            Some('[') => self.key_line(line),
            Some('"' | '@') => self.value_line(line),
            Some(_) => Err("neither a key, a value nor a comment".to_owned()),
        };
        if let Err(reason) = parsed {
            if self.unknown == UnknownLines::Refuse {
                return Err(at_line(line, reason));
            }
            self.file.warnings.push((line, reason));
            // What was read up to here may have ended the line already.
            if self.scanner.line() == line {
                self.scanner.take_line();
            }
        }
        Ok(true)
    }

    fn push(&mut self, line: u32, key: String, action: RegAction) {
        self.file.statements.push(RegStatement { line, key, action });
    }

    fn key_line(&mut self, line: u32) -> Result<(), Refusal> {
        self.key = None;
        let text = self.scanner.take_line();
        // A name may hold brackets: the last one closes, and only a comment may follow it.
        let end = text.rfind(']').ok_or("a key without \"]\"")?;
        let after = text.get(end + 1..).unwrap_or("").trim_start();
        if !after.is_empty() && !after.starts_with(';') {
            return Err("text after the \"]\" of a key".to_owned());
        }
        let inside = text.get(1..end).unwrap_or("");
        let (is_deleted, path) = match inside.trim_start().strip_prefix('-') {
            Some(path) => (true, path.trim_start()),
            None => (false, inside),
        };
        let path = path.trim_end_matches('\\');
        if path.is_empty() {
            return Err("a key without a name".to_owned());
        }
        if is_deleted {
            self.push(line, path.to_owned(), RegAction::DeleteKey);
        } else {
            self.key = Some(path.to_owned());
            self.push(line, path.to_owned(), RegAction::CreateKey);
        }
        Ok(())
    }

    fn value_line(&mut self, line: u32) -> Result<(), Refusal> {
        let name = if self.scanner.skip("@") { String::new() } else { self.quoted()? };
        self.scanner.skip_blanks();
        if !self.scanner.skip("=") {
            return Err("a value without \"=\"".to_owned());
        }
        self.scanner.skip_blanks();
        let action = if self.scanner.skip("-") {
            RegAction::DeleteValue { name }
        } else {
            let (kind, data) = self.data()?;
            RegAction::SetValue { name, kind, data }
        };
        if !self.scanner.ends_line() {
            return Err("text after the end of a value".to_owned());
        }
        let key = self.key.clone().ok_or("a value that belongs to no key")?;
        self.push(line, key, action);
        Ok(())
    }

    /// A text in quotes; `\\` and `\"` are escapes, line ends are part of it.
    fn quoted(&mut self) -> Result<String, Refusal> {
        self.scanner.skip("\"");
        let mut text = String::new();
        loop {
            match self.scanner.next().ok_or("a text whose quotes are not closed")? {
                '"' => return Ok(text),
                '\\' if matches!(self.scanner.peek(), Some('\\' | '"')) => text.extend(self.scanner.next()),
                other => text.push(other),
            }
        }
    }

    fn data(&mut self) -> Result<(u32, Vec<u8>), Refusal> {
        if self.scanner.peek() == Some('"') {
            let text = self.quoted()?;
            return Ok((SZ, text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()));
        }
        if self.scanner.skip("dword:") {
            self.scanner.skip_blanks();
            let number = self.hex_number().ok_or("a dword without digits")?;
            return Ok((DWORD, number.to_le_bytes().to_vec()));
        }
        if !self.scanner.skip("hex") {
            return Err("no text, dword or hex after \"=\"".to_owned());
        }
        let kind = if self.scanner.skip("(") {
            let kind = self.hex_number().ok_or("hex( without a type")?;
            if !self.scanner.skip(")") {
                return Err("hex( without \")\"".to_owned());
            }
            kind
        } else {
            BINARY
        };
        if !self.scanner.skip(":") {
            return Err("hex without \":\"".to_owned());
        }
        let data = self.bytes()?;
        if self.file.format == RegFormat::Regedit4 && TEXT_TYPES.contains(&kind) {
            return Ok((kind, encoding::ansi_to_utf16(&data, self.ansi)));
        }
        Ok((kind, data))
    }

    /// One to eight hexadecimal digits.
    fn hex_number(&mut self) -> Option<u32> {
        let mut number: Option<u32> = None;
        while let Some(digit) = self.scanner.peek().and_then(|c| c.to_digit(16)) {
            number = Some(number.unwrap_or(0).checked_mul(16)? | digit);
            self.scanner.next();
        }
        number
    }

    /// Bytes with commas between them; a backslash at the end of a line continues on the next.
    fn bytes(&mut self) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        loop {
            self.scanner.skip_blanks();
            match self.scanner.peek() {
                Some('\\') => {
                    self.scanner.next();
                    if !self.scanner.ends_line() {
                        return Err("a backslash inside a line of bytes".to_owned());
                    }
                }
                Some(c) if c.is_ascii_hexdigit() => {
                    let number = self.hex_number().and_then(|number| u8::try_from(number).ok());
                    bytes.push(number.ok_or("a byte above ff")?);
                    self.scanner.skip_blanks();
                    if !self.scanner.skip(",") && !matches!(self.scanner.peek(), Some('\\')) {
                        return Ok(bytes);
                    }
                }
                _ => return Ok(bytes),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RegFile {
        RegFile::parse(text.as_bytes(), None, UnknownLines::Warn).unwrap()
    }

    fn set(file: &RegFile, index: usize) -> (&str, u32, &[u8]) {
        match &file.statements[index].action {
            RegAction::SetValue { name, kind, data } => (name, *kind, data),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_forms_of_values_are_read() {
        let file = parse(concat!(
            "Windows Registry Editor Version 5.00\r\n\r\n; a comment\r\n",
            "[HKEY_LOCAL_MACHINE\\SOFTWARE\\A [1]]\r\n",
            "@=\"default\"\r\n",
            "\"a\\\\b\\\"c=;\"=\"x;=\\\\y\" ; comment\r\n",
            "\"d\"=dword:0000001a\r\n",
            "\"b\"=hex:01, 2,ff,\\\r\n  0a\r\n",
            "\"e\"=hex(2):25,00,00,00\r\n",
            "\"q\"=hex(b):01,00,00,00,00,00,00,00\r\n",
            "\"p\"=hex(ffff0012):\r\n",
            "\"gone\"=-\r\n",
            "@=-\r\n",
            "\"two\r\nlines\"=\"a\nb\"\r\n",
            "[-HKEY_CURRENT_USER\\X]\r\n",
        ));
        assert_eq!(file.warnings, []);
        assert_eq!(file.statements[0].key, "HKEY_LOCAL_MACHINE\\SOFTWARE\\A [1]");
        assert_eq!(set(&file, 1).0, "");
        assert_eq!(set(&file, 2).0, "a\\b\"c=;");
        assert_eq!(set(&file, 2).2.len(), 2 * "x;=\\y\0".len());
        assert_eq!(set(&file, 3), ("d", 4, &[0x1A, 0, 0, 0][..]));
        assert_eq!(set(&file, 4), ("b", 3, &[1, 2, 0xFF, 0x0A][..]));
        assert_eq!(set(&file, 5), ("e", 2, &[0x25, 0, 0, 0][..]));
        assert_eq!(set(&file, 6).1, 11);
        assert_eq!(set(&file, 7), ("p", 0xFFFF_0012, &[][..]));
        assert_eq!(file.statements[8].action, RegAction::DeleteValue { name: "gone".to_owned() });
        assert_eq!(file.statements[9].action, RegAction::DeleteValue { name: String::new() });
        assert_eq!(set(&file, 10).0, "two\r\nlines");
        assert_eq!(file.statements[11].action, RegAction::DeleteKey);
        assert_eq!(file.statements[11].line, 18);
    }

    #[test]
    fn ansi_strings_of_regedit4_become_utf16() {
        let mut bytes = b"REGEDIT4\n[HKEY_USERS\\.DEFAULT]\n\"".to_vec();
        bytes.extend(b"\xE4\"=\"\xDF\"\n\"m\"=hex(7):e4,00,62,00,00\n\"b\"=hex:e4\n");
        let file = RegFile::parse(&bytes, None, UnknownLines::Refuse).unwrap();
        assert_eq!(set(&file, 1), ("ä", 1, &[0xDF, 0, 0, 0][..]));
        assert_eq!(set(&file, 2).2, [0xE4, 0, 0, 0, b'b', 0, 0, 0, 0, 0]);
        assert_eq!(set(&file, 3).2, [0xE4]);
        let cyrillic = RegFile::parse(&bytes, Some(1251), UnknownLines::Refuse).unwrap();
        assert_eq!(set(&cyrillic, 1).0, "д");
        assert!(RegFile::parse(&bytes, Some(437), UnknownLines::Refuse).is_err());
    }

    #[test]
    fn encodings_are_recognised() {
        let text = "Windows Registry Editor Version 5.00\n[HKLM\\SOFTWARE\\ä]\n";
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16_be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let ansi: Vec<u8> = text.chars().map(|c| c as u8).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            [b"\xFF\xFE".to_vec(), utf16.clone()].concat(),
            [b"\xFE\xFF".to_vec(), utf16_be].concat(),
            utf16,
            ansi,
        ] {
            let file = RegFile::parse(&bytes, None, UnknownLines::Refuse).unwrap();
            assert_eq!(file.statements[0].key, "HKLM\\SOFTWARE\\ä");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let text = concat!(
            "REGEDIT4\n\"early\"=\"x\"\nnonsense\n[HKLM\\A\n[HKLM\\B] x\n[]\n[HKLM\\C]\n\"a\"=hex:zz\n\"b\"=dword:\n",
            "\"c\"=dword:123456789\n\"d\"=hex:100\n\"e\" \"f\"\n\"g\"=hex(1:00\n\"h\"=\"i\" j\n\"k\"=\"ok\"\n\"open=\n"
        );
        let file = parse(text);
        let lines: Vec<u32> = file.warnings.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 16]);
        assert_eq!(file.statements.len(), 2);
        let error = RegFile::parse(text.as_bytes(), None, UnknownLines::Refuse).unwrap_err();
        assert_eq!(error.place(), &Place::Line { line: 2, column: 0 });
        assert!(RegFile::parse(b"\n\n[HKLM]", None, UnknownLines::Warn).is_err());
        assert!(RegFile::parse(b"", None, UnknownLines::Warn).is_err());
    }
}
