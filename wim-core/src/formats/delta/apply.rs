//! A delta applied to its reference: the stages in order, and the proof of the result.
//!
//! Few rules of PE deltas no real file has settled; where one matters, each reading is tried and the digest of the target
//! decides, so that a wrong guess is an error and never a wrong file. Where neither delta nor claim states a digest such a delta
//! is refused, unless the caller waives the proof. It holds reference, its transformed copy and target in memory.

use std::borrow::Cow;

use super::header::{FileType, Flags, Header};
use super::pe_transforms::{Layout, Reading, transform};
use super::preprocess::Preprocess;
use super::rift::{Entry, MAX_PIECES, Rift};
use super::{e8, patch_stream};
use crate::base::{Digest, Error, Result};

/// Largest target that is rebuilt when the caller names no number: 1 GiB.
pub const DEFAULT_MAX_TARGET_BYTES: u64 = 1 << 30;

/// What is known of a target from elsewhere: the index of a container, say.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Its length in bytes; a delta that says otherwise is refused before anything is decoded.
    pub size: Option<u64>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// The most bytes that it may have.
    pub max_bytes: u64,
    /// What becomes of a target whose digest nobody states.
    pub proof: Proof,
}

/// What becomes of a target whose digest neither its delta nor its claim states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is refused where the rules of its delta leave more than one reading: programs, and translated x86 calls.
    Required,
    /// The first reading that can be carried out stands. For looking at single deltas, never for what is installed.
    Waived,
}

impl Claim {
    /// Nothing is known, and a target may stay unproved.
    #[must_use]
    pub fn unproved() -> Self {
        Self { proof: Proof::Waived, ..Self::default() }
    }
}

impl Default for Claim {
    /// Nothing is known, but [`DEFAULT_MAX_TARGET_BYTES`]; [`Proof::Required`].
    fn default() -> Self {
        Self { size: None, digest: None, max_bytes: DEFAULT_MAX_TARGET_BYTES, proof: Proof::Required }
    }
}

/// Bytes that the rift tables of a delta take at most while it is applied: as read, composed, inverted with what is covered
/// already, and joined for the patch stream. 0 for what is no delta.
#[must_use]
pub fn table_bytes(delta: &[u8]) -> u64 {
    /// An entry takes a codeword of one bit for each of its numbers at least.
    const ENTRIES_PER_BYTE: u64 = 4;
    /// Copies of the tables that are in memory at once.
    const COPIES: u64 = 5;
    let Ok(header) = Header::parse(delta) else { return 0 };
    let entries =
        |stream: &[u8], tables: u64| (stream.len() as u64 * ENTRIES_PER_BYTE).min(tables * MAX_PIECES as u64);
    let (patch, _) = header.patch;
    let own = if patch_stream::has_rift(patch) { entries(patch, 1) } else { 0 };
    // Two rifts and a map, which is bounded as one.
    (own + entries(header.preprocess.0, 3)) * COPIES * size_of::<Entry>() as u64
}

/// Rebuilds a target from its `reference`, empty for a delta that needs none.
///
/// Length and digest are those that the delta states, and those of `claim`.
///
/// # Errors
/// `Format` when the delta breaks its rules, `Corrupt` when the target is not what delta or claim state, `Limit` when it
/// would be larger than allowed, `Unsupported` for what [`Header::parse`] refuses and for what cannot be proved.
pub fn apply(reference: &[u8], delta: &[u8], claim: &Claim) -> Result<Vec<u8>> {
    let header = Header::parse(delta)?;
    let target_size = allowed_size(&header, claim)?;
    let (preprocess_bytes, preprocess_at) = header.preprocess;
    let preprocess = if header.file_type == FileType::Raw || preprocess_bytes.is_empty() {
        None
    } else {
        Some(Preprocess::parse(preprocess_bytes, preprocess_at)?)
    };
    let layout = preprocess.is_some().then(|| Layout::parse(reference)).flatten();
    let digests: Vec<Digest> = header.target_digest.into_iter().chain(claim.digest).collect();
    let is_open = header.file_type != FileType::Raw || header.flags.has(Flags::E8);
    if digests.is_empty() && is_open && claim.proof == Proof::Required {
        let message =
            "neither the delta nor its package states a digest of the file, which could not be proved";
        return Err(Error::unsupported(message)
            .remedy("get the full package of this update, whose index states digests"));
    }
    let is_proved = |target: &[u8]| digests.iter().all(|digest| digest.matches(target));
    let mut failed = None;
    for reading in readings(reference, layout.as_ref()) {
        let (window, rift) = match (&preprocess, &layout) {
            (Some(preprocess), Some(layout)) => {
                let done = transform(reference, layout, header.file_type, header.flags, preprocess, reading)?;
                (Cow::Owned(done.bytes), done.rift)
            }
            // UNVERIFIED: no delta with a preprocess stream and a reference that is no PE image is known.
            (Some(preprocess), None) => (Cow::Borrowed(reference), joined(preprocess)),
            (None, _) => (Cow::Borrowed(reference), Rift::default()),
        };
        let (patch, at) = header.patch;
        let mut target = patch_stream::decode(patch, at, &window, &rift, target_size)?;
        drop(window);
        if header.flags.has(Flags::E8) {
            // UNVERIFIED for what is no i386 program: without translation first, then with it.
            let is_i386_program = Layout::parse(&target).is_some_and(|layout| layout.has_i386_code(&target));
            if !is_i386_program && is_proved(&target) {
                return Ok(target);
            }
            e8::undo(&mut target);
        }
        if is_proved(&target) {
            return Ok(target);
        }
        failed.get_or_insert(target);
    }
    Err(mismatch(&header, reference, layout.as_ref(), preprocess.as_ref(), failed.as_deref(), &digests))
}

fn allowed_size(header: &Header<'_>, claim: &Claim) -> Result<usize> {
    let stated = header.target_size;
    if let Some(claimed) = claim.size.filter(|&claimed| claimed != stated) {
        let message = format!("the delta makes a file of {stated} bytes, but its container says {claimed}");
        return Err(Error::corrupt(message).remedy("get the package again from its source"));
    }
    usize::try_from(stated).ok().filter(|_| stated <= claim.max_bytes).ok_or_else(|| {
        Error::limit(format!(
            "the delta makes a file of {stated} bytes, more than the {} allowed",
            claim.max_bytes
        ))
        .remedy("the delta is damaged or belongs to another file; get the package again from its source")
    })
}

/// The readings that can make a difference for this reference, the likeliest first.
fn readings(reference: &[u8], layout: Option<&Layout>) -> Vec<Reading> {
    let mut readings = vec![Reading::default()];
    let Some(layout) = layout else { return readings };
    if layout.has_lock_prefixes(reference) {
        readings
            .extend([0xF0, 0x90].map(|prefix| Reading { lock_prefix: Some(prefix), ..Reading::default() }));
    }
    if layout.is_i386_above_2_gib() {
        let unsigned: Vec<_> =
            readings.iter().map(|reading| Reading { unsigned_words: true, ..*reading }).collect();
        readings.extend(unsigned);
    }
    readings
}

fn joined(preprocess: &Preprocess) -> Rift {
    let both = preprocess.file_rift.entries().iter().chain(preprocess.address_rift.entries());
    Rift::new(both.copied().collect::<Vec<Entry>>())
}

/// The error for a target that is complete and wrong; it names what is known to be uncertain about the delta.
fn mismatch(
    header: &Header<'_>,
    reference: &[u8],
    layout: Option<&Layout>,
    preprocess: Option<&Preprocess>,
    target: Option<&[u8]>,
    digests: &[Digest],
) -> Error {
    let stated = digests.iter().find(|digest| target.is_none_or(|target| !digest.matches(target)));
    let mut message = match (stated, target) {
        (Some(stated), Some(target)) => {
            let algorithm = stated.algorithm();
            format!("the rebuilt file has the {algorithm} {}, not {stated}", stated.of_same_kind(target))
        }
        _ => "the rebuilt file has the wrong digest".to_owned(),
    };
    if let Some(layout) = layout {
        let target_machine = target.and_then(Layout::parse).map(|layout| layout.machine_name());
        message += &format!(
            " (FileType {:?}, flags {:#x}, {} to {}",
            header.file_type,
            header.flags.0,
            layout.machine_name(),
            target_machine.as_deref().unwrap_or("no PE image"),
        );
        let mut spots = layout.weak_spots(reference);
        if preprocess.is_some_and(|preprocess| preprocess.cli_metadata.is_some()) {
            spots.push("a record of managed metadata");
        }
        if !spots.is_empty() {
            message += &format!("; the basis has {}", spots.join(", "));
        }
        message += ")";
    }
    Error::corrupt(message).remedy("check that the basis is the right one, or get the package again")
}
