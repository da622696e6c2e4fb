//! Properties of an image by their path in the XML data, as wimlib's `--image-property` names them.
//!
//! `WINDOWS/VERSION/BUILD` is an element below IMAGE; `WINDOWS/LANGUAGES/LANGUAGE[2]` the second of its name. Elements are
//! made in sequence: a third without a second is refused.

use crate::base::{Error, Result};
use crate::formats::wim::ImageXml;
use crate::formats::wim::xml::{Element, Node};

/// Most elements of one name that a path may count to.
const MAX_INDEX: usize = 10_000;

/// Sets the property at `path` of `image`; an empty value removes the element.
///
/// # Errors
/// `InvalidInput` for a path with bad syntax, an index that leaves a gap, and a value that XML cannot hold.
pub fn set(image: &mut ImageXml, path: &str, value: &str) -> Result<()> {
    check_text(path, value)?;
    let steps = path.split('/').map(|step| parse_step(path, step)).collect::<Result<Vec<_>>>()?;
    let mut element = image.element_mut();
    for (number, &(name, index)) in steps.iter().enumerate() {
        let place = nth_child(element, name, index);
        if value.is_empty() {
            let Ok(place) = place else { return Ok(()) };
            if number + 1 == steps.len() {
                element.children.remove(place);
                return Ok(());
            }
        }
        let place = match place {
            Ok(place) => place,
            Err(present) if present + 1 == index => {
                element.children.push(Node::Element(Element::new(name)));
                element.children.len() - 1
            }
            Err(present) => {
                return Err(Error::invalid_input(format!(
                    "image property {path:?}: there are {present} elements {name}, so that number {index} cannot be set"
                ))
                .remedy("set them in sequence, beginning with [1]"));
            }
        };
        match element.children.get_mut(place) {
            Some(Node::Element(child)) => element = child,
            _ => return Ok(()),
        }
    }
    element.children.retain(|child| !matches!(child, Node::Text(_)));
    element.children.insert(0, Node::Text(value.to_owned()));
    Ok(())
}

/// Refuses a text that XML cannot hold: the file would be written, but its XML could not be read again.
///
/// # Errors
/// `InvalidInput` for control characters other than tab, line feed and carriage return, and for U+FFFE and U+FFFF.
pub(super) fn check_text(what: &str, text: &str) -> Result<()> {
    match text.chars().find(|&c| !is_xml(c)) {
        None => Ok(()),
        Some(bad) => Err(Error::invalid_input(format!(
            "{what}: the character U+{:04X} cannot stand in the XML of a WIM",
            u32::from(bad)
        ))),
    }
}

/// The text with U+FFFD for what XML cannot hold.
pub(super) fn xml_text(text: &str) -> String {
    text.chars().map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// True for what XML 1.0 can hold.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The place among `element`'s children of the `index`-th one called `name`, else how many there are.
fn nth_child(element: &Element, name: &str, index: usize) -> std::result::Result<usize, usize> {
    let is_named = |node: &Node| matches!(node, Node::Element(child) if child.name == name);
    let mut places = element.children.iter().enumerate().filter(|(_, node)| is_named(node));
    let present = places.clone().count();
    places.nth(index - 1).map(|(place, _)| place).ok_or(present)
}

/// A step `NAME` or `NAME[N]` with N from 1.
fn parse_step<'p>(path: &str, step: &'p str) -> Result<(&'p str, usize)> {
    let (name, index) = match step.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        Some((name, index)) => (name, index.parse().ok()),
        None => (step, Some(1)),
    };
    // ASCII names are all that any WIM has; XML would allow more.
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    match index.filter(|index| is_name && (1..=MAX_INDEX).contains(index)) {
        Some(index) => Ok((name, index)),
        None => Err(Error::invalid_input(format!("image property {path:?} has invalid syntax"))
            .remedy("write element names with slashes between them, as in WINDOWS/LANGUAGES/LANGUAGE[2]")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::wim::WimXml;

    fn text(image: &ImageXml) -> String {
        let mut xml = WimXml::empty(1);
        xml.images_mut()[0] = image.clone();
        xml.to_text(None)
    }

    #[test]
    fn elements_are_made_changed_and_removed_by_path() {
        let mut image = ImageXml::default();
        for (path, value) in [
            ("A", "x"),
            ("A/B", "y"),
            ("A/B[1]", "z"),
            ("L/LANGUAGE[1]", "en-US"),
            ("L/LANGUAGE[2]", "de-DE"),
            ("GONE/DEEP", "1"),
            ("GONE/DEEP", ""),
            ("NEVER/THERE", ""),
        ] {
            set(&mut image, path, value).unwrap();
        }
        assert_eq!(
            text(&image),
            "<WIM><IMAGE INDEX=\"1\"><A>x<B>z</B></A><L><LANGUAGE>en-US</LANGUAGE><LANGUAGE>de-DE</LANGUAGE></L>\
             <GONE></GONE></IMAGE></WIM>"
        );
    }

    #[test]
    fn bad_paths_are_refused() {
        let mut image = ImageXml::default();
        for bad in ["", "A//B", "A/", "A[0]", "A[x]", "A[2]", "A[99999999]", "<A>", "1A", "A]", "A B"] {
            assert!(set(&mut image, bad, "x").is_err(), "{bad:?}");
        }
        assert_eq!(text(&image), "<WIM><IMAGE INDEX=\"1\"></IMAGE></WIM>");
    }

    #[test]
    fn texts_that_xml_cannot_hold_are_refused() {
        let mut image = ImageXml::default();
        for bad in ["a\0", "\u{1}", "\u{FFFF}", "\u{1B}[2J"] {
            assert!(set(&mut image, "A", bad).is_err(), "{bad:?}");
            assert!(!xml_text(bad).contains(|c: char| c.is_control() && c != '\n'), "{bad:?}");
        }
        assert_eq!(text(&image), "<WIM><IMAGE INDEX=\"1\"></IMAGE></WIM>");
    }

    proptest! {
        #[test]
        fn what_is_set_is_read_back(path in "[A-C/\\[\\]0-3]{1,8}", value in any::<String>()) {
            let mut image = ImageXml::default();
            if set(&mut image, &path, &value).is_ok() {
                let mut xml = WimXml::empty(1);
                xml.images_mut()[0] = image;
                let again = WimXml::parse(&xml.to_bytes(0), 0, 1).unwrap();
                // Every accepted path of a fresh image is a chain of first elements.
                let names: Vec<&str> = path.split('/').map(|step| step.split('[').next().unwrap_or(step)).collect();
                prop_assert_eq!(again.images()[0].element().text_at(&names).unwrap_or(""), value.as_str());
            }
        }
    }
}
