//! The side file that keeps what Windows knows of files and a host's directory cannot hold.
//!
//! Lines of JSON, described in `docs/metadata-file.md`: a header, security descriptors, one entry for each name, then the
//! contents of streams that have no place in the directory. The format is the project's own. What the fields mean for
//! applying and capturing is not known here; no file is opened.

#![cfg_attr(test, allow(clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod entry;
mod escape;
mod reader;
mod stored_blob;
mod writer;

pub use entry::{Entry, NamedStream, ReparseFields};
pub use escape::{escaped, unescaped};
pub use reader::MetadataFile;
pub use stored_blob::{BlobPlace, StoredBlob};
pub use writer::LineWriter;

/// Value of the field `format` of the first line.
const FORMAT: &str = "wim-metadata";
/// Version of the format; readers refuse any other.
const VERSION: u32 = 1;
/// Longest line in bytes that is written and read; a bound on memory.
const MAX_LINE_BYTES: usize = 16 << 20;
/// Bytes of a blob on one line.
const PIECE_BYTES: usize = 32 << 10;
/// What stands before and behind the digits of a piece.
const PIECE_START: &str = "{\"data\":\"";
const PIECE_END: &str = "\"}\n";
/// Bytes of a line with a whole piece.
const PIECE_LINE_BYTES: usize = PIECE_START.len() + 2 * PIECE_BYTES + PIECE_END.len();
