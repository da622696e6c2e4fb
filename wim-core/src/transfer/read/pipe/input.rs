//! The stream, and where in it the reader is.
//!
//! Lengths of the stream are never used to allocate: buffers grow with what arrives.

use std::io::{ErrorKind as IoKind, Read};

use crate::base::{Cancel, Error, ErrorKind, Reason, Result};
use crate::formats::wim::{BlobHeader, ChunkFormat, Compression, chunk_table};

/// Bytes that a buffer grows by at a time.
const STEP_BYTES: u64 = 1 << 20;

/// Bytes read from a pipe, counted.
pub(super) struct PipeInput<'r> {
    input: &'r mut dyn Read,
    cancel: &'r Cancel,
    offset: u64,
    format: ChunkFormat,
}

impl<'r> PipeInput<'r> {
    pub(super) fn new(input: &'r mut dyn Read, cancel: &'r Cancel) -> Self {
        Self { input, cancel, offset: 0, format: ChunkFormat::UNCOMPRESSED }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How the resources of the file that is being read are compressed.
    pub(super) fn format(&self) -> ChunkFormat {
        self.format
    }

    pub(super) fn set_format(&mut self, format: ChunkFormat) {
        self.format = format;
    }

    /// The error for what has just been read.
    pub(super) fn error(&self, structure: &'static str, field: &'static str, message: &str) -> Error {
        Error::format(structure, field, self.offset, message)
            .remedy("the data is damaged, or its parts were sent in the wrong order")
    }

    /// Fills `out` as far as the stream goes; gives the number of bytes.
    pub(super) fn read_up_to(&mut self, out: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            let rest = out.get_mut(filled..).unwrap_or(&mut []);
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(length) => filled += length.min(rest.len()),
                Err(e) if e.kind() == IoKind::Interrupted => self.cancel.check()?,
                Err(e) => {
                    let message =
                        format!("cannot read the pipe behind {:#x}: {e}", self.offset + filled as u64);
                    return Err(Error::new(ErrorKind::Io, message).with_source(e));
                }
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    /// Fills `out`; `what` is the structure that the bytes belong to.
    pub(super) fn read_exact(&mut self, out: &mut [u8], what: &'static str) -> Result<()> {
        let filled = self.read_up_to(out)?;
        if filled < out.len() { Err(self.cut_short(what)) } else { Ok(()) }
    }

    /// Appends `length` bytes to `out`, which grows only with what arrives.
    pub(super) fn append_exact(
        &mut self,
        out: &mut Vec<u8>,
        mut length: u64,
        what: &'static str,
    ) -> Result<()> {
        while length > 0 {
            let step = usize::try_from(length.min(STEP_BYTES)).unwrap_or(0);
            let from = out.len();
            out.resize(from + step, 0);
            self.read_exact(out.get_mut(from..).unwrap_or(&mut []), what)?;
            length -= step as u64;
        }
        Ok(())
    }

    /// Reads `length` bytes and forgets them.
    pub(super) fn skip(&mut self, mut length: u64, what: &'static str) -> Result<()> {
        let mut buffer = vec![0; usize::try_from(length.min(64 << 10)).unwrap_or(0)];
        while length > 0 {
            self.cancel.check()?;
            let step = length.min(buffer.len() as u64);
            let bytes = buffer.get_mut(..usize::try_from(step).unwrap_or(0)).unwrap_or(&mut []);
            self.read_exact(bytes, what)?;
            length -= step;
        }
        Ok(())
    }

    /// Reads the header of a blob where one must be.
    pub(super) fn blob_header(&mut self) -> Result<BlobHeader> {
        let mut bytes = [0; BlobHeader::BYTES];
        let offset = self.offset;
        self.read_exact(&mut bytes, "blob header")?;
        BlobHeader::parse(&bytes, offset)
    }

    pub(super) fn cut_short(&self, what: &'static str) -> Error {
        Error::format(what, "length", self.offset, "the stream ends here, in the middle of it")
            .because(Reason::FileEnds)
            .remedy("what sends the WIM was stopped, or the file is truncated; send it again")
    }
}

/// A stored chunk that comes next in the stream.
pub(super) struct NextChunk {
    pub(super) stored_size: u32,
    pub(super) size: u32,
}

/// A blob whose chunks are being read. Raw blobs are cut into chunks of one size as well.
pub(super) struct StoredBlob {
    pub(super) blob: BlobHeader,
    pub(super) format: ChunkFormat,
    /// Uncompressed bytes of the chunks so far.
    pub(super) done: u64,
}

/// Raw blobs are read in chunks of this many bytes.
const RAW_CHUNK_BYTES: u32 = 64 << 10;

impl StoredBlob {
    /// # Errors
    /// `Format` for a compressed blob in a file that has no compression.
    pub(super) fn new(blob: BlobHeader, format: ChunkFormat, input: &PipeInput<'_>) -> Result<Self> {
        if blob.is_compressed() && (format.compression() == Compression::None || blob.size == 0) {
            let message =
                format!("blob {} is compressed, but the file has no compression or it no bytes", blob.digest);
            return Err(input.error("blob header", "flags", &message));
        }
        Ok(Self { blob, format, done: 0 })
    }

    /// Uncompressed bytes of a full chunk.
    pub(super) fn chunk_bytes(&self) -> u32 {
        if self.blob.is_compressed() { self.format.chunk_size().bytes() } else { RAW_CHUNK_BYTES }
    }

    /// What comes next, whose stored bytes the caller must read then; none behind the last.
    pub(super) fn next_chunk(&mut self, input: &mut PipeInput<'_>) -> Result<Option<NextChunk>> {
        let left = self.blob.size.saturating_sub(self.done);
        let size = u32::try_from(left).unwrap_or(u32::MAX).min(self.chunk_bytes());
        if size == 0 {
            return Ok(None);
        }
        let mut stored_size = size;
        if self.blob.is_compressed() {
            let mut bytes = [0; 4];
            input.read_exact(&mut bytes, "chunk")?;
            stored_size = u32::from_le_bytes(bytes);
            if stored_size == 0 || stored_size > size {
                let digest = self.blob.digest;
                let message =
                    format!("{stored_size} bytes cannot be a chunk of {size} bytes of blob {digest}");
                return Err(input.error("chunk", "stored size", &message));
            }
        }
        self.done += u64::from(size);
        Ok(Some(NextChunk { stored_size, size }))
    }

    /// Bytes of the chunk table behind the last chunk.
    pub(super) fn table_bytes(&self) -> u64 {
        match self.blob.is_compressed() {
            true => chunk_table::table_bytes(self.blob.size, self.format.chunk_size()),
            false => 0,
        }
    }
}
