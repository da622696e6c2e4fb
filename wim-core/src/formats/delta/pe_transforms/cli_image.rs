//! Metadata of managed images: where its heaps and tables lie, how rows are renumbered, and what moves with them.
//!
//! The layout is ECMA-335 II.24; how a delta describes the target's and maps one to the other is known from
//! jlevere/msdelta and was exact on its managed files. It reads the metadata of version 1 (`#~`) only.

use super::super::bits::BitReader;
use super::super::rift::{Entry, IntFormat, MAX_PIECES, Rift};
use super::cli_schema::{Column, SCHEMA, Sizes};
use super::cli_signatures::{Kind, Walker};
use super::image::{Directory, Layout, u16_at, u32_at, u64_at};
use super::{Work, low32, too_much};
use crate::base::Result;

/// Bytes of the tables stream before the row counts.
const TABLES_HEADER_BYTES: u64 = 24;
const GUID_BYTES: u32 = 16;

/// A heap or table: file offset and what its places are counted in.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    offset: u32,
    size: u32,
}

/// Where the metadata of an image lies.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// #Strings, #US, #Blob, #GUID, #~.
    streams: [Stream; 5],
    sizes: Sizes,
    /// File offset of each table; 0 for one that is not there.
    tables: [u64; 64],
}

const STRINGS: usize = 0;
const USER_STRINGS: usize = 1;
const BLOB: usize = 2;
const GUID: usize = 3;
const TABLES: usize = 4;
const STREAM_NAMES: [&[u8]; 5] = [b"#Strings\0", b"#US\0", b"#Blob\0", b"#GUID\0", b"#~\0"];

impl Metadata {
    /// The record of a preprocess stream: the target's metadata.
    ///
    /// # Errors
    /// `Format` when it is cut short.
    pub(in crate::formats::delta) fn read(bits: &mut BitReader<'_>) -> Result<Self> {
        const FIELD: &str = "CLI metadata";
        for _ in 0..5 {
            bits.take32(FIELD, 32)?;
        }
        let mut streams = [Stream::default(); 5];
        for stream in &mut streams {
            *stream = Stream { offset: bits.take32(FIELD, 32)?, size: bits.take32(FIELD, 32)? };
        }
        let [has_wide_strings, has_wide_guids, has_wide_blobs] =
            [bits.bit(FIELD)?, bits.bit(FIELD)?, bits.bit(FIELD)?];
        let present = bits.take(FIELD, 64)?;
        let mut rows = [0; 64];
        for (table, rows) in rows.iter_mut().enumerate() {
            if present >> table & 1 == 1 {
                *rows = bits.take32(FIELD, 32)?;
            }
        }
        let sizes = Sizes { rows, has_wide_strings, has_wide_guids, has_wide_blobs };
        Ok(Self::new(streams, sizes, present).0)
    }

    /// The metadata of a reference; none when it has none, or its tables do not lie in the file.
    pub(super) fn of_image(bytes: &[u8], layout: &Layout) -> Option<Self> {
        let (header, _) = layout.directory_in_file(Directory::ComDescriptor)?;
        let root = layout.file_offset(u32_at(bytes, header.checked_add(8)?)?)?;
        if !bytes.get(root..)?.starts_with(b"BSJB") {
            return None;
        }
        let version_bytes = u32_at(bytes, root + 12)? as usize;
        let mut at = root.checked_add(16)?.checked_add(version_bytes)?.checked_add(4)?;
        let count = u16_at(bytes, at - 2)?;
        let mut streams = [Stream::default(); 5];
        for _ in 0..count {
            let (offset, size) = (u32_at(bytes, at)?, u32_at(bytes, at + 4)?);
            let name = bytes.get(at + 8..)?;
            let name = name.get(..name.len().min(32))?;
            let length = name.iter().position(|&byte| byte == 0)? + 1;
            let number = STREAM_NAMES.iter().position(|known| name.starts_with(known));
            if let Some(stream) = number.and_then(|number| streams.get_mut(number)) {
                *stream = Stream { offset: u32::try_from(root).ok()?.checked_add(offset)?, size };
            }
            at += 8 + length.next_multiple_of(4);
        }
        let tables = streams[TABLES].offset as usize;
        if tables == 0 {
            return None;
        }
        let (heap_sizes, present) = (*bytes.get(tables + 6)?, u64_at(bytes, tables + 8)?);
        let mut rows = [0; 64];
        let mut at = tables + 24;
        for (table, rows) in rows.iter_mut().enumerate() {
            if present >> table & 1 == 1 {
                *rows = u32_at(bytes, at)?;
                at += 4;
            }
        }
        let is_wide = |bit: u8| heap_sizes & bit != 0;
        let sizes = Sizes {
            rows,
            has_wide_strings: is_wide(1),
            has_wide_guids: is_wide(2),
            has_wide_blobs: is_wide(4),
        };
        let (found, end) = Self::new(streams, sizes, present);
        let has_only_known_tables = present >> SCHEMA.len() == 0;
        (has_only_known_tables && end <= bytes.len() as u64).then_some(found)
    }

    /// The metadata with its tables one behind the other, and where they end.
    fn new(streams: [Stream; 5], sizes: Sizes, present: u64) -> (Self, u64) {
        let mut tables = [0; 64];
        let mut at =
            u64::from(streams[TABLES].offset) + TABLES_HEADER_BYTES + 4 * u64::from(present.count_ones());
        for ((table, columns), &rows) in tables.iter_mut().zip(SCHEMA).zip(&sizes.rows) {
            if rows != 0 {
                *table = at;
                at += u64::from(rows) * sizes.row_bytes(columns) as u64;
            }
        }
        (Self { streams, sizes, tables }, at)
    }

    /// File offset of the blob heap's byte `offset`.
    pub(super) fn blob(&self, offset: u32) -> Option<usize> {
        let heap = self.streams[BLOB];
        (offset < heap.size).then(|| heap.offset as usize + offset as usize)
    }

    /// File offsets of the rows of a table; of an image whose tables lie in its file.
    pub(super) fn row_places(&self, table: usize) -> impl ExactSizeIterator<Item = usize> + use<> {
        let columns = SCHEMA.get(table).copied().unwrap_or(&[]);
        let start = self.tables.get(table).copied().unwrap_or(0);
        let rows = self.sizes.rows.get(table).copied().unwrap_or(0);
        let row_bytes = self.sizes.row_bytes(columns);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        (0..rows as usize).map(move |row| start.saturating_add(row * row_bytes))
    }
}

/// How indexes of the reference become indexes of the target.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// #Strings, #US, #Blob, #GUID.
    heaps: [Rift; 4],
    /// By table; none means that nothing is renumbered.
    tables: Vec<Rift>,
}

impl Map {
    /// The map of a preprocess stream.
    ///
    /// # Errors
    /// `Format` when it is cut short or its codes are impossible, `Limit` when its tables have more entries together than one
    /// may have.
    pub(in crate::formats::delta) fn read(bits: &mut BitReader<'_>) -> Result<Self> {
        let mut left = MAX_PIECES;
        let heap_formats = [IntFormat::read(bits)?, IntFormat::read(bits)?];
        let table_formats = [IntFormat::read(bits)?, IntFormat::read(bits)?];
        let mut heaps: [Rift; 4] = Default::default();
        for (number, heap) in heaps.iter_mut().enumerate() {
            let formats = if number == GUID { &table_formats } else { &heap_formats };
            *heap = Rift::read_entries(bits, formats, &mut left)?;
        }
        let tables = (0..64).map(|_| Rift::read_entries(bits, &table_formats, &mut left));
        let tables = tables.collect::<Result<_>>()?;
        Ok(Self { heaps, tables })
    }

    /// A row or index as the target numbers it; 0 stays 0.
    fn renumber(rift: Option<&Rift>, value: u32) -> i64 {
        let value = i64::from(value);
        if value == 0 { 0 } else { rift.map_or(value, |rift| rift.map(value)) }
    }

    fn heap(&self, heap: usize, value: u32) -> i64 {
        Self::renumber(self.heaps.get(heap), value)
    }

    pub(super) fn row(&self, table: u8, row: u32) -> i64 {
        Self::renumber(self.tables.get(usize::from(table)), row)
    }

    /// A token of code: of a row, or of a user string; others stay.
    pub(super) fn token(&self, token: u32) -> u32 {
        let [.., table] = token.to_le_bytes();
        let index = token & 0x00FF_FFFF;
        let moved = match table {
            0..0x40 => self.tables.get(usize::from(table)).map(|rift| rift.map(i64::from(index))),
            0x70 => self.heaps.get(USER_STRINGS).map(|rift| rift.map(i64::from(index))),
            _ => None,
        };
        moved.map_or(token, |moved| u32::from(table) << 24 | low32(moved) & 0x00FF_FFFF)
    }
}

/// Renumbers all columns of the reference's tables and the types in its signatures.
///
/// # Errors
/// `Limit` when signatures overlap so that they are far longer together than the file.
pub(super) fn move_columns(work: &mut Work<'_>, metadata: &Metadata, map: &Map) -> Result<()> {
    let mut walker = Walker::new(work.bytes.len());
    for (table, columns) in SCHEMA.iter().enumerate() {
        let kind = Kind::of_table(table);
        for row in metadata.row_places(table) {
            let mut at = row;
            for &column in *columns {
                let width = metadata.sizes.width(column);
                let value =
                    if width == 2 { u16_at(&work.bytes, at).map(u32::from) } else { u32_at(&work.bytes, at) };
                let Some(value) = value else { break };
                if let (Column::Blob, Some(kind)) = (column, kind) {
                    walker.add(table, kind, value);
                }
                put_column(work, at, width, moved_column(work, map, column, value));
                at += width;
            }
        }
    }
    walker.walk(work, metadata, map)
}

fn moved_column(work: &Work<'_>, map: &Map, column: Column, value: u32) -> i64 {
    match column {
        Column::Half | Column::Word => i64::from(value),
        Column::Rva if value == 0 => 0,
        Column::Rva => work.rift.map(i64::from(value)),
        Column::Strings => map.heap(STRINGS, value),
        Column::Guid => map.heap(GUID, value),
        Column::Blob => map.heap(BLOB, value),
        Column::Table(table) => map.row(table, value),
        Column::Coded(coded) => {
            let tag = value & ((1 << coded.tag_bits) - 1);
            match coded.tables.get(tag as usize) {
                Some(&table) => map.row(table, value >> coded.tag_bits) << coded.tag_bits | i64::from(tag),
                None => i64::from(value),
            }
        }
    }
}

/// Writes a value that fits its column.
fn put_column(work: &mut Work<'_>, at: usize, width: usize, value: i64) {
    if width == 2 {
        if let Ok(value) = u16::try_from(value) {
            work.put(at, &value.to_le_bytes());
        }
    } else if let Ok(value) = u32::try_from(value) {
        work.put_u32(at, value);
    }
}

/// What metadata adds to the copy rift: places of the window, behind a reference of that size, to places of the reference.
///
/// # Errors
/// `Limit` for more entries than a table may have: rows of a few bytes would take many times the size of their file.
pub(super) fn copy_rift(
    transformed: &[u8],
    reference: &Metadata,
    target: &Metadata,
    map: &Map,
    reference_size: usize,
) -> Result<Vec<Entry>> {
    let size = reference_size as i64;
    let (mut entries, mut is_full) = (Vec::new(), false);
    let mut add = |target: i64, source: i64| {
        is_full = entries.len() >= MAX_PIECES;
        if !is_full {
            entries.push(Entry { source: target.wrapping_add(size), target: source });
        }
        !is_full
    };
    let identity = Rift::of(&[(0, 0)]);
    for heap in [STRINGS, USER_STRINGS, BLOB] {
        let [ours, theirs] =
            [reference, target].map(|side| side.streams.get(heap).copied().unwrap_or_default());
        if ours.offset == 0 || theirs.offset == 0 {
            continue;
        }
        let rift = map.heaps.get(heap).filter(|rift| !rift.is_empty()).unwrap_or(&identity);
        for entry in rift.entries().iter().take_while(|entry| entry.source <= i64::from(u32::MAX)) {
            add(
                i64::from(theirs.offset).wrapping_add(entry.target),
                i64::from(ours.offset).wrapping_add(entry.source),
            );
        }
    }
    let place = |(base, size): (i64, i64), row: i64| {
        let inside = if row <= 0 { row } else { (row - 1).wrapping_mul(size) };
        base.wrapping_add(inside)
    };
    for (ours, theirs, rift) in paired_rows(reference, target, map) {
        match rift.filter(|rift| !rift.is_empty()) {
            Some(rift) => {
                for entry in rift.entries() {
                    add(place(theirs, entry.target), place(ours, entry.source));
                }
            }
            None => {
                add(theirs.0, ours.0);
            }
        }
    }
    resized_columns(transformed, reference, target, map, &mut add);
    if is_full { Err(too_much("rows of resized tables")) } else { Ok(entries) }
}

/// File offset of the first row, and bytes of each.
type Rows = (i64, i64);

/// The GUID heap and each table that both sides have, the reference's rows first, and how rows are renumbered.
fn paired_rows<'m>(
    reference: &Metadata,
    target: &Metadata,
    map: &'m Map,
) -> Vec<(Rows, Rows, Option<&'m Rift>)> {
    let mut ranges = Vec::new();
    let [ours, theirs] = [reference, target].map(|side| side.streams[GUID].offset);
    if ours != 0 && theirs != 0 {
        let guid = i64::from(GUID_BYTES);
        ranges.push(((i64::from(ours), guid), (i64::from(theirs), guid), map.heaps.get(GUID)));
    }
    for (table, columns) in SCHEMA.iter().enumerate() {
        let side = |side: &Metadata| {
            let start = side.tables.get(table).copied().unwrap_or(0).cast_signed();
            (start, side.sizes.row_bytes(columns) as i64)
        };
        let (ours, theirs) = (side(reference), side(target));
        if ours.0 != 0 && theirs.0 != 0 {
            ranges.push((ours, theirs, map.tables.get(table)));
        }
    }
    ranges
}

/// Columns whose width differs: the other bytes of a row keep together, and new high halves come from zeros. It ends when
/// `add` says that there is no room.
fn resized_columns(
    transformed: &[u8],
    reference: &Metadata,
    target: &Metadata,
    map: &Map,
    add: &mut impl FnMut(i64, i64) -> bool,
) {
    let zeros = transformed.windows(2).position(|pair| pair == [0, 0]);
    for (table, columns) in SCHEMA.iter().enumerate() {
        let Some(their_start) = target.tables.get(table).copied().filter(|&start| start != 0) else {
            continue;
        };
        let changed =
            columns.iter().any(|&column| reference.sizes.width(column) != target.sizes.width(column));
        if !changed {
            continue;
        }
        let their_row_bytes = target.sizes.row_bytes(columns) as i64;
        for (row, ours) in (1..).zip(reference.row_places(table)) {
            let their_row = u8::try_from(table).map_or(0, |table| map.row(table, row));
            let theirs = (their_row.wrapping_sub(1)).wrapping_mul(their_row_bytes);
            let (mut x, mut y) = (ours as i64, their_start.cast_signed().wrapping_add(theirs));
            for (number, &column) in columns.iter().enumerate() {
                let (old, new) = (reference.sizes.width(column), target.sizes.width(column));
                let is_last = number + 1 == columns.len();
                let mut has_room = true;
                if old < new
                    && let Some(zeros) = zeros
                {
                    has_room = add(y.wrapping_add(2), zeros as i64);
                }
                if old != new && !is_last {
                    has_room = add(y.wrapping_add(new as i64), x.wrapping_add(old as i64));
                }
                if !has_room {
                    return;
                }
                (x, y) = (x.wrapping_add(old as i64), y.wrapping_add(new as i64));
            }
        }
    }
}
