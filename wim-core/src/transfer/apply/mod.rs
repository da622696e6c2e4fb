//! Applies an image to a directory of the host, or parts of it.
//!
//! Directories are made first, then files by the order of their data in the WIM, decoded, checked and written on all cores,
//! then symbolic links, and the times of directories last. Nothing is ever made outside the target: names are checked, a
//! directory is entered only when it is one and not a link to one, and links are made when nothing is written any more.
//! A file whose writing fails is removed; one that was there before stays until the new one is whole.
//!
//! What a host cannot hold (named streams, encrypted data, other reparse points) is left out with one warning a kind, or kept
//! in a side file with security descriptors, short names and attributes. An NTFS volume mounted by ntfs-3g is given all of
//! these but encrypted data. Owners, modes, extended attributes and special files of Unix are restored when asked for.

mod blobs;
mod files;
mod host;
pub(super) mod link_text;
mod links;
mod ntfs;
mod options;
mod piped;
mod plan;
mod portable;
mod side_file;
#[cfg(unix)]
mod unix;
mod write;

pub use side_file::SideFile;
use std::io::Write;
use std::path::Path;

pub use self::options::{
    ApplyOptions, ApplyReport, Attributes, Damaged, Descriptors, FixedLinks, InvalidNames, Layout, LeftOut,
    RestoreOptions, UnixRestore,
};
pub use self::piped::{PipedImage, apply_piped};

use self::blobs::Blobs;
use self::files::Takers;
use self::host::Host;
use self::links::Links;
use self::plan::{Plan, PlanRules, Unholdable};
use self::write::{Writer, blame};
use super::ntfs_volume::NtfsVolume;
use super::read::{BlobInput, BlobPiece, Origin, Taken, read_blobs, read_blobs_taken, recover_blob};
use crate::base::{Context, Error, ErrorKind, Place, Result, Stage};
use crate::formats::wim::WimFile;
use crate::image::{NodeId, StreamKind, Tree};

/// Applies a whole image to `target`, which is made if it is not there; files of the same names are replaced.
///
/// On an NTFS volume mounted by ntfs-3g everything that Windows keeps of files is restored. With a `side_file` what the host
/// cannot hold is kept in it instead; other names, and empty files and directories, stand for what cannot be made.
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
    side_file: Option<&mut SideFile>,
) -> Result<ApplyReport> {
    let (volume, rules) = rules_for(target, options, side_file.is_some());
    let plan = Plan::of_image(tree, rules, cx.progress);
    run_on(cx, tree, wims, (ThisHost::open(target)?, volume), options, (plan, side_file))
}

/// Extracts files and directories, with all below them, into `target`; files of the same names are replaced.
///
/// A `side_file` is as in [`apply`]; several extractions into one target may share one.
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
    side_file: Option<&mut SideFile>,
) -> Result<ApplyReport> {
    let (volume, rules) = rules_for(target, options, side_file.is_some());
    let plan = Plan::of_nodes(tree, nodes, options.layout, rules, cx.progress)?;
    run_on(cx, tree, wims, (ThisHost::open(target)?, volume), options, (plan, side_file))
}

/// The NTFS volume that `target` lies on, and what a plan for it goes by. With a side file the volume is as any directory.
fn rules_for(target: &Path, options: &ApplyOptions, has_side_file: bool) -> (Option<NtfsVolume>, PlanRules) {
    let unholdable = if has_side_file { Unholdable::StandIn } else { Unholdable::LeaveOut };
    let volume = NtfsVolume::of(target).filter(|_| !has_side_file);
    (volume, PlanRules::of_this_host(target, unholdable, options.restore, volume))
}

/// Writes the unnamed data of a file to `out`; gives what is wrong with it when it is `damaged` and recovered all the same.
///
/// # Errors
/// `InvalidInput` for a directory, a link or an encrypted file; else as [`apply`]. A digest that differs is found when all
/// bytes are out.
pub fn write_file_to(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    node: NodeId,
    damaged: Damaged,
    out: &mut dyn Write,
) -> Result<Option<Error>> {
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
        return if inode.reparse.is_some() { refuse("a link") } else { Ok(None) };
    }
    let blobs = Blobs::of(wims);
    let inputs = [blobs.find(&digest).map_err(|e| blame(tree, e, node))?];
    cx.progress.start(Stage::Extracting, inputs[0].size);
    let mut write = |bytes: &[u8]| {
        out.write_all(bytes).map_err(|e| {
            // A closed pipe is the reader's choice, which the command tells by the source.
            Error::new(ErrorKind::Io, format!("cannot write: {e}")).with_source(e)
        })
    };
    if let (Damaged::Recover, Origin::Resource(wim, entry)) = (damaged, &inputs[0].origin) {
        let found = recover_blob(cx.cancel, wim, entry, &mut |_, bytes| write(bytes));
        return found.map(|found| found.map(|e| blame(tree, e, node))).map_err(|e| blame(tree, e, node));
    }
    read_blobs(cx, &inputs, |piece| write(piece.bytes.map_err(|e| blame(tree, e, node))?))?;
    Ok(None)
}

#[cfg(unix)]
type ThisHost = unix::UnixHost;
#[cfg(not(unix))]
type ThisHost = portable::PortableHost;

fn run_on<H: Host>(
    cx: &Context<'_>,
    tree: &Tree,
    wims: &[&WimFile],
    (host, volume): (H, Option<NtfsVolume>),
    options: &ApplyOptions,
    (plan, side_file): (Plan, Option<&mut SideFile>),
) -> Result<ApplyReport> {
    if volume.is_none() {
        check_descriptors(tree, &plan, options.restore)?;
    }
    let blobs = Blobs::of(wims);
    let files_of = plan.files_by_digest(tree);
    let first_name =
        |files: &[usize]| files.first().map_or(tree.root(), |&file| plan.files[file].spots[0].node);
    let wanted = files_of.iter().map(|(digest, files)| (*digest, first_name(files)));
    let inputs = blobs.inputs(tree, wanted)?;
    let total = inputs.iter().fold(0u64, |total, input| total.saturating_add(input.size));
    cx.progress.start(Stage::Extracting, total);
    let link_target = match options.fixed_links {
        FixedLinks::IntoTarget => Some(host.absolute_root()?),
        FixedLinks::AsStored => None,
    };
    let mut writer = Writer::new(cx, tree, host, plan, options.restore, volume);
    let (mut damaged, mut has_begun) = (Vec::new(), false);
    let takers = Takers::new(cx.threads());
    let taker = || takers.taker(&inputs, &files_of);
    read_blobs_taken(cx, &inputs, taker, |piece, taken| {
        // Other threads decode the first blobs while this one makes the directories.
        if !std::mem::replace(&mut has_begun, true) {
            writer.make_places()?;
            takers.open(&mut writer.files);
        }
        let BlobInput { size, digest, .. } = inputs[piece.position];
        let files = files_of.get(&digest).map_or(&[][..], Vec::as_slice);
        match piece.bytes {
            Err(error) if options.restore.damaged == Damaged::Recover && is_damage(&error) => {
                writer.files.give_up(files);
                damaged.push(piece.position);
                Ok(())
            }
            Ok(_) if taken == Taken::Yes => match piece.start > 0 && piece.is_last {
                true => writer.files.complete(files, size),
                false => Ok(()),
            },
            _ => writer.piece(piece, size, files),
        }
    })?;
    if !has_begun {
        writer.make_places()?;
    }
    for position in damaged {
        let input = &inputs[position];
        let files = files_of.get(&input.digest).map_or(&[][..], Vec::as_slice);
        recover(cx, tree, input, files, &mut writer)?;
    }
    complete(cx, tree, &blobs, writer, link_target.as_deref(), side_file)
}

/// Does what follows when all files are there.
fn complete<H: Host>(
    cx: &Context<'_>,
    tree: &Tree,
    blobs: &Blobs<'_>,
    mut writer: Writer<'_, '_, H>,
    link_target: Option<&Path>,
    side_file: Option<&mut SideFile>,
) -> Result<ApplyReport> {
    make_streams(cx, tree, blobs, &mut writer)?;
    make_links(cx, tree, blobs, &mut writer, link_target)?;
    writer.make_stand_ins()?;
    writer.restore_files()?;
    writer.set_directory_times()?;
    if let Some(side_file) = side_file {
        side_file.record(cx, writer.made())?;
    }
    let report = writer.finish();
    report.left_out.warn(cx);
    Ok(report)
}

/// Whether something may still be had of a blob with this error.
fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Format | ErrorKind::Corrupt | ErrorKind::Io)
}

/// Writes the files of a damaged blob as far as it goes, and warns of each.
fn recover<H: Host>(
    cx: &Context<'_>,
    tree: &Tree,
    input: &BlobInput<'_>,
    files: &[usize],
    writer: &mut Writer<'_, '_, H>,
) -> Result<()> {
    let Origin::Resource(wim, entry) = &input.origin else { return Ok(()) };
    let size = input.size;
    writer.files.take_again(files);
    let found = recover_blob(cx.cancel, wim, entry, &mut |start, bytes| {
        let is_last = start + bytes.len() as u64 == size;
        writer.piece(BlobPiece { position: 0, start, bytes: Ok(bytes), is_last }, size, files)
    });
    let (error, what) = match found {
        Ok(None) => return Ok(()),
        Ok(Some(damage)) => (damage, RECOVERED),
        Err(error) if error.kind() == ErrorKind::Format => {
            writer.files.give_up(files);
            (error, "nothing of it could be recovered")
        }
        Err(error) => return Err(error),
    };
    writer.count_damaged();
    warn_of(cx, tree, (&error.in_file(wim.name()), what), files, writer);
    Ok(())
}

/// Counts a blob that came damaged and was written as far as it went, and warns of each file that has it.
fn warn_of_recovered<H: Host>(
    cx: &Context<'_>,
    tree: &Tree,
    damage: &Error,
    files: &[usize],
    writer: &mut Writer<'_, '_, H>,
) {
    writer.count_damaged();
    warn_of(cx, tree, (damage, RECOVERED), files, writer);
}

/// What is said of a file that is not whole.
const RECOVERED: &str = "recovered as far as it goes";

fn warn_of<H: Host>(
    cx: &Context<'_>,
    tree: &Tree,
    (damage, what): (&Error, &str),
    files: &[usize],
    writer: &Writer<'_, '_, H>,
) {
    for node in files.iter().flat_map(|&file| writer.nodes_of_file(file)) {
        let message = format!("{what}: {}", damage.message());
        let mut error = Error::new(damage.kind(), message).at(damage.place().clone());
        if let Some(file) = damage.file() {
            error = error.in_file(file);
        }
        cx.progress.warn(&blame(tree, error, node));
    }
}

/// Refuses an image whose security descriptors must be restored.
fn check_descriptors(tree: &Tree, plan: &Plan, restore: RestoreOptions) -> Result<()> {
    if restore.descriptors != Descriptors::Require {
        return Ok(());
    }
    let files = plan.files.iter().map(|file| tree.inode(file.inode));
    let directories = plan.directories.iter().map(|spot| tree.inode_of(spot.node));
    match files.chain(directories).filter(|inode| inode.security.is_some()).count() {
        0 => Ok(()),
        count => Err(Error::unsupported(format!(
            "{count} files have security descriptors, which cannot be restored here"
        ))
        .remedy("leave --strict-acls out")),
    }
}

/// Writes the named streams of files and directories that are there.
fn make_streams<H: Host>(
    cx: &Context<'_>,
    tree: &Tree,
    blobs: &Blobs<'_>,
    writer: &mut Writer<'_, '_, H>,
) -> Result<()> {
    writer.make_empty_streams()?;
    let streams = writer.streams_by_digest();
    let user = |streams: &[usize], writer: &Writer<'_, '_, H>| {
        streams.first().map_or(tree.root(), |&stream| writer.node_of_stream(stream))
    };
    let wanted = streams.iter().map(|(digest, streams)| (*digest, user(streams, writer)));
    let inputs = blobs.inputs(tree, wanted)?;
    read_blobs(cx, &inputs, |piece| {
        let streams = streams.get(&inputs[piece.position].digest).map_or(&[][..], Vec::as_slice);
        let bytes = piece.bytes.map_err(|e| blame(tree, e, user(streams, writer)))?;
        writer.stream_piece(streams, (piece.start, bytes, piece.is_last))
    })
}

/// Makes symbolic links, and reparse points where there can be such, when all else is there.
fn make_links<H: Host>(
    cx: &Context<'_>,
    tree: &Tree,
    blobs: &Blobs<'_>,
    writer: &mut Writer<'_, '_, H>,
    fixed_root: Option<&Path>,
) -> Result<()> {
    let mut links = Links::of(writer);
    links.make_empty(writer)?;
    let wanted = links.digests().map(|digest| (*digest, first_link(tree, writer, links.of_blob(digest))));
    let mut inputs = blobs.inputs(tree, wanted)?;
    inputs.retain(|input| !links.refuse_large(&input.digest, input.size));
    let mut data = Vec::new();
    read_blobs(cx, &inputs, |piece| {
        let digest = inputs[piece.position].digest;
        let bytes =
            piece.bytes.map_err(|e| blame(tree, e, first_link(tree, writer, links.of_blob(&digest))))?;
        data.extend_from_slice(bytes);
        if piece.is_last {
            links.make(tree, writer, (&digest, &data), fixed_root)?;
            data.clear();
        }
        Ok(())
    })?;
    writer.leave_out_links(links.left_out());
    Ok(())
}

fn first_link<H: Host>(tree: &Tree, writer: &Writer<'_, '_, H>, links: &[usize]) -> NodeId {
    links.first().map_or(tree.root(), |&link| writer.node_of_link(link))
}
