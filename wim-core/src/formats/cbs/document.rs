//! Opening a document: size, encoding, nesting, and short ways to its elements.

use roxmltree::Node;

use crate::base::xml::{self, XmlLimits};
use crate::base::{Error, ErrorKind, Place, Result};

/// Largest document that is read: the largest known one, of 13,000 registry keys, has 3.2 MB.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;
/// Real documents have about ten levels; the largest known has 120,000 nodes, event manifests of Windows 10 more. The text and
/// as many nodes and attributes take less than 256 MB.
const LIMITS: XmlLimits = XmlLimits { depth: 100, nodes: 750_000, attributes: 1000 };
const _: () = assert!(is_modest(MAX_DOCUMENT_BYTES, LIMITS));

/// True when a text of so many bytes takes less than 256 MB with all nodes and attributes that its limits allow: parsing is
/// outside of what the user allows for buffers.
pub(super) const fn is_modest(text_bytes: u64, limits: XmlLimits) -> bool {
    text_bytes + 3 * 72 * (limits.nodes as u64) < 256 << 20
}

/// What the user can do about a document that breaks its rules.
pub(super) const DAMAGED: &str = "the package is damaged or made to do harm; get it again from its source";

/// Parses `bytes` and hands the root element, which must be `assembly`, to `read`.
pub(super) fn read_document<T>(
    bytes: &[u8],
    name: &str,
    read: impl FnOnce(Node<'_, '_>) -> Result<T>,
) -> Result<T> {
    let in_file = |e: Error| e.in_file(name);
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        let message = format!("{} bytes are more than the {MAX_DOCUMENT_BYTES} of a manifest", bytes.len());
        return Err(in_file(Error::limit(message).remedy(DAMAGED)));
    }
    let text = xml::decode(bytes).map_err(in_file)?;
    let document = xml::parse(&text, LIMITS, "manifest").map_err(in_file)?;
    let root = document.root_element();
    if root.tag_name().name() != "assembly" {
        let message = format!("the root element is <{}> instead of <assembly>", root.tag_name().name());
        return Err(in_file(bad(root, message)));
    }
    read(root).map_err(in_file)
}

/// An error of the format at an element.
pub(super) fn bad(node: Node<'_, '_>, message: impl Into<String>) -> Error {
    let position = node.document().text_pos_at(node.range().start);
    Error::new(ErrorKind::Format, message)
        .at(Place::Line { line: position.row, column: position.col })
        .remedy(DAMAGED)
}

/// Child elements, whatever their namespace: prefixes differ between documents that mean the same.
pub(super) fn elements<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

/// Child elements of that name.
pub(super) fn named<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    elements(node).filter(move |child| child.tag_name().name() == name)
}

/// The first child element of that name.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    named(node, name).next()
}

/// An attribute's value.
pub(super) fn attribute(node: Node<'_, '_>, name: &str) -> Option<String> {
    node.attributes().find(|a| a.name() == name).map(|a| a.value().to_owned())
}

/// An attribute's value; empty when it is absent.
pub(super) fn text(node: Node<'_, '_>, name: &str) -> String {
    attribute(node, name).unwrap_or_default()
}

/// The value of an attribute that must be there.
pub(super) fn required(node: Node<'_, '_>, name: &str) -> Result<String> {
    attribute(node, name)
        .ok_or_else(|| bad(node, format!("<{}> has no attribute {name:?}", node.tag_name().name())))
}
