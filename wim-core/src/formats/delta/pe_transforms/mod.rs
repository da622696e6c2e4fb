//! What a PE reference goes through before its bytes serve as the window of a patch stream.
//!
//! Each transform moves one kind of address to where the target has it, by the rift of the delta: they run in the order of
//! their flag bits on a private copy, and a field that cannot be reached is passed over in silence, as Windows' own decoder
//! does. The rules are the ones that rebuild real packages byte for byte, odd as some are; nothing is done to the target.

mod amd64;
mod cli_code;
mod cli_image;
mod cli_schema;
mod cli_signatures;
mod directories;
mod i386;
mod image;
mod relocations;
mod resources;

pub use cli_image::{Map as CliMap, Metadata as CliMetadata};
pub use image::Layout;

use super::header::{FileType, Flags};
use super::preprocess::Preprocess;
use super::rift::{Entry, Rift};
use crate::base::{Error, Result};
use image::{u32_at, u64_at};

/// How the few rules are read that no real file has settled; the target's digest tells which is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Relocated words of an i386 image count as unsigned.
    pub unsigned_words: bool,
    /// What listed lock prefixes are overwritten with.
    pub lock_prefix: Option<u8>,
}

/// A transformed reference and what it brings along for the patch stage.
pub(super) struct Transformed {
    pub(super) bytes: Vec<u8>,
    /// From places of the window to places of the reference.
    pub(super) rift: Rift,
}

/// The copy of a reference that is worked on.
struct Work<'a> {
    layout: &'a Layout,
    bytes: Vec<u8>,
    /// Addresses of the reference to addresses of the target.
    rift: &'a Rift,
    new_base: u64,
    /// One per byte: not code. Empty when no transform asks.
    marks: Vec<bool>,
}

impl Work<'_> {
    /// Where an address goes.
    fn map(&self, rva: u32) -> u32 {
        low32(self.rift.map(i64::from(rva)))
    }

    fn mark(&mut self, at: usize, length: usize) {
        if let Some(marks) = self.marks.get_mut(at..) {
            marks.iter_mut().take(length).for_each(|mark| *mark = true);
        }
    }

    fn is_marked(&self, at: usize) -> bool {
        self.marks.get(at).copied().unwrap_or(false)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        u32_at(&self.bytes, at)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let field = self.bytes.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len()));
        if let Some(field) = field {
            field.copy_from_slice(bytes);
        }
    }

    fn put_u32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    /// Moves the address at `at`, unless it is 0.
    fn move_field(&mut self, at: usize) {
        if let Some(rva) = self.u32(at) {
            if rva != 0 {
                self.put_u32(at, self.map(rva));
            }
            self.mark(at, 4);
        }
    }

    /// An absolute address, mapped and put on the new base; `rva` is relative to the old one.
    fn rebase(&self, rva: i64) -> u64 {
        self.new_base.wrapping_add(self.rift.map(rva).cast_unsigned())
    }

    /// The pointer at `at`, moved from the old base to the new one.
    fn rebase_pointer(&mut self, at: usize) {
        if self.layout.is_pe32_plus {
            let Some(value) = u64_at(&self.bytes, at) else { return };
            let moved = self.rebase(value.wrapping_sub(self.layout.image_base).cast_signed());
            self.put(at, &moved.to_le_bytes());
        } else {
            let Some(value) = self.u32(at) else { return };
            let moved = self.rebase(i64::from(value).wrapping_sub(self.layout.image_base.cast_signed()));
            self.put_u32(at, low32(moved.cast_signed()));
        }
    }
}

/// The lower half, which is what a 32-bit field keeps.
fn low32(value: i64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// A table that asks for more work than its file can need.
fn too_much(what: &str) -> Error {
    Error::limit(format!("the basis is damaged: {what} ask for more work than a file of its size can need"))
        .remedy("get the package again from its source")
}

/// Transforms `reference`, whose headers are `layout`, as `flags` and the preprocess stream say.
///
/// # Errors
/// `Limit` when tables of the reference or rifts ask for far more work than a real file can.
pub(super) fn transform(
    reference: &[u8],
    layout: &Layout,
    file_type: FileType,
    flags: Flags,
    preprocess: &Preprocess,
    reading: Reading,
) -> Result<Transformed> {
    let machine = Machine {
        is_i386: layout.is_i386() && file_type == FileType::I386,
        is_amd64: layout.is_amd64() && file_type == FileType::Amd64,
    };
    let needs_marks = machine.is_i386 && (flags.has(Flags::JUMPS) || flags.has(Flags::CALLS));
    let mut work = Work {
        layout,
        bytes: reference.to_vec(),
        rift: &preprocess.address_rift,
        new_base: preprocess.image_base,
        marks: vec![false; if needs_marks { reference.len() } else { 0 }],
    };
    let managed = cli_image::Metadata::of_image(reference, layout);
    work.put_u32(layout.checksum_at, 0);
    if flags.has(Flags::UNBIND) {
        directories::unbind(&mut work)?;
    }
    work.put_u32(layout.stamp_at, preprocess.time_stamp);
    if machine.is_i386 && flags.has(Flags::MARK) {
        i386::mark_what_is_not_code(&mut work);
        if let Some(managed) = &managed {
            cli_code::mark_bodies(&mut work, managed)?;
        }
    }
    move_tables(&mut work, flags, reading)?;
    move_code(&mut work, reference, machine, flags, reading)?;
    // Only now: relocations and bound imports count from the old base.
    if layout.is_pe32_plus {
        work.put(layout.image_base_at, &preprocess.image_base.to_le_bytes());
    } else {
        work.put_u32(layout.image_base_at, low32(preprocess.image_base.cast_signed()));
    }
    let mut rift = copy_rift(reference.len(), layout, preprocess)?;
    if let Some(managed) = &managed {
        let more = move_metadata(&mut work, managed, flags, preprocess)?;
        rift = Rift::new(rift.entries().iter().copied().chain(more).collect());
    }
    Ok(Transformed { bytes: work.bytes, rift })
}

/// Whose transforms run: those of a machine need a delta and a reference for it.
#[derive(Clone, Copy, Debug)]
struct Machine {
    is_i386: bool,
    is_amd64: bool,
}

fn move_tables(work: &mut Work<'_>, flags: Flags, reading: Reading) -> Result<()> {
    if flags.has(Flags::IMPORTS) {
        directories::imports(work)?;
    }
    if flags.has(Flags::EXPORTS) {
        directories::exports(work);
    }
    if flags.has(Flags::RESOURCES) {
        resources::resources(work)?;
    }
    if flags.has(Flags::RELOCATIONS) {
        relocations::relocations(work, reading);
    }
    Ok(())
}

fn move_code(
    work: &mut Work<'_>,
    reference: &[u8],
    machine: Machine,
    flags: Flags,
    reading: Reading,
) -> Result<()> {
    if machine.is_i386 {
        if let Some(prefix) = reading.lock_prefix.filter(|_| flags.has(Flags::LOCK_PREFIXES)) {
            i386::lock_prefixes(work, reference, prefix);
        }
        if flags.has(Flags::JUMPS) {
            i386::jumps(work);
        }
        if flags.has(Flags::CALLS) {
            i386::calls(work);
        }
    }
    if machine.is_amd64 && !work.rift.is_empty() {
        if flags.has(Flags::DISASSEMBLY) {
            amd64::operands(work)?;
        }
        if flags.has(Flags::PDATA) {
            amd64::exception_directory(work);
        }
    }
    Ok(())
}

/// Renumbers managed code and metadata; gives what they add to the copy rift.
fn move_metadata(
    work: &mut Work<'_>,
    managed: &CliMetadata,
    flags: Flags,
    preprocess: &Preprocess,
) -> Result<Vec<Entry>> {
    let empty_map = CliMap::default();
    let map = preprocess.cli_map.as_ref().unwrap_or(&empty_map);
    if flags.has(Flags::CLI_DISASSEMBLY) {
        cli_code::tokens(work, managed, map)?;
    }
    if flags.has(Flags::CLI_METADATA) {
        cli_image::move_columns(work, managed, map)?;
    }
    match &preprocess.cli_metadata {
        Some(target) => cli_image::copy_rift(&work.bytes, managed, target, map, work.bytes.len()),
        None => Ok(Vec::new()),
    }
}

/// From places of the window, where the target's begin behind the reference, to places of the reference: by file offset,
/// address, the target's address and its file offset.
fn copy_rift(reference_size: usize, layout: &Layout, preprocess: &Preprocess) -> Result<Rift> {
    let raw = layout.sections.iter().filter(|s| s.raw_pointer != 0 && s.virtual_address != 0);
    let sections = raw.map(|s| (i64::from(s.raw_pointer), i64::from(s.virtual_address)));
    let sections = Rift::of(&[(0, 0)].into_iter().chain(sections).collect::<Vec<_>>());
    let to_target = sections.then(&preprocess.address_rift)?.then(&preprocess.file_rift)?;
    Ok(shift_sources(&to_target.invert(), reference_size))
}

/// The table for a window in which the target follows a reference of that size.
fn shift_sources(rift: &Rift, reference_size: usize) -> Rift {
    let size = reference_size as i64;
    let shifted = rift.entries().iter().map(|e| Entry { source: e.source.wrapping_add(size), ..*e });
    Rift::new(shifted.collect())
}
