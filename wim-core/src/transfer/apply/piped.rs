//! Applies images of a pipable WIM while it arrives: one pass, every blob decoded once for all images that want it.
//!
//! As with a file, directories come first and links last, and what is written is the writer's; only the order of the blobs
//! is the stream's. The data of links, which is small, is kept until they are made.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::host::Host;
use super::links::Links;
use super::plan::{Plan, PlanRules, Unholdable};
use super::write::{Writer, blame};
use super::{ApplyOptions, ApplyReport, FixedLinks, ThisHost, check_descriptors};
use crate::base::{Context, ErrorKind, Place, Result, Sha1Digest, Stage};
use crate::image::{NodeId, Tree};
use crate::transfer::read::{BlobPiece, PipedPiece, PipedWim};

/// An image and the directory that it goes to.
pub struct PipedImage {
    /// Its tree.
    pub tree: Tree,
    /// The directory, made if it is not there.
    pub target: PathBuf,
}

/// Applies `images` of the WIM that comes through `pipe`.
///
/// # Errors
/// As [`apply`](super::apply), of damaged blobs too, since nothing can be read twice; and what [`PipedWim::read_blobs`] returns. What was finished before stays.
pub fn apply_piped(
    cx: &Context<'_>,
    images: &[PipedImage],
    pipe: PipedWim<'_>,
    total_bytes: u64,
    options: &ApplyOptions,
) -> Result<Vec<ApplyReport>> {
    let mut open = Vec::with_capacity(images.len());
    for image in images {
        let host = ThisHost::open(&image.target)?;
        open.push(OpenImage::begin(cx, &image.tree, host, options)?);
    }
    let wanted: HashSet<Sha1Digest> = open.iter().flat_map(OpenImage::digests).collect();
    cx.progress.start(Stage::Extracting, total_bytes);
    let read = pipe.read_blobs(cx, wanted, |piece| open.iter_mut().try_for_each(|image| image.piece(&piece)));
    read.map_err(|error| match *error.place() {
        // A blob that never came has a path as well.
        Place::Blob(digest) if error.kind() == ErrorKind::NotFound => {
            let user = open.iter().find_map(|image| Some((image.tree, image.first_user(&digest)?)));
            user.map_or_else(|| error.duplicate(), |(tree, node)| blame(tree, error.duplicate(), node))
        }
        _ => error,
    })?;
    open.into_iter().map(|image| image.finish(cx)).collect()
}

/// An image that is being applied.
struct OpenImage<'a, 'c, H: Host> {
    tree: &'a Tree,
    writer: Writer<'a, 'c, H>,
    files_of: HashMap<Sha1Digest, Vec<usize>>,
    first_names: HashMap<Sha1Digest, NodeId>,
    links: Links,
    link_data: HashMap<Sha1Digest, Vec<u8>>,
    link_target: Option<PathBuf>,
}

impl<'a, 'c, H: Host> OpenImage<'a, 'c, H> {
    fn begin(cx: &'a Context<'c>, tree: &'a Tree, host: H, options: &ApplyOptions) -> Result<Self> {
        let plan = Plan::of_image(
            tree,
            PlanRules::of_this_host(Unholdable::LeaveOut, options.restore, None),
            cx.progress,
        );
        check_descriptors(tree, &plan, options.restore)?;
        let files_of = plan.files_by_digest(tree);
        let first_name = |(digest, files): (&Sha1Digest, &Vec<usize>)| {
            Some((*digest, plan.files.get(*files.first()?)?.spots.first()?.node))
        };
        let first_names = files_of.iter().filter_map(first_name).collect();
        let link_target = match options.fixed_links {
            FixedLinks::IntoTarget => Some(host.absolute_root()?),
            FixedLinks::AsStored => None,
        };
        let mut writer = Writer::new(cx, tree, host, plan, options.restore, None);
        let links = Links::of(&writer);
        writer.make_directories()?;
        writer.make_empty_files()?;
        let link_data = HashMap::new();
        Ok(Self { tree, writer, files_of, first_names, links, link_data, link_target })
    }

    fn digests(&self) -> impl Iterator<Item = Sha1Digest> + '_ {
        self.files_of.keys().chain(self.links.digests()).copied()
    }

    fn first_user(&self, digest: &Sha1Digest) -> Option<NodeId> {
        let link = || Some(self.writer.node_of_link(*self.links.of_blob(digest).first()?));
        self.first_names.get(digest).copied().or_else(link)
    }

    fn piece(&mut self, piece: &PipedPiece<'_>) -> Result<()> {
        let PipedPiece { digest, size, start, ref bytes, is_last } = *piece;
        let Some(user) = self.first_user(&digest) else { return Ok(()) };
        let bytes = *bytes.as_ref().map_err(|e| blame(self.tree, e.duplicate(), user))?;
        if !self.links.of_blob(&digest).is_empty() && !self.links.refuse_large(&digest, size) {
            self.link_data.entry(digest).or_default().extend_from_slice(bytes);
        }
        match self.files_of.get(&digest) {
            Some(files) => {
                self.writer.piece(BlobPiece { position: 0, start, bytes: Ok(bytes), is_last }, size, files)
            }
            None => Ok(()),
        }
    }

    fn finish(mut self, cx: &Context<'_>) -> Result<ApplyReport> {
        let mut data: Vec<_> = std::mem::take(&mut self.link_data).into_iter().collect();
        data.sort_unstable();
        let target: Option<&Path> = self.link_target.as_deref();
        for (digest, data) in &data {
            self.links.make(self.tree, &mut self.writer, (digest, data), target)?;
        }
        self.writer.leave_out_links(self.links.left_out());
        self.writer.set_directory_times()?;
        let report = self.writer.finish();
        report.left_out.warn(cx);
        Ok(report)
    }
}
