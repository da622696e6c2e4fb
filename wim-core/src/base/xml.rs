//! XML documents of unknown origin, opened safely.
//!
//! Reading is `roxmltree`'s, without DTDs or entities of the document's own; depth, nodes and attributes are bounded before
//! the parser meets them, so that its cost stays in proportion to the text. What elements mean is for the formats to know.

use std::borrow::Cow;

use super::error::{Error, ErrorKind, Place, Result};

/// What a document may hold at most.
#[derive(Clone, Copy, Debug)]
pub struct XmlLimits {
    /// Deepest nesting of elements.
    pub depth: usize,
    /// Most elements, texts, comments and instructions; there may be twice as many attributes. Each takes 72 bytes beside the
    /// text.
    pub nodes: u32,
    /// Most attributes of one element; comparing them all with each other is what parsers do.
    pub attributes: usize,
}

/// Decodes the text of a document: UTF-8 with or without a byte-order mark, or UTF-16LE with one.
///
/// # Errors
/// `Format` for ill-formed text.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>> {
    let ill_formed = |name: &str| Error::new(ErrorKind::Format, format!("the text is not {name}"));
    if let Some(rest) = bytes.strip_prefix(&[0xFF, 0xFE]) {
        let (pairs, odd) = rest.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
        return match String::from_utf16(&units) {
            Ok(text) if odd.is_empty() => Ok(Cow::Owned(text)),
            _ => Err(ill_formed("UTF-16")),
        };
    }
    let rest = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    std::str::from_utf8(rest).map(Cow::Borrowed).map_err(|_| ill_formed("UTF-8"))
}

/// Parses a document within `limits`; `name` is what messages call it.
///
/// # Errors
/// `Format` with line and column for what is not well-formed and for a DTD, `Limit` for too much of it.
pub fn parse<'t>(text: &'t str, limits: XmlLimits, name: &str) -> Result<roxmltree::Document<'t>> {
    check_count(text, limits, name)?;
    check_size(text, limits, name)?;
    let options =
        roxmltree::ParsingOptions { allow_dtd: false, nodes_limit: limits.nodes, ..Default::default() };
    roxmltree::Document::parse_with_options(text, options).map_err(|e| {
        let position = e.pos();
        let kind = match e {
            roxmltree::Error::NodesLimitReached => ErrorKind::Limit,
            _ => ErrorKind::Format,
        };
        Error::new(kind, format!("{name}: {e}"))
            .at(Place::Line { line: position.row, column: position.col })
            .with_source(e)
    })
}

/// Compares the signs that nodes and attributes begin with against the limits: the parser makes room for as many of both
/// before it reads any.
fn check_count(text: &str, limits: XmlLimits, name: &str) -> Result<()> {
    // An element has two tags; both signs are rare in texts.
    let most = 2 * limits.nodes as usize;
    for (sign, what) in [(b'<', "tags"), (b'=', "attributes")] {
        let count = text.bytes().filter(|&byte| byte == sign).count();
        if count > most {
            return Err(Error::limit(format!("{name}: {count} {what}, more than the {most} allowed"))
                .remedy("it is damaged or made to do harm; get it again from its source"));
        }
    }
    Ok(())
}

/// Counts depth and attributes in one pass over the text, as a parser would see them.
fn check_size(text: &str, limits: XmlLimits, name: &str) -> Result<()> {
    let (mut depth, mut rest) = (0usize, text);
    while let Some((_, tag)) = rest.split_once('<') {
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
        } else if let Some(data) = tag.strip_prefix("![CDATA[") {
            rest = data.split_once("]]>").map_or("", |(_, rest)| rest);
        } else if let Some(instruction) = tag.strip_prefix('?') {
            rest = instruction.split_once("?>").map_or("", |(_, rest)| rest);
        } else if let Some(end) = tag.strip_prefix('/') {
            depth = depth.saturating_sub(1);
            rest = end.split_once('>').map_or("", |(_, rest)| rest);
        } else {
            let (start, is_empty, attributes) = start_tag(tag);
            rest = start;
            depth += usize::from(!is_empty);
            if depth > limits.depth {
                let message = format!("{name}: elements are nested more than {} deep", limits.depth);
                return Err(Error::limit(message));
            }
            if attributes > limits.attributes {
                let message = format!("{name}: an element has more than {} attributes", limits.attributes);
                return Err(Error::limit(message));
            }
        }
    }
    Ok(())
}

/// What follows a start tag, whether the tag closes itself, and how many quoted values it has.
fn start_tag(tag: &str) -> (&str, bool, usize) {
    let (mut rest, mut values) = (tag, 0);
    loop {
        let Some(at) = rest.find(['>', '"', '\'']) else { return ("", false, values) };
        let (before, found) = rest.split_at(at);
        let mut chars = found.chars();
        match chars.next() {
            Some('>') => return (chars.as_str(), before.ends_with('/'), values),
            Some(quote) => {
                values += 1;
                rest = chars.as_str().split_once(quote).map_or("", |(_, rest)| rest);
            }
            None => return ("", false, values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: XmlLimits = XmlLimits { depth: 3, nodes: 100, attributes: 2 };

    fn kind(text: &str) -> Option<ErrorKind> {
        parse(text, LIMITS, "test").err().map(|e| e.kind())
    }

    #[test]
    fn limits_are_those_of_elements_not_of_characters() {
        assert_eq!(kind("<a><b><c/><c x='>' y=\"/>\"/><!--<d><d><d>--></b></a>"), None);
        assert_eq!(kind("<a><b><![CDATA[<c><c><c>]]><?x <d><d>?></b></a>"), None);
        assert_eq!(kind("<a><b><c><d/></c></b></a>"), None, "an empty element opens no level");
        assert_eq!(kind("<a><b><c><d></d></c></b></a>"), Some(ErrorKind::Limit));
        assert_eq!(kind("<a x='' y='' z=''/>"), Some(ErrorKind::Limit));
        assert_eq!(kind(&format!("<a>{}</a>", "<b/>".repeat(200))), Some(ErrorKind::Limit));
        assert_eq!(kind("<a><b></a>"), Some(ErrorKind::Format));
        // What the parser would make room for, though it is all one text or one comment.
        assert_eq!(kind(&format!("<a>{}</a>", "=".repeat(201))), Some(ErrorKind::Limit));
        assert_eq!(kind(&format!("<a><!--{}--></a>", "<".repeat(201))), Some(ErrorKind::Limit));
        assert_eq!(kind(&format!("<a>{}</a>", "=".repeat(200))), None);
    }

    #[test]
    fn bombs_of_entities_are_refused_with_their_dtd() {
        let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxxxxxx\"><!ENTITY y \"&x;&x;&x;\">]><a>&y;</a>";
        assert_eq!(kind(bomb), Some(ErrorKind::Format));
        assert_eq!(kind("<a>&x;</a>"), Some(ErrorKind::Format));
    }

    #[test]
    fn text_of_both_encodings() {
        assert_eq!(decode(b"\xEF\xBB\xBF<a/>").unwrap(), "<a/>");
        assert_eq!(decode(b"\xFF\xFE<\0a\0/\0>\0").unwrap(), "<a/>");
        assert!(decode(b"\xFF\xFE<\0a").is_err() && decode(b"<a>\xFF</a>").is_err());
    }

    /// A text that makes a checker look for an end that never comes must not cost its square.
    #[test]
    fn the_check_reads_the_text_once() {
        let text = "<a</".repeat(1 << 20);
        let start = std::time::Instant::now();
        let _ = parse(&text, XmlLimits { depth: 50, nodes: 1000, attributes: 100 }, "test");
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
