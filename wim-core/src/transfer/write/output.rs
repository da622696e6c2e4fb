//! The file being written: appended through one buffer, patched in place.

use std::fs::File;

use crate::base::{Error, ErrorKind, Reason, Result, Sha1Digest, WriteAt};
use crate::formats::wim::{BlobHeader, WimLayout};

/// Bytes gathered before they are handed to the system.
const BUFFER_BYTES: usize = 1 << 20;

/// Appends to a file through a buffer.
pub(super) struct Output<'o> {
    file: Box<dyn WriteAt + 'o>,
    buffer: Vec<u8>,
    /// Bytes already handed to the system.
    flushed: u64,
    layout: WimLayout,
}

impl<'o> Output<'o> {
    pub(super) fn new(file: &'o mut dyn WriteAt, layout: WimLayout) -> Self {
        Self { layout, ..Self::owning(Box::new(file)) }
    }

    /// One of the standard layout with a file of its own.
    pub(super) fn owning(file: Box<dyn WriteAt + 'o>) -> Self {
        let (buffer, layout) = (Vec::with_capacity(BUFFER_BYTES), WimLayout::Standard);
        Self { file, buffer, flushed: 0, layout }
    }

    /// Goes on at `offset` of a file of the standard layout; what lies behind is overwritten.
    pub(super) fn at(file: &'o mut dyn WriteAt, offset: u64) -> Self {
        Self { flushed: offset, ..Self::new(file, WimLayout::Standard) }
    }

    /// Where the next byte goes.
    pub(super) fn offset(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let is_large = bytes.len() >= BUFFER_BYTES / 2;
        if is_large || self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if is_large {
            self.file.write_all_at(bytes, self.flushed).map_err(cannot_write)?;
            self.flushed += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Appends up to `length` bytes from `from` of a file without reading them; how many, 0 where the system cannot.
    pub(super) fn append_from(&mut self, source: &File, from: u64, length: u64) -> Result<u64> {
        self.flush()?;
        // Which file an error is of is told by those that read and write.
        let copied = self.file.copy_from(source, from, length, self.flushed).unwrap_or(0);
        self.flushed += copied;
        Ok(copied)
    }

    /// Bytes that [`Self::begin_blob`] appends.
    pub(super) fn blob_header_bytes(&self) -> u64 {
        self.layout.blob_header_bytes()
    }

    /// Appends what stands before the resource of a blob of `size` bytes in this layout.
    pub(super) fn begin_blob(&mut self, size: u64, digest: Sha1Digest, flags: u8) -> Result<()> {
        match self.layout {
            WimLayout::Standard => Ok(()),
            WimLayout::Pipable => {
                self.append(&BlobHeader { size, digest, flags: u32::from(flags) }.to_bytes())
            }
        }
    }

    /// Appends zeros, to be patched later.
    pub(super) fn reserve(&mut self, mut bytes: u64) -> Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        while bytes > 0 {
            let step = bytes.min(ZEROS.len() as u64);
            self.append(&ZEROS[..usize::try_from(step).unwrap_or(0)])?;
            bytes -= step;
        }
        Ok(())
    }

    /// Overwrites bytes that were appended before.
    pub(super) fn patch(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        self.flush()?;
        self.file.write_all_at(bytes, offset).map_err(cannot_write)
    }

    /// Forgets everything from `offset` on.
    pub(super) fn rewind(&mut self, offset: u64) -> Result<()> {
        self.flush()?;
        self.file.set_length(offset).map_err(cannot_write)?;
        self.flushed = offset;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all_at(&self.buffer, self.flushed).map_err(cannot_write)?;
            self.flushed += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// The file, all bytes handed over.
    pub(super) fn written(&mut self) -> Result<&dyn WriteAt> {
        self.flush()?;
        Ok(&*self.file)
    }
}

fn cannot_write(e: std::io::Error) -> Error {
    let error =
        Error::new(ErrorKind::Io, format!("cannot write the output: {e}")).because(Reason::CannotWrite);
    let error = if e.kind() == std::io::ErrorKind::StorageFull {
        error.remedy("free some space or write to another disk; nothing was changed")
    } else {
        error
    };
    error.with_source(e)
}
