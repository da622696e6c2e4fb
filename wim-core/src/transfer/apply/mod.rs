//! Applies an image to a directory of the host, or parts of it.
//!
//! Directories are made first, then files in the order of their data in the WIM, decoded and checked on all cores, then
//! symbolic links, and the times of directories last. Nothing is ever made outside the target: names are checked, a
//! directory is entered only when it is one and not a link to one, and links are made when nothing is written any more.
//! A file whose writing fails is removed; one that was there before stays until the new one is whole.
//!
//! What a host cannot hold (named streams, encrypted data, other reparse points) is left out with one warning a kind.
//! Security descriptors, short names and most attributes are not restored by this version.

mod host;
pub(super) mod link_text;
mod plan;
mod portable;
mod side_file;
#[cfg(unix)]
mod unix;
mod write;

pub use side_file::SideFile;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use self::host::Host;
use self::plan::{Plan, Unholdable};
use self::write::{Writer, blame};
use super::host_name::NameRules;
use super::read::{BlobInput, blob_not_found, read_blobs, sort_by_offset};
use crate::base::{Context, Error, ErrorKind, Place, Result, Sha1Digest, Stage};
use crate::formats::wim::WimFile;
use crate::formats::wim::reparse;
use crate::image::{NodeId, StreamKind, Tree};

/// How an image is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyOptions {
    /// What becomes of links that were fixed up at capture; the default of a WIM is in its header, flag RP_FIX.
    pub fixed_links: FixedLinks,
    /// Where extracted files go.
    pub layout: Layout,
}

/// What becomes of absolute links that count from the root of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixedLinks {
    /// They lead into the target directory.
    IntoTarget,
    /// They are made as they are in the image.
    AsStored,
}

/// Where extracted files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each file or directory right into the target, under its own name.
    Flat,
    /// At its path, with the directories above it.
    KeepPaths,
}

/// What was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ApplyReport {
    /// Directories, the target not among them.
    pub directories: u64,
    /// Files written, copies of the same content among them.
    pub files: u64,
    /// Second and further names of files.
    pub hard_links: u64,
    /// Symbolic links and junctions.
    pub symbolic_links: u64,
    /// Bytes of all files written.
    pub bytes: u64,
    /// What was left out.
    pub left_out: LeftOut,
}

/// What the host could not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Named data streams.
    pub named_streams: u64,
    /// Encrypted files.
    pub encrypted: u64,
    /// Reparse points that are neither symbolic links nor junctions, or whose target the host cannot express.
    pub reparse_points: u64,
    /// Names that the host refuses, each with all below it.
    pub names: u64,
}

impl LeftOut {
    /// True when something was left out.
    #[must_use]
    pub fn is_something(&self) -> bool {
        *self != Self::default()
    }

    fn warn(&self, cx: &Context<'_>) {
        for (count, what) in [
            (self.named_streams, "named data streams"),
            (self.encrypted, "encrypted files"),
            (self.reparse_points, "reparse points that are no links this system can make"),
        ] {
            if count > 0 {
                let error = Error::unsupported(format!("{count} {what} were left out"));
                cx.progress.warn(&error.remedy("keep them in a side file with --metadata"));
            }
        }
    }
}

/// Applies a whole image to `target`, which is made if it is not there; files of the same names are replaced.
///
/// # Errors
/// `NotFound` for a blob that none of `wims` has, `Corrupt` for one whose digest differs, `InvalidInput` when a file stands
/// where a directory goes or the other way round, `Io`, `Cancelled`. What was finished before stays.
pub fn apply(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    target: &Path,
    options: &ApplyOptions,
) -> Result<ApplyReport> {
    let plan = Plan::of_image(tree, NameRules::of_this_host(), cx.progress);
    run(cx, tree, wims, target, options, plan, None)
}

/// As [`apply`], with what the host cannot hold kept in `side_file`; other names, and empty files and directories, stand for
/// what cannot be made.
///
/// # Errors
/// As [`apply`].
pub fn apply_with_side_file(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    target: &Path,
    options: &ApplyOptions,
    side_file: &mut SideFile,
) -> Result<ApplyReport> {
    let plan = Plan::of_whole_image(tree, NameRules::of_this_host(), Unholdable::StandIn, cx.progress);
    run(cx, tree, wims, target, options, plan, Some(side_file))
}

/// Extracts files and directories, with all below them, into `target`; files of the same names are replaced.
///
/// # Errors
/// As [`apply`]; `InvalidInput` also when two of them would get the same name.
pub fn extract(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    nodes: &[NodeId],
    target: &Path,
    options: &ApplyOptions,
) -> Result<ApplyReport> {
    let rules = (NameRules::of_this_host(), Unholdable::LeaveOut);
    let plan = Plan::of_nodes(tree, nodes, options.layout, rules, cx.progress)?;
    run(cx, tree, wims, target, options, plan, None)
}

/// As [`extract`], with what the host cannot hold kept as [`apply_with_side_file`] does; several extractions into one target
/// may share a side file.
///
/// # Errors
/// As [`extract`].
pub fn extract_with_side_file(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    nodes: &[NodeId],
    target: &Path,
    options: &ApplyOptions,
    side_file: &mut SideFile,
) -> Result<ApplyReport> {
    let rules = (NameRules::of_this_host(), Unholdable::StandIn);
    let plan = Plan::of_nodes(tree, nodes, options.layout, rules, cx.progress)?;
    run(cx, tree, wims, target, options, plan, Some(side_file))
}

/// Writes the unnamed data of a file to `out`.
///
/// # Errors
/// `InvalidInput` for a directory, a link or an encrypted file; else as [`apply`]. A digest that differs is found when all
/// bytes are out.
pub fn write_file_to(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    node: NodeId,
    out: &mut dyn Write,
) -> Result<()> {
    let inode = tree.inode_of(node);
    let at = || Place::Path(tree.path_of(node).to_string());
    let refuse = |what: &str| Err(Error::invalid_input(format!("is {what}, not a plain file")).at(at()));
    if inode.is_directory() {
        return refuse("a directory");
    }
    if !inode.streams.get(&StreamKind::Efs).is_zero() {
        return refuse("encrypted");
    }
    let digest = inode.data();
    if digest.is_zero() {
        return if inode.reparse.is_some() { refuse("a link") } else { Ok(()) };
    }
    let inputs = [find_blob(wims, &digest).map_err(|e| blame(tree, e, node))?];
    cx.progress.start(Stage::Extracting, inputs[0].size);
    read_blobs(cx, &inputs, |piece| {
        let bytes = piece.bytes.map_err(|e| blame(tree, e, node))?;
        out.write_all(bytes).map_err(|e| {
            // A closed pipe is the reader's choice, which the command tells by the source.
            Error::new(ErrorKind::Io, format!("cannot write: {e}")).with_source(e)
        })
    })
}

fn find_blob<'w>(wims: &[&'w WimFile], digest: &Sha1Digest) -> Result<BlobInput<'w>> {
    let found = wims.iter().find_map(|wim| Some((*wim, *wim.table().find(digest)?)));
    found.map(|(wim, entry)| BlobInput::resource(wim, entry)).ok_or_else(|| blob_not_found(digest))
}

#[cfg(unix)]
type ThisHost = unix::UnixHost;
#[cfg(not(unix))]
type ThisHost = portable::PortableHost;

fn run(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    target: &Path,
    options: &ApplyOptions,
    plan: Plan,
    side_file: Option<&mut SideFile>,
) -> Result<ApplyReport> {
    let host = ThisHost::open(target)?;
    run_on(cx, tree, wims, host, options, (plan, side_file))
}

fn run_on<H: Host>(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    host: H,
    options: &ApplyOptions,
    (plan, side_file): (Plan, Option<&mut SideFile>),
) -> Result<ApplyReport> {
    let files_of = plan.files_by_digest(tree);
    let (mut inputs, mut total) = (Vec::with_capacity(files_of.len()), 0u64);
    for (digest, files) in &files_of {
        let first = files.first().map_or(tree.root(), |&file| plan.files[file].spots[0].node);
        let input = find_blob(wims, digest).map_err(|e| blame(tree, e, first))?;
        total = total.saturating_add(input.size);
        inputs.push(input);
    }
    // The order of a map is arbitrary; blobs of several WIMs at one offset are told apart by their digests.
    inputs.sort_by_key(|input| input.digest);
    sort_by_offset(&mut inputs);
    cx.progress.start(Stage::Extracting, total);
    let link_target = match options.fixed_links {
        FixedLinks::IntoTarget => Some(host.absolute_root()?),
        FixedLinks::AsStored => None,
    };
    let mut writer = Writer::new(cx, tree, host, plan);
    writer.make_directories()?;
    writer.make_empty_files()?;
    read_blobs(cx, &inputs, |piece| {
        let BlobInput { size, digest, .. } = inputs[piece.position];
        writer.piece(piece, size, files_of.get(&digest).map_or(&[], Vec::as_slice))
    })?;
    make_links(cx, tree, wims, &mut writer, link_target.as_deref())?;
    writer.make_stand_ins()?;
    writer.set_directory_times()?;
    if let Some(side_file) = side_file {
        side_file.record(cx, writer.made())?;
    }
    let report = writer.finish();
    report.left_out.warn(cx);
    Ok(report)
}

/// Makes symbolic links, when all else is there.
fn make_links<H: Host>(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    writer: &mut Writer<'_, '_, H>,
    fixed_root: Option<&Path>,
) -> Result<()> {
    let mut links_of: HashMap<Sha1Digest, Vec<usize>> = HashMap::new();
    for (index, digest) in writer.link_digests().enumerate() {
        links_of.entry(digest).or_default().push(index);
    }
    let mut inputs = Vec::new();
    let mut unreadable = links_of.remove(&Sha1Digest::ZERO).map_or(0, |links| links.len());
    for (digest, links) in &links_of {
        match find_blob(wims, digest) {
            Ok(input) if input.size <= reparse::MAX_BYTES as u64 => inputs.push(input),
            Ok(_) => unreadable += links.len(),
            Err(error) => return Err(blame(tree, error, writer.node_of_link(links[0]))),
        }
    }
    inputs.sort_by_key(|input| input.digest);
    sort_by_offset(&mut inputs);
    let rules = NameRules::of_this_host();
    let mut data = Vec::new();
    read_blobs(cx, &inputs, |piece| {
        let links = links_of.get(&inputs[piece.position].digest).map_or(&[][..], Vec::as_slice);
        let first = links.first().map_or(tree.root(), |&link| writer.node_of_link(link));
        let bytes = piece.bytes.map_err(|e| blame(tree, e, first))?;
        data.extend_from_slice(bytes);
        if piece.is_last {
            for &link in links {
                let reparse = tree.inode_of(writer.node_of_link(link)).reparse.unwrap_or_default();
                match link_text::of_reparse_point(reparse, &data, fixed_root, rules) {
                    Some(text) => writer.make_link(link, &text)?,
                    None => unreadable += 1,
                }
            }
            data.clear();
        }
        Ok(())
    })?;
    writer.leave_out_links(unreadable as u64);
    Ok(())
}
