//! Lists of what goes where: the source lists of `capture --source-list` and the words of their lines.
//!
//! wimlib's format (wimcapture(1)): a source and perhaps its place in the image on each line, quoted with `"` or `'` when
//! there are spaces inside, `#` or `;` for comments. Quotes cannot be escaped.

use std::path::PathBuf;

use super::dir::typed_path;
use crate::base::{Error, ErrorKind, Place, Result};
use crate::image::WimPath;

/// Sources in the order in which they are captured, each with its place in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceList {
    pub(super) sources: Vec<(PathBuf, WimPath)>,
}

impl SourceList {
    /// Reads the text of a list.
    ///
    /// # Errors
    /// `Format` with the line for a missing quote and more than two words.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut sources = Vec::new();
        for (line, number) in text.lines().zip(1u32..) {
            let at = Place::Line { line: number, column: 0 };
            let words = words(line).map_err(|e| e.or_at(at.clone()))?;
            match words.as_slice() {
                [] => {}
                [source] => sources.push((PathBuf::from(source), own_place(source))),
                [source, target] => sources.push((PathBuf::from(source), typed_path(target))),
                more => {
                    let message = format!("{} words, but a source and a target are two", more.len());
                    return Err(Error::new(ErrorKind::Format, message)
                        .at(at)
                        .remedy("quote paths with spaces in them"));
                }
            }
        }
        Ok(Self { sources })
    }
}

/// The place of a source for which none is given: its own path, without the `.` that `find .` puts before every name.
fn own_place(source: &str) -> WimPath {
    let names: Vec<&str> = source.split(['/', '\\']).filter(|name| *name != ".").collect();
    typed_path(&names.join("/"))
}

/// The words of a line; none of an empty one and of a comment.
///
/// # Errors
/// `Format` when a quote is not closed or has more of a word behind it.
pub(super) fn words(line: &str) -> Result<Vec<String>> {
    let wrong = |message: &str| Error::new(ErrorKind::Format, format!("{message}: {line}"));
    let mut rest = line.trim();
    let mut words = Vec::new();
    if rest.starts_with(['#', ';']) {
        return Ok(words);
    }
    while let Some(first) = rest.chars().next() {
        let (word, after) = if matches!(first, '"' | '\'') {
            let inside = rest.strip_prefix(first).unwrap_or(rest);
            let (word, after) = inside.split_once(first).ok_or_else(|| wrong("a quote is not closed"))?;
            if !after.is_empty() && !after.starts_with(char::is_whitespace) {
                return Err(wrong("a space must follow a closing quote"));
            }
            (word, after)
        } else {
            rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_sources_and_targets() {
        let text = "# comment\n ;more\n\nwinpe   /\n  overlay /over/lay/ \n\"my dir\" 'a \"b\"'\nalone/x\n./y/./z\n.\n";
        let list = SourceList::parse(text).unwrap();
        let shown: Vec<(String, String)> =
            list.sources.iter().map(|(a, b)| (a.display().to_string(), b.to_string())).collect();
        let wanted = [
            ("winpe", "\\"),
            ("overlay", "\\over\\lay"),
            ("my dir", "\\a \"b\""),
            ("alone/x", "\\alone\\x"),
            ("./y/./z", "\\y\\z"),
            (".", "\\"),
        ];
        assert_eq!(shown, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
        for (bad, line) in [("a b c", 1), ("ok\n\"open", 2), ("\"a\"b c", 1)] {
            let error = SourceList::parse(bad).unwrap_err();
            assert_eq!(error.place(), &Place::Line { line, column: 0 }, "{bad}");
        }
    }
}
