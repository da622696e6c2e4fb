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
/// `InvalidInput` for a path with bad syntax, and for an index that leaves a gap.
pub fn set(image: &mut ImageXml, path: &str, value: &str) -> Result<()> {
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
}
