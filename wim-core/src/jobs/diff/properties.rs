//! The descriptions of two images in the XML, compared element by element.

use std::collections::BTreeMap;

use super::report::{Change, Difference, OldNew};
use crate::base::ImageIndex;
use crate::formats::wim::WimFile;
use crate::formats::wim::xml::{Element, Node};

/// The properties that differ, in the order of their paths.
pub(super) fn differences(old: (&WimFile, ImageIndex), new: (&WimFile, ImageIndex)) -> Vec<Difference> {
    let (olds, mut news) = (flat(old), flat(new));
    let mut changes: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    for (path, old) in olds {
        let new = news.remove(&path);
        if new.as_ref() != Some(&old) {
            changes.insert(path, (Some(old), new));
        }
    }
    changes.extend(news.into_iter().map(|(path, new)| (path, (None, Some(new)))));
    let difference = |(path, (old, new))| Difference {
        change: "property",
        path,
        old_path: None,
        kind: None,
        size: None,
        changes: vec![Change::Property(OldNew { old, new })],
    };
    changes.into_iter().map(difference).collect()
}

/// Texts of all elements by path, as in `WINDOWS/VERSION/BUILD`; a second element of a name has its number behind it.
fn flat((wim, image): (&WimFile, ImageIndex)) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let Some(xml) = wim.xml().images().get(image.position()) else { return texts };
    let mut open = vec![(String::new(), xml.element())];
    while let Some((path, element)) = open.pop() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for child in element.elements() {
            let count = counts.entry(&child.name).and_modify(|count| *count += 1).or_insert(1);
            let number = if *count > 1 { format!("[{count}]") } else { String::new() };
            let slash = if path.is_empty() { "" } else { "/" };
            open.push((format!("{path}{slash}{}{number}", child.name), child));
        }
        let text = own_text(element);
        if !path.is_empty() && (!text.is_empty() || element.children.is_empty()) {
            texts.insert(path, text);
        }
    }
    texts
}

/// The text right in an element, without the spaces between elements.
fn own_text(element: &Element) -> String {
    let texts = element.children.iter().filter_map(|child| match child {
        Node::Text(text) => Some(text.trim()),
        _ => None,
    });
    texts.collect()
}
