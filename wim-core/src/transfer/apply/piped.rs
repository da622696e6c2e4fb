//! Applies images of a pipable WIM while it arrives: one pass, every blob decoded once for all images that want it.
//!
//! As with a file, directories come first and links last, and what is written is the writer's; only the order of the blobs
//! is the stream's. What is needed when all files are there, the data of links, named streams and what goes into a side file,
//! waits in a temporary file, so that memory is bounded whatever arrives.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::blobs::{Blobs, KeptBlobs};
use super::host::Host;
use super::plan::Plan;
use super::write::{Writer, blame};
use super::{
    ApplyOptions, ApplyReport, Damaged, FixedLinks, SideFile, ThisHost, check_descriptors, complete,
    rules_for, warn_of_recovered,
};
use crate::base::{Context, Error, ErrorKind, Place, Result, Sha1Digest, Stage};
use crate::image::edit::Content;
use crate::image::{NodeId, Tree};
use crate::transfer::read::{BlobPiece, PipedPiece, PipedWim, Tolerance};

/// An image and the directory that it goes to.
pub struct PipedImage {
    /// Its tree.
    pub tree: Tree,
    /// The directory, made if it is not there.
    pub target: PathBuf,
    /// Keeps what the host cannot hold; it is finished with the image.
    pub side_file: Option<SideFile>,
}

/// Applies `images` of the WIM that comes through `pipe`.
///
/// # Errors
/// As [`apply`](super::apply), of damaged blobs too unless they are to be recovered, since nothing can be read twice; and
/// what [`PipedWim::read_blobs`] returns. What was finished before stays.
pub fn apply_piped(
    cx: &Context<'_>,
    images: &mut [PipedImage],
    pipe: PipedWim<'_>,
    total_bytes: u64,
    options: &ApplyOptions,
) -> Result<Vec<ApplyReport>> {
    let mut open = Vec::with_capacity(images.len());
    for image in images {
        open.push(OpenImage::begin(cx, image, options)?);
    }
    let folder = open.first().map_or_else(std::env::temp_dir, |image| image.folder.clone());
    let mut kept = KeptBlobs::new(&folder);
    let wanted: HashSet<Sha1Digest> = open.iter().flat_map(OpenImage::digests).collect();
    let tolerance = match options.restore.damaged {
        Damaged::Recover => Tolerance::Damaged,
        Damaged::Fail => Tolerance::Whole,
    };
    cx.progress.start(Stage::Extracting, total_bytes);
    let mut damaged: HashMap<Sha1Digest, Error> = HashMap::new();
    let read = pipe.read_blobs(cx, (wanted, tolerance), |piece| {
        if let Some(damage) = &piece.damage {
            damaged.entry(piece.digest).or_insert_with(|| damage.duplicate());
        }
        if let (true, Ok(bytes)) =
            (open.iter().any(|image| image.later.contains_key(&piece.digest)), &piece.bytes)
        {
            kept.piece((piece.digest, piece.size), piece.start, bytes)?;
        }
        open.iter_mut().try_for_each(|image| image.piece(&piece))
    });
    read.map_err(|error| match *error.place() {
        // A blob that never came has a path as well.
        Place::Blob(digest) if error.kind() == ErrorKind::NotFound => {
            let user = open.iter().find_map(|image| Some((image.tree, image.first_user(&digest)?)));
            user.map_or_else(|| error.duplicate(), |(tree, node)| blame(tree, error.duplicate(), node))
        }
        _ => error,
    })?;
    let kept = kept.into_contents()?;
    open.into_iter().map(|image| image.finish(cx, &damaged, &kept)).collect()
}

/// An image that is being applied.
struct OpenImage<'a, 'c, H: Host> {
    tree: &'a Tree,
    writer: Writer<'a, 'c, H>,
    files_of: HashMap<Sha1Digest, Vec<usize>>,
    first_names: HashMap<Sha1Digest, NodeId>,
    /// Blobs that are needed when all files are there, each with a node that wants it.
    later: HashMap<Sha1Digest, NodeId>,
    link_target: Option<PathBuf>,
    side_file: Option<SideFile>,
    /// Where blobs may wait in a file without a name.
    folder: PathBuf,
}

impl<'a, 'c> OpenImage<'a, 'c, ThisHost> {
    fn begin(cx: &'a Context<'c>, image: &'a mut PipedImage, options: &ApplyOptions) -> Result<Self> {
        let PipedImage { tree, target, side_file } = image;
        let (tree, side_file) = (&*tree, side_file.take());
        let (volume, rules) = rules_for(target, options, side_file.is_some());
        let plan = Plan::of_image(tree, rules, cx.progress);
        if volume.is_none() {
            check_descriptors(tree, &plan, options.restore)?;
        }
        let host = ThisHost::open(target)?;
        // On a volume of FUSE a file without a name has one, and its end changes the time of the directory.
        let folder = if volume.is_some() { std::env::temp_dir() } else { target.clone() };
        let files_of = plan.files_by_digest(tree);
        let first_name = |(digest, files): (&Sha1Digest, &Vec<usize>)| {
            Some((*digest, plan.files.get(*files.first()?)?.spots.first()?.node))
        };
        let first_names = files_of.iter().filter_map(first_name).collect();
        let later = plan.later_digests(tree);
        let link_target = match options.fixed_links {
            FixedLinks::IntoTarget => Some(host.absolute_root()?),
            FixedLinks::AsStored => None,
        };
        let mut writer = Writer::new(cx, tree, host, plan, options.restore, volume);
        writer.make_places()?;
        Ok(Self { tree, writer, files_of, first_names, later, link_target, side_file, folder })
    }
}

impl<H: Host> OpenImage<'_, '_, H> {
    fn digests(&self) -> impl Iterator<Item = Sha1Digest> + '_ {
        self.files_of.keys().chain(self.later.keys()).copied()
    }

    fn first_user(&self, digest: &Sha1Digest) -> Option<NodeId> {
        self.first_names.get(digest).or_else(|| self.later.get(digest)).copied()
    }

    fn piece(&mut self, piece: &PipedPiece<'_>) -> Result<()> {
        let PipedPiece { digest, size, start, ref bytes, is_last, .. } = *piece;
        let Some(user) = self.first_user(&digest) else { return Ok(()) };
        let bytes = *bytes.as_ref().map_err(|e| blame(self.tree, e.duplicate(), user))?;
        match self.files_of.get(&digest) {
            Some(files) => {
                self.writer.piece(BlobPiece { position: 0, start, bytes: Ok(bytes), is_last }, size, files)
            }
            None => Ok(()),
        }
    }

    fn finish(
        mut self,
        cx: &Context<'_>,
        damaged: &HashMap<Sha1Digest, Error>,
        kept: &HashMap<Sha1Digest, Content>,
    ) -> Result<ApplyReport> {
        let mut damaged: Vec<_> = damaged.iter().collect();
        damaged.sort_unstable_by_key(|(digest, _)| **digest);
        for (digest, error) in damaged {
            if let Some(files) = self.files_of.get(digest) {
                warn_of_recovered(cx, self.tree, error, files, &mut self.writer);
            }
        }
        let blobs = Blobs::kept(kept.clone());
        let target: Option<&Path> = self.link_target.as_deref();
        let report = complete(cx, self.tree, &blobs, self.writer, target, self.side_file.as_mut())?;
        self.side_file.map_or(Ok(()), |side_file| side_file.finish_with(cx, &blobs))?;
        Ok(report)
    }
}
