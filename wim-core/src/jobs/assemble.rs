//! An image put together from what lies on the host: what `capture`, `append` and `update` share.
//!
//! Sources are captured one after the other and grafted onto the tree; contents are read when the file is written.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::image_counts::set_counts;
use super::open::load_image;
use super::rebuild::{
    CompressionOptions, IntegrityChoice, Written, as_it_is, existing_images, leave_to_bases,
};
use super::target::{Placement, write_target};
use crate::base::in_place_file::InPlaceFile;
use crate::base::{Context, Error, FileTime, ImageIndex, Result, Sha1Digest};
use crate::formats::wim::{ImageXml, WimFile};
use crate::image::edit::Content;
use crate::image::store::store;
use crate::image::{GraftRules, Tree, WimPath};
use crate::transfer::capture::{AbsoluteLinks, CaptureOptions, CaptureTotals, Captured, Known, capture};
use crate::transfer::write::{NewImage, NewMetadata, NewWim};

/// A tree that grows, and the contents that no WIM has yet.
pub(super) struct Assembly {
    pub(super) tree: Tree,
    pub(super) contents: Vec<(Sha1Digest, Content)>,
    pub(super) totals: CaptureTotals,
    /// True when absolute links into a source were made to count from the root of the image.
    pub(super) fixes_links: bool,
    /// Files that the WIM is a delta of, as far as they are at hand: they have sizes of blobs.
    pub(super) bases: Vec<Arc<WimFile>>,
    listed: HashSet<Sha1Digest>,
    /// True until the root directory has attributes of its own.
    is_fresh: bool,
}

/// Which image of a file a tree becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImagePlace {
    /// One that is there, in its place.
    Of(ImageIndex),
    /// One more, without a name.
    #[cfg(all(feature = "fuse", target_os = "linux"))]
    New,
}

/// How a source is put into an image.
#[derive(Clone, Copy)]
pub(super) struct AddRules<'k> {
    pub(super) graft: GraftRules,
    /// What an earlier image says of files.
    pub(super) known: Option<Known<'k>>,
}

impl Assembly {
    /// An image with nothing in it.
    pub(super) fn empty() -> Self {
        Self { is_fresh: true, ..Self::of(Tree::new_empty()) }
    }

    /// An image that is there already.
    pub(super) fn of(tree: Tree) -> Self {
        let (contents, listed) = (Vec::new(), HashSet::new());
        let (totals, bases) = (CaptureTotals::default(), Vec::new());
        Self { tree, contents, totals, fixes_links: false, bases, listed, is_fresh: false }
    }

    /// Captures `source` and puts it at `path`.
    ///
    /// # Errors
    /// What capturing gives, and what [`Tree::graft`] gives.
    pub(super) fn add(
        &mut self,
        cx: &Context<'_>,
        source: &Path,
        path: &WimPath,
        options: &CaptureOptions,
        rules: AddRules<'_>,
    ) -> Result<()> {
        let at_root = path.components().is_empty();
        let mut options = options.clone();
        if !at_root {
            // A target that counts from the source's root would not count from the image's.
            options.absolute_links = AbsoluteLinks::Keep;
            // What becomes the root is a directory; anywhere else a link can stand.
            options.source_link = options.links;
        }
        self.fixes_links |= at_root && options.absolute_links == AbsoluteLinks::Fix;
        // What is known is known by its place in the image, which begins at `path`.
        let is_directory = source.is_dir();
        let place = |captured: &WimPath| {
            let below = captured.components().iter().filter(|_| is_directory);
            WimPath::from_components(path.components().iter().chain(below).cloned().collect())
        };
        let known_below = rules.known.map(|known| {
            move |captured: &WimPath, size: u64, last_write: FileTime| {
                known(&place(captured), size, last_write)
            }
        });
        let known = known_below.as_ref().map(|known| known as Known<'_>);
        let Captured { tree, file, contents, totals } = capture(cx, source, &options, known)?;
        let is_untouched = self.is_fresh && self.tree.children(self.tree.root()).is_empty();
        if at_root && file.is_none() && is_untouched {
            (self.tree, self.is_fresh) = (tree, false);
        } else {
            if at_root && file.is_none() && self.is_fresh {
                let root = tree.inode_of(tree.root());
                self.tree.set_root(root.attributes, root.times);
                self.is_fresh = false;
            }
            let node = file.unwrap_or(tree.root());
            let mut warn = |warning: Error| cx.progress.warn(&warning);
            self.tree.graft(path, (&tree, node), rules.graft, &mut warn)?;
        }
        self.contents.extend(contents.into_iter().filter(|(digest, _)| self.listed.insert(*digest)));
        let sum = &mut self.totals;
        sum.directories += totals.directories;
        sum.files += totals.files;
        sum.bytes += totals.bytes;
        sum.excluded += totals.excluded;
        Ok(())
    }

    /// Writes the tree into the file at `path`, which is `wim` and open as `file`, with the new contents.
    ///
    /// # Errors
    /// What writing gives; the file is then as it was.
    pub(super) fn write_into(
        self,
        cx: &Context<'_>,
        (wim, file, path): (&WimFile, InPlaceFile, &Path),
        place: ImagePlace,
        time: FileTime,
        (integrity, placement): (IntegrityChoice, Placement),
    ) -> Result<Written> {
        let mut images = existing_images(wim, &[], cx)?;
        let size_of = |digest: &_| {
            let mut wims = std::iter::once(wim).chain(self.bases.iter().map(|base| &**base));
            wims.find_map(|wim| wim.table().find(digest)).map(|entry| entry.header.size)
        };
        let metadata = NewMetadata::new(store(&self.tree));
        let mut written = NewImage::new(metadata, ImageXml::default(), self.tree.blob_references());
        leave_to_bases(&mut written, wim, &self.contents);
        match place {
            ImagePlace::Of(image) => {
                let before = images.get_mut(image.position());
                written.xml = before.as_ref().map(|before| before.xml.clone()).unwrap_or_default();
                // Only of a delta what was there before is asked for.
                let tree = match written.elsewhere.is_empty() {
                    true => None,
                    false => Some(load_image(wim, image, cx)?),
                };
                self.describe(&mut written.xml, tree.as_ref(), time, &size_of);
                before.into_iter().for_each(|before| std::mem::swap(before, &mut written));
            }
            #[cfg(all(feature = "fuse", target_os = "linux"))]
            ImagePlace::New => {
                written.xml.set_time("CREATIONTIME", time);
                self.describe(&mut written.xml, None, time, &size_of);
                images.push(written);
            }
        }
        let new = NewWim {
            format: CompressionOptions::default().format(wim.format())?,
            images,
            contents: &self.contents,
            integrity: integrity.resolve(Some(wim)),
            ..as_it_is(wim)
        };
        write_target(cx, new, (wim, file, path), placement)
    }

    fn describe(
        &self,
        xml: &mut ImageXml,
        before: Option<&Tree>,
        time: FileTime,
        size_of: &dyn Fn(&Sha1Digest) -> Option<u64>,
    ) {
        self.set_counts(xml, before, size_of);
        xml.set_time("LASTMODIFICATIONTIME", time);
    }

    /// Sets the counts of the image's XML, which describes the tree `before` if there was one; `size_of` knows blobs that are in a
    /// WIM.
    pub(super) fn set_counts(
        &self,
        xml: &mut ImageXml,
        before: Option<&Tree>,
        size_of: &dyn Fn(&Sha1Digest) -> Option<u64>,
    ) {
        let new = self.contents.iter().filter_map(|(digest, content)| Some((*digest, content.size_bytes()?)));
        let new: HashMap<Sha1Digest, u64> = new.collect();
        set_counts(xml, (before, &self.tree), &|digest| new.get(digest).copied().or_else(|| size_of(digest)));
    }
}
