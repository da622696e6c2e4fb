//! Cuts the text of an INF into section headers and entries with their fields.
//!
//! The rules are those of drivers.md 1.1 (Microsoft's "general syntax rules for INF files"): comments, quotes,
//! continuation by a backslash, comma-separated fields. It does not expand `%tokens%`: that needs the whole file.

use crate::base::{Error, ErrorKind, Place, Result};

/// Most lines an INF may have; the largest seen has 25,212.
pub const MAX_LINES: u32 = 100_000;
/// Most fields in one INF; bounds what a file of nothing but commas costs.
pub const MAX_FIELDS: usize = 2_000_000;
/// Most findings kept for one INF.
pub(super) const MAX_FINDINGS: usize = 200;
/// What to do about a file beyond the limits: the largest known INF has a quarter of each.
pub(super) const NO_DRIVER: &str = "no driver's INF has as many; do not use it";

/// A place in an INF, both numbers counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        Self::Line { line: position.line, column: position.column }
    }
}

/// One field of an entry: quotes removed, `%tokens%` still in it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Field {
    /// Its text.
    pub text: String,
    /// Where it starts.
    pub position: Position,
    /// True when any part of it was quoted; then an empty field was meant to be there.
    pub quoted: bool,
}

/// One entry of a section: `key = value, value` or, without `=`, just values.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// What stands before `=`; none for an entry without one.
    pub key: Option<Field>,
    /// The values; trailing empty ones are dropped.
    pub values: Vec<Field>,
    /// Where the entry starts.
    pub position: Position,
}

/// What the lexer hands over, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `[name]`.
    Section(Field),
    /// An entry of the section before it.
    Entry(Entry),
}

/// Items of a text, with what was odd about it.
#[derive(Debug, Default)]
pub struct Lexed {
    /// Headers and entries.
    pub items: Vec<Item>,
    /// Findings that did not stop the lexer; each has a line and a column.
    pub findings: Vec<Error>,
}

/// Cuts `text` into items.
///
/// # Errors
/// `Limit` for more than [`MAX_LINES`] lines or [`MAX_FIELDS`] fields.
pub fn lex(text: &str) -> Result<Lexed> {
    let mut lexer = Lexer { out: Lexed::default(), pending: None, fields: 0 };
    for (number, line) in (1..).zip(lines(text)) {
        if number > MAX_LINES {
            return Err(Error::limit(format!("more than {MAX_LINES} lines"))
                .at(Place::Line { line: number, column: 0 })
                .remedy(NO_DRIVER));
        }
        lexer.line(line, number)?;
    }
    lexer.finish_entry();
    Ok(lexer.out)
}

/// The lines of a text that may end in CR, LF or CRLF.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, after)) = text.split_once(['\r', '\n']) else {
            rest = None;
            return (!text.is_empty()).then_some(text);
        };
        let crlf = text.as_bytes().get(line.len()) == Some(&b'\r') && after.starts_with('\n');
        rest = Some(if crlf { after.get(1..).unwrap_or("") } else { after });
        Some(line)
    })
}

struct Lexer {
    out: Lexed,
    /// The entry that a trailing backslash left open.
    pending: Option<Pending>,
    fields: usize,
}

/// An entry under construction.
#[derive(Default)]
struct Pending {
    entry: Entry,
    field: Field,
    /// Length of `field.text` that must survive trimming: what was quoted, and all before it.
    keep: usize,
    /// True once `=` or `,` was met: a later `=` is plain text.
    separated: bool,
}

impl Lexer {
    fn find(&mut self, position: Position, message: impl Into<String>) {
        if self.out.findings.len() < MAX_FINDINGS {
            self.out.findings.push(Error::new(ErrorKind::Format, message).at(position.into()));
        }
    }

    fn line(&mut self, line: &str, number: u32) -> Result<()> {
        let trimmed = line.trim_start_matches(is_blank);
        if trimmed.starts_with('[') && (self.pending.is_none() || is_whole_header(trimmed)) {
            if self.pending.is_some() {
                self.find(
                    Position { line: number, column: 1 },
                    "the line before ends in a backslash, but a section begins here",
                );
            }
            self.finish_entry();
            self.header(line, trimmed, number);
            return Ok(());
        }
        if self.pending.is_none() {
            if trimmed.is_empty() || trimmed.starts_with(';') {
                return Ok(());
            }
            let position = Position { line: number, column: column_of(line, trimmed) };
            let entry = Entry { position, ..Entry::default() };
            self.pending = Some(Pending { entry, ..Pending::default() });
        }
        if !self.entry_line(line, number)? {
            self.finish_entry();
        }
        Ok(())
    }

    fn header(&mut self, line: &str, trimmed: &str, number: u32) {
        let inside = trimmed.strip_prefix('[').unwrap_or(trimmed);
        let position = Position { line: number, column: column_of(line, inside) };
        let name = match inside.split_once(']') {
            Some((name, after)) => {
                let after = after.trim_start_matches(is_blank);
                if !after.is_empty() && !after.starts_with(';') {
                    self.find(
                        Position { line: number, column: column_of(line, after) },
                        "text after a section header is ignored",
                    );
                }
                name
            }
            None => {
                self.find(position, "section header without a closing bracket");
                inside.split(';').next().unwrap_or(inside)
            }
        };
        let text = name.trim_matches(is_blank).trim_matches('"').to_owned();
        self.out.items.push(Item::Section(Field { text, position, quoted: false }));
    }

    /// Reads one physical line of an entry; true when it is continued on the next.
    ///
    /// The loop copies runs of plain text at once and stops at the few bytes that mean something; all of them are ASCII,
    /// so every index it cuts at is a character boundary.
    fn entry_line(&mut self, line: &str, number: u32) -> Result<bool> {
        let bytes = line.as_bytes();
        let mut columns = Columns { line, at: 0, column: 1 };
        let mut at = 0;
        let mut in_quotes = false;
        let mut quote_at = 0;
        let mut continued = false;
        let mut pending = self.pending.take().unwrap_or_default();
        while let Some(&byte) = bytes.get(at) {
            if in_quotes {
                (at, in_quotes) = pending.quoted(line, at);
                continue;
            }
            let is_empty = pending.is_empty();
            if is_empty && matches!(byte, b' ' | b'\t') {
                at += 1;
                continue;
            }
            if pending.field.position.line == 0 {
                pending.field.position = Position { line: number, column: columns.of(at) };
            }
            match byte {
                b';' => break,
                b'"' => {
                    in_quotes = true;
                    quote_at = at;
                    pending.field.quoted = true;
                    at += 1;
                }
                b',' => {
                    self.finish_field(&mut pending, number)?;
                    pending.separated = true;
                    at += 1;
                }
                b'=' if !pending.separated => {
                    pending.take_key();
                    at += 1;
                }
                b'\\' if ends_here(bytes, at + 1) => {
                    continued = true;
                    break;
                }
                _ => {
                    let run = plain_run(bytes, at);
                    let text = line.get(at..at + run).unwrap_or("");
                    let text = if is_empty { text.trim_start_matches(is_blank) } else { text };
                    pending.field.text.push_str(text);
                    at += run;
                }
            }
        }
        if in_quotes {
            let position = Position { line: number, column: columns.of(quote_at) };
            self.find(position, "quoted text is not closed on this line");
        }
        // A comment may have begun where a field was expected.
        if !continued && !pending.is_empty() {
            self.finish_field(&mut pending, number)?;
        }
        self.pending = Some(pending);
        Ok(continued)
    }

    fn finish_field(&mut self, pending: &mut Pending, line: u32) -> Result<()> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Error::limit(format!("more than {MAX_FIELDS} fields"))
                .at(Place::Line { line, column: 0 })
                .remedy(NO_DRIVER));
        }
        pending.trim();
        pending.entry.values.push(std::mem::take(&mut pending.field));
        pending.keep = 0;
        Ok(())
    }

    fn finish_entry(&mut self) {
        let Some(mut pending) = self.pending.take() else { return };
        if !pending.field.text.is_empty() || pending.field.quoted {
            pending.trim();
            pending.entry.values.push(pending.field);
        }
        let mut entry = pending.entry;
        while entry.values.last().is_some_and(|field| field.text.is_empty() && !field.quoted) {
            entry.values.pop();
        }
        if entry.key.is_some() || !entry.values.is_empty() {
            self.out.items.push(Item::Entry(entry));
        }
    }
}

impl Pending {
    /// True when nothing of the next field has come.
    fn is_empty(&self) -> bool {
        self.field.text.is_empty() && !self.field.quoted
    }

    /// What came so far is the key of the entry.
    fn take_key(&mut self) {
        self.trim();
        self.entry.key = Some(std::mem::take(&mut self.field));
        self.keep = 0;
        self.separated = true;
    }

    /// Takes quoted text up to the next quote; where it ends, and whether the quotes are still open.
    fn quoted(&mut self, line: &str, start: usize) -> (usize, bool) {
        let bytes = line.as_bytes();
        let at = start + run_length(bytes, start, |b| b == b'"');
        self.field.text.push_str(line.get(start..at).unwrap_or(""));
        let (next, is_open) = match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'"'), Some(b'"')) => {
                self.field.text.push('"');
                (at + 2, true)
            }
            (Some(_), _) => (at + 1, false),
            (None, _) => (at, true),
        };
        self.keep = self.field.text.len();
        (next, is_open)
    }

    /// Removes blanks at the end of the field that were not quoted.
    fn trim(&mut self) {
        let text = &mut self.field.text;
        let end = text.trim_end_matches(is_blank).len().max(self.keep);
        text.truncate(end);
    }
}

/// Columns of increasing byte offsets of one line, counted without starting over each time.
struct Columns<'a> {
    line: &'a str,
    at: usize,
    column: u32,
}

impl Columns<'_> {
    fn of(&mut self, at: usize) -> u32 {
        if at > self.at {
            let passed = self.line.get(self.at..at).unwrap_or("").chars().count();
            self.column = self.column.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
            self.at = at;
        }
        self.column
    }
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t' || c == '\u{A0}' || c == '\u{FEFF}'
}

/// The column of `part`, which is a tail of `line`.
fn column_of(line: &str, part: &str) -> u32 {
    let before = line.len().saturating_sub(part.len());
    let characters = line.get(..before).unwrap_or("").chars().count();
    u32::try_from(characters).unwrap_or(u32::MAX).saturating_add(1)
}

/// True for `[name]` followed by nothing but a comment.
fn is_whole_header(trimmed: &str) -> bool {
    trimmed.split_once(']').is_some_and(|(_, after)| {
        let after = after.trim_start_matches(is_blank);
        after.is_empty() || after.starts_with(';')
    })
}

/// True when only blanks or a comment follow.
fn ends_here(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or(&[]);
    rest.iter().find(|b| !matches!(b, b' ' | b'\t')).is_none_or(|&b| b == b';')
}

fn run_length(bytes: &[u8], at: usize, stop: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or(&[]);
    rest.iter().position(|&b| stop(b)).unwrap_or(rest.len())
}

/// Length of the text from `at` that holds no separator, at least one byte; a whole `%token%` counts as plain text, so that
/// a semicolon inside it starts no comment.
fn plain_run(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at) == Some(&b'%') {
        let inner = run_length(bytes, at + 1, |b| matches!(b, b'%' | b'"' | b',' | b'='));
        return if bytes.get(at + 1 + inner) == Some(&b'%') { inner + 2 } else { 1 };
    }
    1 + run_length(bytes, at + 1, |b| matches!(b, b';' | b'"' | b',' | b'=' | b'\\' | b'%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(Option<String>, Vec<String>)> {
        let items = lex(text).unwrap().items;
        items
            .into_iter()
            .filter_map(|item| match item {
                Item::Entry(e) => {
                    Some((e.key.map(|k| k.text), e.values.into_iter().map(|v| v.text).collect()))
                }
                Item::Section(_) => None,
            })
            .collect()
    }

    fn one(text: &str) -> (Option<String>, Vec<String>) {
        let mut all = entries(text);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn values(text: &str) -> Vec<String> {
        one(text).1
    }

    #[test]
    fn quotes_join_double_and_keep_blanks() {
        assert_eq!(values("k = \"a\"b , \" c \" "), ["ab", " c "]);
        assert_eq!(values("k = \"say \"\"hi\"\"\""), ["say \"hi\""]);
        assert_eq!(values("k = x \" y\""), ["x  y"]);
        assert_eq!(values("k = \"\""), [""]);
        assert_eq!(values("k = \"a;b\" ; c"), ["a;b"]);
        assert_eq!(values("k = \"open ; x"), ["open ; x"]);
    }

    #[test]
    fn empty_fields_count_except_at_the_end() {
        assert_eq!(values("HKR,,Type,,a=b,,"), ["HKR", "", "Type", "", "a=b"]);
        assert_eq!(one("HKR,,Type,,a=b").0, None);
        assert_eq!(one("a = ,2"), (Some("a".into()), vec![String::new(), "2".into()]));
        assert_eq!(one("a ="), (Some("a".into()), vec![]));
    }

    #[test]
    fn a_backslash_continues_only_outside_quotes() {
        assert_eq!(values("k = a, \\ ; why\n  b"), ["a", "b"]);
        assert_eq!(values("k = \"Some\\\"\\\n\"more\""), ["Some\\more"]);
        assert_eq!(entries("k = \"Some\\\"\nb = c").len(), 2);
        assert_eq!(entries("k = \"Some\\\nb = c").len(), 2);
        assert_eq!(values("k = 1,\\x86"), ["1", "\\x86"]);
        assert_eq!(values("k = a\\"), ["a"]);
    }

    #[test]
    fn a_header_after_a_backslash_still_is_a_header() {
        let lexed = lex("[A]\nk = 1,,,\\\n[B]\nx = 2").unwrap();
        assert_eq!(lexed.items.len(), 4);
        assert_eq!(*lexed.findings[0].place(), Place::Line { line: 3, column: 1 });
    }

    #[test]
    fn tokens_may_hold_semicolons_and_percent_signs_may_stand_alone() {
        assert_eq!(values("k = %a;b%, c"), ["%a;b%", "c"]);
        assert_eq!(values("k = 50% ; rest"), ["50%"]);
        assert_eq!(one("%PCI\\VEN_1&DEV_2.Desc% = I,PCI\\VEN_1").0.unwrap(), "%PCI\\VEN_1&DEV_2.Desc%");
    }

    #[test]
    fn headers_comments_and_all_line_ends() {
        let lexed = lex("junk\r; c\r\n[ A b&c\\d ] ; x\n\n[B\nk=v\n").unwrap();
        let names: Vec<_> = lexed
            .items
            .iter()
            .filter_map(|i| if let Item::Section(f) = i { Some(f.text.as_str()) } else { None })
            .collect();
        assert_eq!(names, ["A b&c\\d", "B"]);
        assert_eq!(lexed.findings.len(), 1);
    }

    #[test]
    fn positions_count_characters_from_one() {
        let lexed = lex("[A]\n  ä = b,  c\n").unwrap();
        let Some(Item::Entry(e)) = lexed.items.get(1) else { panic!() };
        assert_eq!(e.position, Position { line: 2, column: 3 });
        assert_eq!(e.values[0].position, Position { line: 2, column: 7 });
        assert_eq!(e.values[1].position, Position { line: 2, column: 11 });
    }

    #[test]
    fn floods_are_refused() {
        assert_eq!(lex(&"a\n".repeat(100_001)).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(lex(&",".repeat(2_000_001)).unwrap_err().kind(), ErrorKind::Limit);
    }
}
