//! A small tree of XML elements that keeps what it does not understand.
//!
//! Reading is `roxmltree`'s, without DTDs or entities of the document's own. Whitespace and comments are kept; processing
//! instructions, which no WIM has, are not.

use crate::base::Result;
use crate::base::xml::{self, XmlLimits};

/// Deepest nesting that is read; real documents have five levels.
const MAX_DEPTH: usize = 50;
/// Most elements and texts that are read; a bound on memory.
const MAX_NODES: u32 = 1_000_000;
/// Most attributes of one element; real documents have one.
const MAX_ATTRIBUTES: usize = 1000;

/// One element with its attributes and children in document order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Element {
    /// Its name, case-sensitive.
    pub name: String,
    /// Attributes in document order, unescaped.
    pub attributes: Vec<(String, String)>,
    /// Children in document order.
    pub children: Vec<Node>,
}

/// A child of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text, unescaped.
    Text(String),
    /// A comment, without its marks.
    Comment(String),
}

impl Element {
    /// An empty element.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The first child element of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.elements().find(|e| e.name == name)
    }

    /// The child elements.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(e) => Some(e),
            _ => None,
        })
    }

    /// The element found by following first children of these names.
    #[must_use]
    pub fn descend(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// Its text, when it has text only.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self.children.as_slice() {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text of the element found by [`Self::descend`].
    #[must_use]
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.descend(path)?.text()
    }

    /// An attribute's value.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Sets or adds an attribute.
    pub fn set_attribute(&mut self, name: &str, value: &str) {
        match self.attributes.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.attributes.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The first child element of that name, added at the end if there is none.
    pub fn child_mut(&mut self, name: &str) -> &mut Self {
        let found = self.children.iter().position(|node| matches!(node, Node::Element(e) if e.name == name));
        let position = found.unwrap_or_else(|| {
            self.children.push(Node::Element(Self::new(name)));
            self.children.len() - 1
        });
        match self.children.get_mut(position) {
            Some(Node::Element(element)) => element,
            _ => unreachable!("an element was found or put at this position"),
        }
    }

    /// Makes `text` the only content of a child element.
    pub fn set_text(&mut self, name: &str, text: &str) {
        self.child_mut(name).children = vec![Node::Text(text.to_owned())];
    }

    /// Removes the child elements of that name.
    pub fn remove(&mut self, name: &str) {
        self.children.retain(|node| !matches!(node, Node::Element(e) if e.name == name));
    }

    /// Appends the element as XML text, without added whitespace.
    pub fn write_to(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            escape(value, out);
            out.push('"');
        }
        out.push('>');
        for child in &self.children {
            match child {
                Node::Element(element) => element.write_to(out),
                Node::Text(text) => escape(text, out),
                Node::Comment(text) => {
                    out.push_str("<!--");
                    out.push_str(text);
                    out.push_str("-->");
                }
            }
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // As it is, it would be read back as a line feed.
            '\r' => out.push_str("&#13;"),
            _ => out.push(c),
        }
    }
}

/// Reads a document and gives its root element.
pub(super) fn parse(text: &str) -> Result<Element> {
    let limits = XmlLimits { depth: MAX_DEPTH, nodes: MAX_NODES, attributes: MAX_ATTRIBUTES };
    xml::parse(text, limits, "XML data").map(|document| convert(document.root_element()))
}

/// Recursion is bounded by [`MAX_DEPTH`].
fn convert(node: roxmltree::Node<'_, '_>) -> Element {
    let children = node.children().filter_map(|child| match child.node_type() {
        roxmltree::NodeType::Element => Some(Node::Element(convert(child))),
        roxmltree::NodeType::Text => child.text().map(|text| Node::Text(text.to_owned())),
        roxmltree::NodeType::Comment => child.text().map(|text| Node::Comment(text.to_owned())),
        _ => None,
    });
    Element {
        name: qualified_name(node),
        attributes: node.attributes().map(|a| (a.name().to_owned(), a.value().to_owned())).collect(),
        children: children.collect(),
    }
}

/// The name as written; a namespace prefix, which no known WIM has, is kept with its declaration lost.
fn qualified_name(node: roxmltree::Node<'_, '_>) -> String {
    let tag = node.tag_name();
    match tag.namespace().and_then(|uri| node.lookup_prefix(uri)) {
        Some(prefix) if !prefix.is_empty() => format!("{prefix}:{}", tag.name()),
        _ => tag.name().to_owned(),
    }
}
