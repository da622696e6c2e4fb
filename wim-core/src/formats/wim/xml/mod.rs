//! The XML data: what the images are, for people and for Windows Setup (wim-format 11).
//!
//! UTF-16LE with a byte-order mark, no declaration. Elements and attributes that this module does not know are kept and
//! written back in their places. Its numbers are hints only: nothing is allocated or located by them.

mod element;
mod image;

pub use element::{Element, Node};
pub use image::{ImageXml, WindowsVersion};

use crate::base::{Error, Place, Reason, Result};

const STRUCTURE: &str = "XML data";
/// Largest XML data that is read: real media have a few kilobytes per image.
pub const MAX_BYTES: u64 = 16 << 20;

/// The whole document: the root's own elements and one [`ImageXml`] per image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WimXml {
    root: Element,
    images: Vec<ImageXml>,
    /// True when the images are invented because the document could not be read.
    is_synthetic: bool,
}

impl WimXml {
    /// A document of `images` images without a word about them.
    #[must_use]
    pub fn empty(images: usize) -> Self {
        Self { root: Element::new("WIM"), images: vec![ImageXml::default(); images], is_synthetic: false }
    }

    /// The stand-in for a document that cannot be read, so that images can still be used by number.
    #[must_use]
    pub fn stand_in(images: usize) -> Self {
        Self { is_synthetic: true, ..Self::empty(images) }
    }

    /// Reads the document's bytes; it must describe images 1 to `image_count`, each once.
    ///
    /// # Errors
    /// `Format` for ill-formed UTF-16 or XML, a missing root, wrong image numbers; `Limit` for too much of it;
    /// `Unsupported` for an encrypted ESD.
    pub fn parse(bytes: &[u8], offset: u64, image_count: u32) -> Result<Self> {
        let text = decode(bytes, offset)?;
        let mut root = element::parse(&text).map_err(|e| e.or_at(place(offset)))?;
        let wrong = |message: String| Error::new(crate::base::ErrorKind::Format, message).at(place(offset));
        if root.name != "WIM" {
            return Err(wrong(format!("the root element is <{}> instead of <WIM>", root.name)));
        }
        if root.descend(&["ESD", "ENCRYPTED"]).is_some() {
            return Err(Error::unsupported(
                "an encrypted ESD; its key is with the Windows setup program that fetched it",
            )
            .because(Reason::Encrypted)
            .at(place(offset))
            .remedy("use the unencrypted ESD or an ISO of the same release"));
        }
        let (mut numbered, mut rest) = (Vec::new(), Vec::new());
        for child in root.children.drain(..) {
            match child {
                Node::Element(e) if e.name == "IMAGE" => {
                    let number = e.attribute("INDEX").and_then(|text| text.trim().parse::<u32>().ok());
                    let number =
                        number.ok_or_else(|| wrong("an IMAGE element has no INDEX number".into()))?;
                    numbered.push((number, ImageXml::new(e)));
                }
                other => rest.push(other),
            }
        }
        root.children = rest;
        numbered.sort_by_key(|&(number, _)| number);
        let complete = numbered.iter().map(|&(number, _)| number).eq(1..=image_count);
        if !complete {
            let found: Vec<String> = numbered.iter().take(20).map(|(number, _)| number.to_string()).collect();
            return Err(wrong(format!(
                "it describes images {}, but the header counts {image_count}",
                if found.is_empty() { "none".to_owned() } else { found.join(", ") }
            )));
        }
        let images = numbered.into_iter().map(|(_, image)| image).collect();
        Ok(Self { root, images, is_synthetic: false })
    }

    /// The images in order.
    #[must_use]
    pub fn images(&self) -> &[ImageXml] {
        &self.images
    }

    /// The images in order, for changing.
    pub fn images_mut(&mut self) -> &mut Vec<ImageXml> {
        &mut self.images
    }

    /// TOTALBYTES of the document: bytes of the WIM up to the end of its lookup table, as its writer counted.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.root.text_at(&["TOTALBYTES"])?.trim().parse().ok()
    }

    /// True when the images are invented because the document could not be read.
    #[must_use]
    pub fn is_stand_in(&self) -> bool {
        self.is_synthetic
    }

    /// The document as text; `total_bytes` is the size of the WIM up to the end of its lookup table.
    #[must_use]
    pub fn to_text(&self, total_bytes: Option<u64>) -> String {
        let mut root = self.root.clone();
        if let Some(total) = total_bytes {
            root.set_text("TOTALBYTES", &total.to_string());
        }
        for (position, image) in self.images.iter().enumerate() {
            let mut element = image.element().clone();
            element.set_attribute("INDEX", &(position + 1).to_string());
            root.children.push(Node::Element(element));
        }
        let mut text = String::new();
        root.write_to(&mut text);
        text
    }

    /// The bytes on disk: a byte-order mark and UTF-16LE.
    #[must_use]
    pub fn to_bytes(&self, total_bytes: u64) -> Vec<u8> {
        encode(&self.to_text(Some(total_bytes)))
    }

    /// The bytes of the copy at the start of a pipable file, when its size is not known yet.
    #[must_use]
    pub fn to_bytes_without_total(&self) -> Vec<u8> {
        encode(&self.to_text(None))
    }
}

fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * text.len() + 2);
    out.extend_from_slice(&[0xFF, 0xFE]);
    text.encode_utf16().for_each(|unit| out.extend_from_slice(&unit.to_le_bytes()));
    out
}

fn place(offset: u64) -> Place {
    Place::Field { structure: STRUCTURE, field: "text", offset }
}

/// The text of the document: UTF-16LE, with or without a byte-order mark.
fn decode(bytes: &[u8], offset: u64) -> Result<String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::limit(format!("{} bytes of XML, at most {MAX_BYTES} are read", bytes.len()))
            .at(place(offset)));
    }
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|&pair| u16::from_le_bytes(pair));
    let units = units.enumerate().filter(|&(i, unit)| i != 0 || unit != 0xFEFF).map(|(_, unit)| unit);
    let text: std::result::Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text.trim_end_matches('\0').to_owned()),
        _ => Err(Error::format(STRUCTURE, "text", offset, "it is not well-formed UTF-16LE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        [0xFFFE_u16.swap_bytes()].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    }

    const DOCUMENT: &str = "<WIM><TOTALBYTES>7</TOTALBYTES><VENDOR a=\"1 &amp; 2\">x &lt; y</VENDOR>\
        <IMAGE INDEX=\"2\"><NAME>B</NAME></IMAGE><IMAGE INDEX=\"1\"><X><!-- kept --><Y/></X><NAME>A</NAME></IMAGE></WIM>";

    #[test]
    fn unknown_elements_and_comments_survive_and_images_are_put_in_order() {
        let xml = WimXml::parse(&utf16(DOCUMENT), 0, 2).unwrap();
        assert_eq!(xml.images()[0].name(), Some("A"));
        assert_eq!(xml.total_bytes(), Some(7));
        assert_eq!(
            xml.to_text(Some(99)),
            "<WIM><TOTALBYTES>99</TOTALBYTES><VENDOR a=\"1 &amp; 2\">x &lt; y</VENDOR>\
             <IMAGE INDEX=\"1\"><X><!-- kept --><Y></Y></X><NAME>A</NAME></IMAGE><IMAGE INDEX=\"2\"><NAME>B</NAME></IMAGE></WIM>"
        );
        let again = WimXml::parse(&xml.to_bytes(99), 0, 2).unwrap();
        assert_eq!(again.to_bytes(99), xml.to_bytes(99));
    }

    #[test]
    fn broken_documents_are_refused() {
        for (text, images, part) in [
            (DOCUMENT, 3, "describes images 1, 2, but the header counts 3"),
            (DOCUMENT, 1, "describes images 1, 2"),
            ("<WIM></WIM>", 1, "describes images none"),
            ("<ESD></ESD>", 0, "root element is <ESD>"),
            ("<WIM><IMAGE></IMAGE></WIM>", 1, "no INDEX"),
            ("<WIM><IMAGE INDEX=\"1\">", 1, "line 1"),
            ("<WIM><ESD><ENCRYPTED></ENCRYPTED></ESD></WIM>", 0, "encrypted ESD"),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><WIM>&b;</WIM>", 0, "line 1"),
        ] {
            let error = WimXml::parse(&utf16(text), 0, images).unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        assert!(WimXml::parse(&[0x00, 0xD8], 0, 0).is_err(), "unpaired surrogate");
        assert!(WimXml::parse(&utf16(DOCUMENT)[1..], 0, 2).is_err(), "odd length");
        let deep = format!("<WIM>{}{}</WIM>", "<A>".repeat(100_000), "</A>".repeat(100_000));
        assert!(WimXml::parse(&utf16(&deep), 0, 0).unwrap_err().to_string().contains("nested"));
    }

    #[test]
    fn a_missing_mark_and_a_trailing_nul_are_tolerated() {
        let mut bytes = utf16(DOCUMENT);
        bytes.drain(..2);
        bytes.extend_from_slice(&[0, 0]);
        assert_eq!(WimXml::parse(&bytes, 0, 2).unwrap().images().len(), 2);
    }
}
