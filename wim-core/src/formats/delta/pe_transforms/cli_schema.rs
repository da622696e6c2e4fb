//! Rows of the metadata tables of managed images (ECMA-335 II.22, II.24.2.6): columns and their widths.

/// Tables that the standard describes.
pub(super) const TABLES: usize = 0x2D;

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// A constant of 2 bytes.
    Half,
    /// A constant of 4 bytes.
    Word,
    /// An address in the image.
    Rva,
    /// An index into the heap of names.
    Strings,
    /// An index into the heap of GUIDs.
    Guid,
    /// An index into the heap of blobs.
    Blob,
    /// A row of that table.
    Table(u8),
    /// A row of one of several tables, chosen by the low bits.
    Coded(&'static Coded),
}

/// A family of tables for coded indexes.
#[derive(Debug)]
pub(super) struct Coded {
    /// Low bits that choose the table.
    pub(super) tag_bits: u32,
    /// The tables by tag; [`UNUSED`] for tags that mean none.
    pub(super) tables: &'static [u8],
}

/// A tag without table.
const UNUSED: u8 = u8::MAX;

pub(super) const TYPE_DEF_OR_REF: Coded = Coded { tag_bits: 2, tables: &[0x02, 0x01, 0x1B] };
const HAS_CONSTANT: Coded = Coded { tag_bits: 2, tables: &[0x04, 0x08, 0x17] };
const HAS_CUSTOM_ATTRIBUTE: Coded = Coded {
    tag_bits: 5,
    tables: &[
        0x06, 0x04, 0x01, 0x02, 0x08, 0x09, 0x0A, 0x00, 0x0E, 0x17, 0x14, 0x11, 0x1A, 0x1B, 0x20, 0x23, 0x26,
        0x27, 0x28, 0x2A, 0x2C, 0x2B,
    ],
};
const HAS_FIELD_MARSHAL: Coded = Coded { tag_bits: 1, tables: &[0x04, 0x08] };
const HAS_DECL_SECURITY: Coded = Coded { tag_bits: 2, tables: &[0x02, 0x06, 0x20] };
const MEMBER_REF_PARENT: Coded = Coded { tag_bits: 3, tables: &[0x02, 0x01, 0x1A, 0x06, 0x1B] };
const HAS_SEMANTICS: Coded = Coded { tag_bits: 1, tables: &[0x14, 0x17] };
const METHOD_DEF_OR_REF: Coded = Coded { tag_bits: 1, tables: &[0x06, 0x0A] };
const MEMBER_FORWARDED: Coded = Coded { tag_bits: 1, tables: &[0x04, 0x06] };
const IMPLEMENTATION: Coded = Coded { tag_bits: 2, tables: &[0x26, 0x23, 0x27] };
const CUSTOM_ATTRIBUTE_TYPE: Coded = Coded { tag_bits: 3, tables: &[UNUSED, UNUSED, 0x06, 0x0A, UNUSED] };
const RESOLUTION_SCOPE: Coded = Coded { tag_bits: 2, tables: &[0x00, 0x1A, 0x23, 0x01] };
const TYPE_OR_METHOD_DEF: Coded = Coded { tag_bits: 1, tables: &[0x02, 0x06] };

/// The columns of each table.
pub(super) const SCHEMA: [&[Column]; TABLES] = {
    use Column::{Blob, Coded, Guid, Half, Rva, Strings, Table, Word};
    [
        &[Half, Strings, Guid, Guid, Guid],
        &[Coded(&RESOLUTION_SCOPE), Strings, Strings],
        &[Word, Strings, Strings, Coded(&TYPE_DEF_OR_REF), Table(0x04), Table(0x06)],
        &[Table(0x04)],
        &[Half, Strings, Blob],
        &[Table(0x06)],
        &[Rva, Half, Half, Strings, Blob, Table(0x08)],
        &[Table(0x08)],
        &[Half, Half, Strings],
        &[Table(0x02), Coded(&TYPE_DEF_OR_REF)],
        &[Coded(&MEMBER_REF_PARENT), Strings, Blob],
        &[Half, Coded(&HAS_CONSTANT), Blob],
        &[Coded(&HAS_CUSTOM_ATTRIBUTE), Coded(&CUSTOM_ATTRIBUTE_TYPE), Blob],
        &[Coded(&HAS_FIELD_MARSHAL), Blob],
        &[Half, Coded(&HAS_DECL_SECURITY), Blob],
        &[Half, Word, Table(0x02)],
        &[Word, Table(0x04)],
        &[Blob],
        &[Table(0x02), Table(0x14)],
        &[Table(0x14)],
        &[Half, Strings, Coded(&TYPE_DEF_OR_REF)],
        &[Table(0x02), Table(0x17)],
        &[Table(0x17)],
        &[Half, Strings, Blob],
        &[Half, Table(0x06), Coded(&HAS_SEMANTICS)],
        &[Table(0x02), Coded(&METHOD_DEF_OR_REF), Coded(&METHOD_DEF_OR_REF)],
        &[Strings],
        &[Blob],
        &[Half, Coded(&MEMBER_FORWARDED), Strings, Table(0x1A)],
        &[Rva, Table(0x04)],
        &[Word, Word],
        &[Word],
        &[Word, Half, Half, Half, Half, Word, Blob, Strings, Strings],
        &[Word],
        &[Word, Word, Word],
        &[Half, Half, Half, Half, Word, Blob, Strings, Strings, Blob],
        &[Word, Table(0x23)],
        &[Word, Word, Word, Table(0x23)],
        &[Word, Strings, Blob],
        &[Word, Word, Strings, Strings, Coded(&IMPLEMENTATION)],
        &[Word, Word, Strings, Coded(&IMPLEMENTATION)],
        &[Table(0x02), Table(0x02)],
        &[Half, Half, Coded(&TYPE_OR_METHOD_DEF), Strings],
        &[Coded(&METHOD_DEF_OR_REF), Blob],
        &[Table(0x2A), Coded(&TYPE_DEF_OR_REF)],
    ]
};

/// What widths depend on: rows of each table, and which of the heaps of strings, GUIDs and blobs are large.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) rows: [u32; 64],
    pub(super) has_wide_strings: bool,
    pub(super) has_wide_guids: bool,
    pub(super) has_wide_blobs: bool,
}

impl Sizes {
    /// Bytes of a column.
    pub(super) fn width(&self, column: Column) -> usize {
        let rows_of = |table: u8| self.rows.get(usize::from(table)).copied().unwrap_or(0);
        let is_wide = match column {
            Column::Half => false,
            Column::Word | Column::Rva => true,
            Column::Strings => self.has_wide_strings,
            Column::Guid => self.has_wide_guids,
            Column::Blob => self.has_wide_blobs,
            Column::Table(table) => rows_of(table) >= 1 << 16,
            Column::Coded(coded) => {
                coded.tables.iter().map(|&table| rows_of(table)).max() >= Some(1 << (16 - coded.tag_bits))
            }
        };
        if is_wide { 4 } else { 2 }
    }

    /// Bytes of a row.
    pub(super) fn row_bytes(&self, columns: &[Column]) -> usize {
        columns.iter().map(|&column| self.width(column)).sum()
    }
}
