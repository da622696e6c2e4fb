//! Cabinets (`.cab`, and the `.msu` around updates): folders of compressed data, and the members that lie in them.
//!
//! Described in [MS-CAB], MSZIP in [MS-MCI], LZX in [MS-PATCH]; Quantum, which is only read, by libmspack's documentation.
//! Reading and writing are sequential and simple, folder by folder, from any [`ReadAt`](crate::base::ReadAt); what is made of members' names on a host, and
//! unpacking on many threads, is for the rooms above. Damaged cabinets are refused, never salvaged.

mod cabinet;
mod checksum;
mod data_block;
mod decoder;
mod dos_time;
mod folder;
mod folder_writer;
mod header;
mod member;
mod quantum;
mod search;
mod source_cursor;
mod tables;

pub use cabinet::{Cabinet, FolderReader, overlap};
pub use dos_time::DosTime;
pub use folder::{Folder, Method};
pub use folder_writer::{FolderCompression, FolderWriter};
pub use header::{Header, Neighbour};
pub use member::{Attributes, Member, Span};
pub use search::{Embedded, find_cabinets};
pub use tables::{MAX_CABINET_BYTES, MAX_ENTRIES, NewFolder, NewMember, table_bytes, write_tables};

/// Most uncompressed bytes of one data block; all blocks of a compressed folder but the last have as many.
pub const BLOCK_BYTES: usize = 32768;
/// Most stored bytes of one data block: what incompressible data may grow by.
pub const MAX_STORED_BLOCK_BYTES: usize = BLOCK_BYTES + 6144;
