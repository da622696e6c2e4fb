//! Unpacking cabinets on all cores: folders do not depend on each other, so each is one worker's.
//!
//! A worker decodes its folder from front to back and hands each member on as it goes by, so that memory is what decoding
//! takes, however large members are. What becomes of the bytes is the [`MemberSink`]'s to say; names are not looked at here.

use std::ops::Range;

use crate::base::pipeline::{Budget, Cost, map_in_order};
use crate::base::{Context, Error, Place, Result};
use crate::formats::cab::{Cabinet, MAX_STORED_BLOCK_BYTES, overlap};

/// Memory of a worker beside what its method takes: the bytes read ahead and a block on its way.
const WORKER_BYTES: u64 = (512 << 10) + 2 * MAX_STORED_BLOCK_BYTES as u64;

/// Receives members from several threads at once, each member from one.
pub trait MemberSink: Sync {
    /// A member that is being received.
    type Open;

    /// A member begins; its number is that of [`Cabinet::members`].
    ///
    /// # Errors
    /// Whatever stops the job.
    fn begin(&self, member: usize) -> Result<Self::Open>;

    /// Its next bytes.
    ///
    /// # Errors
    /// Whatever stops the job.
    fn write(&self, open: &mut Self::Open, bytes: &[u8]) -> Result<()>;

    /// It has all its bytes.
    ///
    /// # Errors
    /// Whatever stops the job.
    fn finish(&self, open: Self::Open) -> Result<()>;

    /// `member` has the same bytes as `original`, which is finished.
    ///
    /// # Errors
    /// Whatever stops the job.
    fn repeat(&self, member: usize, original: usize) -> Result<()>;
}

/// How much of a folder is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Up to the end of the last member that is wanted.
    Wanted,
    /// All of it, whatever lies behind the members.
    WholeFolders,
}

/// Unpacks the members whose numbers are `wanted`, each once.
///
/// Progress counts uncompressed bytes of folders; starting the stage is the caller's.
///
/// # Errors
/// `Format` for members that overlap without being equal or end behind their folder; as
/// [`FolderReader::next_block`](crate::formats::cab::FolderReader::next_block); what the sink gives; `Cancelled`.
pub fn unpack<S: MemberSink>(
    cx: &Context<'_>,
    cabinet: &Cabinet,
    wanted: &[usize],
    reach: Reach,
    sink: &S,
) -> Result<()> {
    let plans = plan(cabinet, wanted, reach)?;
    let scratch = plans.iter().map(|plan| plan.scratch_bytes).max().unwrap_or(0);
    let budget = Budget::split(cx.memory_bytes(), cx.threads(), scratch);
    let worker = || |plan: FolderPlan| unpack_folder(cx, cabinet, &plan, sink);
    map_in_order(cx, &budget, plans, worker, |()| Ok(()))
}

/// Uncompressed bytes that [`unpack`] will count with the same arguments, about.
#[must_use]
pub fn expected_bytes(cabinet: &Cabinet, wanted: &[usize]) -> u64 {
    let mut ends = vec![0; cabinet.folders().len()];
    for member in wanted.iter().filter_map(|&number| cabinet.members().get(number)) {
        if let Some(end) = ends.get_mut(member.folder) {
            *end = member.end().max(*end);
        }
    }
    ends.iter().sum()
}

/// What one worker does.
struct FolderPlan {
    folder: usize,
    /// Members with data, in the order of their data.
    pieces: Vec<Piece>,
    /// Members without data.
    empty: Vec<usize>,
    /// Bytes of the folder that are decoded at least.
    end: u64,
    reach: Reach,
    scratch_bytes: u64,
}

/// A range of a folder's data, and the members that it is.
struct Piece {
    range: Range<u64>,
    member: usize,
    repeats: Vec<usize>,
}

impl Cost for FolderPlan {
    fn cost(&self) -> u64 {
        // Scratch is counted by worker.
        0
    }
}

fn plan(cabinet: &Cabinet, wanted: &[usize], reach: Reach) -> Result<Vec<FolderPlan>> {
    let mut by_folder: Vec<Vec<usize>> = vec![Vec::new(); cabinet.folders().len()];
    for &number in wanted {
        let member = cabinet.members().get(number);
        let place = member.and_then(|member| by_folder.get_mut(member.folder));
        place.ok_or_else(|| Error::not_found(format!("there is no member {number}")))?.push(number);
    }
    let mut plans = Vec::new();
    for (folder, (numbers, found)) in by_folder.iter().zip(cabinet.folders()).enumerate() {
        if numbers.is_empty() && reach == Reach::Wanted {
            continue;
        }
        let (pieces, empty) = pieces(cabinet, numbers)?;
        let end = pieces.last().map_or(0, |piece| piece.range.end);
        let scratch_bytes = WORKER_BYTES + found.method.scratch_bytes();
        plans.push(FolderPlan { folder, pieces, empty, end, reach, scratch_bytes });
    }
    Ok(plans)
}

/// The members of one folder as ranges that follow each other, and those without data.
fn pieces(cabinet: &Cabinet, numbers: &[usize]) -> Result<(Vec<Piece>, Vec<usize>)> {
    let mut members: Vec<_> =
        numbers.iter().filter_map(|&number| Some((number, cabinet.members().get(number)?))).collect();
    members.sort_by_key(|(number, member)| (member.offset, member.size, *number));
    let (mut pieces, mut empty): (Vec<Piece>, _) = (Vec::new(), Vec::new());
    for (number, member) in members {
        if member.size == 0 {
            empty.push(number);
            continue;
        }
        let range = member.offset..member.end();
        match pieces.last_mut() {
            Some(before) if before.range == range => before.repeats.push(number),
            Some(before) if before.range.end > range.start => {
                let message = "its data overlap those of another member without being equal";
                return Err(Error::new(crate::base::ErrorKind::Format, message)
                    .at(Place::Path(member.name.clone()))
                    .in_file(cabinet.name())
                    .remedy("the cabinet is damaged or made to do harm; get it again from its source"));
            }
            _ => pieces.push(Piece { range, member: number, repeats: Vec::new() }),
        }
    }
    Ok((pieces, empty))
}

fn unpack_folder<S: MemberSink>(
    cx: &Context<'_>,
    cabinet: &Cabinet,
    plan: &FolderPlan,
    sink: &S,
) -> Result<()> {
    for &member in &plan.empty {
        sink.finish(sink.begin(member)?)?;
    }
    if plan.end == 0 && plan.reach == Reach::Wanted {
        return Ok(());
    }
    let mut reader = cabinet.open_folder(plan.folder)?;
    let mut pieces = plan.pieces.iter().peekable();
    let mut open: Option<S::Open> = None;
    let mut at = 0;
    while plan.reach == Reach::WholeFolders || at < plan.end {
        cx.cancel.check()?;
        let Some(block) = reader.next_block()? else { break };
        let end = at + block.len() as u64;
        while let Some(piece) = pieces.peek().filter(|piece| piece.range.start < end) {
            let mut receiving = match open.take() {
                Some(receiving) => receiving,
                None => sink.begin(piece.member)?,
            };
            sink.write(&mut receiving, overlap(block, at, piece.range.clone()))?;
            if piece.range.end > end {
                open = Some(receiving);
                break;
            }
            sink.finish(receiving)?;
            piece.repeats.iter().try_for_each(|&member| sink.repeat(member, piece.member))?;
            pieces.next();
        }
        cx.progress.advance(block.len() as u64);
        at = end;
    }
    match pieces.next().and_then(|piece| cabinet.members().get(piece.member)) {
        Some(member) => Err(cabinet.folder_too_short(member, at)),
        None => Ok(()),
    }
}
