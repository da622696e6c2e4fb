//! The counts that the XML of an image has of its tree.
//!
//! They are those of wim-format 11, counted as `image::totals` says. Of a delta whose base is not at hand the XML itself tells
//! what the blobs there add up to: what it counts beyond those that are here.

use std::cell::Cell;

use crate::base::Sha1Digest;
use crate::formats::wim::ImageXml;
use crate::image::{ImageCounts, Tree};

/// Sets the counts of the tree `now` in `xml`, which describes the tree `before` if there was one; `size_of` gives the size of a
/// blob in bytes where it is known.
///
/// Blobs of unknown size count as many bytes as they did before; in a new image they count none.
pub(super) fn set_counts(
    xml: &mut ImageXml,
    (before, now): (Option<&Tree>, &Tree),
    size_of: &dyn Fn(&Sha1Digest) -> Option<u64>,
) {
    let is_complete = Cell::new(true);
    let size_or_none = |digest: &Sha1Digest| {
        size_of(digest).unwrap_or_else(|| {
            is_complete.set(false);
            0
        })
    };
    let ImageCounts { directories, files, total_bytes, hard_link_bytes } = now.counts(&size_or_none);
    let mut bytes = [("TOTALBYTES", total_bytes), ("HARDLINKBYTES", hard_link_bytes)];
    if let (Some(before), false) = (before, is_complete.get()) {
        let before = before.counts(&size_or_none);
        let known = [before.total_bytes, before.hard_link_bytes];
        for ((name, bytes), known) in bytes.iter_mut().zip(known) {
            let unknown = xml.count(name).unwrap_or(0).saturating_sub(known);
            *bytes = bytes.saturating_add(unknown);
        }
    }
    for (name, count) in [("DIRCOUNT", directories), ("FILECOUNT", files)].into_iter().chain(bytes) {
        xml.set(name, &count.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Inode, Streams};

    /// A tree of files with one blob each; the second name of a pair is one more of the file.
    fn tree_of(files: &[(&str, Option<&str>, Sha1Digest)]) -> Tree {
        let mut tree = Tree::new_empty();
        for (name, other_name, digest) in files {
            let file = Inode { attributes: 0x20, streams: Streams::data(*digest), ..Inode::default() };
            let node = tree.add(tree.root(), (*name).into(), file).unwrap();
            if let Some(other) = other_name {
                tree.add_name(tree.root(), (*other).into(), tree.node(node).inode).unwrap();
            }
        }
        tree
    }

    fn counts(xml: &ImageXml) -> [u64; 3] {
        ["FILECOUNT", "TOTALBYTES", "HARDLINKBYTES"].map(|name| xml.count(name).unwrap())
    }

    #[test]
    fn what_is_not_at_hand_counts_as_much_as_before() {
        let [here, new, away] = [&b"here"[..], b"new", b"away"].map(Sha1Digest::of);
        let sizes = |digest: &Sha1Digest| match *digest {
            digest if digest == here => Some(5),
            digest if digest == new => Some(3),
            _ => None,
        };
        let before = tree_of(&[("a", Some("a2"), here), ("b", Some("b2"), away)]);
        let mut xml = ImageXml::default();
        // The file that is away has 100 bytes.
        xml.set("TOTALBYTES", "210");
        xml.set("HARDLINKBYTES", "105");
        let after = tree_of(&[("b", Some("b2"), away), ("c", Some("c2"), new), ("d", None, new)]);
        set_counts(&mut xml, (Some(&before), &after), &sizes);
        assert_eq!(counts(&xml), [5, 209, 103]);
        // Without it nothing is guessed.
        let last = tree_of(&[("c", None, new)]);
        set_counts(&mut xml, (Some(&after), &last), &sizes);
        assert_eq!(counts(&xml), [1, 3, 0]);
    }

    #[test]
    fn xml_that_says_less_than_there_is_adds_nothing() {
        let away = Sha1Digest::of(b"away");
        let tree = tree_of(&[("a", None, away), ("b", None, Sha1Digest::of(b"here"))]);
        let sizes = |digest: &Sha1Digest| (*digest != away).then_some(7);
        let mut xml = ImageXml::default();
        set_counts(&mut xml, (None, &tree), &sizes);
        assert_eq!(counts(&xml), [2, 7, 0]);
        xml.set("TOTALBYTES", "2");
        set_counts(&mut xml, (Some(&tree), &tree), &sizes);
        assert_eq!(counts(&xml), [2, 7, 0]);
    }
}
