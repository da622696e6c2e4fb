//! The WIM container: `.wim`, `.swm` and `.esd` files.
//!
//! Described in Microsoft's "Windows Imaging File Format" paper and by the sources of wimlib and 7-Zip; facts that only
//! real files tell are marked where they are used. Each part of a split set is a file by itself. All integers are little-endian, all offsets in bytes.

pub mod attributes;
pub mod chunk_codec;
pub mod chunk_table;
pub mod dentry;
pub mod file;
pub mod header;
pub mod integrity;
pub mod lookup_table;
pub mod pipable;
pub mod reparse;
pub mod resource_header;
pub mod resource_reader;
pub mod security;
pub mod solid;
pub mod streams;
pub mod tagged_items;
pub mod xml;

pub use chunk_codec::{ChunkDecoder, ChunkEncoder, ChunkFormat, Compression};
pub use file::WimFile;
pub use header::{HeaderFlags, WimHeader, WimVersion};
pub use lookup_table::{BlobEntry, LookupTable, MetadataEntry};
pub use pipable::{BlobHeader, WimLayout};
pub use resource_header::ResourceHeader;
pub use solid::{SolidPlace, SolidResource};
pub use xml::{ImageXml, WimXml};
