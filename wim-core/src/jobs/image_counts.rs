//! The counts that the XML of an image has of its tree.
//!
//! They are those of wim-format 11, counted as `image::totals` says. No size is guessed: of a delta, whose base is not at
//! hand, what the XML says of bytes stays as it was.

use std::cell::Cell;

use crate::base::Sha1Digest;
use crate::formats::wim::ImageXml;
use crate::image::{ImageCounts, Tree};

/// Sets the counts of `tree` in `xml`; `size_of` gives the size of a blob in bytes where it is known.
///
/// `TOTALBYTES` and `HARDLINKBYTES` stay when a size is not known, unless there is nothing yet: then they count what is known.
pub(super) fn set_counts(xml: &mut ImageXml, tree: &Tree, size_of: &dyn Fn(&Sha1Digest) -> Option<u64>) {
    let is_complete = Cell::new(true);
    let size_or_none = |digest: &Sha1Digest| {
        size_of(digest).unwrap_or_else(|| {
            is_complete.set(false);
            0
        })
    };
    let ImageCounts { directories, files, total_bytes, hard_link_bytes } = tree.counts(&size_or_none);
    let has_bytes = xml.count("TOTALBYTES").is_some_and(|bytes| bytes > 0);
    let numbers = [("DIRCOUNT", directories), ("FILECOUNT", files)];
    let bytes = [("TOTALBYTES", total_bytes), ("HARDLINKBYTES", hard_link_bytes)];
    let bytes = bytes.into_iter().filter(|_| is_complete.get() || !has_bytes);
    for (name, count) in numbers.into_iter().chain(bytes) {
        xml.set(name, &count.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Inode, Streams};

    #[test]
    fn bytes_stay_when_a_size_is_not_known() {
        let mut tree = Tree::new_empty();
        let (known, unknown) = (Sha1Digest::of(b"known"), Sha1Digest::of(b"unknown"));
        for (name, digest) in [("a", known), ("b", unknown)] {
            let file = Inode { attributes: 0x20, streams: Streams::data(digest), ..Inode::default() };
            tree.add(tree.root(), name.into(), file).unwrap();
        }
        let some = |digest: &Sha1Digest| (*digest == known).then_some(5);
        let counts = |xml: &ImageXml| {
            ["FILECOUNT", "TOTALBYTES", "HARDLINKBYTES"].map(|name| xml.count(name).unwrap())
        };
        let mut xml = ImageXml::default();
        set_counts(&mut xml, &tree, &some);
        assert_eq!(counts(&xml), [2, 5, 0], "the best that can be said");
        xml.set("TOTALBYTES", "70");
        xml.set("HARDLINKBYTES", "7");
        xml.set("FILECOUNT", "1");
        set_counts(&mut xml, &tree, &some);
        assert_eq!(counts(&xml), [2, 70, 7]);
        set_counts(&mut xml, &tree, &|_| Some(5));
        assert_eq!(counts(&xml), [2, 10, 0]);
    }
}
