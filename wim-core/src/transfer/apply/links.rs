//! Symbolic links: which blobs say where they lead, and what is made of these.

use std::collections::HashMap;
use std::path::Path;

use super::host::Host;
use super::link_text;
use super::write::Writer;
use crate::base::{Result, Sha1Digest};
use crate::formats::wim::reparse;
use crate::image::Tree;
use crate::transfer::host_name::NameRules;

/// The links of a plan by the blob that has their reparse data.
pub(super) struct Links {
    of: HashMap<Sha1Digest, Vec<usize>>,
    unreadable: usize,
}

impl Links {
    pub(super) fn of<H: Host>(writer: &Writer<'_, '_, H>) -> Self {
        let mut of: HashMap<Sha1Digest, Vec<usize>> = HashMap::new();
        for (index, digest) in writer.link_digests().enumerate() {
            of.entry(digest).or_default().push(index);
        }
        let unreadable = match writer.holds_reparse_points() {
            true => 0,
            false => of.remove(&Sha1Digest::ZERO).map_or(0, |links| links.len()),
        };
        Self { of, unreadable }
    }

    /// The blobs that are needed.
    pub(super) fn digests(&self) -> impl Iterator<Item = &Sha1Digest> {
        self.of.keys().filter(|digest| !digest.is_zero())
    }

    /// Makes the reparse points that have no data, where there can be such.
    pub(super) fn make_empty<H: Host>(&self, writer: &mut Writer<'_, '_, H>) -> Result<()> {
        self.of_blob(&Sha1Digest::ZERO).iter().try_for_each(|&link| writer.make_reparse_point(link, &[]))
    }

    /// The links of a blob.
    pub(super) fn of_blob(&self, digest: &Sha1Digest) -> &[usize] {
        self.of.get(digest).map_or(&[], Vec::as_slice)
    }

    /// Leaves out the links of a blob that is larger than reparse data can be; true when it is.
    pub(super) fn refuse_large(&mut self, digest: &Sha1Digest, size: u64) -> bool {
        let is_large = size > reparse::MAX_BYTES as u64;
        if is_large {
            self.unreadable += self.of.remove(digest).map_or(0, |links| links.len());
        }
        is_large
    }

    /// Makes the links of a blob.
    pub(super) fn make<H: Host>(
        &mut self,
        tree: &Tree,
        writer: &mut Writer<'_, '_, H>,
        (digest, data): (&Sha1Digest, &[u8]),
        fixed_root: Option<&Path>,
    ) -> Result<()> {
        for &link in self.of.get(digest).map_or(&[][..], Vec::as_slice) {
            if writer.holds_reparse_points() {
                // As they are: no letter of a drive is known here that they could be made to count from.
                writer.make_reparse_point(link, data)?;
                continue;
            }
            let reparse = tree.inode_of(writer.node_of_link(link)).reparse.unwrap_or_default();
            match link_text::of_reparse_point(reparse, data, fixed_root, NameRules::of_this_host()) {
                Some(text) => writer.make_link(link, &text)?,
                None => self.unreadable += 1,
            }
        }
        Ok(())
    }

    /// Links that could not be made.
    pub(super) fn left_out(&self) -> u64 {
        self.unreadable as u64
    }
}
