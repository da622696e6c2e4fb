//! A parsed INF: its sections, and fields with their strings put in.
//!
//! Source: drivers.md 1.1 and 1.2. What the sections mean is read by the neighbours of this file; nothing here judges them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::directory;
use super::encoding::{self, Encoding};
use super::lexer::{self, Entry, Field, Item, MAX_FINDINGS, NO_DRIVER, Position};
use super::strings::{ENGLISH_US, Strings};
use crate::base::{Error, ErrorKind, Place, Result};

/// Most bytes an INF may have; the largest seen has 2.4 MB.
pub const MAX_BYTES: usize = 16 << 20;
/// Most work that reading one INF for one Windows may make, in bytes of expanded text with a share for each field.
///
/// A short token can stand for a long text in a million places, and one section can be named by thousands of others. The
/// largest driver seen needs a hundredth of this for one Windows.
pub const MAX_WORK: u64 = 64 << 20;
/// What expanding a field costs beside its text.
const FIELD_WORK: u64 = 16;
/// What to do about an INF that contradicts itself: nobody may change it, since its catalog vouches for its bytes.
const FAULTY: &str =
    "use another version of the vendor's package: an INF that is mended by hand loses its signature";
/// Most characters in a section name.
pub const MAX_SECTION_NAME: usize = 255;

/// All entries of one name; sections that occur twice are joined.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The name as first spelt.
    pub name: String,
    /// Where it first begins.
    pub position: Position,
    /// Its entries in the order of the file.
    pub entries: Vec<Entry>,
}

impl Section {
    /// Entries with this key, compared without case.
    pub fn with_key<'s, 'k>(&'s self, key: &'k str) -> impl Iterator<Item = &'s Entry> + use<'s, 'k> {
        self.entries
            .iter()
            .filter(move |entry| entry.key.as_ref().is_some_and(|field| field.text.eq_ignore_ascii_case(key)))
    }

    /// The first value of the first entry with this key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Field> {
        self.with_key(key).next()?.values.first()
    }
}

/// How an INF is read.
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions {
    /// LANGID of the strings that are put in.
    pub language: u16,
    /// Windows code page of 8-bit text that is not UTF-8.
    pub code_page: u16,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self { language: ENGLISH_US, code_page: encoding::DEFAULT_CODE_PAGE }
    }
}

/// An INF.
#[derive(Debug)]
pub struct Inf {
    name: String,
    encoding: Encoding,
    language: u16,
    sections: Vec<Section>,
    by_name: HashMap<String, usize>,
    strings: Strings,
    findings: Vec<Error>,
    /// How much of [`MAX_WORK`] is used up since [`Self::begin_work`].
    work: AtomicU64,
}

impl Inf {
    /// Parses the bytes of an INF; `name` is what errors call the file.
    ///
    /// # Errors
    /// `Limit` when it exceeds [`MAX_BYTES`] or a limit of the lexer. Anything else that is odd becomes a finding.
    pub fn parse(name: &str, bytes: &[u8], options: ParseOptions) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::limit(format!("{} bytes, more than an INF can have (16 MiB)", bytes.len()))
                .in_file(name)
                .remedy(NO_DRIVER));
        }
        let (text, encoding) = encoding::decode(bytes, options.code_page);
        let lexed = lexer::lex(&text).map_err(|e| e.in_file(name))?;
        let mut inf = Self {
            name: name.to_owned(),
            encoding,
            language: options.language,
            sections: Vec::new(),
            by_name: HashMap::new(),
            strings: Strings::default(),
            findings: lexed.findings.into_iter().map(|e| e.in_file(name)).collect(),
            work: AtomicU64::new(0),
        };
        inf.build(lexed.items);
        inf.strings = Strings::collect(inf.sections.iter());
        Ok(inf)
    }

    fn build(&mut self, items: Vec<Item>) {
        let mut current = None;
        for item in items {
            match item {
                Item::Section(field) => {
                    if field.text.chars().count() > MAX_SECTION_NAME {
                        self.find(field.position, "section name longer than 255 characters");
                    }
                    let next = self.sections.len();
                    let index = *self.by_name.entry(field.text.to_lowercase()).or_insert(next);
                    if index == next {
                        self.sections.push(Section {
                            name: field.text,
                            position: field.position,
                            entries: Vec::new(),
                        });
                    }
                    current = Some(index);
                }
                Item::Entry(entry) => match current.and_then(|index| self.sections.get_mut(index)) {
                    Some(section) => section.entries.push(entry),
                    None => self.find(entry.position, "text before the first section is ignored"),
                },
            }
        }
    }

    fn find(&mut self, position: Position, message: &str) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(self.error(position, message));
        }
    }

    /// An error at a place of this INF.
    #[must_use]
    pub fn error(&self, position: Position, message: impl Into<String>) -> Error {
        let place = if position.line == 0 { Place::Nowhere } else { position.into() };
        Error::new(ErrorKind::Format, message).at(place).in_file(&self.name).remedy(FAULTY)
    }

    /// What the file is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its text was encoded.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What was odd about its text.
    #[must_use]
    pub fn findings(&self) -> &[Error] {
        &self.findings
    }

    /// All sections in the order of the file.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section of that name, compared without case.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.by_name.get(&name.to_lowercase()).and_then(|&index| self.sections.get(index))
    }

    /// Its strings.
    #[must_use]
    pub fn strings(&self) -> &Strings {
        &self.strings
    }

    /// The LANGID whose strings are put in.
    #[must_use]
    pub fn language(&self) -> u16 {
        self.language
    }

    /// A field with its tokens expanded; directory ids become `%SystemRoot%\…` paths, unknown tokens stay.
    #[must_use]
    pub fn expand<'f>(&self, field: &'f Field) -> Cow<'f, str> {
        self.expand_text(&field.text)
    }

    /// [`Self::expand`] for a text that is no field.
    #[must_use]
    pub fn expand_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_exhausted() {
            return Cow::Borrowed(text);
        }
        let expanded =
            self.strings.expand(text, self.language, &|id| directory::registry_path(id), &mut |_| {});
        self.work.fetch_add(FIELD_WORK + expanded.len() as u64, Ordering::Relaxed);
        expanded
    }

    /// Starts counting anew: the INF is read for another purpose, another Windows or another package that includes it.
    pub fn begin_work(&self) {
        self.work.store(0, Ordering::Relaxed);
    }

    /// True when reading it has made more work than any driver's INF does; fields then stay as they are written, and readers stop.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.work.load(Ordering::Relaxed) > MAX_WORK
    }

    /// Refuses an INF that [`Self::is_exhausted`].
    ///
    /// # Errors
    /// `Limit`.
    pub fn check_work(&self) -> Result<()> {
        if !self.is_exhausted() {
            return Ok(());
        }
        let message = format!("its sections and strings expand to more than {} MiB", MAX_WORK >> 20);
        Err(Error::limit(message).in_file(&self.name).remedy(NO_DRIVER))
    }

    /// The tokens of a field that no `[Strings]` section defines.
    #[must_use]
    pub fn unknown_tokens(&self, field: &Field) -> Vec<String> {
        let mut unknown = Vec::new();
        self.strings.expand(&field.text, self.language, &|_| None, &mut |token| {
            unknown.push(token.to_owned());
        });
        unknown
    }

    /// The expanded field at `index` of an entry; none when it is missing or empty.
    #[must_use]
    pub fn field<'e>(&self, entry: &'e Entry, index: usize) -> Option<Cow<'e, str>> {
        let text = self.expand(entry.values.get(index)?);
        (!text.is_empty()).then_some(text)
    }

    /// The expanded values of all entries of a section with this key, in order, empty ones left out.
    #[must_use]
    pub fn list(&self, section: &Section, key: &str) -> Vec<String> {
        let values = section.with_key(key).flat_map(|entry| &entry.values);
        values.map(|field| self.expand(field).into_owned()).filter(|text| !text.is_empty()).collect()
    }
}

/// Parses a number as INFs write them: decimal, or hexadecimal after `0x`, with an optional sign; negative ones wrap.
#[must_use]
pub fn parse_number(text: &str) -> Option<u32> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}
