//! A folder being written: bytes in, data blocks out.
//!
//! [MS-CAB] 2.4. The same bytes give the same blocks, however they are cut into calls.

use flate2::{Compress, Compression as DeflateLevel, FlushCompress, Status};
use lz_kit::Level;
use lzx::WindowOrder;

use super::checksum::checksum;
use super::{BLOCK_BYTES, MAX_STORED_BLOCK_BYTES};
use crate::base::mszip::BLOCK_SIGNATURE;
use crate::base::{Error, ErrorKind, Result};

/// How a new folder is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderCompression {
    /// Not at all.
    Stored,
    /// Deflate; the level is one of the scale of WIM's codecs.
    Mszip(Level),
    /// LZX with this window.
    Lzx(WindowOrder, Level),
}

impl FolderCompression {
    /// LZX with a window of 2^`window_bits` bytes.
    ///
    /// # Errors
    /// `InvalidInput` for a window that cabinets do not have.
    pub fn lzx(window_bits: u8, level: Level) -> Result<Self> {
        match WindowOrder::new(window_bits) {
            Some(window) => Ok(Self::Lzx(window, level)),
            None => Err(Error::invalid_input(format!(
                "an LZX window of 2^{window_bits} bytes, not of 2^15 to 2^21"
            ))),
        }
    }

    /// The number of the folder's type field.
    pub(super) fn type_number(self) -> u16 {
        match self {
            Self::Stored => 0,
            Self::Mszip(_) => 1,
            Self::Lzx(window, _) => 3 | u16::from(window.log2()) << 8,
        }
    }

    /// Memory that compressing takes beside the results, in bytes.
    #[must_use]
    pub fn scratch_bytes(self) -> u64 {
        let codec = match self {
            Self::Stored => 0,
            // As zlib's documentation has it.
            Self::Mszip(_) => 512 << 10,
            Self::Lzx(window, level) => lzx::cab::Encoder::scratch_bytes(window, level) as u64,
        };
        codec + self.piece_bytes() as u64
    }

    /// Bytes that are compressed at a time.
    fn piece_bytes(self) -> usize {
        match self {
            Self::Stored | Self::Mszip(_) => BLOCK_BYTES,
            Self::Lzx(window, _) => (window.bytes() as usize / 2).max(BLOCK_BYTES),
        }
    }
}

enum Encoder {
    Stored,
    Mszip { deflate: Box<Compress>, history: Vec<u8>, out: Vec<u8> },
    Lzx(Box<lzx::cab::Encoder>),
}

/// Packs one folder.
pub struct FolderWriter {
    encoder: Encoder,
    /// Bytes that wait until there are enough of them.
    waiting: Vec<u8>,
    piece_bytes: usize,
    block: Vec<u8>,
    blocks: u64,
}

impl FolderWriter {
    /// Most uncompressed bytes of a folder, which counts its blocks in 16 bits: just under 2 GiB.
    pub const MAX_BYTES: u64 = u16::MAX as u64 * BLOCK_BYTES as u64;

    /// A writer at the start of a folder.
    #[must_use]
    pub fn new(compression: FolderCompression) -> Self {
        let encoder = match compression {
            FolderCompression::Stored => Encoder::Stored,
            FolderCompression::Mszip(level) => Encoder::Mszip {
                deflate: Box::new(Compress::new(deflate_level(level), false)),
                history: Vec::new(),
                out: Vec::new(),
            },
            FolderCompression::Lzx(window, level) => {
                Encoder::Lzx(Box::new(lzx::cab::Encoder::new(window, level)))
            }
        };
        Self {
            encoder,
            waiting: Vec::new(),
            piece_bytes: compression.piece_bytes(),
            block: Vec::new(),
            blocks: 0,
        }
    }

    /// Adds bytes to the folder; finished data blocks, headers included, go to `sink`.
    ///
    /// # Errors
    /// `Limit` past [`Self::MAX_BYTES`], and what the sink gives.
    pub fn add(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.piece_bytes - self.waiting.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() == self.piece_bytes {
                self.pack(sink)?;
            }
        }
        Ok(())
    }

    /// Packs what still waits; the number of data blocks.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn finish(mut self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<u16> {
        self.pack(sink)?;
        u16::try_from(self.blocks).map_err(|_| too_large())
    }

    fn pack(&mut self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Self { encoder, waiting, block, blocks, .. } = self;
        let mut emit = |stored: &[u8], size: usize| {
            *blocks += 1;
            if *blocks > u64::from(u16::MAX) {
                return Err(too_large());
            }
            write_block(stored, size, block);
            sink(block)
        };
        match encoder {
            Encoder::Stored => waiting.chunks(BLOCK_BYTES).try_for_each(|piece| emit(piece, piece.len()))?,
            Encoder::Mszip { deflate, history, out } => {
                for piece in waiting.chunks(BLOCK_BYTES) {
                    deflate_block(deflate, history, piece, out)?;
                    emit(out, piece.len())?;
                    history.clear();
                    history.extend_from_slice(piece);
                }
            }
            Encoder::Lzx(encoder) => encoder.encode(waiting, emit)?,
        }
        waiting.clear();
        Ok(())
    }
}

fn too_large() -> Error {
    Error::limit(format!("a folder of more than {} bytes", FolderWriter::MAX_BYTES))
        .remedy("put fewer files into one folder of the cabinet")
}

/// zlib's level for a level of ours: 6 is its default as 50 is ours.
fn deflate_level(level: Level) -> DeflateLevel {
    DeflateLevel::new(match level.number() {
        0..10 => 1,
        10..35 => 4,
        35..60 => 6,
        60..85 => 8,
        _ => 9,
    })
}

/// "CK" and one complete stream, whose dictionary is the block before it.
fn deflate_block(deflate: &mut Compress, history: &[u8], piece: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let failed = |what: &str| Error::new(ErrorKind::Io, format!("deflate fails: {what}"));
    deflate.reset();
    if !history.is_empty() {
        deflate.set_dictionary(history).map_err(|e| failed(&e.to_string()))?;
    }
    out.clear();
    out.extend_from_slice(&BLOCK_SIGNATURE);
    out.reserve(MAX_STORED_BLOCK_BYTES);
    match deflate.compress_vec(piece, out, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => Ok(()),
        Ok(_) => Err(failed("the block grows too much")),
        Err(e) => Err(failed(&e.to_string())),
    }
}

/// A data block with its header, in place of what `block` holds.
fn write_block(stored: &[u8], size: usize, block: &mut Vec<u8>) {
    let field = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_le_bytes();
    let ([a, b], [c, d]) = (field(stored.len()), field(size));
    let sizes = [a, b, c, d];
    block.clear();
    block.extend_from_slice(&checksum(&sizes, checksum(stored, 0)).to_le_bytes());
    block.extend_from_slice(&sizes);
    block.extend_from_slice(stored);
}
