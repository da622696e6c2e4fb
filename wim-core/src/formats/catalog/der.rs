//! DER: the tag-length-value encoding of certificates and signatures.
//!
//! X.690 describes it. Only definite lengths and one-byte tags are read, which is all that DER has here.

use crate::base::{Error, Result};

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const BMP_STRING: u8 = 0x1E;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// What to do about a file that breaks the rules of its structures.
const DAMAGED: &str = "the catalog is damaged; get the package again from its vendor";

/// The tag of context-specific constructed element `n`.
pub(super) const fn context(n: u8) -> u8 {
    0xA0 | n
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// Its content.
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
    /// Offset of the content in the file.
    pub(super) offset: usize,
}

/// Elements one after another.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// The elements of `bytes`, which lie at `offset` of the file.
    pub(super) fn new(what: &'static str, bytes: &'a [u8], offset: usize) -> Self {
        Self { what, bytes, offset }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The offset of the next element in the file.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn error(&self, field: &'static str, message: impl Into<String>) -> Error {
        Error::format(self.what, field, self.offset as u64, message).remedy(DAMAGED)
    }

    /// The tag of the next element; none at the end.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// The next element, whatever it is.
    pub(super) fn any(&mut self, field: &'static str) -> Result<Element<'a>> {
        let short = |r: &Self| r.error(field, "data ends early");
        let (&tag, rest) = self.bytes.split_first().ok_or_else(|| short(self))?;
        if tag & 0x1F == 0x1F {
            return Err(self.error(field, "has a tag of several bytes"));
        }
        let (&first, rest) = rest.split_first().ok_or_else(|| short(self))?;
        let (length, header) = if first < 0x80 {
            (usize::from(first), 2)
        } else {
            let count = usize::from(first & 0x7F);
            if count == 0 || count > 4 {
                return Err(self.error(field, "has a length that DER does not allow here"));
            }
            let digits = rest.get(..count).ok_or_else(|| short(self))?;
            (digits.iter().fold(0_usize, |length, &byte| length << 8 | usize::from(byte)), 2 + count)
        };
        let end = header.checked_add(length).ok_or_else(|| short(self))?;
        let whole = self.bytes.get(..end).ok_or_else(|| short(self))?;
        let content = whole.get(header..).ok_or_else(|| short(self))?;
        let element = Element { tag, content, whole, offset: self.offset + header };
        self.bytes = self.bytes.get(end..).unwrap_or(&[]);
        self.offset += end;
        Ok(element)
    }

    /// The next element, which must have this tag.
    pub(super) fn expect(&mut self, field: &'static str, tag: u8) -> Result<Element<'a>> {
        match self.peek() {
            Some(found) if found != tag => {
                Err(self.error(field, format!("tag {found:#04x} where {tag:#04x} should be")))
            }
            _ => self.any(field),
        }
    }

    /// The next element if it has this tag.
    pub(super) fn optional(&mut self, field: &'static str, tag: u8) -> Result<Option<Element<'a>>> {
        if self.peek() == Some(tag) { self.any(field).map(Some) } else { Ok(None) }
    }

    /// The elements inside the next one, which must have this tag.
    pub(super) fn enter(&mut self, field: &'static str, tag: u8) -> Result<Self> {
        let element = self.expect(field, tag)?;
        Ok(self.inside(element))
    }

    /// The elements inside `element`.
    pub(super) fn inside(&self, element: Element<'a>) -> Self {
        Self { what: self.what, bytes: element.content, offset: element.offset }
    }

    /// An object identifier as dotted numbers.
    pub(super) fn oid(&mut self, field: &'static str) -> Result<String> {
        let element = self.expect(field, OBJECT_IDENTIFIER)?;
        oid_text(element.content).ok_or_else(|| self.error(field, "is no object identifier"))
    }

    /// The object identifier of an `AlgorithmIdentifier`.
    pub(super) fn algorithm(&mut self, field: &'static str) -> Result<String> {
        self.enter(field, SEQUENCE)?.oid(field)
    }
}

fn oid_text(content: &[u8]) -> Option<String> {
    if content.is_empty() || content.len() > 64 {
        return None;
    }
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    let mut open = false;
    for &byte in content {
        number = number.checked_mul(128)? | u64::from(byte & 0x7F);
        open = byte & 0x80 != 0;
        if !open {
            numbers.push(number);
            number = 0;
        }
    }
    let (&first, rest) = numbers.split_first()?;
    let top = (first / 40).min(2);
    let mut text = format!("{top}.{}", first - 40 * top);
    rest.iter().for_each(|number| text.push_str(&format!(".{number}")));
    (!open).then_some(text)
}

/// A UTCTime or GeneralizedTime as `2017-05-11 12:34:56`.
pub(super) fn time_text(element: &Element<'_>) -> Option<String> {
    let text = std::str::from_utf8(element.content).ok()?;
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let full = match element.tag {
        // Years 50 to 99 lie in the last century (RFC 5280).
        UTC_TIME if digits.len() >= 10 => {
            let century = if digits.get(..2)? >= "50" { "19" } else { "20" };
            format!("{century}{digits}")
        }
        GENERALIZED_TIME if digits.len() >= 12 => digits,
        _ => return None,
    };
    let part = |from: usize, to: usize| full.get(from..to);
    Some(format!(
        "{}-{}-{} {}:{}:{}",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14).unwrap_or("00")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_identifiers_and_times() {
        let mut r = Reader::new("test", &[0x06, 0x06, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82], 0);
        assert!(r.oid("x").is_err());
        let mut r =
            Reader::new("test", &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02], 0);
        assert_eq!(r.oid("x").unwrap(), "1.2.840.113549.1.7.2");
        for bad in
            [&[0x30, 0x80][..], &[0x30, 0x85, 0, 0, 0, 0, 0], &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], &[0x1F]]
        {
            assert!(Reader::new("test", bad, 0).any("x").is_err());
        }
        let time =
            |tag, text: &str| time_text(&Element { tag, content: text.as_bytes(), whole: &[], offset: 0 });
        assert_eq!(time(UTC_TIME, "170511123456Z").unwrap(), "2017-05-11 12:34:56");
        assert_eq!(time(GENERALIZED_TIME, "20510101000000Z").unwrap(), "2051-01-01 00:00:00");
        assert_eq!(time(UTC_TIME, "1705"), None);
    }
}
