//! Writes the lines of a side file, in their order: header, descriptors, entries, blobs.

use std::io::{self, Write};

use serde::Serialize;

use super::entry::Entry;
use super::{FORMAT, MAX_LINE_BYTES, PIECE_BYTES, PIECE_END, PIECE_START, VERSION};
use crate::base::{Error, ErrorKind, Result, Sha1Digest, hex};

/// The first line.
#[derive(Serialize)]
struct Header {
    format: &'static str,
    version: u32,
}

/// Writes lines; what is written before what is the caller's order.
pub struct LineWriter<W> {
    out: W,
    /// Bytes of the current blob that wait for a full line.
    piece: Vec<u8>,
}

impl<W: Write> LineWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// `Io`; so for all that write.
    pub fn new(out: W) -> Result<Self> {
        let mut writer = Self { out, piece: Vec::new() };
        writer.line(&Header { format: FORMAT, version: VERSION })?;
        Ok(writer)
    }

    /// Writes a security descriptor; they count from 0.
    ///
    /// # Errors
    /// `Io`, and `Limit` for one of more than 8 MiB.
    pub fn descriptor(&mut self, bytes: &[u8]) -> Result<()> {
        #[derive(Serialize)]
        struct Line {
            descriptor: String,
        }
        self.line(&Line { descriptor: hex::encode(bytes) })
    }

    /// Writes an entry; they count from 0.
    ///
    /// # Errors
    /// `Io`, and `Limit` for one whose line is longer than 16 MiB.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.line(entry)
    }

    /// Begins a blob of `size` bytes.
    ///
    /// # Errors
    /// `Io`.
    pub fn begin_blob(&mut self, digest: &Sha1Digest, size: u64) -> Result<()> {
        #[derive(Serialize)]
        struct Line {
            blob: String,
            size: u64,
        }
        self.line(&Line { blob: digest.to_string(), size })
    }

    /// Adds bytes to the blob that was begun.
    ///
    /// # Errors
    /// `Io`.
    pub fn blob_bytes(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.piece.len();
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.piece.extend_from_slice(now);
            bytes = rest;
            if self.piece.len() == PIECE_BYTES {
                self.end_blob()?;
            }
        }
        Ok(())
    }

    /// Ends the blob that was begun.
    ///
    /// # Errors
    /// `Io`.
    pub fn end_blob(&mut self) -> Result<()> {
        if !self.piece.is_empty() {
            let line = [PIECE_START, &hex::encode(&self.piece), PIECE_END].concat();
            self.piece.clear();
            self.out.write_all(line.as_bytes()).map_err(cannot_write)?;
        }
        Ok(())
    }

    /// What was written to.
    ///
    /// # Errors
    /// `Io`.
    pub fn finish(mut self) -> Result<W> {
        self.out.flush().map_err(cannot_write)?;
        Ok(self.out)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| cannot_write(e.into()))?;
        line.push(b'\n');
        if line.len() > MAX_LINE_BYTES {
            return Err(Error::limit(format!(
                "a line of {} bytes, and a side file has at most {MAX_LINE_BYTES} on one",
                line.len()
            )));
        }
        self.out.write_all(&line).map_err(cannot_write)
    }
}

fn cannot_write(error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot write: {error}")).with_source(error)
}
